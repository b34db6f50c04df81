import type { DatabaseSync } from 'node:sqlite';
import { isoOf, LamppostError, type Page, type Quarantined, type Reason, type ReplayItem } from '../domain/index.ts';
import { type Decoded, formatOf } from './decode/index.ts';
import { parseId } from './quarantine.ts';

/** Which refusals are meant; what is absent does not narrow. */
export interface QuarantineFilter {
  readonly device?: string;
  readonly reason?: Reason;
  readonly format?: string;
  /** Time of receipt, `[fromMs, toMs)`. */
  readonly fromMs?: number;
  readonly toMs?: number;
  /** Also those that were discarded. */
  readonly discarded?: boolean;
}

const WHERE = `
  (?1 is null or q.device = ?1) and (?2 is null or q.reason = ?2) and (?3 is null or r.format = ?3)
  and (?4 is null or r.received_at >= ?4) and (?5 is null or r.received_at < ?5)
  and (?6 = 1 or q.discarded_at is null)`;

const FROM = 'from quarantine q join quarantine_raw r using (position)';

/** Reads the quarantine from any thread. */
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
    /** Newest first. */
    list({ limit, after, ...filter }: QuarantineFilter & { limit: number; after: string | null }): Page<Quarantined> {
      const [position, ordinal] = after === null ? [Number.MAX_SAFE_INTEGER, 0] : parseId(after);
      if (Number.isNaN(position)) throw new LamppostError('invalid', `after: "${after}" is not the next of a page`);
      const rows = page.all(...bound(filter), position, -ordinal, limit + 1);
      const items = rows.slice(0, limit).map(quarantinedOf);
      return { items, next: rows.length > limit ? items.at(-1)!.id : null };
    },
    /** One of them with its payload decoded as far as it goes; null where there is none of this id. */
    get(id: string): (Quarantined & { decoded: unknown }) | null {
      const row = one.get(...parseId(id));
      if (row === undefined) return null;
      return { ...quarantinedOf(row), decoded: decodedOf(row) };
    },
    /** How many match, and the number of the newest message among them (-1: none). */
    count(filter: QuarantineFilter): { entries: number; last: number } {
      const row = count.get(...bound(filter))!;
      return { entries: Number(row.n), last: Number(row.last ?? -1) };
    },
    /** The next messages to replay, oldest first, in `(after, last]`, each with all of it that matches. */
    replayable(filter: QuarantineFilter, after: number, last: number, messages: number): ReplayItem[] {
      return itemsOf(onwards.all(...bound(filter), after, last, messages));
    },
    /** Single entries to replay; ids that are not there are left out. */
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

/** What the format makes of the payload, as far as it gets; null where no format is known. */
function decodedOf(row: Row): Decoded | { reason: string; path: string; detail: string } | null {
  const { format } = formatOf(row.device as string, row.topic as string);
  return format?.decode(Buffer.from(row.payload as Uint8Array), Number(row.received_at)) ?? null;
}
