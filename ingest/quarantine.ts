import type { DatabaseSync } from 'node:sqlite';
import { isoOf, LamppostError, type Page, type Quarantined, type Reason, type ReplayItem } from '../domain/index.ts';
import type { RoomSchema } from '../store/index.ts';
import { type Decoded, formatOf } from './decode/index.ts';
import type { Outcome, Refusal, Replayed } from './outcome.ts';

/** SQL of the quarantine: each refused message once, and each refusal of it. */
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

/** Writes the quarantine. */
export interface QuarantineStore {
  /**
   * Stores refusals and removes entries that were replayed. Call it inside a transaction. Returns the replayed entries
   * that were still in quarantine: the others were settled before and must not be counted again.
   */
  settle(outcomes: readonly Outcome[]): Replayed[];
  /** Marks entries that will not be fixed. Returns how many. */
  discard(ids: readonly string[], by: string, note: string, nowMs: number): number;
  /** Deletes what was received before a time. Returns how many entries. */
  expire(beforeMs: number): number;
}

/** Creates the writer of a state file's quarantine. */
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
    // Read before the old entry is deleted, so that no id is used twice.
    const next = Number(nextOrdinal.get(position)!.next);
    if (drop.run(position, ordinal).changes === 0) return false;
    keep(replayed.refusals, () => next);
    dropRaw.run(position);
    return true;
  }

  return {
    settle: (outcomes) =>
      outcomes.flatMap(({ refusals, replays }) => {
        // Where a block is settled again, its rows exist already and the inserts do nothing.
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

/** Parses `{position}-{ordinal}`. Returns NaN for both where the text is no id. */
function parseId(id: string): [position: number, ordinal: number] {
  const [, position, ordinal] = /^(-?\d+)-(\d+)$/.exec(id) ?? [];
  return [Number(position), Number(ordinal)];
}

/** Selects entries of the quarantine; an absent field selects all. */
export interface QuarantineFilter {
  readonly device?: string;
  readonly reason?: Reason;
  readonly format?: string;
  /** Time of receipt, `[fromMs, toMs)`. */
  readonly fromMs?: number;
  readonly toMs?: number;
  /** Whether discarded entries are included. */
  readonly discarded?: boolean;
}

const WHERE = `
  (?1 is null or q.device = ?1) and (?2 is null or q.reason = ?2) and (?3 is null or r.format = ?3)
  and (?4 is null or r.received_at >= ?4) and (?5 is null or r.received_at < ?5)
  and (?6 = 1 or q.discarded_at is null)`;

const FROM = 'from quarantine q join quarantine_raw r using (position)';

/** Creates the reader of the quarantine, for any thread. */
export function createQuarantineReader(db: DatabaseSync) {
  const page = db.prepare(`
    select * ${FROM} where ${WHERE} and (q.position, -q.ordinal) < (?7, ?8)
    order by q.position desc, q.ordinal limit ?9`);
  const onwards = db.prepare(`
    select * ${FROM} where ${WHERE} and q.position in (
      select distinct q.position ${FROM} where ${WHERE} and q.position > ?7 and q.position <= ?8
      order by q.position limit ?9)
    order by q.position, q.ordinal`);
  const count = db.prepare(`select count(*) as n, max(q.position) as last ${FROM} where ${WHERE}`);
  const one = db.prepare(`select * ${FROM} where q.position = ? and q.ordinal = ?`);

  return {
    /** Returns a page, newest first. Throws `invalid` where `after` is not the `next` of a page. */
    list({ limit, after, ...filter }: QuarantineFilter & { limit: number; after: string | null }): Page<Quarantined> {
      const [position, ordinal] = after === null ? [Number.MAX_SAFE_INTEGER, 0] : parseId(after);
      if (Number.isNaN(position)) throw new LamppostError('invalid', `after: "${after}" is not the next of a page`);
      const rows = page.all(...bound(filter), position, -ordinal, limit + 1);
      const items = rows.slice(0, limit).map(quarantinedOf);
      return { items, next: rows.length > limit ? items.at(-1)!.id : null };
    },
    /** Returns one entry with its payload decoded as far as possible; null where there is none of this id. */
    get(id: string): (Quarantined & { decoded: unknown }) | null {
      const row = one.get(...parseId(id));
      if (row === undefined) return null;
      return { ...quarantinedOf(row), decoded: decodedOf(row) };
    },
    /** Returns how many entries match, and the number of the newest message among them (-1: none). */
    count(filter: QuarantineFilter): { entries: number; last: number } {
      const row = count.get(...bound(filter))!;
      return { entries: Number(row.n), last: Number(row.last ?? -1) };
    },
    /** Returns the next messages to replay in `(after, last]`, oldest first, each with its matching entries. */
    replayable(filter: QuarantineFilter, after: number, last: number, messages: number): ReplayItem[] {
      return itemsOf(onwards.all(...bound(filter), after, last, messages));
    },
    /** Returns entries by id, to replay; ids that do not exist are left out. */
    chosen(ids: readonly string[]): ReplayItem[] {
      const rows = ids.map((id) => one.get(...parseId(id))).filter((row) => row !== undefined);
      return itemsOf(rows.sort((a, b) => Number(a.position) - Number(b.position)));
    },
  };
}

type Row = Record<string, unknown>;

function bound(filter: QuarantineFilter): (string | number | null)[] {
  const { device, reason, format, fromMs, toMs, discarded } = filter;
  return [device ?? null, reason ?? null, format ?? null, fromMs ?? null, toMs ?? null, discarded ? 1 : 0];
}

function itemsOf(rows: readonly Row[]): ReplayItem[] {
  const byMessage = Map.groupBy(rows, (row) => `${row.position} ${row.device}`);
  return [...byMessage.values()].map((entries) => {
    const [{ position, device, topic, received_at, payload }] = entries as [Row];
    return {
      position: Number(position),
      device: device as string,
      topic: topic as string,
      receivedAt: Number(received_at),
      payload: Buffer.from(payload as Uint8Array).toString('base64'),
      entries: entries.map((row) => ({
        ordinal: Number(row.ordinal),
        scope: row.scope as 'message' | 'reading',
        reading: row.reading as string | null,
        path: row.path as string,
      })),
    };
  });
}

function quarantinedOf(row: Row): Quarantined {
  return {
    id: `${row.position}-${row.ordinal}`,
    device: row.device as string,
    topic: row.topic as string,
    format: row.format as string | null,
    receivedAt: isoOf(Number(row.received_at)),
    scope: row.scope as Quarantined['scope'],
    reason: row.reason as Reason,
    path: row.path as string,
    detail: row.detail as string,
    raw: Buffer.from(row.payload as Uint8Array).toString('base64'),
    discarded:
      row.discarded_at === null
        ? null
        : {
            at: isoOf(Number(row.discarded_at)),
            by: row.discarded_by as string,
            note: row.note as string,
          },
  };
}

/** Decodes the payload as far as possible; null where no format is known for the topic. */
function decodedOf(row: Row): Decoded | { reason: string; path: string; detail: string } | null {
  const { format } = formatOf(row.device as string, row.topic as string);
  return format?.decode(Buffer.from(row.payload as Uint8Array), Number(row.received_at)) ?? null;
}
