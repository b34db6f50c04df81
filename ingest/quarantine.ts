import type { DatabaseSync } from 'node:sqlite';
import { type RoomSchema, transact } from '../store/index.ts';
import { formatOf } from './decode/index.ts';
import type { Outcome, Refusal, Replayed } from './outcome.ts';
import { packMembers } from './summary.ts';

/** What a row takes beside its texts, and a message beside its payload; in bytes, roughly. */
const ROW_BYTES = 200;
const SIZE = `${ROW_BYTES} + octet_length(path) + octet_length(detail) + coalesce(octet_length(reading), 0)
    + coalesce(octet_length(paths), 0) + coalesce(octet_length(members), 0)`;
const RAW_SIZE = `${ROW_BYTES} + octet_length(topic) + length(payload)`;

/**
 * SQL of the quarantine: each refused message once, and each of its entries. `quarantine_message` has the size of a
 * message with all its entries, apart from the payload, so that reading it does not read that; `quarantine_holder` the
 * sum of each holder, and what was dropped of it to make room.
 */
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
    `
  alter table quarantine add column count integer not null default 1;
  alter table quarantine add column paths text;
  alter table quarantine add column members blob;
  create table quarantine_message (
    position integer primary key, holder text not null, bytes integer not null
  ) strict;
  insert into quarantine_message select position, device, ${RAW_SIZE} + size from quarantine_raw join (
    select position, min(device) as device, sum(${SIZE}) as size from quarantine group by position) using (position);
  create index quarantine_message_holder on quarantine_message (holder, position);
  create table quarantine_holder (
    holder text primary key, bytes integer not null, messages integer not null, readings integer not null
  ) strict, without rowid;
  insert into quarantine_holder select holder, sum(bytes), 0, 0 from quarantine_message group by holder;
  create index quarantine_holder_bytes on quarantine_holder (bytes);
  create table quarantine_total (
    one integer primary key check (one = 1),
    bytes integer not null, messages integer not null, readings integer not null
  ) strict;
  insert into quarantine_total select 1, coalesce(sum(bytes), 0), 0, 0 from quarantine_message;
`,
    // What names an unknown device is counted for who sent it.
    `
  create temp table moved as select device, holder, count(*) as n from quarantine join quarantine_message using (position)
    where scope = 'message' and device <> holder group by device, holder;
  insert into ledger select holder, 0, n, 0, 0, 0, 0 from moved where true
    on conflict (device) do update set quarantined = quarantined + excluded.quarantined;
  update ledger set quarantined = quarantined - (select sum(n) from moved where moved.device = ledger.device)
    where device in (select device from moved);
  delete from ledger where device in (select device from moved)
    and max(decoded, quarantined, stored, duplicate, replaced, refused) = 0;
  drop table moved;
`,
    // What people discard follows from the log, the entries from the history: they have tables of their own.
    `
  create table quarantine_discards (
    place text primary key, at_ms integer not null, by text not null, note text not null
  ) strict, without rowid;
  create index quarantine_discards_at on quarantine_discards (at_ms);
  create table quarantine_discarded (
    position integer not null, ordinal integer not null, discard text not null, primary key (position, ordinal)
  ) strict, without rowid;
  create index quarantine_discarded_by on quarantine_discarded (discard);
  insert into quarantine_discards select 'before-' || row_number() over (), * from (
    select distinct discarded_at, discarded_by, note from quarantine where discarded_at is not null
    order by discarded_at, discarded_by, note);
  insert into quarantine_discarded select position, ordinal, place from quarantine q join quarantine_discards d
    on d.at_ms = q.discarded_at and d.by = q.discarded_by and d.note = q.note;
  alter table quarantine drop column discarded_at;
  alter table quarantine drop column discarded_by;
  alter table quarantine drop column note;
`,
    // Who the ledger counted it for, where that is not its device.
    'alter table quarantine add column counted text',
  ],
};

/** How many bytes refused messages may take. */
export interface QuarantineLimits {
  readonly bytes: number;
  /** Of one holder: a device, or a key that sends in the name of devices that were never registered. */
  readonly holderBytes: number;
}

/** Writes the quarantine. */
export interface QuarantineStore {
  /**
   * Stores refusals and removes entries that were replayed. Call it inside a transaction. Returns the replayed entries
   * that were still in quarantine: the others were settled before and must not be counted again. Past its limits it
   * drops whole messages and counts them: the oldest of the holder that is past its own, or else of the holder with the
   * most bytes.
   */
  settle(outcomes: readonly Outcome[]): Replayed[];
  /** Deletes what was received before a time. Returns how many entries. */
  expire(beforeMs: number): number;
}

