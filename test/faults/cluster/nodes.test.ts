import mqtt from 'mqtt';
import { afterEach, expect, test } from 'vitest';
import type { SeenNode } from '../../../cluster/index.ts';
import type { Ledger, Ticket } from '../../../domain/index.ts';
import { Cluster } from '../../kit/cluster.ts';
import { hasNetworks, Network } from '../../kit/machines.ts';
import { ADMIN_KEY, type ServerProcess } from '../../kit/server.ts';
import { createSseReader } from '../../kit/sse-reader.ts';
import { until } from '../../kit/wait.ts';

let cluster: Cluster | null = null;
let network: Network | null = null;
afterEach(async () => {
  await cluster?.end();
  network?.end();
});

const PROFILE = { id: 'bin-1', profile: 'waste-bin', district: 'old-town' };

function connectTo(node: ServerProcess, username: string, password: string) {
  return mqtt.connectAsync(`mqtt://127.0.0.1:${node.mqttPort}`, { username, password, clientId: username });
}

test('cluster - a device is registered at one node, publishes at another, and the ticket is acknowledged at the third: all have the same', async () => {
  cluster = await new Cluster().start(3);
  const [a, b, c] = cluster.nodes as [ServerProcess, ServerProcess, ServerProcess];
  const { secret } = await a.post<{ secret: string }>('/api/v1/devices', PROFILE);
  const device = await until(() => connectTo(b, 'bin-1', secret).catch(() => null), 'the device at the second node');
  await device.publishAsync('devices/bin-1/readings', JSON.stringify({ metrics: { fill: 97 } }), { qos: 1 });
  const tickets = (node: ServerProcess) => node.all<Ticket>('/api/v1/tickets');
  await until(async () => (await tickets(c)).length > 0, 'a ticket at the third node');
  const [ticket] = await tickets(c);
  await c.post(`/api/v1/tickets/${ticket!.id}/acknowledge`, {});
  for (const node of [a, b, c]) {
    await until(async () => (await tickets(node))[0]?.status === 'acknowledged', 'the same ticket');
    expect((await tickets(node)).map(({ id }) => id)).toEqual([ticket!.id]);
    expect((await node.settledLedger()).readings).toMatchObject({ received: 1, stored: 1 });
  }
  const events = await Promise.all([a, b, c].map((node) => node.all('/api/v1/events')));
  expect(events[1]).toEqual(events[0]);
  expect(events[2]).toEqual(events[0]);
  const reader = createSseReader({ url: () => (c.running ? c : a).url, key: ADMIN_KEY, last: '0' });
  await until(() => reader.received.length >= events[0]!.length, 'all events over a stream');
  await device.endAsync();
  // A stop in order gives back its name and its duties at once.
  expect(await c.stop()).toBe(0);
  const seen = async () => (await a.get<{ nodes: SeenNode[] }>('/api/v1/cluster')).nodes;
  const stopped = await until(
    async () => (await seen()).find(({ state }) => state === 'stopped'),
    'a stop that is seen',
  );
  expect(stopped.node).toBe('node-2');
  // Its reader goes on at another node, which has the same events under the same name.
  await a.post(`/api/v1/tickets/${ticket!.id}/comment`, { note: 'on the way' });
  const missing = () => reader.received.length < events[0]!.length + 1;
  await until(() => !missing(), 'an event over a stream of another node');
  await reader.end();
  expect(reader.resets).toEqual([]);
  expect(reader.received.map(({ n }) => n)).toEqual(reader.received.map((_, i) => i + 1));
});

test('cluster - kill -9 of a node and of a server under load: every acknowledged message is in every ledger once', async () => {
  cluster = await new Cluster().start(3);
  const [a, b, c] = cluster.nodes as [ServerProcess, ServerProcess, ServerProcess];
  const { secret } = await a.post<{ secret: string }>('/api/v1/devices', PROFILE);
  const device = await until(() => connectTo(b, 'bin-1', secret).catch(() => null), 'the device at the second node');
  const from = Date.now() - 3_600_000;
  let acknowledged = 0;
  const send = async (count: number) => {
    for (let n = 0; n < count; n++) {
      const body = { ts: from + acknowledged * 100, metrics: { fill: 10 } };
      await device.publishAsync('devices/bin-1/readings', JSON.stringify(body), { qos: 1 });
      acknowledged++;
    }
  };
  await send(100);
  await a.kill();
  await cluster.servers[2]!.end('SIGKILL');
  await send(100);
  await a.start();
  await cluster.servers[2]!.start();
  await send(100);
  await device.endAsync();
  for (const node of [a, b, c]) {
    const settled = async () => {
      const ledger: Ledger = await node.settledLedger();
      return ledger.readings.stored >= acknowledged && ledger;
    };
    const { readings } = await until(settled, 'all readings');
    expect(readings).toMatchObject({ received: 300, stored: 300, duplicate: 0, quarantined: 0 });
  }
});

test.skipIf(!hasNetworks())(
  'cluster - a machine that is cut off: its node shows what it had with its age and refuses the rest, the others go on, and it catches up',
  async () => {
    network = await Network.open(3);
    cluster = await new Cluster().start(3, {}, network.machines);
    const [a, , c] = cluster.nodes as [ServerProcess, ServerProcess, ServerProcess];
    const wanted = { service: 'waste', title: 'Broken bin', district: 'harbour' };
    const before = await a.post<Ticket>('/api/v1/tickets', wanted);
    const headers = { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json' };
    const ask = (node: ServerProcess, path: string, body?: object) =>
      fetch(node.url + path, { headers, ...(body && { method: 'POST', body: JSON.stringify(body) }) });
    const shown = async () => (await c.all<Ticket>('/api/v1/tickets')).map(({ id }) => id);
    await until(async () => (await shown()).includes(before.id), 'the ticket at the third node');
    expect((await ask(c, '/api/v1/tickets')).headers.get('age')).toBeNull();

    network.cutOff(2);
    await until(async () => (await ask(c, '/ready')).status === 503, 'a node that is not ready');
    const after = await until(() => a.post<Ticket>('/api/v1/tickets', wanted).catch(() => null), 'another ticket');
    const read = await ask(c, '/api/v1/tickets');
    expect(read.status).toBe(200);
    expect(Number(read.headers.get('age'))).toBeGreaterThan(0);
    expect(await shown()).toEqual([before.id]);
    const refused = await ask(c, `/api/v1/tickets/${before.id}/comment`, { note: 'is anybody there?' });
    expect([refused.status, await refused.json()]).toEqual([503, expect.objectContaining({ code: 'log-away' })]);

    network.rejoin(2);
    await until(async () => (await ask(c, '/ready')).status === 200, 'a node that is ready again');
    await until(async () => (await shown()).includes(after.id), 'what it missed');
    await until(async () => (await ask(c, '/api/v1/tickets')).headers.get('age') === null, 'reads without an age');
    const history = (await c.get<Ticket>(`/api/v1/tickets/${before.id}`)).history;
    expect(history.filter(({ note }) => note === 'is anybody there?').length).toBeLessThan(2);
  },
);
