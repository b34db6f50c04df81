import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { KEY_ROLES, type KeyRole, ROLES, type Series } from '../../../domain/index.ts';
import { residentMiB } from '../../bench/process.ts';
import { ADMIN_KEY, ServerProcess } from '../server.ts';
import { PATIENCE_MS, pause, until } from '../wait.ts';
import type { Orders, Outcome } from './attacker.ts';
import { ATTACKS } from './attacks/index.ts';
import type { Acknowledged, Begin, Seen } from './load.ts';
import type { Figures, Login, Spent, Target } from './target.ts';
import type { Times } from './times.ts';
import { RawClient } from './wire.ts';

const LOAD = fileURLToPath(new URL('./load.ts', import.meta.url));
const ATTACKER = fileURLToPath(new URL('./attacker.ts', import.meta.url));
const CITY = fileURLToPath(new URL('../../../city', import.meta.url));
/** Its frames take a second or more each: what QuickJS does within a function of its own is not counted. */
const SLOW_CODEC = `function decodeUplink() {
  var s = "a".repeat(1e5);
  for (var i = 0; i < 4000; i++) s.indexOf("ab" + i);
  return { data: { temperature: 20 } };
}`;
const SLOW_PROFILE = `
slow: { title: { en: Slow, zh: 慢 }, metrics: [temperature], interval: 15m, codec: slow.js }
`;

const DEVICES = 200;
const ATTACKERS = 20;
const SLOW = 50;
const TICKETS = 2_000;
/** How long an attack goes on where nothing else is said: the suite has fifty of them. */
const SHORT_MS = 3_000;
/** What others may wait at most while somebody attacks: this, or twice what they wait in quiet. */
const MOST_MS = 100;
/** What may stay resident after an attack, MiB. */
const STAYS_MIB = 100;
/** How long a login of others may take, and a server to be itself again, where times are judged. */
const LOGIN_MS = 3_000;
const RECOVERS_MS = 20_000;
const DISTURBED_MS = 200;

/** What an attack may do to the others. */
export interface Bounds {
  /** Of times; null: no time is judged, only what is lost, refused or does not end. */
  readonly times: {
    /** Of the 99th percentile of what they wait for; twice the quiet one is always allowed. */
    readonly p99: number;
    readonly login: number;
    readonly recovers: number;
    /** Whether times past their bound are measured again before they count. */
    readonly again: boolean;
  } | null;
  /** Memory that stays. */
  readonly mib: number;
  /** How much of its usual time an attack goes on. */
  readonly share: number;
}

/** What a server promises, on a machine that does nothing else. */
export const STRICT: Bounds = {
  times: { p99: MOST_MS, login: LOGIN_MS, recovers: RECOVERS_MS, again: true },
  mib: STAYS_MIB,
  share: 1,
};
/** For a machine that is busy with other tests: it finds what stops a server, and no more. */
export const COARSE: Bounds = { times: null, mib: 8 * STAYS_MIB, share: 0.5 };

/** A server that is slower than this long after an attack is started again for the next one. */
const FROZEN_MS = 3_000;
const SEED = Number(process.env.HOSTILE_SEED ?? 20_261_128);

/** Levels error and fatal of pino. */
const BUG = /"level":[56]0/;
const MOST_BUGS = 5;

/** A plain start, but for numbers of sockets that one process can open. */
const SETTINGS = { LOG_LEVEL: 'info', MQTT_MAX_CONNECTIONS: '3000', MQTT_CONNECTIONS_PER_ADDRESS: '1000' };

const WATCHED = ['puback', 'health', 'tickets'] as const;
type Watched = Record<(typeof WATCHED)[number], Times>;

/** What an attack did to the others. */
export interface Verdict {
  readonly attack: string;
  /** What is wrong; nothing where the server withstood it. */
  readonly faults: readonly string[];
  readonly quiet: Watched;
  readonly attacked: Watched;
  readonly figures: Figures;
  readonly spent: Spent;
  readonly ownLagMs: number;
}

