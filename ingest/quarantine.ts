import type { DatabaseSync } from 'node:sqlite';
import type { RoomSchema } from '../store/index.ts';
import { formatOf } from './decode/index.ts';
import type { Outcome, Refusal, Replayed } from './outcome.ts';

/** SQL of the quarantine: the raw message once, and each thing that was refused of it. */
export const QUARANTINE_SCHEMA: RoomSchema = {
  room: 'quarantine',
  steps: [
    `
  create table if not exists quarantine_raw (
    position integer primary key, topic text not null, format text, received_at integer not null, payload blob not null
  ) strict;
  create table if not exists quarantine (
    position integer not null, ordinal integer not null, device text not null, scope text not null,
    reason text not null, path text not null, detail text not null, reading text,
    discarded_at integer, discarded_by text, note text, primary key (position, ordinal)
  ) strict, without rowid;
  create index if not exists quarantine_device on quarantine (device, position);
  create index if not exists quarantine_reason on quarantine (reason, position);
  create index if not exists quarantine_age on quarantine_raw (received_at);
`,
  ],
};

/** The writing side. */
export interface QuarantineStore {
  /**
   * Keeps what was refused and takes out what went the way again; to be called inside a transaction. Answers those
   * replayed that were still in quarantine: the others have settled before and count no more.
   */
  settle(outcomes: readonly Outcome[]): Replayed[];
  /** Marks as not to be mended; answers how many. */
  discard(ids: readonly string[], by: string, note: string, nowMs: number): number;
  /** Forgets what was received before; answers how many. */
  expire(beforeMs: number): number;
}

/** Opens the quarantine of a state file. */
export function createQuarantineStore(db: DatabaseSync): QuarantineStore {
  const keepRaw = db.prepare('insert or ignore into quarantine_raw values (?, ?, ?, ?, ?)');
  const keepFault = db.prepare(`
    insert or ignore into quarantine (position, ordinal, device, scope, reason, path, detail, reading)
    values (?, ?, ?, ?, ?, ?, ?, ?)`);
  const nextOrdinal = db.prepare('select coalesce(max(ordinal), -1) + 1 as next from quarantine where position = ?');
  const drop = db.prepare('delete from quarantine where position = ? and ordinal = ?');
  const dropRaw = db.prepare(`
    delete from quarantine_raw where position = ?1 and not exists (select 1 from quarantine where position = ?1)`);
  const mark = db.prepare(`
    update quarantine set discarded_at = ?, discarded_by = ?, note = ?
    where position = ? and ordinal = ? and discarded_at is null`);
  const expireFaults = db.prepare(
    'delete from quarantine where position in (select position from quarantine_raw where received_at < ?)',
  );
  const expireRaw = db.prepare('delete from quarantine_raw where received_at < ?');

  function keep(refusals: readonly Refusal[], firstOrdinal: (position: number) => number): void {
    let position = -1;
    let ordinal = 0;
    for (const one of refusals) {
      if (one.position !== position) {
        position = one.position;
        ordinal = firstOrdinal(position);
        const { format } = formatOf(one.device, one.topic);
        keepRaw.run(position, one.topic, format?.name ?? null, one.receivedAt, one.raw);
      }
      const { device, scope, reason, path, detail, reading } = one;
      keepFault.run(position, ordinal++, device, scope, reason, path, detail, reading ?? null);
    }
  }

  function release(replayed: Replayed): boolean {
    const [position, ordinal] = parseId(replayed.id);
    // Before the old entry goes, so that no id is ever given twice.
    const next = Number(nextOrdinal.get(position)!.next);
    if (drop.run(position, ordinal).changes === 0) return false;
    keep(replayed.refusals, () => next);
    dropRaw.run(position);
    return true;
  }

  return {
    settle: (outcomes) =>
      outcomes.flatMap(({ refusals, replays }) => {
        // The same block again finds its rows there.
        keep(refusals, () => 0);
        return replays.filter(release);
      }),
    discard: (ids, by, note, nowMs) =>
      ids.reduce((sum, id) => sum + Number(mark.run(nowMs, by, note, ...parseId(id)).changes), 0),
    expire(beforeMs) {
      const { changes } = expireFaults.run(beforeMs);
      expireRaw.run(beforeMs);
      return Number(changes);
    },
  };
}

/** `{position}-{ordinal}` as numbers; NaN where it is none. */
export function parseId(id: string): [position: number, ordinal: number] {
  const [, position, ordinal] = /^(-?\d+)-(\d+)$/.exec(id) ?? [];
  return [Number(position), Number(ordinal)];
}
