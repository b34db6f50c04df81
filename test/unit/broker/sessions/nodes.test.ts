import { cpSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { fiveLogin, type RawClient, rawLogin, type Scene, SECRET, startBroker } from '../../../kit/broker/kit.ts';
import { MemoryLog, type NodeOfLog } from '../../../kit/broker/nodes.ts';
import { acknowledge, keptSession, leave, payloads, range, subscribe } from '../../../kit/broker/sessions.ts';
import { until } from '../../../kit/wait.ts';

type Setting = NonNullable<Parameters<typeof startBroker>[0]>;
type TestNode = Scene & { readonly view: NodeOfLog };

/** Several brokers over one log, whose time the test moves. */
class Cluster {
  /** Moves time on beside that of the machine. */
  aheadMs = 0;
  readonly log = new MemoryLog(() => this.now());
  readonly nodes: TestNode[] = [];

  now(): number {
    return Math.floor(performance.now()) + this.aheadMs;
  }

  async start(name: string, more: Setting = {}): Promise<TestNode> {
    const view = this.log.node(name);
    const scene = await startBroker({ clock: this, records: view, ...more });
    const node = Object.assign(scene, { view });
    this.nodes.push(node);
    return node;
  }

  /** Every node decides the same event. */
  publish(...payloads: (string | number)[]): void {
    for (const payload of payloads) {
      const event = { topic: 'events/tickets/waste/1', payload: String(payload), qos: 1, retain: false } as const;
      for (const node of this.nodes) node.publish(event);
    }
  }

  /** Nodes hear of each other as they do over a file: again and again. */
  readonly #listening = setInterval(() => {
    for (const { broker } of this.nodes) broker.recorded();
  }, 5);

  async stop(): Promise<void> {
    for (const node of this.nodes) await node.stop();
    clearInterval(this.#listening);
  }
}

let cluster = new Cluster();
afterEach(async () => {
  await cluster.stop();
  cluster = new Cluster();
});

/** Two nodes that know each other. */
async function two(): Promise<[TestNode, TestNode]> {
  const nodes = [await cluster.start('x'), await cluster.start('y')] as [TestNode, TestNode];
  await until(() => cluster.log.records.length >= 2, 'both nodes in the log');
  return nodes;
}

const isPresent = (client: RawClient) => client.got('connack')[0]!.sessionPresent;
const changes = () => cluster.log.records.flatMap(({ control }) => control.changes);

let looks = 0;

/** Payloads of the status of a device, as a node has it for whoever subscribes now. */
async function statusAt(node: Scene, device = 'bin-1'): Promise<string | undefined> {
  const client = await rawLogin(node.port, 'admin', { clientId: `looks-${++looks}` });
  await subscribe(client, [`devices/${device}/status`, 0]);
  await client.ping();
  client.socket.destroy();
  await client.closed;
  return payloads(client).at(-1);
}

test('nodes - a client comes back on another node and goes on after what it has acknowledged', async () => {
  const [x, y] = await two();
  const client = await keptSession(x, 'admin', { acknowledges: false });
  expect(isPresent(client)).toBe(false);
  await subscribe(client, 'events/#');
  cluster.publish(1, 2, 3);
  await until(() => payloads(client).length === 3, 'three events');
  for (const { messageId } of client.got('publish').slice(0, 2)) acknowledge(client, messageId!);
  await client.ping();
  await leave(x, client);
  // Where the client is faster than this record, what it has acknowledged in the last second comes again.
  await until(() => changes().some((one) => one.do === 'off'), 'the end of the connection');
  cluster.publish(4, 5);
  const back = await keptSession(y, 'admin');
  expect(isPresent(back)).toBe(true);
  await until(() => payloads(back).length >= 3, 'the rest');
  cluster.publish(6);
  await until(() => payloads(back).includes('6'), 'what is new');
  expect(payloads(back)).toEqual(['3', '4', '5', '6']);
  expect(back.got('publish').every(({ retain }) => !retain)).toBe(true);
});

test('nodes - a group of shared subscriptions is not for several nodes: CONNACK and SUBACK say so', async () => {
  const [x] = await two();
  const client = await fiveLogin(x.port, 'admin', { properties: { sessionExpiryInterval: 600 } });
  expect(client.got('connack')[0]!.properties!.sharedSubscriptionAvailable).toBe(false);
  expect(await subscribe(client, '$share/g/events/#', 'events/#')).toEqual([0x9e, 1]);
  cluster.publish(1);
  await until(() => payloads(client).length === 1, 'the event, once');
});

