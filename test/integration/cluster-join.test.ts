import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import pino from 'pino';
import { afterEach, expect, test } from 'vitest';
import { joinCluster } from '../../app/join.ts';
import { type ClusterSettings, connectTo, openSnapshots, trimStream } from '../../cluster/index.ts';
import { systemClock as clock } from '../../domain/index.ts';
import { JournalReader } from '../../journal/index.ts';
import { backupFolder } from '../kit/cluster/backup-folder.ts';
import { appendTo, isSame, streamWith } from '../kit/cluster/log-file.ts';
import { type NatsServer, nodeOf, startedNats } from '../kit/nats.ts';

const FIVE = ['one', 'two', 'three', 'four', 'five'];
const folder = () => mkdtempSync(join(tmpdir(), 'lamppost-data-'));

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

/** A log file with these blocks as the bytes of a file. */
function logFile(texts: readonly string[]): Buffer {
  const dir = folder();
  appendTo(dir, texts);
  const reader = new JournalReader(join(dir, 'journal.sqlite')).open();
  reader.close();
  return readFileSync(join(dir, 'journal.sqlite'));
}

/** Puts a snapshot whose log has the first blocks of the stream. */
async function snapshotUpTo(seq: number, state: string): Promise<void> {
  const files = {
    'state.sqlite': Buffer.from(state),
    'journal.sqlite': logFile(FIVE.slice(0, seq)),
    'history.duckdb': Buffer.from('readings'),
  };
  await (await openSnapshots(connection, settings)).put(backupFolder(files, seq), { seq });
}

function joining(dir: string) {
  const said: string[] = [];
  const log = pino({ level: 'info' }, { write: (line: string) => void said.push(JSON.parse(line).msg) });
  return joinCluster({ dir, settings, connection, isSame, clock, log }).then(() => said);
}
const newestIn = (dir: string) => {
  const reader = new JournalReader(join(dir, 'journal.sqlite')).open();
  const { seq } = reader.head();
  reader.close();
  return seq;
};
const stateIn = (dir: string) => readFileSync(join(dir, 'state.sqlite'), 'utf8');

test('join - an empty folder follows a whole stream without a snapshot, and takes the newest one where there is', async () => {
  await started(FIVE);
  const dir = folder();
  expect(await joining(dir)).toEqual([]);
  expect(readdirSync(dir)).toEqual([]);
  await snapshotUpTo(2, 'old');
  await snapshotUpTo(3, 'new');
  const said = await joining(dir);
  expect(said[0]).toBe('this node takes the newest snapshot: the data folder is empty');
  expect(said.at(-1)).toMatch(/^snapshot: 1 of 1 MiB are here$/);
  expect([newestIn(dir), stateIn(dir)]).toEqual([3, 'new']);
  expect(readdirSync(dir)).not.toContain('joining');
});

test('join - a log that the stream has gone beyond takes a snapshot, and its files of before are kept', async () => {
  await started(FIVE);
  await snapshotUpTo(4, 'snapshot');
  await trimStream(connection, settings, 3);
  const dir = folder();
  appendTo(dir, FIVE.slice(0, 2));
  writeFileSync(join(dir, 'state.sqlite'), 'mine');
  writeFileSync(join(dir, 'sessions.sqlite'), 'sessions');
  writeFileSync(join(dir, 'signedin.sqlite'), 'people');
  await joining(dir);
  expect([newestIn(dir), stateIn(dir)]).toEqual([4, 'snapshot']);
  const aside = readdirSync(dir).filter((name) => name.includes('.replaced-'));
  expect([...new Set(aside.map((name) => name.split('.replaced-')[0]))].sort()).toEqual([
    'journal.sqlite',
    'sessions.sqlite',
    'state.sqlite',
  ]);
  expect(readFileSync(join(dir, aside.find((name) => name.startsWith('state'))!), 'utf8')).toBe('mine');
  expect(existsSync(join(dir, 'sessions.sqlite'))).toBe(false);
  expect(readFileSync(join(dir, 'signedin.sqlite'), 'utf8')).toBe('people');
  // And now it follows.
  expect(await joining(dir)).toEqual([]);
});

test('join - a start that was killed while it moved the files goes on', async () => {
  await started(FIVE);
  await snapshotUpTo(4, 'snapshot');
  const dir = folder();
  appendTo(dir, ['another']);
  writeFileSync(join(dir, 'state.sqlite'), 'mine');
  const download = join(dir, 'joining');
  mkdirSync(download);
  const snapshots = await openSnapshots(connection, settings);
  await snapshots.download((await snapshots.list())[0]!, download);
  // As far as it had come.
  renameSync(join(dir, 'state.sqlite'), join(dir, 'state.sqlite.replaced-before'));
  renameSync(join(download, 'state.sqlite'), join(dir, 'state.sqlite'));
  await joining(dir);
  expect([newestIn(dir), stateIn(dir)]).toEqual([4, 'snapshot']);
  expect(readFileSync(join(dir, 'state.sqlite.replaced-before'), 'utf8')).toBe('mine');
  expect(readdirSync(dir)).not.toContain('joining');
});

test('join - a damaged snapshot is passed over for the one before it', async () => {
  await started(FIVE);
  await snapshotUpTo(2, 'old');
  await snapshotUpTo(3, 'new');
  const snapshots = await openSnapshots(connection, settings);
  const { id } = (await snapshots.list())[0]!;
  const name = Buffer.from(`${id}/state.sqlite/0`).toString('base64').replaceAll('+', '-').replaceAll('/', '_');
  const manager = await jetstreamManager(connection);
  await manager.streams.purge('OBJ_lamppost-snapshots', { filter: `$O.lamppost-snapshots.M.${name}` });
  const dir = folder();
  expect(await joining(dir)).toContain('a snapshot is damaged; the one before it is taken');
  expect([newestIn(dir), stateIn(dir)]).toEqual([2, 'old']);
});

test('join - a log that is ahead, of another cluster, or too old for every snapshot stops with what to do', async () => {
  await started(FIVE.slice(0, 3));
  const ahead = folder();
  appendTo(ahead, FIVE);
  await expect(joining(ahead)).rejects.toThrow(
    /up to block 5, and the stream lamppost ends with block 3.*cluster recover/,
  );
  const other = folder();
  appendTo(other, ['one', 'other']);
  await expect(joining(other)).rejects.toThrow(/block 2 in .* is not block 2 of the stream lamppost/);
  await trimStream(connection, settings, 2);
  await expect(joining(folder())).rejects.toThrow(/the data folder is empty, and no snapshot leads up to block 3/);
  expect(readdirSync(other)).toContain('journal.sqlite');
});
