import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import {
  adviceOn,
  type Config,
  type Examination,
  examine,
  type ListedKey,
  type ListedPerson,
  loadCity,
  misspelt,
  readConfig,
  type Seen,
  unknownDepartments,
} from '../app/index.ts';
import { inspectCluster } from '../cluster/index.ts';
import { LamppostError } from '../domain/index.ts';
import { MANIFEST, makeDataFolder } from '../store/index.ts';
import { Client, loginFor, urlOf } from './client.ts';
import type { DOCTOR } from './flags.ts';
import { print } from './output.ts';
import type { Given } from './spec.ts';

type Asking = Given<typeof DOCTOR>;

/** One thing that was checked: a sentence on how it is, and whether that is well. */
interface Checked {
  readonly what: 'settings' | 'city' | 'cluster' | 'server' | 'keys';
  readonly well: boolean;
  readonly said: string;
}

/**
 * `doctor`: checks settings, city folder, NATS and server, each on its own, and prints everything that is wrong, and
 * what may be wrong with the deployment. With --deep it reads every file of a data folder or a backup instead. Returns
 * the exit code: 2 where the settings have mistakes, 1 where something else is wrong.
 */
export async function doctor({ flags, settings }: Asking, environment: NodeJS.ProcessEnv): Promise<number> {
  const given = { ...environment, ...settings };
  if (flags.deep) return deepDoctor(flags.json, given);
  let config: Config | null = null;
  const checks = [
    await check('settings', () => {
      config = readConfig(environment, settings);
      return ['settings: well', ...misspelt(environment).map((one) => `  note: ${one}`)].join('\n');
    }),
    await check('city', () => describeCity(given.LAMPPOST_CITY ?? './city', config)),
    ...(await checkCluster(config)),
  ];
  const url = urlOf(flags, given);
  const login = loginFor({ url }, { ...environment, LAMPPOST_ADMIN_KEY: given.LAMPPOST_ADMIN_KEY });
  const client = new Client(url, login.key, login.from);
  const server = await check('server', () => describeServer(url));
  const seen = {
    ntp: await followsTime(),
    ...(server.well ? await look(client) : { clock: null, keys: null, people: null }),
  };
  const advice = config === null ? [] : adviceOn(config, seen, Date.now());
  const unseen = server.well && seen.keys === null ? await whyUnseen(client, login.key !== '') : [];
  const all = [...checks, server, ...unseen];
  print(flags.json, { checks: all, advice }, (found) => [
    ...found.checks.map(({ said }) => said),
    ...advice.map(({ about, problem, todo }) => `${about}: ${problem}\n  ${todo}`),
  ]);
  if (!checks[0]!.well) return 2;
  return all.every(({ well }) => well) ? 0 : 1;
}

/** Reads every file of a data folder or a backup. Returns 0 where nothing is wrong, 1 where something is. */
async function deepDoctor(
  json: boolean,
  { LAMPPOST_DATA: data = './data', LAMPPOST_SECRETS_KEY: secretsKey }: NodeJS.ProcessEnv,
): Promise<number> {
  const dir = resolve(data);
  if (!existsSync(dir)) throw new LamppostError('config', `--data: there is no folder ${dir}`);
  // SQLite writes beside a file that a server has used, only to read it: each would look damaged.
  if (!existsSync(join(dir, MANIFEST))) makeDataFolder(dir);
  const found = await examine(dir, (line) => console.error(line), { secretsKey: secretsKey ?? null });
  print(json, found, report);
  return found.findings.length === 0 ? 0 : 1;
}

function report({ dir, kind, inUse, read, findings }: Examination): string[] {
  const found = findings.map(({ file, problem, todo }) => `${file}: ${problem}\n  ${todo}`);
  const end = findings.length === 0 ? `nothing is wrong in ${read.join(', ')}` : `${findings.length} findings`;
  return [`${dir}: a ${kind}`, ...(inUse === null ? [] : [inUse]), ...found, end];
}

/** Says how something is; a known error is a mistake in it. */
async function check(what: Checked['what'], describe: () => string | Promise<string>): Promise<Checked> {
  try {
    return { what, well: true, said: await describe() };
  } catch (error) {
    if (!(error instanceof LamppostError)) throw error;
    return { what, well: false, said: error.message };
  }
}

/** Looks at the NATS servers of `LAMPPOST_LOG`, where it is set. */
async function checkCluster(config: Config | null): Promise<Checked[]> {
  const cluster = config?.cluster ?? null;
  if (cluster === null) return [];
  return (await inspectCluster(cluster)).map(({ well, said }) => ({ what: 'cluster', well, said: `cluster: ${said}` }));
}

/** Asks systemd whether the clock follows a time server; null where there is no systemd to ask. */
function followsTime(): Promise<boolean | null> {
  const args = ['show', '--property=NTPSynchronized', '--value'];
  return new Promise((done) => {
    execFile('timedatectl', args, { timeout: 2_000 }, (error, out) =>
      done(error === null ? ({ yes: true, no: false }[out.trim()] ?? null) : null),
    );
  });
}

async function look(client: Client): Promise<Omit<Seen, 'ntp'>> {
  const { headers } = await client.send('GET', '/health');
  const clock = { serverMs: Date.parse(headers.get('date') ?? ''), hereMs: Date.now() };
  const keys = await itemsOf<ListedKey>(client, '/api/v1/keys');
  const people = await itemsOf<ListedPerson>(client, '/api/v1/users?limit=1000');
  return { clock: Number.isNaN(clock.serverMs) ? null : clock, keys, people };
}

/** Returns what a list has; null where the key may not read it. */
async function itemsOf<T>(client: Client, path: string): Promise<readonly T[] | null> {
  const response = await client.send('GET', path);
  return response.ok ? ((await response.json()) as { items: T[] }).items : null;
}

/** Says why keys and people could not be looked at: there is no key, a wrong one, or one that may not read them. */
async function whyUnseen(client: Client, isGiven: boolean): Promise<Checked[]> {
  const response = await client.send('GET', '/api/v1/keys');
  if (response.ok) return [];
  const why = client.problem(await response.text(), response.status).message;
  const said = `keys: not looked at; set LAMPPOST_KEY to a key that may read them: ${why}`;
  return [{ what: 'keys', well: !(isGiven && response.status === 401), said }];
}

async function describeCity(folder: string, config: Config | null): Promise<string> {
  const { city, rules } = await loadCity(folder);
  const notes = unknownDepartments(config?.people.oidc ?? null, city).map((one) => `\n  note: ${one}`);
  return `city: ${city.name.en}, ${city.districts.size} districts, ${city.profiles.size} profiles, ${rules.length} rules, no mistakes${notes.join('')}`;
}

interface Readiness {
  readonly ready: boolean;
  readonly reasons: readonly string[];
  readonly notes: readonly string[];
}

async function describeServer(url: string): Promise<string> {
  const response = await new Client(url, '').send('GET', '/ready');
  const body = (await response.json().catch(() => null)) as Partial<Readiness> | null;
  if (typeof body?.ready !== 'boolean')
    throw new LamppostError('busy', `server: ${url}/ready does not respond as Lamppost does; is it another program?`);
  const { ready, reasons = [], notes = [] } = body;
  if (!ready) throw new LamppostError('busy', `server: not ready: ${reasons.join('; ')}`);
  return ['server: ready', ...notes.map((note) => `  note: ${note}`)].join('\n');
}
