import { createHash } from 'node:crypto';
import type { DatabaseSync, SQLOutputValue } from 'node:sqlite';
import { type Page, UNNAMED } from '../domain/index.ts';
import { inTurns, type RoomSchema } from '../store/index.ts';
import type { LamppostEvent } from './cloudevent.ts';
import { audienceOf, conditionsFor, type EventFilter, routingOf } from './filter.ts';

/**
 * Tables of the outbox, in the engine's state file: events by number, 1, 2, 3 … without gaps. `outbox_cursors`: the
 * number up to which versions that had copies of the events for MQTT had made them. `audience`: the departments that
 * may see an event; null: all. The name of the store shows whether a number is of these events or of others: it follows
 * from the first event, so that every node of a cluster has the same one, and a restore gives another one.
 */
export const OUTBOX_SCHEMA: RoomSchema = {
  room: 'outbox',
  steps: [
    `
  create table if not exists outbox (
    n integer primary key,
    id text not null unique,
    type text not null,
    subject text not null,
    time text not null,
    department text,
    district text not null,
    severity text not null,
    rule text not null,
    ticket text,
    body text not null
  ) strict;
  create table if not exists outbox_cursors (channel text primary key, n integer not null) strict, without rowid;
  insert or ignore into outbox_cursors values ('mqtt', 0);
`,
    `
  create table outbox_store (name text not null) strict;
  insert into outbox_store values (lower(hex(randomblob(4))));
  alter table outbox add column hearers text;
  update outbox set hearers = json_array(department) where type not like 'city.lamppost.alert.%';
`,
    // The history of a ticket says what was done as `action`. Within a text of the body a quote stands behind a
    // backslash.
    `update outbox set body = replace(body, '"deed":"', '"action":"') where type like 'city.lamppost.ticket.%';`,
    // Bytes of all bodies up to this one; it counts from 0 on for those that were there.
    'alter table outbox add column bytes_to integer not null default 0;',
    `update outbox_store set name = '${UNNAMED}' where not exists (select 1 from outbox);`,
    'alter table outbox rename column hearers to audience;',
  ],
};

/** An event and its number in the outbox, the place after which readers resume. */
export interface NumberedEvent {
  readonly n: number;
  readonly event: LamppostEvent;
}

/** Writes the outbox. */
export interface Outbox {
  /** Adds an event in the caller's transaction and returns its number. Throws where its id was added before. */
  append(event: LamppostEvent): number;
  /** Reports whether the event of this id was added and is kept. */
  has(id: string): boolean;
  /**
   * Deletes all but the newest `keepNewest` events (at least 1, so that the numbers continue), and of these the oldest
   * where their bodies have more than `keepBytes`. Returns how many.
   */
  prune(keepNewest: number, keepBytes?: number): number;
}

