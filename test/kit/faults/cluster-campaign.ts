import { randomUUID } from 'node:crypto';
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import mqtt, { type MqttClient } from 'mqtt';
import type { Ticket } from '../../../domain/index.ts';
import type { NumberedEvent } from '../../../events/index.ts';
import { createRandom } from '../../../simulators/city/random.ts';
import { numbersIn, START } from '../bins.ts';
import { Cluster } from '../cluster.ts';
import { ADMIN_KEY, type ServerProcess } from '../server.ts';
import { pause, until } from '../wait.ts';

/** What happens to one machine of a cluster: a node, its nats-server, or both. */
export const CLUSTER_FAULTS = ['node', 'nats', 'machine', 'pause', 'empty-disk'] as const;
type ClusterFault = (typeof CLUSTER_FAULTS)[number];

/** One run: faults one after another, under a load. */
export interface ClusterCampaign {
  readonly faults: readonly ClusterFault[];
  readonly seed: string;
  readonly devices: number;
  readonly clients: number;
  /** How long a node is paused. */
  readonly pauseMs: number;
  readonly onProgress?: (line: string) => void;
}

/** The result of a run. */
export interface ClusterOutcome {
  readonly acknowledged: number;
  /** Comments that were answered with 200. */
  readonly answered: number;
  /** Of each fault, the longest time without an acknowledgement to any device, ms. */
  readonly gaps: readonly { readonly fault: ClusterFault; readonly ms: number }[];
  /** What is wrong, as sentences. */
  readonly broken: readonly string[];
}

const CALM_MS = 2_000;
const STOP_MS = 30_000;

/** Runs a cluster of three under load while its parts fail; then every node is asked for everything. */
export async function campaignOfCluster(options: ClusterCampaign): Promise<ClusterOutcome> {
  const { faults, seed, devices, clients, onProgress = () => {} } = options;
  const random = createRandom(seed);
  const cluster = await new Cluster().start(3);
  const load = new Load(cluster, random);
  const gaps: { fault: ClusterFault; ms: number }[] = [];
  try {
    await load.start(devices, clients);
    for (const fault of faults) {
      const machine = Math.floor(random() * 3);
      load.longestGap();
      await injected(cluster, { fault, machine, pauseMs: options.pauseMs });
      await load.untilMore(20);
      const ms = load.longestGap();
      gaps.push({ fault, ms });
      onProgress(`${fault} of machine ${machine}: ${ms} ms without an acknowledgement, ${load.count} acknowledged`);
      await pause(CALM_MS);
    }
    await load.stop();
    const broken = await brokenIn(cluster, load);
    return { acknowledged: load.count, answered: load.answered.size, gaps, broken };
  } finally {
    await load.stop();
    await cluster.end();
  }
}

interface Injected {
  readonly fault: ClusterFault;
  readonly machine: number;
  readonly pauseMs: number;
}

/** Resolves once everything runs again. */
async function injected(cluster: Cluster, { fault, machine, pauseMs }: Injected): Promise<void> {
  const [node, server] = [cluster.nodes[machine]!, cluster.servers[machine]!];
  if (fault === 'pause') {
    process.kill(node.pid, 'SIGSTOP');
    await pause(pauseMs);
    process.kill(node.pid, 'SIGCONT');
    return;
  }
  const ofNode = fault !== 'nats';
  const ofServer = fault === 'nats' || fault === 'machine';
  await Promise.all([ofNode ? node.kill() : null, ofServer ? server.end('SIGKILL') : null]);
  await pause(CALM_MS);
  if (fault === 'empty-disk')
    for (const name of readdirSync(node.data)) rmSync(join(node.data, name), { recursive: true });
  if (ofServer) await server.start();
  if (ofNode) await node.start();
}

/** Devices that publish to whichever node they reach, and people who comment on tickets at any node. */
class Load {
  readonly acknowledged = new Map<string, Set<number>>();
  /** Comments that were answered, by their text. */
  readonly answered = new Set<string>();
  readonly #cluster: Cluster;
  readonly #random: () => number;
  readonly #clients: MqttClient[] = [];
  readonly #lanes: Promise<void>[] = [];
  #stopped = false;
  #lastMs = Date.now();
  #gapMs = 0;
  count = 0;

