import { join } from 'node:path';
import mqtt from 'mqtt';
import { afterEach, expect, test } from 'vitest';
import type { Alert, Block } from '../../../domain/index.ts';
import { JournalReader } from '../../../journal/index.ts';
import { Cluster } from '../../kit/cluster.ts';
import type { ServerProcess } from '../../kit/server.ts';
import { until } from '../../kit/wait.ts';

let cluster: Cluster | null = null;
afterEach(async () => {
  await cluster?.end();
});

const SILENT_MS = 12_000;
/** A node says that it is cut off after so long. */
const AWAY_MS = 5_000;
const RULE =
  'id: silent\ntitle: "{{device.name}}"\nwhere: { profile: waste-bin }\nwhen: { absent: 12s }\nseverity: low\n';

function blocksOf(node: ServerProcess): Block[] {
  const reader = new JournalReader(join(node.data, 'journal.sqlite')).open();
  const blocks = reader.after(0, 1_000_000);
  reader.close();
  return blocks;
}

/** A device that reports once, and is silent from then on; resolves to when it was heard. */
async function silentDevice(node: ServerProcess): Promise<number> {
  await node.post('/api/v1/rules', { text: RULE, note: 'for the test' });
  const device = { id: 'bin-1', profile: 'waste-bin', district: 'old-town' };
  const { secret: password } = await node.post<{ secret: string }>('/api/v1/devices', device);
  const options = { username: 'bin-1', password, clientId: 'bin-1' };
  const connect = () => mqtt.connectAsync(`mqtt://127.0.0.1:${node.mqttPort}`, options).catch(() => null);
  const client = await until(connect, 'the device');
  await client.publishAsync('devices/bin-1/readings', JSON.stringify({ metrics: { fill: 10 } }), { qos: 1 });
  await client.endAsync();
  return blocksOf(node).findLast(({ kind }) => kind === 'messages')!.steadyAt;
}

/** When the device was found silent, and for how long the log says that nobody listened since it was heard. */
async function foundSilent(node: ServerProcess, heardAt: number) {
  const alerts = () => node.all<Alert>('/api/v1/alerts');
  const alert = await until(
    async () => (await alerts()).find(({ rule, state }) => rule === 'silent' && state === 'firing'),
    'the alert of a silent device',
  );
  const at = Date.parse(alert.since);
  const blocks = blocksOf(node).filter(({ steadyAt }) => steadyAt >= heardAt && steadyAt <= at);
  const pauses = blocks.flatMap(({ kind, steadyAt }, n) =>
    kind === 'start' ? [steadyAt - blocks[n - 1]!.steadyAt] : [],
  );
  return { at, first: pauses[0], pausedMs: pauses.reduce((sum, ms) => sum + ms, 0) };
}

test('outage - all nodes and all nats-servers are killed: the time until they are back is no silence of a device', async () => {
  cluster = await new Cluster().start(3);
  const heardAt = await silentDevice(cluster.nodes[0]!);
  await Promise.all(cluster.nodes.map((node) => node.kill()));
  await Promise.all(cluster.servers.map((server) => server.end()));
  const downFrom = Date.now();
  for (const server of cluster.servers) await server.launch();
  const downMs = Date.now() - downFrom;
  await Promise.all(cluster.nodes.map((node) => node.start()));
  for (const node of cluster.nodes) {
    const { at, first, pausedMs } = await foundSilent(node, heardAt);
    expect(first).toBeGreaterThanOrEqual(downMs);
    expect(at).toBe(heardAt + SILENT_MS + pausedMs);
  }
});

test('outage - the nats-servers are killed and the nodes go on: nobody is heard meanwhile, and nobody is silent', async () => {
  cluster = await new Cluster().start(3);
  const heardAt = await silentDevice(cluster.nodes[0]!);
  await Promise.all(cluster.servers.map((server) => server.end()));
  // Other reasons, such as rules that are a moment behind, say nothing about the log.
  const isAway = async (node: ServerProcess) =>
    (await (await fetch(`${node.url}/ready`)).text()).includes('the replicated log cannot be reached');
  for (const node of cluster.nodes) await until(() => isAway(node), 'a node that is cut off');
  for (const server of cluster.servers) await server.launch();
  for (const node of cluster.nodes) await until(() => node.isReady(), 'a node that is ready again');
  for (const node of cluster.nodes) {
    const { at, first, pausedMs } = await foundSilent(node, heardAt);
    expect(first).toBeGreaterThanOrEqual(AWAY_MS);
    expect(at).toBe(heardAt + SILENT_MS + pausedMs);
  }
});
