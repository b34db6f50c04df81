import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { afterEach, expect, test } from 'vitest';
import {
  connectTo,
  createNodes,
  IDENTITY_FILE,
  identityOf,
  type NodeIdentity,
  type NodeReport,
  type Nodes,
  readNodes,
} from '../../cluster/index.ts';
import type { LamppostError } from '../../domain/index.ts';
import { type NatsServer, nodeOf, startedNats } from '../kit/nats.ts';
import { until } from '../kit/wait.ts';

const log = pino({ level: 'silent' });
const folder = () => mkdtempSync(join(tmpdir(), 'lamppost-node-'));

const REPORT: NodeReport = {
  ...{ version: '1.0.0', startedAt: '2026-11-30T00:00:00.000Z', ready: true, reasons: [] },
  ...{ mirrored: 10, decided: 9, stored: 8, lagMs: 12, holds: ['notify'], checksums: [{ seq: 9, hash: 'ab' }] },
  ...{ http: '10.0.0.1:8080', mqtt: '10.0.0.1:1883', clients: 3 },
};

let servers: NatsServer[] = [];
const undo: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const one of undo.splice(0).reverse()) await one();
  for (const server of servers) await server.end();
});

interface Made {
  readonly nodes: Nodes;
  readonly taken: LamppostError[];
  /** Ends it as a kill does: it says nothing more. */
  crash(): Promise<void>;
}

async function make(identity: NodeIdentity, report: () => NodeReport = () => REPORT): Promise<Made> {
  const settings = nodeOf(servers, identity.node);
  const connection = await connectTo(settings, 'test');
  const taken: LamppostError[] = [];
  const onTaken = (error: LamppostError) => taken.push(error);
  const nodes = createNodes({ connection, settings, identity, describe: report, onTaken, log });
  undo.push(async () => {
    await nodes.stop();
    await connection.close();
  });
  const crash = () => connection.close();
  return { nodes, taken, crash };
}

test('nodes - each sees what the others say of themselves, and how old that is', async () => {
  servers = await startedNats(3);
  const a = await make(identityOf(folder(), 'a'));
  const b = await make(identityOf(folder(), 'b'), () => ({ ...REPORT, mirrored: 20 }));
  await a.nodes.start();
  await b.nodes.start();
  await until(() => a.nodes.list().length === 2, 'a to see b');
  expect(a.nodes.list()).toMatchObject([
    { node: 'a', mirrored: 10, state: 'running', holds: ['notify'] },
    { node: 'b', mirrored: 20, state: 'running' },
  ]);
  expect(a.nodes.list()[1]!.ageMs).toBeLessThan(15_000);

  await b.nodes.stop();
  await until(() => a.nodes.list()[1]!.state === 'stopped', 'a to see that b stopped');
  const connection = await connectTo(nodeOf(servers, 'status'), 'test');
  const settings = nodeOf(servers, 'status');
  expect((await readNodes(connection, settings)).map(({ node, state }) => [node, state])).toEqual([
    ['a', 'running'],
    ['b', 'stopped'],
  ]);
  await connection.close();
});

test('nodes - a node that says nothing for 15 s is gone, and comes back', async () => {
  servers = await startedNats(1);
  const dir = folder();
  const [a, b] = [await make(identityOf(folder(), 'a')), await make(identityOf(dir, 'b'))];
  await a.nodes.start();
  await b.nodes.start();
  await b.crash();
  await until(() => a.nodes.list().find(({ node }) => node === 'b')?.state === 'gone', 'b to be gone', 100);
  const again = await make(identityOf(dir, 'b'));
  await again.nodes.start();
  await until(() => a.nodes.list().find(({ node }) => node === 'b')?.state === 'running', 'b to be back');
});

test('nodes - a second process of one name is refused while the first one runs', async () => {
  servers = await startedNats(1);
  const first = await make(identityOf(folder(), 'a'));
  await first.nodes.start();
  const second = await make(identityOf(folder(), 'a'));
  await expect(second.nodes.start()).rejects.toThrow(
    'LAMPPOST_NODE: another Lamppost with the name a runs at 10.0.0.1:8080 since 2026-11-30T00:00:00.000Z: ' +
      'give each node a name of its own, or stop that one',
  );
  expect(first.taken).toEqual([]);
});

test('nodes - a restart over the same folder takes its name at once, and after a crash over an empty one it waits', async () => {
  servers = await startedNats(1);
  const dir = folder();
  const first = await make(identityOf(dir, 'a'));
  await first.nodes.start();
  await first.crash();
  const second = await make(identityOf(dir, 'a'));
  await second.nodes.start();
  await second.crash();
  const third = await make(identityOf(folder(), 'a'));
  await third.nodes.start();
  expect(third.nodes.list()).toHaveLength(1);
});

test('nodes - of two processes over copies of one folder the earlier one stops', async () => {
  servers = await startedNats(1);
  const dir = folder();
  const first = await make(identityOf(dir, 'a'));
  await first.nodes.start();
  const second = await make(identityOf(dir, 'a'));
  await second.nodes.start();
  await until(() => first.taken.length > 0, 'the first one to know');
  expect(first.taken[0]!.message).toContain('another Lamppost with the name a runs');
  expect(second.taken).toEqual([]);
});

test('nodes - a data folder belongs to one node; half a file says nothing', () => {
  const dir = folder();
  const { installation, run } = identityOf(dir, 'a');
  expect(identityOf(dir, 'a').installation).toBe(installation);
  expect(identityOf(dir, 'a').run).not.toBe(run);
  expect(() => identityOf(dir, 'b')).toThrow(/is the data folder of node a, and this is node b: set LAMPPOST_NODE=a/);
  writeFileSync(join(dir, IDENTITY_FILE), '{"installa');
  expect(identityOf(dir, 'b').node).toBe('b');
  expect(JSON.parse(readFileSync(join(dir, IDENTITY_FILE), 'utf8')).node).toBe('b');
});
