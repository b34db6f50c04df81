import type { DatabaseSync, StatementSync } from 'node:sqlite';
import {
  excessOf,
  isoOf,
  LamppostError,
  MOST_LEVELS,
  type Page,
  type Quarantined,
  type QuarantinedInFull,
  type QuarantineGroup,
  type QuarantineUsage,
  type Reason,
  type ReplayItem,
} from '../domain/index.ts';
import { inTurns } from '../store/index.ts';
import { kindOf } from './decode/format.ts';
import { type DeclaredFormats, type Decoded, decodePayload, formatOf, NO_FORMATS } from './decode/index.ts';
import { discardedOf } from './discards.ts';
import { parseId } from './quarantine.ts';
import { type GroupQuery, groupsOf } from './quarantine-groups.ts';

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
  /** Says which devices are included; absent: all. Only `list` asks it. */
  readonly owns?: (device: string) => boolean;
}

/** Most bytes of a page, as JSON; a page has one entry at the least. */
const PAGE_BYTES = 1024 * 1024;
/** Entries that one page looks at: where few match, it ends before its limit, and `next` goes on from there. */
const PAGE_LOOKS = 10_000;
/** What a replay takes at once: messages, or bytes of their payloads. */
const REPLAY_MESSAGES = 200;
const REPLAY_BYTES = 4 * 1024 * 1024;
/** Parts of a payload that are shown decoded. */
const MOST_SHOWN = 1_000;

const COLUMNS = `q.position, q.ordinal, q.device, q.scope, q.reason, q.path, q.detail, q.reading, q.count, q.paths,
  d.at_ms as discarded_at, d.by as discarded_by, d.note, r.topic, r.format, r.received_at, length(r.payload) as bytes`;
// In this order, so that the keys come from an index of the entries and nothing else is sorted.
const FROM = `from quarantine q cross join quarantine_raw r using (position)
  left join quarantine_discarded m on m.position = q.position and m.ordinal = q.ordinal
  left join quarantine_discards d on d.place = m.discard`;
const NOT_DISCARDED =
  'not exists (select 1 from quarantine_discarded m where m.position = q.position and m.ordinal = q.ordinal)';

type Row = Record<string, unknown>;

/** Messages to replay, each with its entries; `next` is the message to go on behind, null at the end. */
export interface ReplayPage {
  readonly items: readonly ReplayItem[];
  readonly next: number | null;
}

/** Reads the quarantine, on any thread. */
export class QuarantineReader {
  readonly #db: DatabaseSync;
  readonly #declared: () => DeclaredFormats;
  readonly #statements = new Map<string, StatementSync>();

  constructor(db: DatabaseSync, declared: () => DeclaredFormats) {
    this.#db = db;
    this.#declared = declared;
  }

  /**
   * Returns a page, newest first, of at most `limit` entries and a mebibyte. Throws `invalid` where `after` is not the
   * `next` of a page.
   */
  list({ limit, after, ...filter }: QuarantineFilter & { limit: number; after: string | null }): Page<Quarantined> {
    const [position, ordinal] = after === null ? [Number.MAX_SAFE_INTEGER, 0] : parseId(after);
    if (Number.isNaN(position)) throw new LamppostError('invalid', `after: "${after}" is not the next of a page`);
    const items: Quarantined[] = [];
    let bytes = 0;
    let looks = 0;
    let last: string | null = null;
    for (const row of this.#select(listSql(filter)).iterate({ ...keys(filter), position, ordinal })) {
      const item = matches(row, filter) ? quarantinedOf(row) : null;
      bytes += item === null ? 0 : Buffer.byteLength(JSON.stringify(item));
      if (items.length === limit || looks++ === PAGE_LOOKS || (bytes > PAGE_BYTES && items.length > 0)) {
        return { items, next: last };
      }
      if (item !== null) items.push(item);
      last = idOf(row);
    }
    return { items, next: null };
  }

  /** Returns one entry with its payload, decoded as far as possible; null where there is none of this id. */
  get(id: string): QuarantinedInFull | null {
    const row = this.#select(`select ${COLUMNS}, r.payload ${FROM} where q.position = ? and q.ordinal = ?`).get(
      ...parseId(id),
    );
    if (row === undefined) return null;
    const payload = Buffer.from(row.payload as Uint8Array);
    return {
      ...quarantinedOf(row),
      raw: payload.toString('base64'),
      decoded: decodedOf(row, payload, this.#declared()),
    };
  }

  /** Returns how many bytes the quarantine takes, and what was dropped to make room, of all or of one holder. */
  usage(holder?: string): QuarantineUsage {
    const row = holder === undefined ? this.#total() : this.#ofHolder(holder);
    const number = (name: string) => Number(row?.[name] ?? 0);
    return { bytes: number('bytes'), dropped: { messages: number('messages'), readings: number('readings') } };
  }

