import { UNNAMED } from '../domain/index.ts';
import type { NumberedEvent } from './outbox.ts';

/** Why a reader cannot resume at its place. */
export type ResetReason = 'not-an-id' | 'other-store' | 'ahead' | 'too-old';

/** Returns a place in the outbox as `Last-Event-ID` has it: `{number}-{store}`. */
export function placeOf(n: number, store: string): string {
  return `${n}-${store}`;
}

/** Returns an event as `text/event-stream` has it (WHATWG HTML §9.2); clients send its `id` back as `Last-Event-ID`. */
export function sseOf({ n, event }: NumberedEvent, store: string): string {
  return `id: ${placeOf(n, store)}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
}

/** The events that are kept: numbers of the oldest and newest (0: none), and the store's name. */
export interface Kept {
  readonly oldest: number;
  readonly head: number;
  readonly store: string;
  /** Whether other nodes have the same events, perhaps more of them already. */
  readonly isShared: boolean;
}

/**
 * Returns the number to resume after, from an id of `placeOf` or a bare number. Where the place is not in the outbox,
 * `reset` says why, and `after` is the number before the oldest kept event.
 */
export function resumeAt(
  id: string,
  { oldest, head, store, isShared }: Kept,
): { after: number; reset: ResetReason | null } {
  const [, number, named] = /^(\d{1,15})(?:-([0-9a-f]+))?$/.exec(id) ?? [];
  const from = (reset: ResetReason) => ({ after: Math.max(0, oldest - 1), reset });
  if (number === undefined) return from('not-an-id');
  // A place of a node that is a little ahead: what is between comes from this node's own reading of the log.
  const isAhead = isShared && named !== undefined && (named === store || store === UNNAMED) && Number(number) > head;
  if (isAhead) return { after: Number(number), reset: null };
  if (named !== undefined && named !== UNNAMED && named !== store) return from('other-store');
  const after = Number(number);
  if (after > head) return from('ahead');
  return after < oldest - 1 ? from('too-old') : { after, reset: null };
}

/**
 * Returns the `reset` event for a reader whose place is gone: it may have missed events, and all kept events follow.
 */
export function resetOf({
  asked,
  reason,
  kept,
}: {
  asked: string;
  reason: ResetReason;
  kept: Pick<Kept, 'oldest' | 'store'>;
}): string {
  const id = placeOf(Math.max(0, kept.oldest - 1), kept.store);
  return `id: ${id}\nevent: reset\ndata: ${JSON.stringify({ asked, reason, oldest: kept.oldest })}\n\n`;
}