test('nodes - a folder whose sessions had groups goes on without them as the first node of a cluster', async () => {
  const alone = await startBroker();
  const client = await keptSession(alone, 'admin');
  await subscribe(client, '$share/g/events/#', 'events/#');
  await leave(alone, client);
  await alone.stop();
  const node = await cluster.start('x', { dir: alone.dir, outbox: alone.outbox });
  await until(() => changes().some((one) => one.do === 'subscribe'), 'the session in the log');
  expect(changes().filter((one) => one.do === 'begin')).toHaveLength(1);
  const back = await keptSession(node, 'admin');
  cluster.publish(1);
  await until(() => payloads(back).length === 1, 'the event, once');
});

test('nodes - a session moves with every record that the other node wrote, however far behind this one is', async () => {
  const [x, y] = await two();
  y.view.sees = cluster.log.head;
  const client = await keptSession(x, 'admin');
  await subscribe(client, 'events/#');
  await leave(x, client);
  let isBack = false;
  const connecting = keptSession(y, 'admin').finally(() => {
    isBack = true;
  });
  const other = await rawLogin(y.port, 'waste');
  await other.ping();
  await other.ping();
  expect(isBack, 'it has its CONNACK').toBe(false);
  y.view.sees = Number.POSITIVE_INFINITY;
  const back = await connecting;
  expect(isPresent(back)).toBe(true);
  cluster.publish(1);
  await until(() => payloads(back).length === 1, 'the event');
});

test('nodes - the SUBACK of a kept session waits for the log', async () => {
  const [x] = await two();
  const client = await keptSession(x, 'admin');
  x.view.isAway = true;
  const subscribed = subscribe(client, 'events/#');
  await client.ping();
  await client.ping();
  expect(client.got('suback')).toEqual([]);
  x.view.isAway = false;
  expect(await subscribed).toEqual([1]);
  expect(changes().map((one) => one.do)).toEqual(['on', 'begin', 'subscribe']);
});

test('nodes - a client id that connects to another node ends its connection here, and is told why', async () => {
  const [x, y] = await two();
  const first = await fiveLogin(x.port, 'admin', { clientId: 'one' });
  const second = await fiveLogin(y.port, 'admin', { clientId: 'one' });
  await first.closed;
  expect(first.got('disconnect')[0]).toMatchObject({
    reasonCode: 0x8e,
    properties: { userProperties: { reason: 'taken-over' } },
  });
  await second.ping();
  // And back, with a session as without one.
  const third = await rawLogin(x.port, 'admin', { clientId: 'one', clean: false });
  await second.closed;
  await third.ping();
});

test('nodes - a clean session on one node ends the kept one of another', async () => {
  const [x, y] = await two();
  const kept = await keptSession(x, 'admin');
  await subscribe(kept, 'events/#');
  const clean = await rawLogin(y.port, 'admin', { clientId: 'a' });
  await kept.closed;
  await until(() => x.broker.counts().sessions === 0 && y.broker.counts().sessions === 0, 'no session');
  await clean.ping();
  expect(isPresent(await keptSession(x, 'admin'))).toBe(false);
});

test('nodes - all agree on the status of a device: connected, moved, gone', async () => {
  const [x, y] = await two();
  const device = await rawLogin(x.port, 'bin-1');
  await expect.poll(() => statusAt(x)).toBe('online');
  await expect.poll(() => statusAt(y)).toBe('online');
  const moved = await rawLogin(y.port, 'bin-1');
  await device.closed;
  await moved.ping();
  expect(await statusAt(x)).toBe('online');
  await leave(y, moved);
  await expect.poll(() => statusAt(x)).toBe('offline');
  await expect.poll(() => statusAt(y)).toBe('offline');
});

test('nodes - the devices of a node that is gone are offline once the others have gone on for ten seconds', async () => {
  const [x, y] = await two();
  await rawLogin(x.port, 'bin-1');
  await expect.poll(() => statusAt(y)).toBe('online');
  x.view.isAway = true;
  const start = cluster.log.head;
  for (let more = 1; more <= 4; more++) {
    cluster.aheadMs += 3_000;
    const before = cluster.log.head;
    const client = await rawLogin(y.port, 'bin-2');
    await leave(y, client);
    await until(() => cluster.log.head > before, 'the login in the log');
  }
  expect(cluster.log.head).toBeGreaterThan(start);
  await expect.poll(() => statusAt(y)).toBe('offline');
});