  /** Resolves to how much is refused by device and reason; other work of the thread runs in between. */
  groups(query: GroupQuery): Promise<QuarantineGroup[]> {
    return inTurns(groupsOf(this.#db, query));
  }

  /** Returns how many entries match, and the number of the newest message (-1: none). */
  count(filter: QuarantineFilter): { entries: number; last: number } {
    const { format, fromMs, toMs } = filter;
    const joined = format !== undefined || fromMs !== undefined || toMs !== undefined;
    const sql = `select count(*) as n ${joined ? FROM : 'from quarantine q'} where ${whereSql(filter)}
      ${joined ? `and ${RAW_WHERE}` : ''} ${filter.discarded ? '' : `and ${NOT_DISCARDED}`}`;
    const raw = { format: format ?? null, fromMs: fromMs ?? null, toMs: toMs ?? null };
    const { n } = this.#select(sql).get({ ...keys(filter), ...(joined ? raw : {}) })!;
    const newest = this.#select('select max(position) as last from quarantine_message').get()!;
    return { entries: Number(n), last: Number(newest.last ?? -1) };
  }

  /** Returns the devices that entries of these ids are about, each once. */
  holdersOf(ids: readonly string[]): string[] {
    const one = this.#select('select device from quarantine where position = ? and ordinal = ?');
    return [...new Set(ids.flatMap((id) => (one.get(...parseId(id))?.device as string | undefined) ?? []))];
  }

  /** Returns how many entries the discard at a place of the log marked, of those that are in quarantine. */
  countDiscarded(place: string): number {
    const sql = `select count(*) as n from quarantine_discarded m
      join quarantine q on q.position = m.position and q.ordinal = m.ordinal where m.discard = ?`;
    return Number(this.#select(sql).get(place)!.n);
  }

  /** Returns how many of these ids there are. */
  countOf(ids: readonly string[]): number {
    const one = this.#select('select 1 from quarantine where position = ? and ordinal = ?');
    return [...new Set(ids)].filter((id) => one.get(...parseId(id)) !== undefined).length;
  }

  /**
   * Returns the next messages to replay in `(after, last]`, oldest first, each with its matching entries: at most 200,
   * or as many as take 4 MiB. A page may be empty before the end, where few entries match.
   */
  replayable(filter: QuarantineFilter, after: number, last: number): ReplayPage {
    const page = new ReplayRows();
    let looks = 0;
    let at = after;
    for (const row of this.#select(replaySql(filter)).iterate({ ...keys(filter), after, last })) {
      const position = Number(row.position);
      // A page ends between two messages only.
      if (position !== at && (page.isFull() || looks > PAGE_LOOKS)) {
        return { items: this.#itemsOf(page.rows), next: at };
      }
      looks++;
      if (matches(row, filter)) page.add(row);
      at = position;
    }
    return { items: this.#itemsOf(page.rows), next: null };
  }

  /** Yields entries by id, to replay, in pages like those of `replayable`; ids that do not exist are left out. */
  *chosen(ids: readonly string[]): Generator<readonly ReplayItem[]> {
    const one = this.#select(`select ${COLUMNS}, q.members ${FROM} where q.position = ? and q.ordinal = ?`);
    const places = [...new Set(ids)].map(parseId).sort(([a, b], [c, d]) => a - c || b - d);
    let page = new ReplayRows();
    for (const place of places) {
      const row = one.get(...place);
      if (row === undefined) continue;
      if (page.isFull() && page.begins(row)) {
        yield this.#itemsOf(page.rows);
        page = new ReplayRows();
      }
      page.add(row);
    }
    if (page.rows.length > 0) yield this.#itemsOf(page.rows);
  }

  #itemsOf(rows: readonly Row[]): ReplayItem[] {
    const byMessage = Map.groupBy(rows, (row) => `${row.position} ${row.device}`);
    return [...byMessage.values()].map((entries) => {
      const { position, device, topic, received_at } = entries[0]!;
      const { payload } = this.#select('select payload from quarantine_raw where position = ?').get(
        position as number,
      )!;
      return {
        position: Number(position),
        device: device as string,
        topic: topic as string,
        receivedAt: Number(received_at),
        payload: Buffer.from(payload as Uint8Array).toString('base64'),
        entries: entries.map(entryOf),
      };
    });
  }

  #total(): Row | undefined {
    return this.#select('select * from quarantine_total').get();
  }

  #ofHolder(holder: string): Row | undefined {
    return this.#select('select * from quarantine_holder where holder = ?').get(holder);
  }

  #select(sql: string): StatementSync {
    const statement = this.#statements.get(sql) ?? this.#db.prepare(sql);
    this.#statements.set(sql, statement);
    return statement;
  }
}

/** Entries that are replayed at once, message by message. */
class ReplayRows {
  readonly rows: Row[] = [];
  #messages = 0;
  #bytes = 0;

  /** Whether a row belongs to another message than the last one. */
  begins(row: Row): boolean {
    return this.rows.at(-1)?.position !== row.position;
  }

  isFull(): boolean {
    return this.#messages >= REPLAY_MESSAGES || this.#bytes > REPLAY_BYTES;
  }

  add(row: Row): void {
    if (this.begins(row)) {
      this.#messages++;
      this.#bytes += Number(row.bytes);
    }
    this.rows.push(row);
  }
}

