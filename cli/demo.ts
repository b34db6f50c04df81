import { type FSWatcher, mkdtempSync, rmSync, watch } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { readConfig } from '../app/index.ts';
import { LamppostError, type Ledger, systemClock } from '../domain/index.ts';
import { makeDataFolder } from '../store/index.ts';
import { boot, type Running, reload, untilAskedToStop } from './boot.ts';
import { Client } from './client.ts';
import { checkCluster, prepareCluster } from './demo-cluster.ts';
import { welcomeOf, welcomeOfCluster } from './demo-welcome.ts';
import type { DEMO } from './flags.ts';
import type { Given } from './spec.ts';
import { findPerson } from './users.ts';

/** Beginning of the name of a folder that a demo makes for itself. */
const OWN = 'lamppost-demo-';

/** `demo`: runs the server with a simulated city until Ctrl-C or SIGTERM. Resolves with the exit code. */
export async function demo(given: Given<typeof DEMO>, environment: NodeJS.ProcessEnv): Promise<number> {
  if (given.flags.cluster !== undefined) checkCluster(given.flags.cluster, environment);
  const named = given.settings.LAMPPOST_DATA;
  const data = named ?? mkdtempSync(join(tmpdir(), OWN));
  // However it ends, but by kill -9: nobody needs a folder that nobody named.
  if (named === undefined) process.once('exit', () => rmSync(data, { recursive: true, force: true, maxRetries: 10 }));
  const code = await runDemo(given, { ...environment, LAMPPOST_DATA: data });
  console.log(named === undefined ? 'its data is removed; --data keeps it' : `the data stays in ${data}`);
  return code;
}

/** What runs, and how it is reached. */
interface Site {
  readonly nodes: readonly Reached[];
  readonly key: string;
  readonly city: string;
  readonly welcome: string;
  readonly server: Pick<Running, 'reloadCity' | 'reloadCertificates' | 'stop'>;
  progress(): Promise<string>;
}

interface Reached {
  readonly name: string;
  readonly client: Client;
  readonly api: string;
  readonly mqtt: string;
}

const LOCAL = { HTTP_HOST: '127.0.0.1', MQTT_HOST: '127.0.0.1', HTTP_PORT: '0', MQTT_PORT: '0', LOG_LEVEL: 'error' };

async function runDemo(given: Given<typeof DEMO>, environment: NodeJS.ProcessEnv): Promise<number> {
  const { seed = '1', devices = 120, speed = 60, seconds, cluster } = given.flags;
  const stopRequested = untilAskedToStop();
  let asked = false;
  void stopRequested.then(() => {
    asked = true;
  });
  // Without a key in the settings, the server generates one, which the welcome text shows.
  const local = { ...LOCAL, ...environment, LAMPPOST_ADMIN_KEY: undefined };
  const site = cluster === undefined ? await alone(given, local) : await together(cluster, given, local, stopRequested);
  if (site === null) return 0;
  if (!asked) await live(site, { seed, devices, speed }, stopRequested, seconds);
  await site.server.stop();
  return 0;
}

/** Runs the devices of the city until somebody asks to stop, or for so many seconds. */
async function live(
  site: Site,
  of: { readonly seed: string; readonly devices: number; readonly speed: number },
  stopRequested: Promise<void>,
  seconds?: number,
): Promise<void> {
  const { nodes, key, city, server } = site;
  // Who reads this output may go, as `head` does: nobody looks at the demo any more then.
  process.stdout.once('error', () => process.kill(process.pid, 'SIGTERM'));
  console.log(site.welcome);
  const { createSimulator, readCityFolder } = await import('../simulators/index.ts');
  const [url, ...others] = nodes.map(({ mqtt }) => mqtt);
  const options = { url: url!, others, api: nodes[0]!.api, key, ...of, faults: 0.01, format: 'mixed' };
  const simulator = createSimulator({ clock: systemClock }, { ...options, ...readCityFolder(city) });
  await simulator.start();
  const saves = reloadOnSave(city, server);
  const progress = setInterval(() => void showProgress(site), 2_000);
  await Promise.race([stopRequested, ...(seconds === undefined ? [] : [pause(seconds * 1_000)])]);
  clearInterval(progress);
  saves.close();
  await simulator.stop();
}

/** One server, in this process. */
async function alone({ settings }: Given<typeof DEMO>, environment: NodeJS.ProcessEnv): Promise<Site> {
  const [lamppost, { data, city }] = await boot(settings, environment);
  const api = `http://127.0.0.1:${lamppost.httpPort}`;
  const key = lamppost.generatedKey!;
  if (lamppost.mqttPort === null)
    throw new LamppostError('config', 'MQTT_PORT: the simulated devices of the demo need it; do not switch it off');
  const client = new Client(api, key);
  const node = { name: 'it', client, api, mqtt: `mqtt://127.0.0.1:${lamppost.mqttPort}` };
  await addPerson(client, ADMIN);
  const welcome = welcomeOf({
    api,
    key,
    link: await linkOf(client, ADMIN, api),
    data,
    city,
    mqttPort: lamppost.mqttPort,
  });
  return { nodes: [node], key, city, welcome, server: lamppost, progress: () => ledgerLine(client) };
}