test('nodes - while nobody can append nobody is gone, however long that lasts', async () => {
  const [x, y] = await two();
  await rawLogin(x.port, 'bin-1');
  await expect.poll(() => statusAt(y)).toBe('online');
  cluster.aheadMs += 3_600_000;
  const client = await rawLogin(y.port, 'bin-2');
  await expect.poll(() => statusAt(y, 'bin-2')).toBe('online');
  expect(await statusAt(y)).toBe('online');
  await client.ping();
});

test('nodes - one that was taken for gone ends its connections when it learns it, and takes new ones', async () => {
  const [x, y] = await two();
  const device = await fiveLogin(x.port, 'bin-1');
  await expect.poll(() => statusAt(y)).toBe('online');
  x.view.sees = cluster.log.head;
  x.view.isAway = true;
  for (let more = 1; more <= 4; more++) {
    cluster.aheadMs += 3_000;
    const before = cluster.log.head;
    await leave(y, await rawLogin(y.port, 'bin-2'));
    await until(() => cluster.log.head > before, 'the login in the log');
  }
  x.view.isAway = false;
  x.view.sees = Number.POSITIVE_INFINITY;
  await device.closed;
  expect(device.got('disconnect')[0]).toMatchObject({ reasonCode: 0x9c });
  await rawLogin(x.port, 'bin-1');
  await expect.poll(() => statusAt(y)).toBe('online');
});

test('nodes - a planned stop says who was connected; a crash is made good by the next start', async () => {
  const [x, y] = await two();
  await rawLogin(x.port, 'bin-1');
  await expect.poll(() => statusAt(y)).toBe('online');
  await x.stop();
  await expect.poll(() => statusAt(y)).toBe('offline');

  const again = await cluster.start('x', { dir: x.dir });
  await rawLogin(again.port, 'bin-1');
  await expect.poll(() => statusAt(y)).toBe('online');
  again.view.isAway = true;
  await cluster.start('x', { dir: copyOf(again) });
  await expect.poll(() => statusAt(y)).toBe('offline');
});

/** What is in the files of a node at this moment. */
function copyOf({ dir }: Scene): string {
  const copy = mkdtempSync(join(tmpdir(), 'lamppost-copy-'));
  cpSync(dir, copy, { recursive: true });
  return copy;
}

test('nodes - a node that starts from the files of another has its sessions, and nothing that is its own', async () => {
  const [x] = await two();
  const will = { topic: 'devices/bin-2/readings', payload: Buffer.from('{}'), qos: 1, retain: false };
  await rawLogin(x.port, 'bin-2', { will });
  const client = await keptSession(x, 'admin');
  await subscribe(client, 'events/#');
  await leave(x, client);
  await until(() => changes().some((one) => one.do === 'off'), 'the end of the connection');
  const z = await cluster.start('z', { dir: copyOf(x), outbox: x.outbox.copy() });
  cluster.publish(1);
  const back = await keptSession(z, 'admin');
  expect(isPresent(back)).toBe(true);
  await until(() => payloads(back).length === 1, 'the event');
  expect(z.sink.taken, 'the will is that of a connection of x').toEqual([]);
});

test('nodes - the sessions of one machine are those of the cluster that it becomes', async () => {
  const alone = await startBroker();
  const client = await keptSession(alone, 'admin', { acknowledges: false });
  await subscribe(client, 'events/#', ['devices/+/status', 0]);
  for (const n of [1, 2]) alone.publish({ topic: 'events/tickets/waste/1', payload: String(n), qos: 1, retain: false });
  await until(() => payloads(client).length === 2, 'two events');
  acknowledge(client, client.got('publish')[0]!.messageId!);
  await client.ping();
  await leave(alone, client);
  await alone.stop();

  await cluster.start('x', { dir: alone.dir, outbox: alone.outbox.copy() });
  const y = await cluster.start('y', { outbox: alone.outbox.copy() });
  await until(() => y.broker.counts().sessions === 1, 'the session at the other node');
  cluster.publish(3);
  const back = await keptSession(y, 'admin');
  expect(isPresent(back)).toBe(true);
  await until(() => payloads(back).length >= 2, 'what waits');
  expect(payloads(back)).toEqual(['2', '3']);
});

