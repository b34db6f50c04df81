import { randomUUID } from 'node:crypto';
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import mqtt, { type MqttClient } from 'mqtt';
import type { Ticket } from '../../../domain/index.ts';
import type { NumberedEvent } from '../../../events/index.ts';
import { createRandom } from '../../../simulators/city/random.ts';
import { numbersIn, START } from '../bins.ts';
import { Cluster } from '../cluster.ts';
import { Haproxy } from '../haproxy.ts';
import { HERE, hasNetworks, Network } from '../machines.ts';
import { WebhookReceiver } from '../receiver.ts';
import { ADMIN_KEY, type ServerProcess } from '../server.ts';
import { createSseReader } from '../sse-reader.ts';
import { pause, until } from '../wait.ts';
import { readMqtt } from '../webhooks.ts';
import { checkSubscribers } from './verify.ts';

/**
 * What happens to one machine of a cluster: to its node, its nats-server, both, its disk, or its network. Without root
 * there are no networks, and a partition is left out.
 */
export const CLUSTER_FAULTS = ['node', 'nats', 'machine', 'pause', 'empty-disk', 'partition'] as const;
type ClusterFault = (typeof CLUSTER_FAULTS)[number];

/** One run: faults one after another, under a load. */
export interface ClusterCampaign {
  readonly faults: readonly ClusterFault[];
  readonly seed: string;
  readonly devices: number;
  readonly clients: number;
  /** How often each device publishes, where it is acknowledged at once. */
  readonly everyMs: number;
  /** How long a node is paused, or a machine cut off. */
  readonly pauseMs: number;
  readonly onProgress?: (line: string) => void;
}

/** The result of a run. */
export interface ClusterOutcome {
  readonly acknowledged: number;
  /** Comments that were answered with 200. */
  readonly answered: number;
  readonly events: number;
  readonly faults: readonly Felt[];
  /** Nodes that ended by themselves, with what they said, and servers that stayed behind: they are started again. */
  readonly ended: readonly string[];
  /** What is wrong, as sentences. */
  readonly broken: readonly string[];
}

/** What others felt of one fault, ms. */
interface Felt {
  readonly fault: ClusterFault;
  /** The longest time without an acknowledgement to any device, and to the one that waited longest. */
  readonly gapMs: number;
  readonly worstMs: number;
  /** The longest time from an answered comment to the webhook that tells it. */
  readonly toldMs: number;
}

const CALM_MS = 2_000;
const STOP_MS = 30_000;
const BEHIND_MS = 60_000;

/**
 * Runs a cluster of three behind HAProxy, under load, while its parts fail; then every node and every subscriber is
 * asked for everything.
 */
export async function campaignOfCluster(options: ClusterCampaign): Promise<ClusterOutcome> {
  const { seed, onProgress = () => {} } = options;
  const random = createRandom(seed);
  const network = hasNetworks() ? await Network.open(3) : null;
  const drawn = options.faults.filter((fault) => network !== null || fault !== 'partition');
  const host = network?.gateway ?? HERE.host;
  const settings = { LAMPPOST_TRUSTED_PROXIES: host, WEBHOOK_ALLOW_PRIVATE: 'true' };
  const cluster = await new Cluster().start(3, settings, network?.machines);
  const front = new Haproxy();
  let load: Load | null = null;
  let subscribers: Awaited<ReturnType<typeof subscribe>> | null = null;
  try {
    await front.startBefore(cluster.nodes);
    const [mqttPort, httpPort] = front.ports as [number, number];
    load = new Load({ node: cluster.nodes[0]!, mqttPort, url: `http://${HERE.host}:${httpPort}` });
    subscribers = await subscribe(cluster.nodes[0]!, { host, mqttPort, httpPort }, load.told);
    await load.start(options);
    const faults: Felt[] = [];
    const ended: string[] = [];
    for (const fault of drawn) {
      const machine = Math.floor(random() * 3);
      load.felt();
      ended.push(...(await injected(cluster, network, { fault, machine, pauseMs: options.pauseMs })));
      await load.untilMore(20);
      await pause(CALM_MS);
      ended.push(...(await supervised(cluster, fault)));
      ended.push(...(await whole(cluster)));
      const felt = { fault, ...load.felt() };
      faults.push(felt);
      onProgress(
        `${faults.length}. ${fault} of machine ${machine}: ${JSON.stringify(felt)}, ${load.count} acknowledged`,
      );
    }
    await load.stop();
    ended.push(...(await supervised(cluster, 'the last fault')));
    const broken = await brokenIn(cluster, load);
    broken.push(...(await checkSubscribers(cluster.nodes[0]!, subscribers.receiver, subscribers)));
    const { length: events } = await cluster.nodes[0]!.all<NumberedEvent>('/api/v1/events');
    return { acknowledged: load.count, answered: load.answered.size, events, faults, ended, broken };
  } finally {
    await load?.stop();
    await subscribers?.end();
    await front.stop();
    await cluster.end();
    network?.end();
  }
}