export interface ArenaOptions {
  readonly devices?: number;
  readonly settings?: Readonly<Record<string, string>>;
  readonly quietMs?: number;
}

/** A server under a normal load, to be attacked. */
export class Arena {
  readonly server: ServerProcess;
  readonly #quietMs: number;
  readonly #city: string;
  #bounds = STRICT;
  #load: ChildProcess | null = null;
  #target: Target | null = null;
  #quiet: Watched | null = null;
  #devices: Login[] = [];
  #logBytes = 0;
  /** Lines of bugs in the server's log. */
  #bugs: string[] = [];
  readonly verdicts: Verdict[] = [];

  constructor({ settings = {}, quietMs = 6_000 }: Omit<ArenaOptions, 'devices'> = {}) {
    this.#city = cityWithSlowCodec();
    this.server = new ServerProcess(undefined, { ...SETTINGS, LAMPPOST_CITY: this.#city, ...settings });
    this.#quietMs = quietMs;
    this.server.onOutput = (text) => {
      this.#logBytes += Buffer.byteLength(text);
      if (this.#bugs.length < MOST_BUGS) this.#bugs.push(...text.split('\n').filter((line) => BUG.test(line)));
    };
  }

  static async open({ devices = DEVICES, tickets = false, ...options }: ArenaOptions & { tickets?: boolean } = {}) {
    const arena = new Arena(options);
    await arena.server.start();
    arena.#devices = await arena.#register('load', devices);
    const keys = await arena.#keys();
    const attackers = await arena.#register('attacker', ATTACKERS);
    const slow = (await arena.#register('70b3d57ed000', SLOW, 'slow')).map(({ id }) => id);
    const { httpPort, mqttPort } = arena.server;
    arena.#target = { httpPort, mqttPort, keys, devices: attackers, slow, seed: SEED };
    if (tickets) await arena.#openTickets(keys.operator[0].secret);
    await arena.#startLoad();
    return arena;
  }

  get target(): Target {
    return this.#target!;
  }

  #register(name: string, count: number, profile = 'air-quality'): Promise<Login[]> {
    const idOf = (i: number) => (profile === 'slow' ? `${name}${String(i).padStart(4, '0')}` : `${name}-${i}`);
    const wanted = Array.from({ length: count }, (_, i) => ({ id: idOf(i), profile, district: 'old-town' }));
    return this.server.post<Login[]>('/api/v1/devices', wanted);
  }

  async #keys(): Promise<Target['keys']> {
    const departmentOf = (role: KeyRole) => (ROLES[role].of === 'department' ? 'environment' : null);
    const add = (role: KeyRole) =>
      this.server.post<Login>('/api/v1/keys', {
        ...{ name: role, role, department: departmentOf(role) },
        ...(role === 'network-server' && { uplinks: 'all' }),
      });
    const pair = async (role: KeyRole) => [role, [await add(role), await add(role)]] as const;
    return Object.fromEntries(await Promise.all(KEY_ROLES.map(pair))) as unknown as Target['keys'];
  }

  /** As an operator's programs would: some at a time, each as soon as the one before is open. */
  async #openTickets(key: string): Promise<void> {
    let left = TICKETS;
    const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
    const text = { title: 'A full bin', description: 'It is full. '.repeat(40), address: 'East gate' };
    const body = JSON.stringify({ service: 'waste', district: 'old-town', severity: 'low', ...text });
    const lane = async () => {
      while (left-- > 0) {
        const url = `http://127.0.0.1:${this.server.httpPort}/api/v1/tickets`;
        const response = await fetch(url, { method: 'POST', headers, body });
        if (response.status === 429) {
          left++;
          await pause(1_000 * Number(response.headers.get('retry-after') ?? 1));
        } else if (!response.ok) throw new Error(`a ticket: ${response.status} ${await response.text()}`);
      }
    };
    await Promise.all(Array.from({ length: 16 }, lane));
  }

  async #startLoad(): Promise<void> {
    this.#load = fork(LOAD);
    const { httpPort, mqttPort } = this.server;
    const begin: Begin = { httpPort, mqttPort, key: this.target.keys.operator[1].secret, devices: this.#devices };
    await this.#command(begin);
    await this.#command('phase');
  }

  #command<T>(command: Begin | 'phase' | 'report' | 'stop'): Promise<T> {
    const load = this.#load!;
    return new Promise((resolve, reject) => {
      const died = (code: number | null) => reject(new Error(`the load ended with ${code}`));
      load.once('exit', died);
      load.once('message', (answer) => {
        load.off('exit', died);
        resolve(answer as T);
      });
      load.send(command, (error) => error !== null && reject(error));
    });
  }

