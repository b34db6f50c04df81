import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/nats-core';
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

const FIVE = ['one', 'two', 'three', 'four', 'five'];
let servers: NatsServer[] = [];
let connection: NatsConnection;
let settings: ClusterSettings;
async function started(texts: readonly string[]): Promise<void> {
  servers = await startedNats(1);
  settings = nodeOf(servers, 'a');
  connection = await connectTo(settings, 'test');
  await streamWith(connection, texts);
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

test('recover - an empty stream begins with the oldest block of the log, under its number', async () => {
  await started([]);
  const dir = logOf(FIVE);
  const store = new JournalStore(join(dir, 'journal.sqlite')).open();
  store.trim(3, 10);
  store.close();
  const tail = tailOf(dir);
  const missing = await missingTail(connection, settings, tail, []);
  expect(missing).toEqual({ from: 3, to: 5 });
  await putBack(connection, settings, tail, missing!);
  expect(await streamRange(connection, settings)).toEqual({ first: 3, last: 5 });
  expect(await textAt(3)).toBe('three');
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
  await expect(missingTail(connection, settings, tailOf(dir), [])).rejects.toThrow(/ends with block 2 .* begins with 4/);
});

test('recover - stops where somebody appends meanwhile', async () => {
  await started(FIVE.slice(0, 2));
  const tail = tailOf(logOf(FIVE));
  const missing = await missingTail(connection, settings, tail, []);
  const manager = await jetstreamManager(connection);
  await manager.jetstream().publish('lamppost.log', 'somebody');
  await expect(putBack(connection, settings, tail, missing!)).rejects.toThrow('somebody appended to the stream: block 3');
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
