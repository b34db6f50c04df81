/** One node with its own log beside nodes over NATS JetStream, on the same cores in one run. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Cluster } from '../kit/cluster.ts';
import { startedNats } from '../kit/nats.ts';
import { ADMIN_KEY, ServerProcess } from '../kit/server.ts';
import { createSseReader } from '../kit/sse-reader.ts';
import { generate, type Shape } from './load.ts';
import { cpuSeconds } from './process.ts';

/** A way to run Lamppost. */
export interface Layout {
  readonly name: string;
  /** nats-servers, each with a copy of the log; 0: the node's own log alone. */
  readonly servers: number;
  /** Nodes that devices publish to, and nodes that only follow. */
  readonly nodes: number;
  readonly followers: number;
}

const LAYOUTS: readonly Layout[] = [
  { name: 'one node, own log', servers: 0, nodes: 1, followers: 0 },
  { name: 'one node, 1 nats-server', servers: 1, nodes: 1, followers: 0 },
  { name: 'three nodes, 3 nats-servers', servers: 3, nodes: 3, followers: 0 },
  { name: '… and a fourth node', servers: 3, nodes: 3, followers: 1 },
  { name: '… and a fifth', servers: 3, nodes: 3, followers: 2 },
];

/** What one layout did. */
export interface ClusterRow {
  readonly name: string;
  /** Messages a second that were acknowledged, as fast as possible. */
  readonly messagesPerSecond: number;
  /** CPU of all nodes and of all nats-servers, µs a message. */
  readonly nodesMicros: number;
  readonly serversMicros: number;
  /** With 10,000 messages a second over 1,000 connections: acknowledged after, ms. */
  readonly ackP50Ms: number;
  readonly ackP99Ms: number;
}

/** CPU seconds of each node while `READERS` followed events and `LANES` asked for tickets. */
export interface ReadersRow {
  readonly name: string;
  readonly queries: number;
  readonly events: number;
  readonly cpuSeconds: readonly number[];
}

export interface ClusterFigures {
  readonly rows: readonly ClusterRow[];
  readonly readers: readonly ReadersRow[];
}

const WINDOW = 100;
const CONNECTIONS = 60;
const STEADY_CONNECTIONS = 1_000;
const STEADY_RATE = 10_000;
const READERS = 60;
const LANES = 6;
const TICKETS_A_SECOND = 5;
const AT_ONCE = 1_000;

/** Runs every layout, and readers at one node and at three. */
export async function benchCluster(seconds: number): Promise<ClusterFigures> {
  const rows: ClusterRow[] = [];
  const readers: ReadersRow[] = [];
  for (const layout of LAYOUTS) {
    process.stderr.write(`${layout.name} …\n`);
    const running = await Running.start(layout);
    try {
      const row = await running.measured(seconds);
      rows.push(row);
      process.stderr.write(`${JSON.stringify(row)}\n`);
      if (layout.nodes === 3 && layout.followers === 0) {
        readers.push(await running.read('all at one node', 1, seconds), await running.read('at three', 3, seconds));
      }
    } finally {
      await running.end();
    }
  }
  return { rows, readers };
}

/** A layout that runs, with devices that are registered. */
class Running {
  readonly #layout: Layout;
  readonly #cluster: Cluster;
  readonly #dir = mkdtempSync(join(tmpdir(), 'lamppost-bench-'));
  #devices: { id: string; secret: string }[] = [];

  private constructor(layout: Layout, cluster: Cluster) {
    this.#layout = layout;
    this.#cluster = cluster;
  }

  static async start(layout: Layout): Promise<Running> {
    const cluster = new Cluster();
    if (layout.servers === 0) cluster.nodes.push(new ServerProcess());
    else {
      cluster.servers.push(...(await startedNats(layout.servers)));
      const replicas = { LAMPPOST_LOG_REPLICAS: String(layout.servers) };
      for (let n = 0; n < layout.nodes + layout.followers; n++) cluster.join(`node-${n}`, replicas);
    }
    for (const node of cluster.nodes) await node.start();
    const running = new Running(layout, cluster);
    await running.#register();
    return running;
  }

  async #register(): Promise<void> {
    const wanted = Array.from({ length: STEADY_CONNECTIONS }, (_, n) => {
      return { id: `bench-${n}`, profile: 'air-quality', district: 'old-town' };
    });
    for (let at = 0; at < wanted.length; at += AT_ONCE)
      this.#devices.push(
        ...(await this.#cluster.nodes[0]!.post<[]>('/api/v1/devices', wanted.slice(at, at + AT_ONCE))),
      );
    // The last of them is known everywhere.
    for (const node of this.#cluster.nodes)
      while ((await fetch(`${node.url}/api/v1/devices/${wanted.at(-1)!.id}`, ASKED)).status !== 200) await pause(50);
  }

