import type { Ticket } from '../domain/index.ts';

/** A place, WGS 84 degrees. */
export type Place = NonNullable<Ticket['location']>;

/** A part of the map that holds every place within a distance of its middle; longitudes null: all of them. */
export interface Box {
  readonly lat: readonly [from: number, to: number];
  readonly lon: readonly [from: number, to: number] | null;
}

const EARTH_RADIUS_M = 6_371_008.8;
const RADIAN = Math.PI / 180;
const M_PER_DEGREE = EARTH_RADIUS_M * RADIAN;

/** Metres between two places along the surface (haversine, mean radius of the Earth: within 0.5 % of the ellipsoid). */
export function distanceM(a: Place, b: Place): number {
  const [from, to] = [a.lat * RADIAN, b.lat * RADIAN];
  const h =
    Math.sin((to - from) / 2) ** 2 + Math.cos(from) * Math.cos(to) * Math.sin(((b.lon - a.lon) * RADIAN) / 2) ** 2;
  return 2 * EARTH_RADIUS_M * Math.asin(Math.min(1, Math.sqrt(h)));
}

/** The part of the map to look at first; all longitudes where it would reach a pole or the date line. */
export function boxAround({ lat, lon }: Place, metres: number): Box {
  // A hair more, so that rounding loses nobody at the edge.
  const reach = (metres / M_PER_DEGREE) * 1.000_001 + 1e-9;
  const widest = Math.max(Math.abs(lat - reach), Math.abs(lat + reach));
  // On a sphere the outermost longitude lies beyond the parallel of the middle.
  const across = widest >= 90 ? 360 : reach / Math.cos(widest * RADIAN);
  const beyond = lon - across < -180 || lon + across > 180;
  return { lat: [lat - reach, lat + reach], lon: beyond ? null : [lon - across, lon + across] };
}

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
