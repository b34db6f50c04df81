import type { Block, KnownDevice, ReadingColumns, Rejection, RuleControl } from '../domain/index.ts';
import type { CityVersion } from './context.ts';

/** What became of one device's messages and readings. */
export interface Tally {
  readonly device: string;
  decoded: number;
  quarantined: number;
  /** Accepted, replacements among them. */
  stored: number;
  duplicate: number;
  /** Those of `stored` that took the place of another value for the same (device, metric, ts). */
  replaced: number;
  refused: number;
}

/** A tally of nothing. */
export const emptyTally = (device: string): Tally => ({
  device,
  decoded: 0,
  quarantined: 0,
  stored: 0,
  duplicate: 0,
  replaced: 0,
  refused: 0,
});

/** A refusal with what is needed to show it, mend it and replay it. */
export interface Refusal extends Rejection {
  /** Number of the message, as it first came. */
  readonly position: number;
  readonly device: string;
  readonly topic: string;
  readonly receivedAt: number;
  readonly scope: 'message' | 'reading';
  /** The payload; shared by all refusals of one message. */
  readonly raw: Buffer;
}

/** What became of one quarantined thing that went the way again. */
export interface Replayed {
  /** `{position}-{ordinal}` of what was in quarantine. */
  readonly id: string;
  /** The ledger's account that held it. */
  readonly device: string;
  readonly scope: 'message' | 'reading';
  readonly tally: Tally;
  readonly refusals: readonly Refusal[];
}

/** What a block means. The same for every consumer and at every replay. */
export interface Outcome {
  readonly block: Omit<Block, 'body'>;
  /** Whether intake met the block for the first time: only then is the outside told of refusals. */
  readonly fresh: boolean;
  /** New readings, for history and rules. */
  readonly readings: ReadingColumns;
  /** Other values for readings that came before: for the history, which then forgets the earlier ones. */
  readonly replaced: ReadingColumns;
  readonly tallies: readonly Tally[];
  readonly refusals: readonly Refusal[];
  /** Of a `replay` block only; its tallies and refusals stand in here. */
  readonly replays: readonly Replayed[];
  readonly city: CityVersion | null;
  readonly devices: { readonly changed: KnownDevice[]; readonly revoked: KnownDevice[] } | null;
  /** The one change of a rule of the API that a `rule` block is. */
  readonly rule: RuleControl | null;
}

/** About 45 MB at the most. */
const KEEP_READINGS = 1_500_000;

/** The newest outcomes, bounded by the readings in them. */
export function createMemo(): { get(seq: number): Outcome | undefined; put(outcome: Outcome): void } {
  const kept = new Map<number, Outcome>();
  let readings = 0;
  return {
    get: (seq) => kept.get(seq),
    put(outcome) {
      kept.set(outcome.block.seq, outcome);
      readings += outcome.readings.length + 1;
      for (const [seq, oldest] of kept) {
        if (readings <= KEEP_READINGS || kept.size === 1) break;
        kept.delete(seq);
        readings -= oldest.readings.length + 1;
      }
    },
  };
}
