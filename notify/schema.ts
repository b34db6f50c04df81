import { chmodSync } from 'node:fs';
import type { DatabaseSync } from 'node:sqlite';
import { diskFault, openDatabase, type RoomSchema, transact } from '../store/index.ts';

/**
 * How far receivers are in the outbox, and their deliveries. `cause` names the action that a delivery is of, so that it
 * is made once. Deliveries of one lane stay in order: one is
 * `pending`, the others are `queued` behind it. Each event is stored once, as long as a delivery contains it.
 */
export const NOTIFY_SCHEMA: RoomSchema = {
  room: 'notify',
  steps: [
    `
  create table receivers (
    id text primary key, kind text not null, settings text not null, cursor integer not null, disabled text,
    failing_since integer, created_at integer not null, updated_at integer not null
  ) strict, without rowid;
  create table secrets (
    n integer primary key, receiver text not null references receivers on delete cascade, secret text not null,
    created_at integer not null, expires_at integer
  ) strict;
  create index secrets_of on secrets (receiver);
  create table receiver_log (
    n integer primary key, receiver text not null references receivers on delete cascade, at integer not null,
    note text not null
  ) strict;
  create index receiver_log_of on receiver_log (receiver, n);
  create table events (
    id text primary key, n integer, type text not null, subject text not null, body text not null
  ) strict, without rowid;
  create table deliveries (
    n integer primary key autoincrement,
    receiver text not null references receivers on delete cascade,
    lane text not null,
    state text not null check (state in ('queued', 'pending', 'delivered', 'failed', 'skipped')),
    origin text not null,
    due_at integer not null,
    attempts integer not null default 0,
    outcome text,
    hurried integer not null default 0,
    created_at integer not null,
    settled_at integer,
    content_type text not null,
    body text
  ) strict;
  create index deliveries_due on deliveries (receiver, due_at, n) where state = 'pending';
  create index deliveries_open on deliveries (receiver, lane, n) where state in ('queued', 'pending');
  create index deliveries_of on deliveries (receiver, n);
  create index deliveries_settled on deliveries (settled_at) where settled_at is not null;
  create table delivery_events (
    delivery integer not null references deliveries on delete cascade, ordinal integer not null,
    event text not null references events, primary key (delivery, ordinal)
  ) strict, without rowid;
  create index delivery_events_of on delivery_events (event);
  create table attempts (
    delivery integer not null references deliveries on delete cascade, ordinal integer not null, at integer not null,
    ms integer not null, outcome text not null, status integer, answer text not null, primary key (delivery, ordinal)
  ) strict, without rowid;
`,
    // Messages that receivers were sent of alerts that fire, for formats that refer to earlier messages.
    `
  create table alert_references (
    receiver text not null references receivers on delete cascade, subject text not null, event text not null,
    time text not null, primary key (receiver, subject, time, event)
  ) strict, without rowid;
`,
    // Events held for a digest or until the end of quiet hours; subscriptions over webhooks.
    `
  create table held (
    receiver text not null references receivers on delete cascade, n integer not null, event text not null references events,
    due_at integer not null, primary key (receiver, n)
  ) strict, without rowid;
  create index held_due on held (due_at);
  create index held_events on held (event);
  create table webhook_subscriptions (
    id text primary key, webhook text not null references receivers on delete cascade, party text not null,
    filter text not null, created_at integer not null, updated_at integer not null
  ) strict, without rowid;
  create index webhook_subscriptions_of on webhook_subscriptions (webhook);
`,
    // The outbox store whose numbers the cursors of receivers are.
    `
  create table outbox_known (one integer primary key check (one = 1), store text not null) strict;
`,
    // What people set is in the state now: what is here of it goes into the log once, and then from this file.
    `
  create table earlier_receivers (id text primary key, body text not null) strict, without rowid;
  insert into earlier_receivers select id, json_object(
    'definition', json_object('id', id, 'kind', kind, 'settings', json(settings),
      'enabled', json(iif(disabled is 'by-admin', 'false', 'true')), 'afterEvent', cursor, 'createdAt', created_at,
      'updatedAt', updated_at),
    'secrets', json((select json_group_array(json_object('secret', secret, 'createdAt', created_at, 'expiresAt', expires_at)
      order by n desc) from secrets where receiver = receivers.id)),
    'subscriptions', json((select json_group_array(json_object('id', id, 'webhook', webhook, 'party', party,
      'filter', json(filter), 'createdAt', created_at, 'updatedAt', updated_at) order by id)
      from webhook_subscriptions where webhook = receivers.id)))
    from receivers;
  drop table secrets;
  drop table webhook_subscriptions;
  alter table receivers drop column kind;
  alter table receivers drop column settings;
  alter table receivers drop column created_at;
  alter table receivers drop column updated_at;
  create table followed (one integer primary key check (one = 1), n integer not null) strict;
  alter table deliveries add column cause text;
  create unique index deliveries_cause on deliveries (receiver, cause) where cause is not null;
`,
    // Headers of a message's format, as a JSON object; null: none.
    'alter table deliveries add column headers text;',
    // Where nodes share a log: what is not in it yet, and the block up to which it was taken.
    `
  create table unreported (n integer primary key autoincrement, revision integer, body text not null) strict;
  create table results_taken (one integer primary key check (one = 1), seq integer not null) strict;
`,
    'alter table attempts rename column answer to response;',
  ],
};

/**
 * Opens or creates the database of the deliveries. It holds what was sent, so only its owner can read the file. A power
 * cut may undo recent results together with their cursors: those events are delivered again, none is lost. Throws
 * `disk`, `too-new`.
 */
export function openDeliveries(path: string): DatabaseSync {
  const db = openDatabase(path, { schemas: [NOTIFY_SCHEMA] });
  if (path !== ':memory:') for (const file of [path, `${path}-wal`, `${path}-shm`]) chmodSync(file, 0o600);
  db.exec('pragma synchronous = normal');
  return db;
}

/** Runs a transaction that is on disk when this returns, as a confirmed setting must be. Throws `disk`. */
export function durably<T>(db: DatabaseSync, work: () => T): T {
  db.exec('pragma synchronous = full');
  try {
    return transact(db, work);
  } catch (error) {
    throw diskFault(error, 'this cannot be stored') ?? error;
  } finally {
    db.exec('pragma synchronous = normal');
  }
}
