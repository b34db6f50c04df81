import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { LamppostError, systemClock } from '../domain/index.ts';
import { readKeyFile } from '../notify/index.ts';
import { newSecret } from '../registry/index.ts';
import { lockFolder } from '../store/index.ts';
import { Member } from './demo-member.ts';

const BIN = fileURLToPath(new URL('../bin/lamppost.js', import.meta.url));
const NODES = ['north', 'east', 'south', 'west', 'centre'];
const SIZES: readonly number[] = [1, 3, 5];
/** Where each kind of port begins: the first free ones are taken. */
const FIRST = { http: 8081, mqtt: 1884, nats: 4222, monitor: 8222, route: 6222 };

/** Throws `config` where no cluster of this size can run here. */
export function checkCluster(size: number, environment: NodeJS.ProcessEnv): void {
  if (!SIZES.includes(size)) {
    const why = 'an even number survives the loss of no more of them than the odd one below it';
    throw new LamppostError('config', `demo: --cluster: "${size}" found; write 1, 3 or 5: ${why}`);
  }
  if (spawnSync('nats-server', ['--version'], { env: environment }).error === undefined) return;
  const how = 'on Debian apt install nats-server, elsewhere see https://nats.io/download';
  throw new LamppostError('config', `demo: --cluster needs nats-server 2.9 or newer, and finds none: ${how}`);
}

export interface DemoNode {
  readonly name: string;
  readonly api: string;
  /** The same by a name of its own: a browser keeps the cookies of each host apart, but not those of ports. */
  readonly page: string;
  readonly mqtt: string;
  readonly member: { readonly pid: number };
}

/** So many nats-servers, and as many nodes over them, each a process of its own on this machine. */
export interface DemoCluster {
  readonly nodes: readonly DemoNode[];
  readonly servers: readonly {
    readonly name: string;
    readonly url: string;
    readonly member: { readonly pid: number };
  }[];
  /** The admin key of all nodes. */
  readonly key: string;
  /** LAMPPOST_LOG of all nodes. */
  readonly log: string;
  /** Resolves once every process is ready. Throws `busy` where one ends before. */
  start(): Promise<void>;
  /** Ends the nodes, then the nats-servers. */
  stop(): Promise<void>;
}

interface Place {
  /** The folder of the cluster; each process has one in it, and a file with its output. */
  readonly data: string;
  readonly settings: NodeJS.ProcessEnv;
  /** Prints a line. */
  readonly say: (line: string) => void;
}

/**
 * Prepares a cluster in a folder, which it takes for this process; `settings` are those of every node. Throws
 * `conflict` where another process has the folder, `config` where it is one of another size, or ports are missing.
 */
export async function prepareCluster(size: number, { data, settings, say }: Place): Promise<DemoCluster> {
  const lock = lockFolder(data, systemClock.now());
  refuseOtherSize(size, data);
  const key = settings.LAMPPOST_ADMIN_KEY ?? newSecret();
  const { servers, log } = await serversIn(size, { data, settings, say });
  const common = {
    ...settings,
    ...{ LAMPPOST_LOG: log, LAMPPOST_LOG_REPLICAS: String(size), LAMPPOST_ADMIN_KEY: key },
    LAMPPOST_SECRETS_KEY: settings.LAMPPOST_SECRETS_KEY ?? readKeyFile(join(data, 'secrets.key')),
    ...{ NATS_CREDENTIALS: undefined, NATS_CA: undefined, NATS_CERT: undefined, NATS_KEY: undefined },
    NATS_DOMAIN: undefined,
  };
  const nodes = await nodesIn(size, { data, settings: common, say });
  const members = [...nodes, ...servers].map(({ member }) => member);
  const killAll = () => {
    for (const member of members) member.kill();
  };
  // Before whoever removes the folder at the end.
  process.prependOnceListener('exit', killAll);
  return {
    ...{ nodes, servers, key, log },
    async start() {
      await startAll(servers);
      // The first one makes the stream, the buckets and the object store.
      await startAll(nodes.slice(0, 1));
      await startAll(nodes.slice(1));
    },
    async stop() {
      for (const part of [nodes, servers]) await Promise.all(part.map(({ member }) => member.stop()));
      process.removeListener('exit', killAll);
      lock.release();
    },
  };
}

async function startAll(parts: readonly { readonly member: Member }[]): Promise<void> {
  for (const { member } of parts) member.launch();
  await Promise.all(parts.map(({ member }) => member.ready()));
}

