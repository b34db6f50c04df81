import type { HistoryAction, Ticket, TicketStatus } from '../domain/index.ts';
import { isoOf } from '../domain/index.ts';

/** What is new about a ticket. */
export interface Change {
  readonly atMs: number;
  /** `rule:<id>`, `key:<id>`, `reporter` or `clock`. */
  readonly by: string;
  readonly action: HistoryAction;
  /** The status that it takes; absent: it stays. */
  readonly to?: TicketStatus;
  readonly note: string;
  /** Further fields that change. */
  readonly set?: Partial<Ticket>;
}

/** A ticket after a change: its version, times and history move with it, and time never goes back. */
export function changed(ticket: Ticket, { atMs, by, action, to = ticket.status, note, set = {} }: Change): Ticket {
  const at = later(isoOf(atMs), ticket.updatedAt);
  const history = [...ticket.history, { at, by, action, from: ticket.status, to, note }];
  return { ...ticket, ...set, ...marks(ticket, to, at), status: to, updatedAt: at, version: history.length, history };
}

/** When it was first taken notice of, resolved and closed. */
function marks(ticket: Ticket, to: TicketStatus, at: string): Partial<Ticket> {
  if (to === ticket.status) return {};
  if (to === 'open') return { acknowledgedAt: null, resolvedAt: null, closedAt: null };
  const noticed = { acknowledgedAt: ticket.acknowledgedAt ?? at, acknowledgeBy: null };
  if (to === 'resolved') return { ...noticed, resolvedAt: at, offer: null };
  if (to === 'closed') return { ...noticed, resolvedAt: ticket.resolvedAt ?? at, closedAt: at, offer: null };
  return noticed;
}

function later(a: string, b: string): string {
  return a > b ? a : b;
}