test('nodes - a session ends with the secret that opened it, whichever node its client comes to', async () => {
  const [x, y] = await two();
  const client = await keptSession(x, 'admin');
  await subscribe(client, 'events/#');
  await leave(x, client);
  const { nodes } = cluster;
  expect(nodes.length).toBe(2);
  await until(() => y.broker.counts().sessions === 1, 'the session at the other node');
  await x.stop();
  const z = await cluster.start('z', { dir: copyOf(y), secrets: { admin: 'another secret of the same length!!' } });
  const other = { password: Buffer.from('another secret of the same length!!'), clientId: 'a', clean: false };
  expect(SECRET).not.toBe(other.password.toString());
  expect(isPresent(await rawLogin(z.port, 'admin', other))).toBe(false);
  await until(() => y.broker.counts().sessions === 0, 'no session');
});

test('nodes - a storm of logins is a few records, and places are one a second at most', async () => {
  const [x] = await two();
  const before = cluster.log.records.length;
  const startedMs = performance.now();
  const clients = await Promise.all(range(1, 20).map((n) => keptSession(x, 'admin', { clientId: `c${n}` })));
  await Promise.all(clients.map((client) => subscribe(client, 'events/#')));
  cluster.publish(...range(1, 30));
  await until(() => clients.every((client) => payloads(client).length === 30), 'all events');
  await until(() => changes().filter((one) => one.do === 'place').length >= 20, 'places');
  const records = cluster.log.records.slice(before);
  const tenths = Math.ceil((performance.now() - startedMs) / 100);
  const ofX = records.filter(({ control }) => control.node === 'x');
  expect(ofX.length).toBeLessThanOrEqual(tenths + 1);
  const placing = ofX.filter(({ control }) => control.changes.some((one) => one.do === 'place'));
  for (const [i, one] of placing.slice(1).entries()) expect(one.atMs - placing[i]!.atMs).toBeGreaterThanOrEqual(1_000);
});

const lastWords = (device: string, properties = {}) => ({
  will: {
    topic: `devices/${device}/readings`,
    payload: Buffer.from(`of ${device}`),
    qos: 1,
    retain: false,
    properties,
  },
});
const spoken = ({ sink }: Scene) => sink.taken.map(({ payload }) => payload);

test('nodes - a delayed will is not that of a client that is at another node by then (MQTT-3.1.3-9)', async () => {
  const [x, y] = await two();
  const kept = (device: string) => ({
    ...lastWords(device, { willDelayInterval: 1 }),
    properties: { sessionExpiryInterval: 60 },
  });
  for (const device of ['bin-1', 'bin-2']) {
    const gone = await fiveLogin(x.port, device, kept(device));
    gone.socket.destroy();
    await gone.closed;
    if (device === 'bin-1') await fiveLogin(y.port, device, kept(device));
  }
  await until(() => spoken(x).includes('of bin-2'), 'the will of whoever did not come back');
  expect(spoken(x)).toEqual(['of bin-2']);
});

test('nodes - wills that a crash left are not those of clients that are at another node since', async () => {
  const [x, y] = await two();
  for (const device of ['bin-1', 'bin-2']) await rawLogin(x.port, device, lastWords(device));
  const crashed = { dir: copyOf(x), outbox: x.outbox.copy() };
  await x.stop();
  cluster.nodes.splice(0, 1);
  await rawLogin(y.port, 'bin-1');
  const again = await cluster.start('x', crashed);
  await until(() => spoken(again).length > 0, 'the will of the other one');
  expect(spoken(again)).toEqual(['of bin-2']);
});

test('nodes - while the log is away, a client that comes again and again waits with one entry', async () => {
  const [x] = await two();
  x.view.isAway = true;
  for (let n = 0; n < 6; n++) {
    await leave(x, await rawLogin(x.port, 'bin-1'));
  }
  x.view.isAway = false;
  await rawLogin(x.port, 'bin-2');
  await until(() => changes().some((one) => one.do === 'on' && one.id === 'bin-2'), 'a later client');
  const ends = () => changes().filter((one) => one.do === 'off').length;
  // The last end may come a moment after the later client.
  await until(() => ends() > 0, 'the end of the first client');
  // One waits, and another one may be in the record that is sent again and again.
  expect(ends()).toBeLessThanOrEqual(2);
});
