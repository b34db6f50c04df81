import mqtt from 'mqtt';
import { afterEach, expect, test } from 'vitest';
import type { Ticket } from '../../../domain/index.ts';
import { appendRecord } from '../../kit/cluster/append.ts';
import { nextRelease } from '../../kit/cluster/next-release.ts';
import { Cluster } from '../../kit/cluster.ts';
import type { ServerProcess } from '../../kit/server.ts';
import { until } from '../../kit/wait.ts';

let cluster: Cluster | null = null;
afterEach(async () => {
  await cluster?.end();
});

const PROFILE = { id: 'bin-1', profile: 'waste-bin', district: 'old-town' };

/** Publishes so many readings over one connection, each acknowledged. */
async function publish(node: ServerProcess, secret: string, from: number, fills: readonly number[]): Promise<void> {
  const options = { username: 'bin-1', password: secret, clientId: 'bin-1' };
  const connect = () => mqtt.connectAsync(`mqtt://127.0.0.1:${node.mqttPort}`, options).catch(() => null);
  const device = await until(connect, 'a device that connects');
  for (const [n, fill] of fills.entries()) {
    const body = { ts: from + n * 1_000, metrics: { fill } };
    await device.publishAsync('devices/bin-1/readings', JSON.stringify(body), { qos: 1 });
  }
  await device.endAsync();
}

/** Resolves once a node has so many readings. */
const stored = (node: ServerProcess, count: number) =>
  until(async () => (await node.settledLedger()).readings.stored === count, `${count} readings`);

test('upgrade - node after node: a new one goes on with old ones, an old one stops at a record that it does not know, and catches up once it is new', async () => {
  const next = nextRelease();
  cluster = await new Cluster().start(3);
  const [a, b, c] = cluster.nodes as [ServerProcess, ServerProcess, ServerProcess];
  const { secret } = await a.post<{ secret: string }>('/api/v1/devices', PROFILE);
  const from = Date.now() - 3_600_000;
  await publish(b, secret, from, [10, 11]);

  // What a new node writes while it does what the old ones know is read by them.
  expect(await a.stop()).toBe(0);
  a.bin = next;
  await a.start();
  await publish(a, secret, from + 60_000, [12, 97]);
  for (const node of [a, b, c]) await stored(node, 4);
  expect(await c.stop()).toBe(0);
  c.bin = next;
  await c.start();

  const seq = await appendRecord(cluster.servers, { v: 2, kind: 'tick', body: {} });
  const why = `record ${seq} of the log has version 2, which a newer Lamppost wrote: update this node`;
  expect(await b.ended()).toBe(1);
  expect(b.output.trim().split('\n').at(-1)).toContain(why);
  expect(b.output).not.toContain('.ts:');
  // It does not come back as it is, and the others go on.
  await expect(b.start()).rejects.toThrow(why);
  expect(await b.ended()).toBe(1);
  await publish(c, secret, from + 120_000, [13, 14]);
  for (const node of [a, c]) await stored(node, 6);

  b.bin = next;
  await b.start();
  await stored(b, 6);
  const tickets = await Promise.all([a, b, c].map((node) => node.all<Ticket>('/api/v1/tickets')));
  expect(tickets[0]).toHaveLength(1);
  expect(tickets[1]).toEqual(tickets[0]);
  expect(tickets[2]).toEqual(tickets[0]);
});

test('upgrade - an action that a node does not know stops it: refused, its tickets would differ from those of new nodes', async () => {
  cluster = await new Cluster().start(1);
  const [node] = cluster.nodes as [ServerProcess];
  const actor = { kind: 'key', id: 'admin', role: 'admin', department: null };
  const item = { id: 'r1', actor, address: null, key: null, command: { do: 'ticket.praise', ticket: 't-1-0' } };
  const seq = await appendRecord(cluster.servers, { v: 1, kind: 'actions', body: { items: [item] } });
  const why = `the action ticket.praise at ${seq}-0 of the log is one that a newer Lamppost wrote: update this node`;
  expect(await node.ended()).toBe(1);
  expect(node.output.trim().split('\n').at(-1)).toContain(why);
});