/** Creates the writer over a database that has `OUTBOX_SCHEMA`. */
export function createOutbox(db: DatabaseSync): Outbox {
  const insert = db.prepare(`
    insert into outbox (id, type, subject, time, department, district, severity, rule, ticket, audience, body, bytes_to)
    values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?11,
      octet_length(?11) + coalesce((select bytes_to from outbox order by n desc limit 1), 0))`);
  const prune = db.prepare('delete from outbox where n <= ?');
  const ends = db.prepare(`
    select min(n) as oldest, max(n) as newest, (select bytes_to from outbox order by n desc limit 1) as bytes
    from outbox`);
  const before = db.prepare('select bytes_to - octet_length(body) as bytes from outbox where n = ?');
  const find = db.prepare('select 1 from outbox where id = ?');
  const name = db.prepare('update outbox_store set name = ?');

  /** Returns the number of the newest event that is not among the newest of so many bytes; numbers have no gaps. */
  function past(keepBytes: number, from: number, to: number, bytes: number): number {
    let [low, high] = [from, to];
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (bytes - Number(before.get(middle)?.bytes) > keepBytes) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  return {
    append(event) {
      const { id, type, subject, time } = event;
      const { department, district, severity, rule, ticket } = routingOf(event);
      const audience = audienceOf(event);
      const routing = [
        department,
        district,
        severity,
        rule,
        ticket,
        audience === null ? null : JSON.stringify(audience),
      ];
      const body = JSON.stringify(event);
      const n = Number(insert.run(id, type, subject, time, ...routing, body).lastInsertRowid);
      if (n === 1) name.run(createHash('sha256').update(body).digest('hex').slice(0, UNNAMED.length));
      return n;
    },
    has: (id) => find.get(id) !== undefined,
    prune(keepNewest, keepBytes = Number.POSITIVE_INFINITY) {
      const [oldest, newest, bytes] = Object.values(ends.get()!).map(Number) as [number, number, number];
      const until = Math.max(newest - Math.max(1, keepNewest), past(keepBytes, oldest, newest, bytes));
      return Number(prune.run(Math.min(until, newest - 1)).changes);
    },
  };
}

/** Selects events, in the order of their numbers. */
export interface EventQuery extends EventFilter {
  /** Number of the last event that the reader has; 0: from the oldest. */
  readonly after: number;
  readonly limit: number;
  /**
   * The most events that are looked at, and the most characters of their bodies: the page ends early where there are
   * more, perhaps without an item, and its `next` leads on. Absent: no bound.
   */
  readonly within?: { readonly events: number; readonly characters: number };
}

/** Reads the outbox, over any connection to the file. */
export interface OutboxReader {
  /**
   * Returns the oldest matching events after `after`; `next` is null at the end. A reader that waits for more resumes
   * after the `head()` that it read *before* the page, so that events which do not match are not searched again.
   */
  page(query: EventQuery): Page<NumberedEvent>;
  /** Returns the number of the newest event; 0 where there is none. */
  head(): number;
  /**
   * Returns the number of the oldest kept event; 0 where there is none. A reader whose `after + 1` is older missed
   * events.
   */
  oldest(): number;
  /** Returns the name of the store: the same number of another store is another event. */
  store(): string;
  /** Counts the kept events of alerts that fired since a time (ISO 8601), by rule. Other work runs in between. */
  firedSince(time: string): Promise<ReadonlyMap<string, number>>;
}

/** Creates the reader over a database that has `OUTBOX_SCHEMA`. */
export function createOutboxReader(db: DatabaseSync): OutboxReader {
  const head = db.prepare('select coalesce(max(n), 0) as n from outbox');
  const oldest = db.prepare('select coalesce(min(n), 0) as n from outbox');
  const store = db.prepare('select name from outbox_store');
  return {
    page({ after, limit, within, ...filter }) {
      const wanted = conditionsFor(filter);
      const until = within && Math.max(after, Number(oldest.get()?.n) - 1) + within.events;
      const sql = `select n, body from outbox where n > ? and n <= ?${wanted.sql} order by n limit ?`;
      const rows = db.prepare(sql).iterate(after, until ?? Number.MAX_SAFE_INTEGER, ...wanted.params, limit + 1);
      const items: NumberedEvent[] = [];
      let characters = 0;
      for (const row of rows) {
        const isFull = items.length === limit || characters >= (within?.characters ?? Number.POSITIVE_INFINITY);
        if (isFull) return { items, next: String(items.at(-1)?.n) };
        characters += String(row.body).length;
        items.push(numberedOf(row));
      }
      return { items, next: until !== undefined && until < Number(head.get()?.n) ? String(until) : null };
    },
    head: () => Number(head.get()?.n),
    oldest: () => Number(oldest.get()?.n),
    store: () => String(store.get()?.name),
    firedSince: (time) => inTurns(firingsOf(db, time)),
  };
}

/**
 * Returns a function that returns when the alerts fired (epoch ms) whose events were added since it was called before:
 * in order, at most 1,000; the next call returns the rest.
 */
export function followFirings(db: DatabaseSync): () => number[] {
  const head = db.prepare('select coalesce(max(n), 0) as n from outbox');
  const select = db.prepare(`
    select n, time from outbox where n > ? and n <= ? and type = 'city.lamppost.alert.firing' order by n limit 1000`);
  let after = Number(head.get()?.n);
  return () => {
    const until = Number(head.get()?.n);
    const rows = select.all(after, until);
    after = rows.length === 1_000 ? Number(rows.at(-1)!.n) : until;
    return rows.map(({ time }) => Date.parse(String(time)));
  };
}

/** Events that are looked at in one step: a few milliseconds. */
const LOOKED_AT = 2_000;

/** Counts firing alerts in steps, from the newest on, until a whole step is older. */
function* firingsOf(db: DatabaseSync, since: string): Generator<void, ReadonlyMap<string, number>, undefined> {
  const select = db.prepare(`
    select rule, count(*) filter (where type = 'city.lamppost.alert.firing' and time >= ?1) as fired, max(time) as newest
    from outbox where n <= ?2 and n > ?3 group by rule`);
  const ends = db.prepare('select coalesce(min(n), 0) as oldest, coalesce(max(n), 0) as newest from outbox').get()!;
  const counts = new Map<string, number>();
  for (let to = Number(ends.newest); to >= Math.max(1, Number(ends.oldest)); to -= LOOKED_AT) {
    const rows = select.all(since, to, to - LOOKED_AT);
    for (const { rule, fired } of rows) {
      if (Number(fired) > 0) counts.set(String(rule), (counts.get(String(rule)) ?? 0) + Number(fired));
    }
    if (rows.every(({ newest }) => String(newest) < since)) return counts;
    yield;
  }
  return counts;
}

function numberedOf(row: Readonly<Record<string, SQLOutputValue>>): NumberedEvent {
  return { n: Number(row.n), event: JSON.parse(String(row.body)) as LamppostEvent };
}