  constructor(cluster: Cluster, random: () => number) {
    this.#cluster = cluster;
    this.#random = random;
  }

  async start(devices: number, clients: number): Promise<void> {
    const wanted = Array.from({ length: devices }, (_, n) => {
      return { id: `bin-${n}`, profile: 'waste-bin', district: 'old-town' };
    });
    const made = await this.#cluster.nodes[0]!.post<{ id: string; secret: string }[]>('/api/v1/devices', wanted);
    for (const [n, { id, secret }] of made.entries()) this.#lanes.push(this.#publish(id, secret, n));
    for (let n = 0; n < clients; n++) this.#lanes.push(this.#comment(n));
  }

  /** The longest time without an acknowledgement since the last call. */
  longestGap(): number {
    const ms = this.#gapMs;
    this.#gapMs = 0;
    return ms;
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

  async #publish(id: string, secret: string, first: number): Promise<void> {
    const { nodes } = this.#cluster;
    // Each begins at another node, and goes on to the next where that one is gone.
    const servers = nodes.map((_, n) => ({
      host: '127.0.0.1',
      port: nodes[(first + n) % nodes.length]!.mqttPort,
      protocol: 'mqtt' as const,
    }));
    const login = { clientId: id, username: id, password: secret };
    const client = mqtt.connect({ servers, ...login, reconnectPeriod: 200, connectTimeout: 3_000, keepalive: 3 });
    client.on('error', () => {});
    this.#clients.push(client);
    const numbers = new Set<number>();
    this.acknowledged.set(id, numbers);
    for (let n = 0; !this.#stopped; n++) {
      const payload = JSON.stringify({ ts: START + n * 10, metrics: { fill: n % 40 < 20 ? 20 : 95 } });
      const isIn = () => this.#sent(client, `devices/${id}/readings`, payload);
      while (!(await isIn())) {
        if (this.#stopped) return;
        await pause(50);
      }
      numbers.add(n);
      this.count++;
      const nowMs = Date.now();
      this.#gapMs = Math.max(this.#gapMs, nowMs - this.#lastMs);
      this.#lastMs = nowMs;
      await pause(20);
    }
  }

  #sent(client: MqttClient, topic: string, payload: string): Promise<boolean> {
    return client.publishAsync(topic, payload, { qos: 1 }).then(
      () => true,
      () => false,
    );
  }

  async #comment(n: number): Promise<void> {
    for (let i = 0; !this.#stopped; i++) {
      const note = `${n}-${i}-${randomUUID()}`;
      // Each comment is asked for until it is answered, at any node, under one name.
      while (!this.#stopped && !(await this.#asked(note))) await pause(100);
      await pause(200);
    }
  }

  async #asked(note: string): Promise<boolean> {
    const node = this.#cluster.nodes[Math.floor(this.#random() * this.#cluster.nodes.length)]!;
    const headers = { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json' };
    const url = `http://127.0.0.1:${node.httpPort}/api/v1/tickets`;
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
      if (response.status === 200) this.answered.add(note);
      // A refusal is an answer too.
      return response.status < 500;
    } catch {
      return false;
    }
  }
}

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
      if (settled === false) broken.push(`${node.settings.LAMPPOST_NODE}: its ${what} are not those of the first node`);
    }
  };
  await same('tickets', (node) => node.all<Ticket>('/api/v1/tickets'));
  const events = await first.all<NumberedEvent>('/api/v1/events');
  await same('events', (node) => node.all<NumberedEvent>('/api/v1/events'));
  const notes = events.flatMap(({ event }) => notesIn(event.data));
  for (const note of load.answered) {
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

/** The note of the change that a ticket's event is about. */
function notesIn(data: unknown): string[] {
  const { history = [] } = data as { readonly history?: readonly { readonly note?: string | null }[] };
  return history.flatMap(({ note }) => (note ? [note] : []));
}
