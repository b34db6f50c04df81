import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type ClusterSettings, clusterSettings } from '../../cluster/index.ts';
import { endsWithUs } from './children.ts';
import { HERE, type Machine } from './machines.ts';
import { freePort } from './ports.ts';
import { until } from './wait.ts';

interface Place {
  readonly client: number;
  readonly monitor: number;
  readonly route: number;
  readonly dir: string;
  readonly machine: Machine;
  readonly domain: string | null;
}

/**
 * A real nats-server with JetStream in its own process with its own folder; it can be killed, paused and started again.
 */
export class NatsServer {
  readonly url: string;
  /** The URL of its monitoring port. */
  readonly monitor: string;
  readonly #config: string;
  readonly #machine: Machine;
  #child: ChildProcess | null = null;

  constructor(name: string, place: Place, routes: readonly string[], more = '') {
    const { host } = place.machine;
    this.url = `nats://${host}:${place.client}`;
    this.monitor = `http://${host}:${place.monitor}`;
    this.#machine = place.machine;
    this.#config = join(place.dir, 'nats.conf');
    const cluster =
      routes.length < 2
        ? ''
        : `cluster {
  name: test
  listen: ${host}:${place.route}
  routes: [${routes.filter((route) => route !== routeOf(place)).map((route) => `"nats://${route}"`)}]
}
`;
    const domain = place.domain === null ? '' : `, domain: ${place.domain}`;
    writeFileSync(
      this.#config,
      `server_name: ${name}
listen: ${host}:${place.client}
http: ${host}:${place.monitor}
jetstream { store_dir: "${place.dir}/data", max_memory_store: 64MB, max_file_store: 8GB${domain} }
${cluster}${more}`,
    );
  }

  get pid(): number {
    return this.#child!.pid!;
  }

  /** Resolves once it accepts clients and, among others, has a leader of JetStream. */
  async start(): Promise<void> {
    await this.launch();
    await this.ready();
  }

  async launch(): Promise<void> {
    const [command, ...args] = [...this.#machine.within, 'nats-server', '-c', this.#config];
    this.#child = spawn(command!, args, { stdio: 'ignore' });
    endsWithUs(this.#child);
  }

  async ready(): Promise<void> {
    await until(() => this.isHealthy(), `a start of nats-server at ${this.url}`, 50);
  }

  /** Whether it has a leader of JetStream, and everything that the others have. */
  isHealthy(): Promise<boolean> {
    return fetch(`${this.monitor}/healthz?js-enabled-only=false`).then(
      ({ ok }) => ok,
      () => false,
    );
  }

  /** Deletes what it has on disk, as a machine that burned down. It must not run. */
  loseData(): void {
    rmSync(join(dirname(this.#config), 'data'), { recursive: true });
  }

  /** Copies what it has on disk, for `goBack`. It must not run. */
  remember(): void {
    const dir = dirname(this.#config);
    cpSync(join(dir, 'data'), join(dir, 'before'), { recursive: true });
  }

  /** Has on disk what it had at `remember`, as one that lost power before it wrote the rest. It must not run. */
  goBack(): void {
    const dir = dirname(this.#config);
    this.loseData();
    renameSync(join(dir, 'before'), join(dir, 'data'));
  }

  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.#child!.kill(signal);
  }

  async end(signal: 'SIGTERM' | 'SIGKILL' = 'SIGKILL'): Promise<void> {
    const child = this.#child;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill(signal);
    await gone;
  }
}

const routeOf = ({ machine, route }: Place) => `${machine.host}:${route}`;

/**
 * So many nats-servers that form a cluster; one is alone. They are not started. `more` is added to each configuration.
 */
export async function natsServers(
  count: number,
  more = '',
  machines: readonly Machine[] = [],
  domain: string | null = null,
): Promise<NatsServer[]> {
  const places: Place[] = [];
  for (let n = 0; n < count; n++) {
    const [client, monitor, route] = [await freePort(), await freePort(), await freePort()];
    const dir = mkdtempSync(join(tmpdir(), 'lamppost-nats-'));
    places.push({ client, monitor, route, dir, machine: machines[n] ?? HERE, domain });
  }
  const routes = places.map(routeOf);
  return places.map((place, n) => new NatsServer(`n${n}`, place, routes, more));
}

/** Starts so many nats-servers; resolves once all are ready. */
export async function startedNats(count: number, machines: readonly Machine[] = []): Promise<NatsServer[]> {
  const servers = await natsServers(count, '', machines);
  for (const server of servers) await server.launch();
  for (const server of servers) await server.ready();
  return servers;
}

/** The settings of a node of a cluster over these servers. */
export function nodeOf(
  servers: readonly NatsServer[],
  node: string,
  replicas = Math.min(3, servers.length),
): ClusterSettings {
  const none = { credentials: undefined, ca: undefined, cert: undefined, key: undefined, domain: undefined };
  const log = servers.map(({ url }) => url).join(',');
  return clusterSettings({ log, node, name: 'lamppost', replicas, ...none });
}
