import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, expect, test } from 'vitest';
import type { Publication } from '../../../../domain/index.ts';
import { hashSecret } from '../../../../registry/index.ts';
import { rawLogin, type Scene, SECRET, startBroker } from '../../../kit/broker/kit.ts';
import { MemoryOutbox } from '../../../kit/broker/outbox.ts';
import { keptSession, payloads, subscribe } from '../../../kit/broker/sessions.ts';
import { until } from '../../../kit/wait.ts';

let scene: Scene | undefined;
afterEach(() => scene?.stop());

const event = (n: number): Publication => ({
  topic: 'events/tickets/waste/t',
  payload: JSON.stringify({ id: `t.${n}` }),
  qos: 1,
  retain: false,
});
const state = (n: number, isOpen = true): Publication => ({
  topic: 'tickets/waste/t',
  payload: isOpen ? JSON.stringify({ id: 't', version: n }) : '',
  qos: 1,
  retain: true,
});

/** An outbox of eight changes of a ticket, the last of which closes it. */
function outboxOf(copied: number): MemoryOutbox {
  const outbox = new MemoryOutbox();
  for (let n = 1; n <= 8; n++) outbox.append(event(n), state(n, n < 8));
  return Object.assign(outbox, { copied });
}

interface Row {
  readonly message: Publication;
  readonly messageId?: number;
}

/** Makes a file as version 1 of the tables left it: a packet for each message, and a row for each that waits for it. */
function fileOfBefore(queues: Readonly<Record<string, readonly Row[]>>, filter: string): string {
  const dir = mkdtempSync(join(tmpdir(), 'lamppost-before-'));
  const db = new DatabaseSync(join(dir, 'sessions.sqlite'));
  db.exec(`
    create table schema_versions (room text primary key, version integer not null) strict;
    insert into schema_versions values ('sessions', 1);
    create table sessions (
      key integer primary key, id text not null unique, user text not null, secret blob not null, seen integer not null
    ) strict;
    create table subscriptions (
      session integer not null, filter text not null, body text not null, primary key (session, filter)
    ) strict, without rowid;
    create table packets (
      n integer primary key, topic text not null, payload any not null, qos integer not null, retain integer not null,
      broker text not null, counter integer not null, bytes integer not null
    ) strict;
    create table queue (
      session integer not null, n integer not null, message_id integer, released integer not null default 0,
      primary key (session, n)
    ) strict, without rowid;
    create table retained (topic text primary key, payload any not null, qos integer not null) strict;
    create table wills (session text primary key, topic text not null, payload any not null) strict;
    create table drops (
      id text primary key, session text not null, user text not null, reason text not null,
      messages integer not null, from_ms integer not null, to_ms integer not null
    ) strict;
    insert into retained values ('tickets/waste/old', 'open', 1), ('devices/bin-1/status', 'offline', 0);`);
  let packet = 0;
  for (const [i, [id, rows]] of Object.entries(queues).entries()) {
    db.prepare('insert into sessions values (?, ?, ?, ?, ?)').run(i, `admin/${id}`, 'admin', hashSecret(SECRET), 1);
    const body = JSON.stringify({ topic: filter, qos: 1 });
    db.prepare('insert into subscriptions values (?, ?, ?)').run(i, filter, body);
    for (const { message, messageId = null } of rows) {
      const { topic, payload, qos, retain } = message;
      const more = [Buffer.from(payload), qos, retain ? 1 : 0, 'b', ++packet, payload.length + topic.length] as const;
      db.prepare('insert into packets values (?, ?, ?, ?, ?, ?, ?, ?)').run(packet, topic, ...more);
      db.prepare('insert into queue (session, n, message_id) values (?, ?, ?)').run(i, packet, messageId);
    }
  }
  db.close();
  return dir;
}

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);
const idsOf = (ns: readonly number[]) => ns.map((n) => JSON.stringify({ id: `t.${n}` }));

test('sessions - the queue of an earlier version goes on where it was: in flight under its ids, then what waits, then the rest', async () => {
  const queue = [{ message: event(3), messageId: 17 }, { message: event(5) }, { message: event(6) }];
  const dir = fileOfBefore({ a: queue, empty: [] }, 'events/#');
  scene = await startBroker({ dir, outbox: outboxOf(6) });
  await until(() => scene!.broker.counts().queued === 7, 'the counts');
  const back = await keptSession(scene, 'admin');
  expect(back.got('connack')[0]!.sessionPresent).toBe(true);
  await until(() => payloads(back).length === 5, 'its queue');
  expect(payloads(back)).toEqual(idsOf([3, 5, 6, 7, 8]));
  expect(back.got('publish').map(({ dup }) => dup)).toEqual([true, false, false, false, false]);
  expect(back.got('publish')[0]!.messageId).toBe(17);
  const empty = await keptSession(scene, 'admin', { clientId: 'empty' });
  await until(() => payloads(empty).length === 2, 'what it had no copy of');
  expect(payloads(empty)).toEqual(idsOf([7, 8]));
  expect(scene.drops).toEqual([]);
});

test('sessions - copies of retained tickets become places, too; the end of one goes on from the oldest event of its ticket', async () => {
  const dir = fileOfBefore({ a: [{ message: state(7) }, { message: state(8, false) }] }, 'tickets/#');
  scene = await startBroker({ dir, outbox: outboxOf(8) });
  const back = await keptSession(scene, 'admin');
  await until(() => payloads(back).at(-1) === '', 'the end');
  expect(new Set(payloads(back))).toEqual(new Set([...range(1, 7).map((n) => state(n).payload), '']));
});

test('sessions - a copy whose event the outbox no longer has was dropped, and is counted', async () => {
  const queue = [{ message: event(2), messageId: 9 }, { message: event(3) }, { message: event(6) }];
  const dir = fileOfBefore({ a: queue }, 'events/#');
  const outbox = outboxOf(8);
  outbox.prune(3);
  scene = await startBroker({ dir, outbox });
  const back = await keptSession(scene, 'admin');
  await until(() => payloads(back).length === 3, 'the rest');
  expect(payloads(back)).toEqual(idsOf([6, 7, 8]));
  const dropped = () => scene!.drops.reduce((sum, { messages }) => sum + messages, 0);
  await until(() => dropped() === 2, 'what was dropped');
  expect(scene.drops.every(({ session, reason }) => session === 'admin/a' && reason === 'queue-full')).toBe(true);
});

test('sessions - of the retained messages of an earlier version the status of devices stays; tickets are those of the outbox', async () => {
  const outbox = outboxOf(8);
  outbox.append({ ...state(1), topic: 'tickets/waste/open' });
  scene = await startBroker({ dir: fileOfBefore({}, '#'), outbox });
  const client = await rawLogin(scene.port, 'admin', { clientId: 'looks' });
  await subscribe(client, '#');
  await until(() => client.got('publish').length === 2, 'both');
  await client.ping();
  expect(client.got('publish').map(({ topic, retain }) => [topic, retain])).toEqual([
    ['devices/bin-1/status', true],
    ['tickets/waste/open', true],
  ]);
});
