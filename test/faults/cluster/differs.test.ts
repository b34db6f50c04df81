import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import mqtt from 'mqtt';
import { afterEach, expect, test } from 'vitest';
import type { SeenNode } from '../../../cluster/index.ts';
import type { Ticket } from '../../../domain/index.ts';
import { MARK_BLOCKS } from '../../../rules/index.ts';
import { Cluster } from '../../kit/cluster.ts';
import type { ServerProcess } from '../../kit/server.ts';
import { until } from '../../kit/wait.ts';

let cluster: Cluster | null = null;
afterEach(async () => {
  await cluster?.end();
});

/** Exit code of a node that must not go on with its data. */
const DAMAGED = 74;
const WANTED = { service: 'waste', title: 'Broken bin', district: 'harbour' };

/** Publishes one message after another at a node, each a record, until it has passed the next mark. */
async function passMark(node: ServerProcess, username: string, password: string): Promise<void> {
  const login = { username, password, clientId: username };
  const device = await until(
    () => mqtt.connectAsync(`mqtt://127.0.0.1:${node.mqttPort}`, login).catch(() => null),
    'a device that is known',
  );
  const newest = async () => {
    const { node: name, nodes } = await node.get<{ node: string; nodes: SeenNode[] }>('/api/v1/cluster');
    return nodes.find((one) => one.node === name)!.decided;
  };
  const mark = (Math.floor((await newest()) / MARK_BLOCKS) + 1) * MARK_BLOCKS;
  while ((await newest()) < mark) {
    for (let n = 0; n < 50; n++)
      await device.publishAsync(`devices/${username}/readings`, JSON.stringify({ metrics: { fill: 10 } }), { qos: 1 });
  }
  await device.endAsync();
}

test('cluster - a node that decided something else than the others stops and says so, and they go on', async () => {
  cluster = await new Cluster().start(3);
  const [a, b, c] = cluster.nodes as [ServerProcess, ServerProcess, ServerProcess];
  const wanted = ['bin-1', 'bin-2'].map((id) => ({ id, profile: 'waste-bin', district: 'old-town' }));
  const made = await a.post<{ id: string; secret: string }[]>('/api/v1/devices', wanted);
  await a.post<Ticket>('/api/v1/tickets', WANTED);
  await until(async () => (await c.all('/api/v1/tickets')).length === 1, 'the ticket at the third node');
  expect(await c.stop(), c.output).toBe(0);
  // As if it had decided something else at some record before.
  const state = new DatabaseSync(join(c.data, 'state.sqlite'));
  expect(state.prepare('update rules_checksum set hash = ?').run('f'.repeat(64)).changes).toBe(1);
  state.close();
  await c.start();
  await Promise.all([a, b].map((node, n) => passMark(node, made[n]!.id, made[n]!.secret)));
  expect(await c.ended()).toBe(DAMAGED);
  expect(c.output).toMatch(
    /this node decided something else than node-0, node-1 between blocks \d+ and \d+ of the log/,
  );
  const after = await a.post<Ticket>('/api/v1/tickets', WANTED);
  await until(
    async () => (await b.all<Ticket>('/api/v1/tickets')).some(({ id }) => id === after.id),
    'the next ticket',
  );
});
