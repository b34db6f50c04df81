import type { Calendar, KnownDevice, Rule } from '../../../../domain/index.ts';
import type { Moment } from '../../../../rules/engine/types.ts';

/** A reading as a random journal holds it; `ts` is epoch ms. */
export interface Sample {
  readonly id: string;
  readonly metric: string;
  readonly ts: number;
  readonly value: number;
}

/** One block of a journal. */
export type Op =
  | { readonly kind: 'readings'; readonly samples: readonly Sample[] }
  | { readonly kind: 'tick' }
  | { readonly kind: 'rules'; readonly rules: readonly Rule[]; readonly calendars: readonly Calendar[] }
  | { readonly kind: 'device'; readonly device: KnownDevice }
  | { readonly kind: 'revoke'; readonly id: string };

/** A block and when it came. */
export interface Entry extends Moment {
  readonly op: Op;
}

/** Engine time twice: as the clock on the wall says it, and without the gaps in which nobody listened. */
export interface Instant {
  readonly atMs: number;
  readonly heardMs: number;
}

/** Of strings, by code point. */
export const byId = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
