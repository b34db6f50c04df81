import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type JetStreamManager, jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { afterEach, expect, test } from 'vitest';
import { connectTo, openSnapshots, type Snapshot } from '../../cluster/index.ts';
import { readManifest } from '../../store/index.ts';
import { endsWithUs } from '../kit/children.ts';
import { backupFolder } from '../kit/cluster/backup-folder.ts';
import { type NatsServer, nodeOf, startedNats } from '../kit/nats.ts';
import { until } from '../kit/wait.ts';

const UPLOADER = fileURLToPath(new URL('../kit/cluster/uploader.ts', import.meta.url));
const MIB = 1024 ** 2;
const folder = () => mkdtempSync(join(tmpdir(), 'lamppost-joining-'));

let servers: NatsServer[] = [];
let connection: NatsConnection;
let manager: JetStreamManager;
async function started(count: number) {
  servers = await startedNats(count);
  const settings = nodeOf(servers, 'a');
  connection = await connectTo(settings, 'test');
  manager = await jetstreamManager(connection);
  return { settings, snapshots: await openSnapshots(connection, settings) };
}
afterEach(async () => {
  await connection.close();
  for (const server of servers) await server.end();
});

const stored = async () => (await manager.streams.info('OBJ_lamppost-snapshots')).state.bytes;
const expectSame = (here: string, there: string, { manifest }: Snapshot) => {
  for (const { name } of manifest.files)
    expect(readFileSync(join(here, name)).equals(readFileSync(join(there, name))), name).toBe(true);
};

test('snapshots - a folder comes back byte by byte over three servers, and is a complete backup', async () => {
  const { snapshots } = await started(3);
  const from = backupFolder({
    'state.sqlite': randomBytes(9 * MIB),
    'journal.sqlite': randomBytes(8 * MIB),
    'history.duckdb': randomBytes(17),
    'deliveries.sqlite': new Uint8Array(),
    'media/ab.jpg': randomBytes(300),
    'secrets.key': randomBytes(32),
  });
  const made = await snapshots.put(from, { seq: 42, leaveOut: (name) => name === 'secrets.key' });
  expect(made).toMatchObject({ seq: 42, node: 'a', bytes: 17 * MIB + 317 });
  const [found] = await snapshots.list();
  expect(found).toEqual(made);
  const to = folder();
  const progress: number[] = [];
  await snapshots.download(found!, to, (bytes) => progress.push(bytes));
  expectSame(from, to, found!);
  expect(existsSync(join(to, 'secrets.key'))).toBe(false);
  expect(progress.at(-1)).toBe(made.bytes);
  expect((await readManifest(to)).files.map(({ name }) => name)).not.toContain('secrets.key');
});

test('snapshots - the newest two stay, and of older ones nothing is left in the stream', async () => {
  const { snapshots } = await started(1);
  const ids = [];
  for (const seq of [10, 20, 30, 40]) {
    const from = backupFolder({ 'state.sqlite': randomBytes(MIB), 'journal.sqlite': randomBytes(MIB) });
    ids.push((await snapshots.put(from, { seq })).id);
  }
  expect((await snapshots.list()).map(({ id }) => id)).toEqual([ids[3], ids[2]]);
  expect(await stored()).toBeLessThan(5 * MIB);
});

test('snapshots - an upload that is killed counts for nothing, and its remains go with the next one', async () => {
  const { settings, snapshots } = await started(1);
  const small = backupFolder({ 'state.sqlite': randomBytes(1_000), 'journal.sqlite': randomBytes(1_000) });
  const first = await snapshots.put(small, { seq: 1 });
  const large = backupFolder({ 'state.sqlite': randomBytes(200 * MIB), 'journal.sqlite': randomBytes(1_000) });
  const child = spawn(process.execPath, [UPLOADER, JSON.stringify(settings), large, '2'], { stdio: 'inherit' });
  endsWithUs(child);
  await until(async () => (await stored()) > 20 * MIB, 'a part of the upload');
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
  expect((await snapshots.list()).map(({ id }) => id)).toEqual([first.id]);
  await snapshots.put(small, { seq: 3 });
  expect((await snapshots.list()).map(({ seq }) => seq)).toEqual([3, 1]);
  expect(await stored()).toBeLessThan(MIB);
});

test('snapshots - an upload whose duty went to another node ends, and counts for nothing', async () => {
  const { snapshots } = await started(1);
  const from = backupFolder({ 'state.sqlite': randomBytes(20 * MIB), 'journal.sqlite': randomBytes(1_000) });
  let asked = 0;
  await expect(snapshots.put(from, { seq: 1, isMine: () => ++asked < 3 })).rejects.toThrow('duty of another node');
  expect(await snapshots.list()).toEqual([]);
});

test('snapshots - an interrupted download goes on, and a changed file is fetched again', async () => {
  const { snapshots } = await started(1);
  const from = backupFolder({ 'state.sqlite': randomBytes(9 * MIB), 'journal.sqlite': randomBytes(MIB) });
  const made = await snapshots.put(from, { seq: 1 });
  const to = folder();
  await snapshots.download(made, to);
  writeFileSync(join(to, 'journal.sqlite'), randomBytes(MIB));
  rmSync(join(to, 'manifest.json'));
  await snapshots.download(made, to);
  expectSame(from, to, made);
});

test('snapshots - a part that is missing in the store is noticed', async () => {
  const { snapshots } = await started(1);
  const from = backupFolder({ 'state.sqlite': randomBytes(9 * MIB), 'journal.sqlite': randomBytes(MIB) });
  const made = await snapshots.put(from, { seq: 1 });
  const name = Buffer.from(`${made.id}/state.sqlite/1`).toString('base64').replaceAll('+', '-').replaceAll('/', '_');
  await manager.streams.purge('OBJ_lamppost-snapshots', { filter: `$O.lamppost-snapshots.M.${name}` });
  await expect(snapshots.download(made, folder())).rejects.toThrow(/state\.sqlite\/1 of a snapshot is missing/);
});

test('snapshots - a server of three that dies in the middle of an upload does not end it', async () => {
  const { snapshots } = await started(3);
  const from = backupFolder({ 'state.sqlite': randomBytes(60 * MIB), 'journal.sqlite': randomBytes(MIB) });
  const upload = snapshots.put(from, { seq: 7 });
  await until(async () => (await stored()) > 9 * MIB, 'a part of the upload');
  await servers[2]!.end('SIGKILL');
  const made = await upload;
  const to = folder();
  await snapshots.download(made, to);
  expectSame(from, to, made);
});