const GENEROUS: QuarantineLimits = { bytes: 2 ** 30, holderBytes: 2 ** 24 };
/** Messages that one call drops beyond those it stored: after a limit was lowered, it is reached step by step. */
const MOST_DROPS = 2_000;

/** Creates the writer of a state file's quarantine. */
export function createQuarantineStore(db: DatabaseSync, limits: QuarantineLimits = GENEROUS): QuarantineStore {
  return new Store(db, limits);
}

class Store implements QuarantineStore {
  readonly #db: DatabaseSync;
  readonly #limits: QuarantineLimits;
  readonly #sql: ReturnType<typeof statements>;

  constructor(db: DatabaseSync, limits: QuarantineLimits) {
    this.#db = db;
    this.#limits = limits;
    this.#sql = statements(db);
  }

  settle(outcomes: readonly Outcome[]): Replayed[] {
    /** The holder of each message that changes. */
    const touched = new Map<number, string>();
    const replayed = outcomes.flatMap(({ refusals, replays }) => {
      // Where a block is settled again, its rows exist already and the inserts do nothing.
      this.#keep(refusals, () => 0, touched);
      return replays.flatMap((one) => this.#release(one, touched) ?? []);
    });
    if (touched.size > 0) this.#makeRoom(this.#account(touched), touched.size + MOST_DROPS);
    return replayed;
  }

  expire(beforeMs: number): number {
    return transact(this.#db, () => {
      const { expired, expireEntries, expireMessages, expireRaw } = this.#sql;
      for (const { holder, bytes } of expired.all(beforeMs)) this.#add(String(holder), -Number(bytes));
      const { changes } = expireEntries.run(beforeMs);
      expireMessages.run(beforeMs);
      expireRaw.run(beforeMs);
      return Number(changes);
    });
  }

  #keep(
    refusals: readonly Refusal[],
    firstOrdinal: (position: number) => number,
    touched: Map<number, string>,
    counted: string | null = null,
  ): void {
    let position = -1;
    let ordinal = 0;
    for (const one of refusals) {
      if (one.position !== position) {
        position = one.position;
        ordinal = firstOrdinal(position);
        const format = one.format ?? formatOf(one.device, one.topic).format?.name ?? null;
        this.#sql.keepRaw.run(position, one.topic, format, one.receivedAt, one.raw);
        if (!touched.has(position)) touched.set(position, this.#holderOf(position) ?? one.holder);
      }
      const { device, scope, reason, path, detail, reading, count, paths, members } = one;
      const more = [
        count,
        count === 1 ? null : JSON.stringify(paths),
        members === null ? null : packMembers(members),
        counted ?? (one.holder === device ? null : one.holder),
      ] as const;
      this.#sql.keepEntry.run(position, ordinal++, device, scope, reason, path, detail, reading ?? null, ...more);
    }
  }

  /** Removes an entry, and keeps what is refused again. Returns who it was counted for; null where it was gone. */
  #release(replayed: Replayed, touched: Map<number, string>): Replayed | null {
    const { device, scope, tally } = replayed;
    const [position, ordinal] = parseId(replayed.id);
    // Read before the old entry is deleted, so that no id is used twice.
    const next = Number(this.#sql.nextOrdinal.get(position)!.next);
    const row = this.#sql.dropEntry.get(position, ordinal);
    if (row === undefined) return null;
    const counted = String(row.counted ?? device);
    const from = touched.get(position) ?? this.#holderOf(position) ?? device;
    const to = replayed.holder ?? (scope === 'message' ? from : counted);
    touched.set(position, to);
    this.#keep(replayed.refusals, () => next, touched, scope === 'reading' ? to : null);
    return { ...replayed, device: scope === 'message' ? from : counted, tally: { ...tally, device: to } };
  }

  #holderOf(position: number): string | null {
    const known = this.#sql.message.get(position);
    return known === undefined ? null : String(known.holder);
  }

  /** Brings sizes and sums up to date, and deletes messages without entries. Returns the holders that changed. */
  #account(touched: ReadonlyMap<number, string>): ReadonlySet<string> {
    const changes = new Map<string, number>();
    const change = (holder: string, bytes: number) => changes.set(holder, (changes.get(holder) ?? 0) + bytes);
    for (const [position, holder] of touched) {
      const known = this.#sql.message.get(position);
      const bytes = Number(this.#sql.size.get(position)!.bytes ?? 0);
      if (bytes === 0) this.#forget(position);
      else this.#sql.keepMessage.run(position, holder, bytes);
      if (known !== undefined) change(String(known.holder), -Number(known.bytes));
      change(holder, bytes);
    }
    for (const [holder, bytes] of changes) this.#add(holder, bytes);
    return new Set(changes.keys());
  }

  #makeRoom(holders: Iterable<string>, most: number): void {
    let left = most;
    for (const holder of holders) {
      while (left > 0 && this.#bytesOf(holder) > this.#limits.holderBytes) left -= this.#dropOldest(holder);
    }
    while (left > 0 && Number(this.#sql.total.get()!.bytes) > this.#limits.bytes) {
      left -= this.#dropOldest(String(this.#sql.largest.get()!.holder));
    }
  }

  /** Drops the oldest message of a holder, and counts it. Returns how many there were: one. */
  #dropOldest(holder: string): number {
    const { position, bytes } = this.#sql.oldest.get(holder)!;
    const { messages, readings } = this.#sql.dropped.get(Number(position))!;
    this.#add(holder, -Number(bytes), Number(messages), Number(readings));
    this.#sql.dropEntries.run(Number(position));
    this.#forget(Number(position));
    return 1;
  }

  #forget(position: number): void {
    this.#sql.dropMessage.run(position);
    this.#sql.dropRaw.run(position);
  }

  #bytesOf(holder: string): number {
    return Number(this.#sql.holder.get(holder)?.bytes ?? 0);
  }

  #add(holder: string, bytes: number, messages = 0, readings = 0): void {
    this.#sql.addHolder.run(holder, bytes, messages, readings);
    this.#sql.addTotal.run(bytes, messages, readings);
  }
}