/** Creates the reader of the quarantine; `declared`: the formats of the city in force. */
export function createQuarantineReader(
  db: DatabaseSync,
  declared: () => DeclaredFormats = () => NO_FORMATS,
): QuarantineReader {
  return new QuarantineReader(db, declared);
}

/** The part of a filter that an index of the entries can find. */
function whereSql({ device, reason }: QuarantineFilter): string {
  const parts = [device === undefined ? [] : 'q.device = :device', reason === undefined ? [] : 'q.reason = :reason'];
  return parts.flat().join(' and ') || 'true';
}

function keys({ device, reason }: QuarantineFilter): Record<string, string> {
  return { ...(device === undefined ? {} : { device }), ...(reason === undefined ? {} : { reason }) };
}

/** The SQL of a page, newest first; the entries of one message are in their order. */
export function listSql(filter: QuarantineFilter): string {
  return `select ${COLUMNS} ${FROM} where ${whereSql(filter)}
    and q.position <= :position and (q.position < :position or q.ordinal > :ordinal)
    order by q.position desc, q.ordinal`;
}

/** The SQL of the entries to replay, oldest first. */
export function replaySql(filter: QuarantineFilter): string {
  return `select ${COLUMNS}, q.members ${FROM} where ${whereSql(filter)} and q.position > :after and q.position <= :last
    order by q.position, q.ordinal`;
}

const RAW_WHERE = `(:format is null or r.format = :format) and (:fromMs is null or r.received_at >= :fromMs)
  and (:toMs is null or r.received_at < :toMs)`;

/** Whether a row matches the part of a filter that no index of the entries can find. */
function matches(row: Row, { format, fromMs, toMs, discarded, owns }: QuarantineFilter): boolean {
  const receivedAt = Number(row.received_at);
  return (
    (format === undefined || row.format === format) &&
    (fromMs === undefined || receivedAt >= fromMs) &&
    (toMs === undefined || receivedAt < toMs) &&
    (discarded === true || row.discarded_at === null) &&
    (owns === undefined || owns(row.device as string))
  );
}

function idOf({ position, ordinal }: Row): string {
  return `${position}-${ordinal}`;
}

function entryOf(row: Row): ReplayItem['entries'][number] {
  const members = row.members as Uint8Array | null;
  return {
    ordinal: Number(row.ordinal),
    scope: row.scope as 'message' | 'reading',
    reading: row.reading as string | null,
    path: row.path as string,
    count: Number(row.count),
    ...(members === null ? {} : { members: Buffer.from(members).toString('base64') }),
  };
}

function quarantinedOf(row: Row): Quarantined {
  return {
    id: idOf(row),
    device: row.device as string,
    topic: row.topic as string,
    format: row.format as string | null,
    receivedAt: isoOf(Number(row.received_at)),
    scope: row.scope as Quarantined['scope'],
    reason: row.reason as Reason,
    path: row.path as string,
    detail: row.detail as string,
    count: Number(row.count),
    paths: row.paths === null ? [row.path as string] : (JSON.parse(row.paths as string) as string[]),
    bytes: Number(row.bytes),
    discarded: discardedOf(row),
  };
}

/** Decodes the payload as far as possible; null where no format is known for the topic. */
function decodedOf(row: Row, payload: Buffer, declared: DeclaredFormats): unknown {
  const { format } = formatOf(row.device as string, row.topic as string, declared);
  if (format === null) return null;
  const decoded = decodePayload(format, payload, Number(row.received_at));
  return 'reason' in decoded ? decoded : firstOf(decoded);
}

/** The first thousand values and faults: what a decoder makes of a payload may be many times as large. */
function firstOf({ readings, rejections, ...rest }: Decoded): unknown {
  let left = MOST_SHOWN;
  const shown = readings.flatMap(({ aliases: _, ...reading }) => {
    const names = left === 0 ? [] : Object.keys(reading.metrics).slice(0, left);
    left -= names.length;
    return names.length === 0 ? [] : [{ ...reading, ts: shownOf(reading.ts), ...pick(reading, names) }];
  });
  const faults = rejections.slice(0, MOST_SHOWN);
  const more = left === 0 || faults.length < rejections.length;
  return { ...rest, readings: shown, rejections: faults, ...(more ? { more: true } : {}) };
}

/** A value that a sender nested too deeply is only named: to write it out would overflow the stack. */
function shownOf(value: unknown): unknown {
  return excessOf(value, MOST_LEVELS) === null ? value : `${kindOf(value)}, nested deeper than ${MOST_LEVELS} levels`;
}

function pick(
  { metrics, units, paths }: Pick<Decoded['readings'][number], 'metrics' | 'units' | 'paths'>,
  names: string[],
) {
  const of = <T>(all: Readonly<Record<string, T>>, show: (one: T) => unknown = (one) => one) =>
    Object.fromEntries(names.flatMap((name) => (name in all ? [[name, show(all[name]!)]] : [])));
  return {
    metrics: of(metrics, shownOf),
    units: units === null ? null : of(units),
    ...(paths === undefined ? {} : { paths: of(paths) }),
  };
}
