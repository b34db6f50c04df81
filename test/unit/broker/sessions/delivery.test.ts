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
import { Queues } from '../../../../broker/sessions/queues.ts';
import { SessionTable } from '../../../../broker/sessions/table.ts';

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
  const file = new SessionsFile(path, pino({ level: 'silent' }));
  const registry = new SessionTable(file, LIMITS, 0);
  const queues = new Queues(file, LIMITS, () => {});
  const delivery = new Delivery(registry, queues);
  const session = registry.create('admin/a', { user: 'admin', secret: Buffer.alloc(32) }, 0);
  let counter = 0;
  const publish = (n: number) => {
    const origin = { brokerId: 'b', brokerCounter: ++counter };
    const payload = Buffer.from(String(n).padEnd(200));
    const packet = { cmd: 'publish', ...origin, topic: 't', payload, qos: 1, retain: false, dup: false } as const;
    const before = session.newest;
    delivery.added(session, queues.add([session], packet), before);
  };
  const connection = new Connection();
  const client = { id: session.id, conn: connection } as unknown as Client;
  const acknowledge = (index: number) => {
    const { messageId } = connection.got[index]!;
    queues.acknowledge(session, messageId);
    delivery.acknowledged(session.id, messageId);
  };
  const numbers = () => connection.got.map(({ n }) => n);
  const stop = () => {
    delivery.stop();
    return file.close();
  };
  return { file, delivery, publish, connection, client, acknowledge, numbers, stop };
}

test('delivery - nothing is sent before the client has its CONNACK, then all in order', async () => {
  const { delivery, publish, client, numbers, stop } = scene();
  delivery.open(client);
  for (const n of range(1, 3)) publish(n);
  expect(numbers()).toEqual([]);
  delivery.start(client);
  publish(4);
  expect(numbers()).toEqual([1, 2, 3, 4]);
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

test('delivery - while the disk is full nothing overtakes messages that cannot be read yet; with space all arrive in order', async () => {
  const { file, delivery, publish, client, acknowledge, numbers, stop } = scene();
  delivery.open(client);
  delivery.start(client);
  await file.synced();
  const { page_count } = file.db.prepare('pragma page_count').get()!;
  file.db.exec(`pragma max_page_count = ${page_count}`);
  for (const n of range(1, 150)) publish(n);
  expect(file.flush(), 'the disk is full').toBe(false);
  expect(numbers(), 'what is in memory goes out').toEqual(range(1, 100));
  for (const index of range(0, 59)) acknowledge(index);
  publish(151);
  expect(numbers()).toEqual(range(1, 100));
  file.db.exec('pragma max_page_count = 1000000');
  await until(() => numbers().length === 151, 'all');
  expect(numbers()).toEqual(range(1, 151));
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
  expect(numbers()).toEqual([1]);
  expect(next.got.map(({ n }) => n)).toEqual([1, 2]);
  expect(delivery.close(other)).toBe(true);
  publish(3);
  expect(next.got).toHaveLength(2);
  await stop();
});
