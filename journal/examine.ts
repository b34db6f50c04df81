import type { DatabaseSync } from 'node:sqlite';
import { isDamage } from '../store/index.ts';
import { type BlockRow, type DamagedBlocks, faultOf, KINDS } from './blocks.ts';
import { walkRecords } from './records.ts';

/** What `walkBlocks` finds: a sound row, or a range of blocks that cannot be read. */
export type Found =
  | { readonly row: BlockRow; readonly damaged?: undefined }
  | { readonly row?: undefined; readonly damaged: DamagedBlocks };

/** Blocks that are tried one by one behind a damaged page where it is not known which is the newest. */
const TRIED = 20_000;

/**
 * Walks all blocks of a journal in order, also past those that are damaged: for each range of them it yields what is
 * known from its neighbours. `newest` is the newest block that somebody has read, so that a lost end is found, too.
 */
export function* walkBlocks(db: DatabaseSync, newest = 0): Generator<Found> {
  let before: BlockRow | null = null;
  let broken: { from: number; why: string } | null = null;
  let at = Math.max(0, oldestOf(db) - 1);
  const last = Math.max(newest, newestOf(db) ?? 0);
  for (;;) {
    const { row, why } = nextRow(db, at, last);
    if (row === null) {
      if (why !== null) broken ??= { from: at + 1, why };
      break;
    }
    const isGap = row.seq > at + 1 && at > 0;
    const fault = ownFault(row);
    if (isGap || why !== null)
      broken ??= { from: at + 1, why: why ?? (row.seq > at + 2 ? 'they are missing' : 'it is missing') };
    if (fault !== null) broken ??= { from: row.seq, why: fault };
    at = row.seq;
    if (fault !== null) continue;
    if (broken !== null) yield { damaged: rangeOf(broken, before, row) };
    broken = null;
    yield { row };
    before = row;
  }
  if (broken === null && at < last) broken = { from: at + 1, why: 'the newest blocks are missing' };
  if (broken !== null) yield { damaged: { ...rangeOf(broken, before, null), to: Math.max(last, broken.from) } };
}

function rangeOf(
  { from, why }: { from: number; why: string },
  before: BlockRow | null,
  after: BlockRow | null,
): DamagedBlocks {
  const first = before === null ? (after?.first ?? 0) : before.first + before.count;
  return {
    ...{ from, first, why },
    to: (after?.seq ?? from + 1) - 1,
    end: after?.first ?? null,
    afterMs: before?.received_at ?? null,
    beforeMs: after?.received_at ?? null,
  };
}

/** Returns the next row that SQLite can read after a block, and why those before it cannot be read. */
function nextRow(db: DatabaseSync, at: number, last: number): { row: BlockRow | null; why: string | null } {
  const next = attempt(() => db.prepare('select * from blocks where seq > ? order by seq limit 1').get(at));
  if (next.why === null) return { row: (next.row as BlockRow | undefined) ?? null, why: null };
  const { row: one } = attempt(() => db.prepare('select * from blocks where seq = ?'));
  if (one === undefined) return { row: null, why: next.why };
  for (let seq = at + 1; seq <= (last > 0 ? last : at + TRIED); seq++) {
    const { row } = attempt(() => one.get(seq));
    if (row !== undefined) return { row: row as BlockRow, why: next.why };
  }
  return { row: null, why: next.why };
}

/** A row that is damaged by itself; whether it follows the one before is another question. */
function ownFault(row: BlockRow): string | null {
  const fault = faultOf(row, null);
  if (fault !== null || row.sum !== null) return fault;
  // From before there were checksums.
  const body = Buffer.from(row.body.buffer, row.body.byteOffset, row.body.byteLength);
  try {
    let count = 0;
    if (KINDS[row.kind] === 'messages') walkRecords(body, String, () => count++);
    else JSON.parse(body.toString('utf8') || '{}');
    return KINDS[row.kind] === 'messages' && count !== row.count ? `it has ${count} messages, not ${row.count}` : null;
  } catch (error) {
    return (error as Error).message;
  }
}

const oldestOf = (db: DatabaseSync) =>
  Number(attempt(() => db.prepare('select min(seq) as n from blocks').get()).row?.n ?? 1);
const newestOf = (db: DatabaseSync) =>
  Number(attempt(() => db.prepare('select max(seq) as n from blocks').get()).row?.n ?? 0);

function attempt<T>(read: () => T): { row: T | undefined; why: string | null } {
  try {
    return { row: read(), why: null };
  } catch (error) {
    // A file that was emptied has no table.
    if (!isDamage(error, true)) throw error;
    return { row: undefined, why: (error as Error).message };
  }
}
