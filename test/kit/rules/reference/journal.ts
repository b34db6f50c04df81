import type { Calendar, KnownDevice, Rule } from '../../../../domain/index.ts';
import type { Moment } from '../../../../rules/engine/types.ts';

/** A reading of a random journal; `ts` is epoch ms. */
export interface Sample {
  readonly id: string;
  readonly metric: string;
  readonly ts: number;
  readonly value: number;
  readonly isSuspect?: boolean;
}

/** One block of a journal. */
export type Op =
  | { readonly kind: 'readings'; readonly samples: readonly Sample[] }
  | { readonly kind: 'tick' }
  | { readonly kind: 'rules'; readonly rules: readonly Rule[]; readonly calendars: readonly Calendar[] }
  | { readonly kind: 'device'; readonly device: KnownDevice }
  | { readonly kind: 'revoke'; readonly id: string };

/** A block and its time. */
export interface Entry extends Moment {
  readonly op: Op;
}

/** Engine time, and engine time without the gaps in which the server was down. */
export interface Instant {
  readonly atMs: number;
  readonly runMs: number;
}

/** Compares strings by code point. */
export const byId = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
