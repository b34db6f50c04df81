import { distanceM, type Place, type Ticket } from '../domain/index.ts';

/** Of tickets with a place, the one within so many metres that is meant: a sensor's before others, then the nearest, then the oldest. */
export function nearestOf(tickets: readonly Ticket[], place: Place, metres: number): Ticket | null {
  const [first] = tickets
    .flatMap((ticket) => (ticket.location === null ? [] : [{ ticket, away: distanceM(ticket.location, place) }]))
    .filter(({ away }) => away <= metres)
    .sort(
      (a, b) => rank(a.ticket) - rank(b.ticket) || a.away - b.away || (a.ticket.openedAt < b.ticket.openedAt ? -1 : 1),
    );
  return first?.ticket ?? null;
}

function rank({ origin }: Ticket): number {
  return origin === 'sensor' ? 0 : 1;
}