const serverNames = (size: number) => Array.from({ length: size }, (_, n) => `nats-${n + 1}`);

/** Servers of JetStream that were three do not become one by a start with another number. */
function refuseOtherSize(size: number, data: string): void {
  const before = serverNames(Math.max(...SIZES)).filter((name) => existsSync(join(data, name))).length;
  if (before === 0 || before === size) return;
  throw new LamppostError(
    'config',
    `demo: ${data} has a cluster of ${before}: write --cluster ${before}, or another folder (--data)`,
  );
}

async function nodesIn(size: number, { data, settings, say }: Place) {
  const http = await freePorts(size, Number(settings.HTTP_PORT) || FIRST.http);
  const mqtt = await freePorts(size, Number(settings.MQTT_PORT) || FIRST.mqtt);
  return NODES.slice(0, size).map((name, n): DemoNode & { readonly member: Member } => {
    const ports = { HTTP_PORT: String(http[n]), MQTT_PORT: String(mqtt[n]) };
    const env = { ...settings, ...ports, LAMPPOST_NODE: name, LAMPPOST_DATA: join(data, name) };
    const api = `http://127.0.0.1:${http[n]}`;
    const program = { command: process.execPath, args: [BIN, 'start'], env, health: `${api}/ready` };
    const member = new Member({ name: `node ${name}`, ...program, log: join(data, `${name}.log`), say });
    return { name, api, page: `http://${name}.localhost:${http[n]}`, mqtt: `mqtt://127.0.0.1:${mqtt[n]}`, member };
  });
}

/** Returns the nats-servers, and LAMPPOST_LOG of their nodes. */
async function serversIn(size: number, { data, settings: env, say }: Place) {
  const ports = await freePorts(size, FIRST.nats);
  const monitors = await freePorts(size, FIRST.monitor);
  const routes = await freePorts(size, FIRST.route);
  const password = newSecret();
  const log = ports.map((port) => `nats://lamppost:${password}@127.0.0.1:${port}`).join(',');
  const servers = serverNames(size).map((name, n) => {
    const dir = join(data, name);
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    const config = join(dir, 'nats.conf');
    const [port, monitor, route] = [ports[n]!, monitors[n]!, routes[n]!];
    writeFileSync(config, natsConfig({ name, dir, password, port, monitor, route, routes }), { mode: 0o600 });
    const program = { command: 'nats-server', args: ['-c', config], env };
    const health = `http://127.0.0.1:${monitor}/healthz`;
    const member = new Member({ name: `nats-server ${name}`, ...program, health, log: join(data, `${name}.log`), say });
    return { name, url: `nats://127.0.0.1:${port}`, member };
  });
  return { servers, log };
}

interface Server {
  readonly name: string;
  readonly dir: string;
  readonly password: string;
  readonly port: number;
  readonly monitor: number;
  readonly route: number;
  /** Those of all servers. */
  readonly routes: readonly number[];
}

function natsConfig({ name, dir, password, port, monitor, route, routes }: Server): string {
  const login = `{ user: lamppost, password: "${password}" }`;
  const others = routes.filter((one) => one !== route).map((one) => `"nats://lamppost:${password}@127.0.0.1:${one}"`);
  const cluster = `cluster {
  name: lamppost
  listen: "127.0.0.1:${route}"
  authorization ${login}
  routes: [${others.join(', ')}]
}
`;
  return `server_name: ${name}
listen: "127.0.0.1:${port}"
http: "127.0.0.1:${monitor}"
max_payload: 8MB
authorization ${login}
jetstream { store_dir: ${JSON.stringify(join(dir, 'data'))}, max_file_store: 8GB }
${others.length === 0 ? '' : cluster}`;
}

/**
 * Returns so many ports, the first free ones from a number on. They are below those that the system gives to outgoing
 * connections: none of these takes the port of a process that is down for a moment.
 */
async function freePorts(count: number, from: number): Promise<number[]> {
  const found: number[] = [];
  for (let port = from; found.length < count && port < 65_536; port++) if (await isFree(port)) found.push(port);
  if (found.length === count) return found;
  throw new LamppostError('config', `demo: there are no ${count} free ports from ${from} on; name a lower one`);
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port, '127.0.0.1');
  try {
    await once(server, 'listening');
  } catch {
    return false;
  }
  server.close();
  await once(server, 'close');
  return true;
}