  async measured(seconds: number): Promise<ClusterRow> {
    const { nodes, servers } = this.#cluster;
    const cpu = (of: readonly { pid: number }[]) => of.reduce((sum, { pid }) => sum + cpuSeconds(pid), 0);
    const before = { nodes: cpu(nodes), servers: cpu(servers) };
    const fast = await this.#load({ connections: CONNECTIONS, window: WINDOW, seconds });
    for (const node of nodes) await node.settledLedger();
    const [ofNodes, ofServers] = [cpu(nodes) - before.nodes, cpu(servers) - before.servers];
    const steady = await this.#load({
      ...{ connections: STEADY_CONNECTIONS, window: 10, seconds, rate: STEADY_RATE, warmupSeconds: 5 },
    });
    for (const node of nodes) await node.settledLedger();
    return {
      name: this.#layout.name,
      messagesPerSecond: Math.round(fast.perSecond),
      nodesMicros: (ofNodes * 1e6) / fast.acknowledged,
      serversMicros: (ofServers * 1e6) / fast.acknowledged,
      ackP50Ms: steady.p50Ms,
      ackP99Ms: steady.p99Ms,
    };
  }

  /** A load in equal parts at every node that devices publish to; percentiles are those of the slowest. */
  async #load(shape: Shape) {
    const nodes = this.#cluster.nodes.slice(0, this.#layout.nodes);
    const each = Math.floor(shape.connections / nodes.length);
    const parts = nodes.map((node, n) => {
      const credentials = join(this.#dir, `devices-${n}.json`);
      writeFileSync(credentials, JSON.stringify(this.#devices.slice(n * each, (n + 1) * each)));
      const subject = { port: node.mqttPort, pid: node.pid, credentials, settle: async () => 0, stop: async () => {} };
      const rate = shape.rate === undefined ? {} : { rate: Math.round(shape.rate / nodes.length) };
      return generate(subject, { ...shape, ...rate, connections: each });
    });
    const reports = await Promise.all(parts);
    return {
      perSecond: reports.reduce((sum, { steady }) => sum + steady.perSecond, 0),
      acknowledged: reports.reduce((sum, { acknowledged }) => sum + acknowledged, 0),
      p50Ms: Math.max(...reports.map(({ ackMs }) => ackMs.p50)),
      p99Ms: Math.max(...reports.map(({ ackMs }) => ackMs.p99)),
    };
  }

  /** Readers of events and of tickets at so many of the nodes, while tickets are opened. */
  async read(name: string, at: number, seconds: number): Promise<ReadersRow> {
    const nodes = this.#cluster.nodes.slice(0, at);
    const readers = Array.from({ length: READERS }, (_, n) =>
      createSseReader({ url: () => nodes[n % at]!.url, key: ADMIN_KEY, last: null }),
    );
    while (readers.some((reader) => reader.connections() === 0)) await pause(50);
    const before = this.#cluster.nodes.map(({ pid }) => cpuSeconds(pid));
    const endsAt = performance.now() + seconds * 1_000;
    let queries = 0;
    const lanes = Array.from({ length: LANES }, async (_, n) => {
      while (performance.now() < endsAt) {
        await nodes[n % at]!.get('/api/v1/tickets?limit=100');
        queries++;
      }
    });
    const opening = (async () => {
      while (performance.now() < endsAt) {
        const wanted = { service: 'waste', title: 'Broken bin', district: 'harbour' };
        await this.#cluster.nodes[0]!.post('/api/v1/tickets', wanted);
        await pause(1_000 / TICKETS_A_SECOND);
      }
    })();
    await Promise.all([...lanes, opening]);
    const cpu = this.#cluster.nodes.map(({ pid }, n) => cpuSeconds(pid) - before[n]!);
    const events = readers.reduce((sum, { received }) => sum + received.length, 0);
    await Promise.all(readers.map((reader) => reader.end()));
    return { name, queries, events, cpuSeconds: cpu };
  }

  async end(): Promise<void> {
    await this.#cluster.end();
    for (const dir of [this.#dir, ...this.#cluster.nodes.map(({ data }) => data)]) rmSync(dir, { recursive: true });
  }
}

const ASKED = { headers: { authorization: `Bearer ${ADMIN_KEY}` } };

/** Formats the figures as two Markdown tables. */
export function clusterText({ rows, readers }: ClusterFigures): string {
  const line = (cells: readonly (string | number)[]) => `| ${cells.join(' | ')} |`;
  return [
    line(['layout', 'msg/s', 'nodes, CPU µs/msg', 'NATS, CPU µs/msg', 'ack p50 ms at 10k/s', 'p99 ms']),
    line(['---', '---:', '---:', '---:', '---:', '---:']),
    ...rows.map((row) => {
      const micros = [row.nodesMicros, row.serversMicros].map((one) => one.toFixed(1));
      return line([row.name, row.messagesPerSecond, ...micros, row.ackP50Ms.toFixed(1), row.ackP99Ms.toFixed(1)]);
    }),
    '',
    line([`${READERS} SSE readers, ${LANES} clients that list tickets`, 'lists', 'events', 'CPU s of each node']),
    line(['---', '---:', '---:', '---']),
    ...readers.map(({ name, queries, events, cpuSeconds: cpu }) =>
      line([name, queries, events, cpu.map((one) => one.toFixed(1)).join(', ')]),
    ),
  ].join('\n');
}
