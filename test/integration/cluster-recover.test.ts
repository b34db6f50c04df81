import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { afterEach, expect, test } from 'vitest';
import {
  type ClusterSettings,
  connectTo,
  messageAt,
  missingTail,
  putBack,
  type SeenNode,
  streamRange,
  trimStream,
} from '../../cluster/index.ts';
import { JournalStore } from '../../journal/index.ts';
import { appendTo, streamWith, tailOf } from '../kit/cluster/log-file.ts';
import { type NatsServer, nodeOf, startedNats } from '../kit/nats.ts';
import { until } from '../kit/wait.ts';

const FIVE = ['one', 'two', 'three', 'four', 'five'];
let servers: NatsServer[] = [];
let connection: NatsConnection;
let settings: ClusterSettings;
async function started(texts: readonly string[], count = 1): Promise<void> {
  servers = await startedNats(count);
  settings = nodeOf(servers, 'a');
  connection = await connectTo(settings, 'test');
  await streamWith(connection, texts, count);
}
afterEach(async () => {
  await connection.close();
  for (const server of servers) await server.end();
});

function logOf(texts: readonly string[]): string {
  const dir = mkdtempSync(join(tmpdir(), 'lamppost-log-'));
  appendTo(dir, texts);
  return dir;
}
const textAt = async (seq: number) => Buffer.from((await messageAt(connection, settings, seq))!.data).toString();
/** Servers are named n0, n1, n2. */
const endServer = (name: string) => servers[Number(name.slice(1))]!.end('SIGKILL');
const node = (some: Partial<SeenNode>) => ({ node: 'b', state: 'stopped', mirrored: 0, ...some }) as SeenNode;

test('recover - puts the blocks back that the stream has lost, in order, and nothing where it lacks none', async () => {
  await started(FIVE.slice(0, 2));
  const tail = tailOf(logOf(FIVE));
  const missing = await missingTail(connection, settings, tail, [node({ mirrored: 5 })]);
  expect(missing).toEqual({ from: 3, to: 5 });
  const done: number[] = [];
  await putBack(connection, settings, tail, missing!, (seq) => done.push(seq));
  expect(done).toEqual([3, 4, 5]);
  expect(await Promise.all([1, 2, 3, 4, 5].map(textAt))).toEqual(FIVE);
  expect(await missingTail(connection, settings, tail, [])).toBeNull();
});

test.each([1, 3])('recover - an empty stream on %d servers begins with the oldest block of the log', async (count) => {
  await started([], count);
  const dir = logOf(FIVE);
  const store = new JournalStore(join(dir, 'journal.sqlite')).open();
  store.trim(3, 10);
  store.close();
  const tail = tailOf(dir);
  const missing = await missingTail(connection, settings, tail, []);
  expect(missing).toEqual({ from: 3, to: 5 });
  await putBack(connection, settings, tail, missing!);
  expect(await streamRange(connection, settings)).toEqual({ first: 3, last: 5 });
  // Every replica has the numbers: the others go on with them.
  const manager = await jetstreamManager(connection);
  if (count > 1) await manager.streams.info('lamppost').then(({ cluster }) => endServer(cluster!.leader!));
  const next = () => manager.jetstream().publish('lamppost.log', 'six', { msgID: 'six' });
  expect((await until(() => next().catch(() => null), 'another leader', 100)).seq).toBe(6);
  expect(await Promise.all([3, 4, 5, 6].map(textAt))).toEqual(['three', 'four', 'five', 'six']);
});

test('recover - refuses while a node runs, and where another one has a longer log', async () => {
  await started(FIVE.slice(0, 2));
  const tail = tailOf(logOf(FIVE));
  const with_ = (one: SeenNode) => missingTail(connection, settings, tail, [one]);
  await expect(with_(node({ state: 'running' }))).rejects.toThrow('stop every node first: b said');
  await expect(with_(node({ mirrored: 6 }))).rejects.toThrow('node b has blocks up to 6, and this log ends with 5');
});

test('recover - refuses where something else was appended since, or the blocks between are missing', async () => {
  await started(['one', 'other']);
  const tail = tailOf(logOf(FIVE));
  await expect(missingTail(connection, settings, tail, [])).rejects.toThrow('block 2 of the stream is another one');
  const dir = logOf(FIVE);
  const store = new JournalStore(join(dir, 'journal.sqlite')).open();
  store.trim(4, 10);
  store.close();
  await expect(missingTail(connection, settings, tailOf(dir), [])).rejects.toThrow(
    /ends with block 2 .* begins with 4/,
  );
});

test('recover - stops where somebody appends meanwhile', async () => {
  await started(FIVE.slice(0, 2));
  const tail = tailOf(logOf(FIVE));
  const missing = await missingTail(connection, settings, tail, []);
  const manager = await jetstreamManager(connection);
  await manager.jetstream().publish('lamppost.log', 'somebody');
  await expect(putBack(connection, settings, tail, missing!)).rejects.toThrow(
    'somebody appended to the stream: block 3',
  );
  expect(await streamRange(connection, settings)).toEqual({ first: 1, last: 3 });
});

test('trim - deletes the oldest blocks of the stream, keeps numbers, and never the newest block', async () => {
  await started(FIVE);
  expect(await trimStream(connection, settings, 2)).toBe(2);
  expect(await streamRange(connection, settings)).toEqual({ first: 3, last: 5 });
  expect(await trimStream(connection, settings, 2)).toBe(0);
  expect(await trimStream(connection, settings, 99)).toBe(2);
  expect(await streamRange(connection, settings)).toEqual({ first: 5, last: 5 });
});