function statements(db: DatabaseSync) {
  const old = 'select position from quarantine_raw where received_at < ?';
  return {
    keepRaw: db.prepare('insert or ignore into quarantine_raw values (?, ?, ?, ?, ?)'),
    keepEntry: db.prepare(`
      insert or ignore into quarantine
        (position, ordinal, device, scope, reason, path, detail, reading, count, paths, members, counted)
      values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`),
    nextOrdinal: db.prepare('select coalesce(max(ordinal), -1) + 1 as next from quarantine where position = ?'),
    dropEntry: db.prepare('delete from quarantine where position = ? and ordinal = ? returning counted'),
    dropEntries: db.prepare('delete from quarantine where position = ?'),
    dropMessage: db.prepare('delete from quarantine_message where position = ?'),
    dropRaw: db.prepare('delete from quarantine_raw where position = ?'),
    message: db.prepare('select holder, bytes from quarantine_message where position = ?'),
    keepMessage: db.prepare(`
      insert into quarantine_message values (?, ?, ?) on conflict (position) do update set
        holder = excluded.holder, bytes = excluded.bytes`),
    // Null where the message has no entry any more.
    size: db.prepare(`
      select sum(${SIZE}) + (select ${RAW_SIZE} from quarantine_raw r where r.position = ?1) as bytes
      from quarantine where position = ?1`),
    holder: db.prepare('select bytes from quarantine_holder where holder = ?'),
    total: db.prepare('select bytes from quarantine_total'),
    addHolder: db.prepare(`
      insert into quarantine_holder values (?, ?, ?, ?) on conflict (holder) do update set
        bytes = bytes + excluded.bytes, messages = messages + excluded.messages,
        readings = readings + excluded.readings`),
    addTotal: db.prepare(
      'update quarantine_total set bytes = bytes + ?, messages = messages + ?, readings = readings + ?',
    ),
    largest: db.prepare('select holder from quarantine_holder order by bytes desc limit 1'),
    oldest: db.prepare('select position, bytes from quarantine_message where holder = ? order by position limit 1'),
    dropped: db.prepare(`
      select coalesce(sum(scope = 'message'), 0) as messages,
        coalesce(sum(count) filter (where scope = 'reading'), 0) as readings
      from quarantine where position = ?`),
    expired: db.prepare(`
      select holder, sum(bytes) as bytes from quarantine_message where position in (${old}) group by holder`),
    expireEntries: db.prepare(`delete from quarantine where position in (${old})`),
    expireMessages: db.prepare(`delete from quarantine_message where position in (${old})`),
    expireRaw: db.prepare('delete from quarantine_raw where received_at < ?'),
  };
}

/** Parses `{position}-{ordinal}`. Returns NaN for both where the text is no id. */
export function parseId(id: string): [position: number, ordinal: number] {
  const [, position, ordinal] = /^(-?\d+)-(\d+)$/.exec(id) ?? [];
  return [Number(position), Number(ordinal)];
}
