import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Duplex } from 'node:stream';
import type { Client } from 'aedes';
import { parser } from 'mqtt-packet';
import pino from 'pino';
import { expect, test } from 'vitest';
import { Delivery } from '../../../../broker/sessions/delivery.ts';
import { SessionsFile } from '../../../../broker/sessions/file.ts';
import { Pages, Turns } from '../../../../broker/sessions/outbox.ts';
import { Queues } from '../../../../broker/sessions/queues.ts';
import { SessionTable } from '../../../../broker/sessions/table.ts';
import type { Publication } from '../../../../domain/index.ts';
import { MemoryOutbox } from '../../../kit/broker/outbox.ts';
import { range } from '../../../kit/broker/sessions.ts';
import { until } from '../../../kit/wait.ts';

const LIMITS = { days: 7, messages: 10_000, bytes: 1e9, perUser: 10 };

/** A connection whose other end reads on demand. */
class Connection extends Duplex {
  readonly got: { n: number; messageId: number }[] = [];
  readonly #parser = parser();
  #held: (() => void) | null = null;
  reads = true;

  constructor() {
    super({ highWaterMark: 1_000 });
    this.#parser.on('packet', (packet) => {
      if (packet.cmd === 'publish') this.got.push({ n: Number(packet.payload), messageId: packet.messageId! });
    });
  }

  override _read(): void {}

  override _write(bytes: Buffer, _encoding: string, done: () => void): void {
    this.#parser.parse(bytes);
    if (this.reads) done();
    else this.#held = done;
  }

  readOn(): void {
    this.reads = true;
    this.#held?.();
    this.#held = null;
  }
}

function scene() {
  const path = join(mkdtempSync(join(tmpdir(), 'lamppost-sessions-')), 'sessions.sqlite');
  const file = new SessionsFile(path, pino({ level: 'silent' }), () => {});
  const table = new SessionTable(file, LIMITS, 0);
  const outbox = new MemoryOutbox();
  const turns = new Turns();
  let dropped = 0;
  const onDropped = (_session: unknown, _reason: unknown, messages: number) => {
    dropped += messages;
  };
  const pages = new Pages(outbox);
  const queues = new Queues({ table, pages, turns, limits: LIMITS, mayRead: () => true, onDropped });
  const delivery = new Delivery({ table, queues, turns, onDropped, onArrived: () => {}, onDownlink: () => {} });
  const session = table.create('admin/a', { user: 'admin', secret: Buffer.alloc(32) }, 0);
  table.subscribe(session, [{ topic: '#', qos: 1 }]);
  const publish = (n: number, copies = 1) => {
    const message = { payload: String(n).padEnd(200), qos: 1, retain: false } as const;
    const messages = range(1, copies).map((i): Publication => ({ topic: `t/${i}`, ...message }));
    const event = { n: outbox.append(...messages), messages };
    for (const [of, its] of queues.add(event)) delivery.added(of, { n: event.n, messages: its });
  };
  const connection = new Connection();
  const client = { id: session.id, conn: connection } as unknown as Client;
  const acknowledge = (index: number) => delivery.acknowledged(session.id, connection.got[index]!.messageId);
  const numbers = () => connection.got.map(({ n }) => n);
  const stop = () => {
    delivery.stop();
    turns.stop();
    table.stop();
    return file.close();
  };
  const parts = { outbox, session, delivery, dropped: () => dropped };
  return { ...parts, publish, connection, client, acknowledge, numbers, stop };
}

test('delivery - nothing is sent before the client has its CONNACK, then all in order', async () => {
  const { delivery, publish, client, numbers, stop } = scene();
  delivery.open(client);
  for (const n of range(1, 3)) publish(n);
  expect(numbers()).toEqual([]);
  delivery.start(client);
  publish(4);
  await until(() => numbers().length === 4, 'all');
  expect(numbers()).toEqual([1, 2, 3, 4]);
  publish(5);
  expect(numbers(), 'at once where nothing waits').toEqual(range(1, 5));
  await stop();
});

test('delivery - a window is a hundred messages; the messages of an event go out together', async () => {
  const { delivery, publish, client, session, acknowledge, numbers, stop } = scene();
  delivery.open(client);
  delivery.start(client);
  for (const n of range(1, 60)) publish(n, 3);
  await until(() => numbers().length >= 100, 'a window');
  expect(numbers()).toEqual(range(1, 34).flatMap((n) => [n, n, n]));
  expect(session.place).toBe(34);
  for (const index of range(0, 101)) acknowledge(index);
  await until(() => numbers().length === 180, 'the rest');
  expect(numbers()).toEqual(range(1, 60).flatMap((n) => [n, n, n]));
  await stop();
});

test('delivery - what the outbox no longer has cannot be sent again, and was dropped', async () => {
  const { outbox, delivery, publish, client, session, connection, numbers, dropped, stop } = scene();
  delivery.open(client);
  delivery.start(client);
  for (const n of range(1, 4)) publish(n);
  await until(() => numbers().length === 4, 'all');
  const ids = connection.got.map(({ messageId }) => messageId);
  outbox.prune(2);
  const next = new Connection();
  const back = { id: client.id, conn: next } as unknown as Client;
  delivery.open(back);
  delivery.start(back);
  await until(() => next.got.length === 2, 'what is left');
  expect(next.got).toEqual([
    { n: 3, messageId: ids[2] },
    { n: 4, messageId: ids[3] },
  ]);
  expect([dropped(), session.sent.size]).toEqual([2, 2]);
  await stop();
});

test('delivery - a client that does not read is not written to; it continues where it was, and nothing overtakes', async () => {
  const { delivery, publish, connection, client, numbers, stop } = scene();
  delivery.open(client);
  delivery.start(client);
  connection.reads = false;
  for (const n of range(1, 90)) publish(n);
  expect(connection.writableNeedDrain).toBe(true);
  const written = connection.writableLength;
  for (const n of range(91, 95)) publish(n);
  expect(connection.writableLength).toBe(written);
  connection.readOn();
  await until(() => numbers().length === 95, 'all');
  expect(numbers()).toEqual(range(1, 95));
  await stop();
});

test('delivery - a replaced connection gets nothing more, and its end does not end the other', async () => {
  const { delivery, publish, client, numbers, stop } = scene();
  const next = new Connection();
  const other = { id: client.id, conn: next } as unknown as Client;
  delivery.open(client);
  delivery.start(client);
  publish(1);
  delivery.open(other);
  expect(delivery.close(client)).toBe(false);
  delivery.start(other);
  publish(2);
  await until(() => next.got.length === 2, 'both');
  expect(numbers()).toEqual([1]);
  expect(next.got.map(({ n }) => n)).toEqual([1, 2]);
  expect(delivery.close(other)).toBe(true);
  publish(3);
  expect(next.got).toHaveLength(2);
  await stop();
});
