import type { DatabaseSync } from 'node:sqlite';
import { crc32 } from 'node:zlib';
import { type Block, type BlockKind, isoOf, type LamppostError } from '../domain/index.ts';
import { damageOf, isDamage } from '../store/index.ts';

/** The kinds of blocks by their number in the file; only ever extended. */
export const KINDS: readonly BlockKind[] = [
  'messages',
  'tick',
  'city',
  'devices',
  'replay',
  'rule',
  'actions',
  'clock',
  'lost',
  'notices',
  'import',
  'progress',
  'sessions',
  'start',
];

/** A row of `blocks`. `sum` and `steady_at` are null in blocks from before there were these. */
export type BlockRow = Readonly<Record<'seq' | 'kind' | 'first' | 'count' | 'received_at', number>> & {
  readonly body: Uint8Array;
  readonly steady_at: number | null;
  readonly sum: number | null;
};

/** Returns the checksum of a block (CRC-32): its numbers, then its body. */
export function sumOf({ seq, kind, first, count, received_at: at, steady_at, body }: Omit<BlockRow, 'sum'>): number {
  return crc32(body, crc32(`${seq} ${kind} ${first} ${count} ${at} ${steady_at}`));
}

/** Returns what is wrong with a row, given the one before it; null where it is sound. */
export function faultOf(row: BlockRow, before: Pick<BlockRow, 'seq' | 'first' | 'count'> | null): string | null {
  if (before !== null && row.seq !== before.seq + 1) return `block ${before.seq + 1} is missing`;
  if (row.sum !== null && row.sum !== sumOf(row)) return 'its checksum does not match';
  if (KINDS[row.kind] === undefined) return `its kind ${row.kind} is unknown`;
  if (before !== null && row.first !== before.first + before.count) return 'its messages do not follow those before it';
  return null;
}

/** Returns the block of a sound row. */
export function blockOf({ seq, kind, first, count, received_at: receivedAt, steady_at, body }: BlockRow): Block {
  return { seq, kind: KINDS[kind]!, first, count, receivedAt, steadyAt: steady_at ?? receivedAt, body };
}

/** Blocks that cannot be read, and what is known of them from their neighbours. */
export interface DamagedBlocks {
  readonly from: number;
  readonly to: number;
  /**
   * Numbers of the messages in them: from, and up to but without. `end` is null where nothing after them is readable.
   */
  readonly first: number;
  readonly end: number | null;
  /** When the sound blocks around them came in, epoch ms; null where there is none. */
  readonly afterMs: number | null;
  readonly beforeMs: number | null;
  readonly why: string;
}

/** Returns a range of damaged blocks as a sentence without its end: numbers, messages and times. */
export function describeDamage({ from, to, first, end, afterMs, beforeMs, why }: DamagedBlocks): string {
  const blocks = from === to ? `block ${from}` : `blocks ${from} to ${to}`;
  const messages =
    end === null ? `messages from ${first} on` : end === first ? 'no message' : `messages ${first} to ${end - 1}`;
  const at = (ms: number | null) => (ms === null ? '?' : isoOf(ms));
  return `${blocks} (${messages}, received between ${at(afterMs)} and ${at(beforeMs)}): ${why}`;
}

/** Returns the error of a block that a reader cannot go past: after `seq`, which it has read. */
export function blockDamage(path: string, db: DatabaseSync, seq: number, cause: unknown): LamppostError {
  const why = typeof cause === 'string' ? cause : (cause as Error).message;
  const before = neighbour(db, 'seq <= ? order by seq desc', seq);
  const after = neighbour(db, 'seq > ? order by seq', seq + 1);
  const found: DamagedBlocks = {
    from: seq + 1,
    to: Math.max(seq + 1, (after?.seq ?? 0) - 1),
    first: before === null ? 0 : before.first + before.count,
    end: after?.first ?? null,
    afterMs: before?.received_at ?? null,
    beforeMs: after?.received_at ?? null,
    why,
  };
  return damageOf(
    path,
    `${describeDamage(found)}. Nothing after it is read`,
    typeof cause === 'string' ? undefined : cause,
  );
}

type Neighbour = Pick<BlockRow, 'seq' | 'first' | 'count' | 'received_at'>;

/** Returns the numbers of a block beside a damaged one; null where there is none, or it is damaged itself. */
function neighbour(db: DatabaseSync, where: string, seq: number): Neighbour | null {
  try {
    const sql = `select seq, first, count, received_at from blocks where ${where} limit 1`;
    return (db.prepare(sql).get(seq) as Neighbour | undefined) ?? null;
  } catch (error) {
    if (!isDamage(error)) throw error;
    return null;
  }
}