  /** Attacks it, and judges what the others and the server's memory saw of it. */
  async withstands(attack: string, forMs = SHORT_MS, bounds: Bounds = STRICT): Promise<Verdict> {
    const ms = bounds.share * Math.max(forMs, ATTACKS[attack]!.leastMs ?? 0);
    this.#bounds = bounds;
    await this.#calm();
    let verdict = await this.#attack(attack, ms, this.#quietMs);
    if (bounds.times?.again && verdict.faults.some((fault) => fault.startsWith('p99'))) {
      // A busy machine looks like a slow server: it counts when it is seen twice, beside a longer quiet phase.
      await this.#calm();
      this.#quiet = null;
      verdict = await this.#attack(attack, ms, 2 * this.#quietMs);
    }
    this.verdicts.push(verdict);
    return verdict;
  }

  async #attack(name: string, ms: number, quietMs: number): Promise<Verdict> {
    const { times } = this.#bounds;
    this.#quiet ??= await this.#quietPhase(times === null ? 0 : quietMs);
    const quiet = this.#quiet;
    const before = { mib: residentMiB(this.server.pid), log: this.#logBytes, disk: this.#diskMiB() };
    let peak = before.mib;
    const watch = setInterval(() => {
      if (this.server.running) peak = Math.max(peak, residentMiB(this.server.pid));
    }, 100);
    let outcome: Outcome = { failed: 'it did not end' };
    const attacked = await this.#phase(async () => {
      outcome = await this.#run({ attack: name, target: this.target }, ms);
      if (this.server.running) await this.#recovered();
    });
    const diskMiB = this.#diskMiB() - before.disk;
    const spent = { peakMiB: peak - before.mib, logBytes: this.#logBytes - before.log, diskMiB };
    const faults = [...(times === null ? [] : timeFaults(quiet, attacked, times.p99)), ...new Set(attacked.broken)];
    if (this.server.running) faults.push(...(await this.#leftovers(before.mib, attacked)));
    else faults.push(`the server ended: ${this.server.output.slice(-1_000)}`);
    clearInterval(watch);
    const figures = 'figures' in outcome ? (outcome as { figures: Figures }).figures : {};
    if ('failed' in outcome) faults.push(`the attack itself failed: ${outcome.failed}`);
    else faults.push(...(ATTACKS[name]!.judge?.(figures, spent) ?? []));
    if (times !== null && figures.slowestMs !== undefined && figures.slowestMs > times.login)
      faults.push(`logins of others: the slowest takes ${figures.slowestMs} ms; at most ${times.login}`);
    faults.push(...this.#bugs.splice(0).map((line) => `the log: ${line.slice(0, 600)}`));
    const { ownLagMs } = attacked;
    return { attack: name, faults, quiet, attacked, figures, spent, ownLagMs };
  }

  /** A phase that something else on the machine disturbed says nothing: it is measured again, a few times. */
  async #quietPhase(ms: number): Promise<Watched> {
    for (let tries = 1; ; tries++) {
      const quiet = await this.#phase(() => pause(ms));
      if (tries === 3 || this.#bounds.times === null || WATCHED.every((name) => quiet[name].p99 < DISTURBED_MS))
        return quiet;
    }
  }

  async #phase(work: () => Promise<unknown>): Promise<Seen> {
    await this.#command('phase');
    await work();
    // However short it was, of each there is one at least.
    const look = async () => {
      const seen = await this.#command<Seen>('report');
      return WATCHED.every((name) => seen[name].count > 0) && seen;
    };
    return until(look, 'something that is measured', 100);
  }

  async #run(orders: Orders, ms: number): Promise<Outcome> {
    const child = fork(ATTACKER);
    child.send(orders);
    const died = once(child, 'exit').then(() => ({ failed: 'the attacker ended without a word' }));
    // A busy machine takes seconds to start a process: the attack's time runs from when it begins.
    await Promise.race([once(child, 'message'), died]);
    const deadline = pause(ms + this.#recoversMs()).then(() => ({ failed: 'it did not end in time' }));
    const ended = Promise.race([once(child, 'message').then(([one]) => one as Outcome), died, deadline]);
    await Promise.all([Promise.race([pause(ms), ended]), this.#served(ended)]);
    if (child.connected) child.send('over');
    const outcome = await ended;
    child.kill('SIGKILL');
    return outcome;
  }

  /** Waits until others are served while an attack goes on: however slow the machine is, it is not over before. */
  async #served(ended: Promise<Outcome>): Promise<void> {
    let isOver = false;
    void ended.then(() => {
      isOver = true;
    });
    const look = async () => isOver || !this.server.running || (await this.#command<Seen>('report')).served;
    await until(look, 'others who are served', 100);
  }

  #recoversMs(): number {
    return this.#bounds.times?.recovers ?? PATIENCE_MS;
  }

  /** Waits until others are served again, within a time: how long they were not is in their times. */
  async #recovered(): Promise<void> {
    const deadline = Date.now() + this.#recoversMs();
    const most = this.#bounds.times === null ? PATIENCE_MS : MOST_MS;
    for (let good = 0; good < 3 && Date.now() < deadline; ) {
      good = (await this.#health()) < most ? good + 1 : 0;
      await pause(100);
    }
  }

  async #health(): Promise<number> {
    const began = performance.now();
    const signal = AbortSignal.timeout(this.#recoversMs());
    const response = await fetch(`http://127.0.0.1:${this.server.httpPort}/health`, { signal }).catch(() => null);
    return response === null ? Number.POSITIVE_INFINITY : performance.now() - began;
  }

  async #login(): Promise<number> {
    const began = performance.now();
    const login = RawClient.login(this.target, this.target.devices.at(-1)!, { from: '127.0.0.7' });
    const client = await Promise.race([login, pause(this.#recoversMs()).then(() => null)]);
    client?.end();
    return client === null ? Number.POSITIVE_INFINITY : performance.now() - began;
  }

  /** What must hold after an attack: memory comes back, and everything acknowledged is counted. */
  async #leftovers(beforeMiB: number, { acknowledged }: Seen): Promise<string[]> {
    const faults: string[] = [];
    const deadline = Date.now() + this.#recoversMs();
    let stays = residentMiB(this.server.pid) - beforeMiB;
    const { mib } = this.#bounds;
    while (stays > mib && Date.now() < deadline) {
      await pause(250);
      stays = residentMiB(this.server.pid) - beforeMiB;
    }
    if (stays > mib) faults.push(`memory: ${stays} MiB more stay resident; at most ${mib}`);
    const signal = AbortSignal.timeout(this.#recoversMs());
    const response = await fetch(`http://127.0.0.1:${this.server.httpPort}/api/v1/ledger`, {
      ...{ signal, headers: { authorization: `Bearer ${ADMIN_KEY}` } },
    }).catch(() => null);
    if (response?.status !== 200) return [...faults, `the ledger: ${response?.status ?? 'no response'}`];
    const { messages } = (await response.json()) as { messages: { received: number } };
    if (messages.received < acknowledged) faults.push(`lost: ${acknowledged} acknowledged, ${messages.received} known`);
    return faults;
  }

  /** Waits until the server is as quick as ever; one that an attack has ended or frozen is started again. */
  async #calm(): Promise<void> {
    if (this.server.running) await this.#recovered();
    const most = this.#bounds.times === null ? PATIENCE_MS : FROZEN_MS;
    if (this.server.running && (await this.#health()) < most && (await this.#login()) < most) return;
    this.#quiet = null;
    await this.server.kill();
    await this.server.start();
    await pause(2_000);
  }

  /** Files that grow with what attackers store; the journal's bound is its own. */
  #diskMiB(): number {
    const files = readdirSync(this.server.data, { recursive: true, withFileTypes: true }).filter((one) => one.isFile());
    const sizes = files.map(({ parentPath, name }) =>
      name.startsWith('journal') ? 0 : (statSync(join(parentPath, name), { throwIfNoEntry: false })?.size ?? 0),
    );
    return Math.round(sizes.reduce((sum, size) => sum + size, 0) / 2 ** 20);
  }

  /** Ends the load; returns the acknowledged readings that the history does not have. */
  async lost(): Promise<string[]> {
    const acknowledged = await this.#command<Acknowledged>('stop');
    this.#load = null;
    await this.server.settledLedger();
    const lost: string[] = [];
    for (const [id, times] of Object.entries(acknowledged)) {
      if (times.length === 0) lost.push(`${id}: nothing was acknowledged`);
      else lost.push(...(await this.#missing(id, times)));
    }
    return lost;
  }

  async #missing(id: string, times: readonly number[]): Promise<string[]> {
    const range = `from=${times[0]}&to=${times.at(-1)! + 1}&maxPoints=20000`;
    const url = `http://127.0.0.1:${this.server.httpPort}/api/v1/readings?device=${id}&metric=pm25&${range}`;
    const response = await fetch(url, { headers: { authorization: `Bearer ${ADMIN_KEY}` } });
    if (response.status === 429) {
      await pause(1_000 * Number(response.headers.get('retry-after') ?? 1));
      return this.#missing(id, times);
    }
    const { series } = (await response.json()) as { series: Series[] };
    const stored = new Set(series[0]?.points.map(([ts]) => ts));
    return times.filter((ts) => !stored.has(ts)).map((ts) => `${id}: the reading of ${ts}`);
  }

  async close(): Promise<void> {
    this.#load?.kill('SIGKILL');
    await this.server.kill();
    rmSync(this.server.data, { recursive: true, force: true });
    rmSync(this.#city, { recursive: true, force: true });
  }
}

/** Returns a folder with the sample city and a profile whose codec is slow. */
function cityWithSlowCodec(): string {
  const city = mkdtempSync(join(tmpdir(), 'lamppost-city-'));
  cpSync(CITY, city, { recursive: true });
  appendFileSync(join(city, 'profiles.yaml'), SLOW_PROFILE);
  mkdirSync(join(city, 'codecs'), { recursive: true });
  writeFileSync(join(city, 'codecs/slow.js'), SLOW_CODEC);
  return city;
}

function timeFaults(quiet: Watched, attacked: Watched, mostMs: number): string[] {
  const faults: string[] = [];
  for (const name of WATCHED) {
    const most = Math.max(mostMs, 2 * quiet[name].p99);
    const { p99, count } = attacked[name];
    if (p99 > most) faults.push(`p99 of ${name}: ${p99} ms of ${count}; at most ${most} (quiet ${quiet[name].p99})`);
  }
  return faults;
}

/** Returns verdicts as a table, one line an attack. */
export function tableOf(verdicts: readonly Verdict[]): string {
  const two = ({ p99, max }: Times) => `${p99}/${max}`;
  const head =
    'attack | quiet p99/max puback, health, tickets | attacked | peak MiB | log KiB | disk MiB | figures | verdict';
  const rows = verdicts.map(({ attack, faults, quiet, attacked, figures, spent }) => [
    attack,
    WATCHED.map((name) => two(quiet[name])).join(' '),
    WATCHED.map((name) => two(attacked[name])).join(' '),
    spent.peakMiB,
    Math.round(spent.logBytes / 1024),
    spent.diskMiB,
    Object.entries(figures)
      .map(([name, value]) => `${name} ${value}`)
      .join(', '),
    faults.length === 0 ? 'holds' : faults.map((fault) => fault.slice(0, 200)).join('; '),
  ]);
  return [head, ...rows.map((row) => row.join(' | '))].join('\n');
}