/**
 * Resolves once every server has the whole log and every node serves: a majority is needed, and one that lags is not
 * one of it. A server that stays behind is started again, as docs/cluster.md says; returns which were.
 */
async function whole({ servers, nodes }: Cluster): Promise<string[]> {
  const said: string[] = [];
  for (const server of servers) {
    const deadline = Date.now() + BEHIND_MS;
    while (!(await server.isHealthy()) && Date.now() < deadline) await pause(100);
    if (await server.isHealthy()) continue;
    said.push(`the nats-server at ${server.url} stayed behind for ${BEHIND_MS / 1_000} s: it was started again`);
    await server.end('SIGTERM');
    await server.start();
  }
  for (const node of nodes) if (node.running) await until(() => node.isReady(), `${node.settings.LAMPPOST_NODE}`, 100);
  return said;
}

/** Starts nodes again that ended by themselves, as systemd does; returns what each said. */
async function supervised(cluster: Cluster, fault: string): Promise<string[]> {
  const gone = cluster.nodes.filter(({ running }) => !running);
  const said = gone.map((node) => `${node.settings.LAMPPOST_NODE} ended by itself after ${fault}: ${node.output}`);
  for (const node of gone) said.push(...(await started(node)));
  return said;
}

/**
 * Starts a node. Where its log is not that of the stream it does what docs/cluster.md says: it starts with an empty
 * folder, and what only the folder of before had must not have been acknowledged.
 */
async function started(node: ServerProcess): Promise<string[]> {
  try {
    await node.start();
    return [];
  } catch (error) {
    if (
      !/is not block \d+ of the stream|is another one than|decided something else than/.test((error as Error).message)
    )
      throw error;
    lose(node);
    await node.start();
    return [`${node.settings.LAMPPOST_NODE} had records that the stream did not have: ${(error as Error).message}`];
  }
}

function lose({ data }: ServerProcess): void {
  for (const name of readdirSync(data)) rmSync(join(data, name), { recursive: true });
}

/** Someone on every channel, who wants every event: SSE, a kept MQTT session, and a webhook. */
async function subscribe(
  node: ServerProcess,
  { host, mqttPort, httpPort }: { readonly host: string; readonly mqttPort: number; readonly httpPort: number },
  onTold: (text: string) => void,
) {
  const receiver = new WebhookReceiver();
  const wanted = { url: await receiver.start(host), after: 0 };
  receiver.secrets = [(await node.post<{ secret: string }>('/api/v1/webhooks', wanted)).secret];
  receiver.respond = ({ body }) => {
    onTold(body);
    return 200;
  };
  const sse = createSseReader({ url: () => `http://${HERE.host}:${httpPort}`, key: ADMIN_KEY, last: '0' });
  const overMqtt = await readMqtt({ mqttPort });
  return {
    receiver,
    sse,
    mqtt: overMqtt.ids,
    async end() {
      await sse.end();
      await overMqtt.stop();
      receiver.stop();
    },
  };
}

interface Injected {
  readonly fault: ClusterFault;
  readonly machine: number;
  readonly pauseMs: number;
}

/** Resolves once everything runs again, to what nodes said that could not go on with their logs. */
async function injected(
  cluster: Cluster,
  network: Network | null,
  { fault, machine, pauseMs }: Injected,
): Promise<string[]> {
  const [node, server] = [cluster.nodes[machine]!, cluster.servers[machine]!];
  if (fault === 'pause') {
    process.kill(node.pid, 'SIGSTOP');
    await pause(pauseMs);
    process.kill(node.pid, 'SIGCONT');
    return [];
  }
  if (fault === 'partition') {
    network!.cutOff(machine);
    await pause(pauseMs);
    network!.rejoin(machine);
    return [];
  }
  const ofNode = fault !== 'nats';
  const ofServer = fault === 'nats' || fault === 'machine';
  await Promise.all([ofNode ? node.kill() : null, ofServer ? server.end('SIGKILL') : null]);
  await pause(CALM_MS);
  if (fault === 'empty-disk') lose(node);
  if (ofServer) await server.start();
  return ofNode ? started(node) : [];
}

