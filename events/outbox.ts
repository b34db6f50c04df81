import type { DatabaseSync } from 'node:sqlite';
import type { RoomSchema } from '../store/index.ts';
import { hearersOf } from './audience.ts';
import type { LamppostEvent } from './cloudevent.ts';
import { routingOf } from './filter.ts';
import { type NumberedEvent, numberedOf } from './reader.ts';

/**
 * Tables of the outbox, in the engine's state file: events by number, 1, 2, 3 … without gaps, and how far each channel has told
 * them. `hearers`: the departments that may hear of it; null: all. The store's name is drawn once: numbers of another file, where this one was lost, are known by it.
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
    // The history of a ticket says what was done as `action`. Within a text of the body a quote stands behind a backslash.
    `update outbox set body = replace(body, '"deed":"', '"action":"') where type like 'city.lamppost.ticket.%';`,
  ],
};

/** The writing side of the outbox. */
export interface Outbox {
  /** Adds the event in the caller's transaction and answers its number; the same id twice fails. */
  append(event: LamppostEvent): number;
  /** Whether the event of this id was added and is kept. */
  has(id: string): boolean;
  /** The oldest events after number `after`, at most `limit`; by default those after the last that was published. */
  pending(limit: number, after?: number): NumberedEvent[];
  /** Notes that MQTT has all events up to number `n`; never goes back. When the note is lost, they are told again with the same ids. */
  published(n: number): void;
  /** Number of the last event that was noted as published. */
  publishedTo(): number;
  /** Drops all but the newest `keepNewest` events (at least 1, so that numbers go on), and none that is unpublished; answers how many. */
  prune(keepNewest: number): number;
}

/** Makes the writing side over a file that has `OUTBOX_SCHEMA`. */
export function createOutbox(db: DatabaseSync): Outbox {
  const insert = db.prepare(`
    insert into outbox (id, type, subject, time, department, district, severity, rule, ticket, hearers, body)
    values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`);
  const pending = db.prepare('select n, body from outbox where n > ? order by n limit ?');
  const publish = db.prepare("update outbox_cursors set n = max(n, ?) where channel = 'mqtt'");
  const cursor = db.prepare("select n from outbox_cursors where channel = 'mqtt'");
  const prune = db.prepare(`
    delete from outbox
    where n <= (select max(n) from outbox) - ? and n <= (select min(n) from outbox_cursors)`);
  const find = db.prepare('select 1 from outbox where id = ?');
  const publishedTo = () => Number(cursor.get()?.n);
  return {
    append(event) {
      const { id, type, subject, time } = event;
      const { department, district, severity, rule, ticket } = routingOf(event);
      const hearers = hearersOf(event);
      const told = hearers === null ? null : JSON.stringify(hearers);
      const routing = [department, district, severity, rule, ticket, told];
      return Number(insert.run(id, type, subject, time, ...routing, JSON.stringify(event)).lastInsertRowid);
    },
    has: (id) => find.get(id) !== undefined,
    pending: (limit, after = publishedTo()) => pending.all(after, limit).map(numberedOf),
    published: (n) => void publish.run(n),
    publishedTo,
    prune: (keepNewest) => Number(prune.run(Math.max(1, keepNewest)).changes),
  };
}
