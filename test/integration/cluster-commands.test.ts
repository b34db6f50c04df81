import { join } from 'node:path';
import { jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import pino from 'pino';
import { afterEach, expect, test } from 'vitest';
import { connectTo, createNodes, identityOf, inspectCluster, messageAt, streamRange } from '../../cluster/index.ts';
import { decodeBlock, JournalStore } from '../../journal/index.ts';
import { lamppost, newDir } from '../kit/cli/commands.ts';
import { type NatsServer, nodeOf, startedNats } from '../kit/nats.ts';
import { until } from '../kit/wait.ts';

let servers: NatsServer[] = [];
let connection: NatsConnection;
const settings = () => nodeOf(servers, 'a');
const cluster = (...args: string[]) => lamppost(['cluster', ...args], { LAMPPOST_LOG: settings().servers.join(',') });

async function started(count: number): Promise<void> {
  servers = await startedNats(count);
  connection = await connectTo(settings(), 'test');
}
afterEach(async () => {
  await connection?.close();
  for (const server of servers) await server.end();
});

async function makeStream(some: object = {}): Promise<void> {
  const manager = await jetstreamManager(connection);
  const config = { name: 'lamppost', subjects: ['lamppost.log'], num_replicas: servers.length };
  const wanted = { ...config, discard: 'new', duplicate_window: 120_000_000_000, ...some } as const;
  // Servers that have just found each other may have no place for it yet.
  await until(() => manager.streams.add(wanted).catch(() => null), 'a stream', 100);
}

/** A node that was seen and is gone. */
async function seenNode(node: string, mirrored: number): Promise<void> {
  const dir = newDir();
  const report = {
    ...{ version: '1.0.0', startedAt: '2026-11-30T00:00:00.000Z', ready: true, reasons: [], mirrored },
    ...{ decided: mirrored, stored: mirrored, lagMs: 5, holds: [], checksums: [], http: '10.0.0.1:8080', mqtt: null },
    clients: 2,
  };
  const nodes = createNodes({
    ...{ connection, settings: { ...settings(), node }, identity: identityOf(dir, node), describe: () => report },
    ...{ onTaken: () => {}, log: pino({ level: 'silent' }) },
  });
  await nodes.start();
  await nodes.stop();
}

test('cluster status - prints nodes and stream from NATS, where no node responds', async () => {
  await started(1);
  const before = await cluster('status');
  expect(before.out).toBe('stream lamppost: there is none yet\nno node has ever started\n');
  await makeStream();
  await seenNode('north', 7);
  const ran = await cluster('status');
  expect(ran.code).toBe(1);
  expect(ran.out).toMatch(/^stream lamppost: blocks 1 to 0\nNODE +STATE .*\nnorth +stopped +\d+ s ago +1\.0\.0 +7 /);
  const json = JSON.parse((await cluster('status', '--json')).out) as { nodes: object[] };
  expect(json.nodes).toMatchObject([{ node: 'north', state: 'stopped', mirrored: 7 }]);
});

test('cluster status - needs to know the servers, and names those that are away', async () => {
  const without = await lamppost(['cluster', 'status']);
  expect([without.code, without.err]).toEqual([2, expect.stringContaining('LAMPPOST_LOG names the NATS servers')]);
  const away = await lamppost(['cluster', 'status'], { LAMPPOST_LOG: 'nats://127.0.0.1:9' });
  expect([away.code, away.err]).toEqual([1, expect.stringContaining('no NATS server of LAMPPOST_LOG can be reached')]);
});

test('cluster recover - says what it would do, does it with --yes, and the stream has the blocks as they were', async () => {
  await started(1);
  const dir = newDir();
  const store = new JournalStore(join(dir, 'journal.sqlite')).open();
  store.appendControl('city', Buffer.from('{"version":"v1"}'), 5_000, 'v1', 1_000);
  store.appendMessages(Buffer.from('messages'), 2, 6_000, 1_000);
  store.close();
  const asked = await cluster('recover', '--data', dir);
  expect(asked.code).toBe(1);
  expect(asked.out).toContain('the stream lamppost lacks blocks 1 to 2, which this log has');
  expect(await streamRange(connection, settings())).toBeNull();
  const done = await cluster('recover', '--data', dir, '--yes');
  expect([done.code, done.out, done.err]).toEqual([
    0,
    'blocks 1 to 2 are back in the stream lamppost; start the nodes\n',
    '',
  ]);
  const block = async (seq: number) => decodeBlock((await messageAt(connection, settings(), seq))!.data, seq);
  expect(await block(1)).toMatchObject({ kind: 'city', head: 'v1', steadyAt: 4_000, offsetMs: 1_000, count: 0 });
  expect(await block(2)).toMatchObject({ kind: 'messages', head: null, steadyAt: 5_000, count: 2 });
  expect((await cluster('recover', '--data', dir, '--yes')).out).toBe('the stream lacks no block of this log\n');
  await seenNode('south', 9);
  const other = newDir();
  new JournalStore(join(other, 'journal.sqlite')).open().close();
  const longer = await cluster('recover', '--data', other, '--yes');
  expect([longer.code, longer.err]).toEqual([1, expect.stringContaining('node south has blocks up to 9')]);
});

test('cluster recover - a block of just what the servers take is put back; one that is larger is named before anything is done', async () => {
  await started(1);
  const dir = newDir();
  const store = new JournalStore(join(dir, 'journal.sqlite')).open();
  const mostBytes = connection.info!.max_payload - 2_048;
  store.appendMessages(Buffer.alloc(mostBytes, 1), 1, 5_000, 0);
  store.close();
  expect((await cluster('recover', '--data', dir, '--yes')).code).toBe(0);
  expect(await streamRange(connection, settings())).toEqual({ first: 1, last: 1 });
  store.open();
  store.appendMessages(Buffer.from('small'), 1, 6_000, 0);
  store.appendMessages(Buffer.alloc(3 * mostBytes, 2), 1, 7_000, 0);
  // What is compressed on the way is no obstacle.
  store.appendControl('city', Buffer.from(`{"version":"v1"}${' '.repeat(4 * mostBytes)}`), 8_000, 'v1', 0);
  store.close();
  for (const flags of [[], ['--yes']]) {
    const refused = await cluster('recover', '--data', dir, ...flags);
    expect(refused.code).toBe(2);
    expect(refused.err).toMatch(
      /^block 3 has 3\d{6} bytes, and max_payload of the nats-servers is 1048576: set it to \d+ or more on each of them, restart them, and run this again\n$/,
    );
    const needed = Number(/set it to (\d+)/.exec(refused.err)![1]);
    expect(needed).toBeGreaterThan(3 * mostBytes);
  }
  expect(await streamRange(connection, settings())).toEqual({ first: 1, last: 1 });
});

test('doctor - looks at the servers and the stream of LAMPPOST_LOG', async () => {
  await started(3);
  await makeStream({ discard: 'old' });
  await servers[2]!.end();
  const keys = { LAMPPOST_ADMIN_KEY: 'a'.repeat(32), LAMPPOST_SECRETS_KEY: 's'.repeat(32) };
  const ran = await lamppost(['doctor'], { LAMPPOST_LOG: settings().servers.join(','), ...keys });
  expect(ran.code).toBe(1);
  const said = ran.out.split('\n').filter((line) => line.startsWith('cluster: '));
  expect(said[0]).toMatch(/^cluster: nats:\/\/127\.0\.0\.1:\d+: NATS 2\.\d+\.\d+, max_payload 1 MiB$/);
  expect(said[2]).toMatch(/no NATS server of LAMPPOST_LOG can be reached/);
  expect(said).toContain('cluster: stream lamppost: it drops what is old when it is full; set discard to new');
  expect(said.at(-1)).toMatch(/^cluster: durability: 3 replicas\. Any 1 of them may be lost.*cluster recover/);
});

test('doctor - asks the monitoring port of the very server whether it syncs before it acknowledges', async () => {
  await started(1);
  const found = await inspectCluster(settings(), () => servers[0]!.monitor);
  expect(found.at(-1)!.said).toMatch(/one replica/);
  expect(found.every(({ well }) => well)).toBe(true);
});