interface Served {
  /** Where devices are registered. */
  readonly node: ServerProcess;
  /** Where HAProxy is. */
  readonly mqttPort: number;
  readonly url: string;
}

/** Devices that publish and people who comment on tickets, all through HAProxy. */
class Load {
  readonly acknowledged = new Map<string, Set<number>>();
  /** When comments were answered, by their text. */
  readonly answered = new Map<string, number>();
  readonly #served: Served;
  readonly #clients: MqttClient[] = [];
  readonly #lanes: Promise<void>[] = [];
  /** When each device was acknowledged last. */
  readonly #lastMs = new Map<string, number>();
  readonly #told = new Set<string>();
  #stopped = false;
  #newestMs = 0;
  #felt = { gapMs: 0, worstMs: 0, toldMs: 0 };
  count = 0;

  constructor(served: Served) {
    this.#served = served;
  }

  async start({ devices, clients, everyMs }: ClusterCampaign): Promise<void> {
    const wanted = Array.from({ length: devices }, (_, n) => {
      return { id: `bin-${n}`, profile: 'waste-bin', district: 'old-town' };
    });
    const made = await this.#served.node.post<{ id: string; secret: string }[]>('/api/v1/devices', wanted);
    for (const { id, secret } of made) this.#lanes.push(this.#publish(id, secret, everyMs));
    for (let n = 0; n < clients; n++) this.#lanes.push(this.#comment(n));
    await until(() => this.#lastMs.size === devices, 'a first acknowledgement to every device');
  }

  /** What was felt since the last call; what somebody still waits for counts, too. */
  felt(): Omit<Felt, 'fault'> {
    const nowMs = Date.now();
    const worstMs = Math.max(this.#felt.worstMs, ...[...this.#lastMs.values()].map((ms) => nowMs - ms));
    const felt = { ...this.#felt, worstMs };
    this.#felt = { gapMs: 0, worstMs: 0, toldMs: 0 };
    return felt;
  }

  untilMore(more: number): Promise<unknown> {
    const wanted = this.count + more;
    return until(() => this.count >= wanted, `acknowledgements: ${this.count} of ${wanted}`);
  }

  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    // What a cluster without its log never acknowledges must not be waited for.
    const ended = Promise.all(this.#lanes);
    await Promise.race([ended, pause(STOP_MS)]);
    for (const client of this.#clients) client.end(true);
  }

  /** Looks for the first telling of each answered comment. */
  readonly told = (text: string): void => {
    for (const [note] of text.matchAll(NOTE)) {
      const answeredMs = this.answered.get(note);
      if (answeredMs === undefined || this.#told.has(note)) continue;
      this.#told.add(note);
      this.#felt.toldMs = Math.max(this.#felt.toldMs, Date.now() - answeredMs);
    }
  };

  #acknowledge(id: string, n: number): void {
    const nowMs = Date.now();
    this.acknowledged.get(id)!.add(n);
    this.count++;
    this.#felt.gapMs = Math.max(this.#felt.gapMs, nowMs - (this.#newestMs || nowMs));
    this.#felt.worstMs = Math.max(this.#felt.worstMs, nowMs - (this.#lastMs.get(id) ?? nowMs));
    this.#newestMs = nowMs;
    this.#lastMs.set(id, nowMs);
  }

  async #publish(id: string, secret: string, everyMs: number): Promise<void> {
    const login = { clientId: id, username: id, password: secret };
    const client = mqtt.connect({
      ...{ host: HERE.host, port: this.#served.mqttPort, protocol: 'mqtt' as const },
      ...{ ...login, reconnectPeriod: 200, connectTimeout: 3_000, keepalive: 30 },
    });
    client.on('error', () => {});
    this.#clients.push(client);
    this.acknowledged.set(id, new Set());
    await pause(Math.random() * everyMs);
    for (let n = 0; !this.#stopped; n++) {
      const payload = JSON.stringify({ ts: START + n * 10, metrics: { fill: n % 40 < 20 ? 20 : 95 } });
      while (!(await sent(client, `devices/${id}/readings`, payload))) {
        if (this.#stopped) return;
        await pause(50);
      }
      this.#acknowledge(id, n);
      await pause(everyMs);
    }
  }

  async #comment(n: number): Promise<void> {
    for (let i = 0; !this.#stopped; i++) {
      const note = `${n}-${i}-${randomUUID()}`;
      // Each comment is asked for until it is answered, at any node, under one name.
      while (!this.#stopped && !(await this.#asked(note))) await pause(100);
      await pause(1_000);
    }
  }

  async #asked(note: string): Promise<boolean> {
    const headers = { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json' };
    const url = `${this.#served.url}/api/v1/tickets`;
    const signal = AbortSignal.timeout(15_000);
    try {
      const { items } = (await (await fetch(`${url}?limit=20`, { headers, signal })).json()) as { items: Ticket[] };
      const ticket = items[note.charCodeAt(2) % Math.max(1, items.length)];
      if (ticket === undefined) return false;
      const response = await fetch(`${url}/${ticket.id}/comment`, {
        method: 'POST',
        headers: { ...headers, 'idempotency-key': note },
        body: JSON.stringify({ note }),
        signal,
      });
      if (response.status === 200) this.answered.set(note, Date.now());
      // A refusal is an answer too.
      return response.status < 500;
    } catch {
      return false;
    }
  }
}

const NOTE = /\d+-\d+-[0-9a-f]{8}-[0-9a-f-]{27}/g;

const sent = (client: MqttClient, topic: string, payload: string): Promise<boolean> =>
  client.publishAsync(topic, payload, { qos: 1 }).then(
    () => true,
    () => false,
  );

/** Asks every node for everything; returns what is wrong. */
async function brokenIn(cluster: Cluster, load: Load): Promise<string[]> {
  const broken: string[] = [];
  const [first, ...others] = cluster.nodes as [ServerProcess, ...ServerProcess[]];
  for (const node of cluster.nodes) {
    const name = node.settings.LAMPPOST_NODE;
    await node.settledLedger();
    const found = await numbersIn(node, load.acknowledged.keys());
    for (const [id, numbers] of load.acknowledged) {
      const lost = [...numbers].filter((n) => !found.get(id)?.has(n));
      if (lost.length > 0) broken.push(`${name}: ${lost.length} readings of ${id} are lost: ${lost.slice(0, 5)}`);
    }
  }
  const same = async (what: string, read: (node: ServerProcess) => Promise<unknown>) => {
    const expected = JSON.stringify(await read(first));
    for (const node of others) {
      const isSame = async () => JSON.stringify(await read(node)) === expected;
      const settled = await until(isSame, what).catch(() => false);
      if (settled !== false) continue;
      const difference = firstDifference((await read(first)) as unknown[], (await read(node)) as unknown[]);
      broken.push(`${node.settings.LAMPPOST_NODE}: its ${what} are not those of the first node: ${difference}`);
    }
  };
  const hashes = async () => {
    const { nodes } = await first.get<{ nodes: { checksum: string | null }[] }>('/api/v1/cluster');
    // Of what was decided: ticks, which go on, decide nothing.
    return new Set(nodes.map(({ checksum }) => checksum)).size === 1;
  };
  const agree = await until(hashes, 'nodes with the same checksum').catch(() => false);
  if (agree === false) broken.push(`checksums differ: ${JSON.stringify(await first.get('/api/v1/cluster'))}`);
  await same('tickets', (node) => node.all<Ticket>('/api/v1/tickets'));
  const events = await first.all<NumberedEvent>('/api/v1/events');
  await same('events', (node) => node.all<NumberedEvent>('/api/v1/events'));
  const notes = events.flatMap(({ event }) => notesIn(event.data));
  for (const note of load.answered.keys()) {
    const times = notes.filter((one) => one === note).length;
    if (times !== 1) broken.push(`the comment ${note} was answered and is there ${times} times`);
  }
  const tickets = await first.all<Ticket>('/api/v1/tickets');
  const open = tickets.filter(
    ({ status, rule }) => rule === 'bin-full' && status !== 'closed' && status !== 'resolved',
  );
  for (const [group, of] of Map.groupBy(open, (ticket) => ticket.group))
    if (of.length > 1) broken.push(`${group} has ${of.length} open tickets`);
  return broken;
}

/** Where two lists differ first, as a sentence. */
function firstDifference(expected: readonly unknown[], found: readonly unknown[]): string {
  const n = expected.findIndex((one, i) => JSON.stringify(one) !== JSON.stringify(found[i]));
  const shown = (one: unknown) => JSON.stringify(one)?.slice(0, 600) ?? 'none';
  return `${found.length} of ${expected.length}; of the ${n + 1}. it has ${shown(found[n])} instead of ${shown(expected[n])}`;
}

/** The note of the change that a ticket's event is about. */
function notesIn(data: unknown): string[] {
  const { history = [] } = data as { readonly history?: readonly { readonly note?: string | null }[] };
  return history.flatMap(({ note }) => (note ? [note] : []));
}