/** A cluster, each node in a process of its own; null where it is asked to stop before all are ready. */
async function together(
  size: number,
  { settings }: Given<typeof DEMO>,
  environment: NodeJS.ProcessEnv,
  stopRequested: Promise<void>,
): Promise<Site | null> {
  const { data: given, city } = readConfig(environment, settings);
  const data = resolve(given);
  makeDataFolder(data);
  // All that is written is for its owner only, also by the nats-servers.
  process.umask(0o077);
  const cluster = await prepareCluster(size, { data, settings: { ...environment, ...settings }, say });
  console.log(`starting ${count(size, 'nats-server')} and ${count(size, 'node')}: this takes a while`);
  const nodes = cluster.nodes.map((node) => ({ ...node, client: new Client(node.api, cluster.key) }));
  const server = {
    reloadCity: () => fromAny(nodes, (client) => client.json<Reloaded>('POST', '/api/v1/city/reload')),
    reloadCertificates: async () => false,
    stop: () => cluster.stop(),
  };
  const site = async (): Promise<Site> => {
    await cluster.start();
    // Of one person only the newest link counts.
    const admins = nodes.map(({ name }) => ({ ...ADMIN, name: `Lin ${name}`, email: `${name}@lamppost.example` }));
    for (const admin of admins) await addPerson(nodes[0]!.client, admin);
    const links = await Promise.all(nodes.map(({ client, page }, n) => linkOf(client, admins[n]!, page)));
    const welcome = welcomeOfCluster(cluster, links, { data, city });
    return { nodes, key: cluster.key, city, welcome, server, progress: () => clusterLine(nodes) };
  };
  try {
    const started = await Promise.race([site(), stopRequested.then(() => null)]);
    if (started === null) await cluster.stop();
    return started;
  } catch (error) {
    await cluster.stop();
    throw error;
  }
}

type Reloaded = Awaited<ReturnType<Running['reloadCity']>>;

/** Asks one node after another until one responds. Throws what the last one does. */
async function fromAny<T>(nodes: readonly Reached[], ask: (client: Client) => Promise<T>): Promise<T> {
  const [first, ...others] = nodes;
  try {
    return await ask(first!.client);
  } catch (error) {
    if (others.length === 0 || !(error instanceof LamppostError && error.code === 'busy')) throw error;
    return fromAny(others, ask);
  }
}

const ADMIN = { name: 'Lin Demo', email: 'demo@lamppost.example', roles: [{ role: 'admin', department: null }] };

/** Adds an admin of the demo, where a start before did not. */
async function addPerson(client: Client, admin: typeof ADMIN): Promise<void> {
  if ((await findPerson(client, admin.email)) === null) await client.json('POST', '/api/v1/users', admin);
}

/** Returns the address of a link that signs in, once, as an admin of the demo, when the node knows them. */
async function linkOf(client: Client, { email }: typeof ADMIN, page: string): Promise<string> {
  let person = await findPerson(client, email);
  for (; person === null; person = await findPerson(client, email)) await pause(100);
  const { path } = await client.json<{ path: string }>('POST', `/api/v1/users/${person.id}/link`);
  return `${page}${path}`;
}

const count = (n: number, what: string) => `${n} ${what}${n === 1 ? '' : 's'}`;

/** Prints a line in place of the progress. */
function say(line: string): void {
  console.log(process.stdout.isTTY ? `\r\u001b[K${line}` : line);
}

async function showProgress(site: Site): Promise<void> {
  try {
    const line = await site.progress();
    process.stdout.write(process.stdout.isTTY ? `\r\u001b[K${line}` : `${line}\n`);
  } catch {
    // the server is stopping
  }
}

const openTickets = async (client: Client) =>
  (await client.json<{ items: unknown[] }>('GET', '/api/v1/tickets?status=open&limit=1000')).items.length;

const ledgerOf = (client: Client) => client.json<Ledger>('GET', '/api/v1/ledger');

async function ledgerLine(client: Client): Promise<string> {
  const { messages, readings } = await ledgerOf(client);
  const quarantined = messages.quarantined + readings.quarantined;
  const numbers = `${messages.received} messages, ${readings.stored} readings stored, ${quarantined} quarantined`;
  return `${numbers}, ${await openTickets(client)} open tickets`;
}

const PROGRESS_MS = 1_500;

async function clusterLine(nodes: readonly Reached[]): Promise<string> {
  const ask = async ({ name, client }: Reached) => `${name} ${(await ledgerOf(client)).readings.stored}`;
  const parts = nodes.map((node) => {
    const silent = `${node.name} does not respond`;
    return Promise.race([ask(node).catch(() => silent), pause(PROGRESS_MS, silent)]);
  });
  return `readings stored: ${(await Promise.all(parts)).join(', ')}; open tickets: ${await fromAny(nodes, openTickets)}`;
}

/** Reads the city folder again after each change of a file in it. */
function reloadOnSave(folder: string, server: Site['server']): FSWatcher {
  let soon: NodeJS.Timeout | undefined;
  return watch(folder, { recursive: true }, () => {
    // An editor writes a file in several steps.
    clearTimeout(soon);
    soon = setTimeout(() => void reload(server), 200);
  });
}
