import type { NumberedEvent } from './reader.ts';

/** Why a reader cannot go on from its place. */
export type ResetReason = 'not-an-id' | 'other-store' | 'ahead' | 'too-old';

/** A place in the outbox as `Last-Event-ID` has it: `{number}-{store}`. */
export function placeOf(n: number, store: string): string {
  return `${n}-${store}`;
}

/** One event as `text/event-stream` has it (WHATWG HTML §9.2): `id` is what comes back as `Last-Event-ID`. */
export function sseOf({ n, event }: NumberedEvent, store: string): string {
  return `id: ${placeOf(n, store)}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
}

/** What is kept: numbers of the oldest and newest event (0: none), and the store's name. */
export interface Kept {
  readonly oldest: number;
  readonly head: number;
  readonly store: string;
}

/**
 * The number to go on after, from an id as `placeOf` gives it, or from a bare number. Where the place is not in the outbox,
 * why, and the number from which on everything that is kept follows.
 */
export function resumeAt(id: string, { oldest, head, store }: Kept): { after: number; reset: ResetReason | null } {
  const [, number, named] = /^(\d{1,15})(?:-([0-9a-f]+))?$/.exec(id) ?? [];
  const from = (reset: ResetReason) => ({ after: Math.max(0, oldest - 1), reset });
  if (number === undefined) return from('not-an-id');
  if (named !== undefined && named !== store) return from('other-store');
  const after = Number(number);
  if (after > head) return from('ahead');
  return after < oldest - 1 ? from('too-old') : { after, reset: null };
}

/** Tells a reader that its place is gone: what it has may have a gap, and everything that is kept follows. */
export function resetOf({ asked, reason, kept }: { asked: string; reason: ResetReason; kept: Kept }): string {
  const id = placeOf(Math.max(0, kept.oldest - 1), kept.store);
  return `id: ${id}\nevent: reset\ndata: ${JSON.stringify({ asked, reason, oldest: kept.oldest })}\n\n`;
}
