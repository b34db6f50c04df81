import { existsSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createRandom } from '../../../simulators/city/random.ts';
import { residentMiB } from '../../bench/process.ts';
import { DatabaseProcess } from '../databases.ts';
import { WebhookReceiver } from '../receiver.ts';
import { ADMIN_KEY, ServerProcess } from '../server.ts';
import { createSseReader } from '../sse-reader.ts';
import { pause } from '../wait.ts';
import { readMqtt } from '../webhooks.ts';
import { FAULTS, type Target } from './faults.ts';
import { Fleet, type FleetOptions } from './fleet.ts';
import { LoopDisk } from './loop-disk.ts';
import { Operator } from './operator.ts';
import { FaultyDisk } from './shim.ts';
import { checkFiles, checkNow, checkSubscribers } from './verify.ts';

export interface CampaignOptions extends FleetOptions {
  readonly seed: string;
  /** How long faults are injected, at most. */
  readonly minutes: number;
  /** How often every kind comes, at most; absent: until the time is over. */
  readonly rounds?: number;
  /** Names of FAULTS; all where absent. */
  readonly only?: readonly string[];
  /** Whether the history is a real InfluxDB. */
  readonly influx: boolean;
  /** How often all promises are checked, ms; they are at the end, too. */
  readonly checkEveryMs: number;
  readonly onProgress?: (line: string) => void;
  /** Called with everything that the server writes. */
  readonly onOutput?: (text: string) => void;
}

/** One fault as it went. */
export interface Injected {
  readonly kind: string;
  /** From its end until the server is ready and has acknowledged a message again. */
  readonly recoveredMs: number;
}

/** How often the server said something, and after which kinds of faults. */
export interface Said {
  readonly times: number;
  readonly after: ReadonlySet<string>;
}

/** What a campaign found; `faults` are broken promises, as sentences. */
export interface Outcome {
  readonly injected: readonly Injected[];
  readonly acknowledged: number;
  readonly actions: number;
  readonly events: number;
  readonly mostMiB: number;
  /** What the server said of faults: its log at `error` and above, /ready, and its responses to the operator. */
  readonly said: ReadonlyMap<string, Said>;
  readonly faults: readonly string[];
}

const DISK_MIB = 2_048;
/** Between two faults: the server works undisturbed for so long, at most. */
const QUIET_MS = 2_000;
/** As a supervisor waits before it starts a server again. */
const RESTART_MS = 200;
/** A server that is not back by then has not recovered. */
const BACK_MS = 300_000;
const FAKETIME = '/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1';

/** A server under a steady load of devices, an operator and subscribers, on a disk that can fail, with a supervisor. */
export class Campaign {
  readonly #options: CampaignOptions;
  readonly #target: Target;
  readonly #fleet = new Fleet();
  readonly #operator: Operator;
  readonly #receiver = new WebhookReceiver();
  readonly #injected: Injected[] = [];
  readonly #faults: string[] = [];
  readonly #said = new Map<string, { times: number; after: Set<string> }>();
  /** The newest fault. */
  #kind = 'nothing';
  #mostMiB = 0;

  private constructor(options: CampaignOptions, target: Target) {
    this.#options = options;
    this.#target = target;
    this.#operator = new Operator(target.server, (said) => this.#count(`to the operator: ${said}`));
    target.server.onOutput = (text) => {
      options.onOutput?.(text);
      this.#listen(text);
    };
  }

  /** Runs a campaign from the beginning to its end, and leaves nothing behind. */
  static async run(options: CampaignOptions): Promise<Outcome> {
    const random = createRandom(options.seed);
    const loop = LoopDisk.mount(DISK_MIB);
    const data = loop?.path ?? mkdtempSync(join(tmpdir(), 'lamppost-test-'));
    const shim = new FaultyDisk(data);
    const influx = options.influx ? await DatabaseProcess.influx() : null;
    await influx?.start();
    if (influx !== null) await fetch(`${influx.url}/query?q=create+database+lamppost`, { method: 'POST' });
    const clock = existsSync(FAKETIME) ? join(mkdtempSync(join(tmpdir(), 'lamppost-clock-')), 'offset') : null;
    const server = new ServerProcess(data, settingsOf(shim, clock, influx));
    server.startWithinMs = BACK_MS;
    const campaign = new Campaign(options, { server, random, shim, loop, clock, influx });
    try {
      return await campaign.#run();
    } finally {
      campaign.#receiver.stop();
      await server.kill();
      await influx?.end('SIGKILL');
      loop?.remove();
      shim.remove();
    }
  }

  async #run(): Promise<Outcome> {
    const { server } = this.#target;
    await server.start();
    const { secret } = await server.post<{ secret: string }>('/api/v1/webhooks', {
      url: await this.#receiver.start(),
      after: 0,
    });
    this.#receiver.secrets = [secret];
    // Faults set the server's clock, which signatures have.
    this.#receiver.anyTime = true;
    const sse = createSseReader({ url: () => `http://127.0.0.1:${server.httpPort}`, key: ADMIN_KEY, last: '0' });
    const overMqtt = await readMqtt(server);
    // Last: over MQTT there are only events from the subscription on.
    await this.#fleet.start(server, this.#options);
    this.#operator.start();
    try {
      await this.#injectAll();
      await Promise.all([this.#fleet.stop(), this.#operator.stop()]);
      const found = await this.#check('at the end');
      const arrived = { sse, mqtt: overMqtt.ids };
      this.#faults.push(...(await checkSubscribers(server, this.#receiver, arrived)));
      const code = await server.stop();
      if (code !== 0) this.#faults.push(`the server ended with ${code} after SIGTERM`);
      this.#faults.push(...(await checkFiles(server.data)));
      return this.#outcome(found);
    } finally {
      await sse.end();
      await overMqtt.stop();
    }
  }

  #outcome(events: number): Outcome {
    return {
      injected: this.#injected,
      acknowledged: this.#fleet.count,
      actions: this.#operator.asked.filter(({ version }) => version !== null).length,
      events,
      mostMiB: this.#mostMiB,
      said: this.#said,
      faults: this.#faults,
    };
  }

  /** Every kind comes once before any comes again, in an order of the seed. */
  async #injectAll(): Promise<void> {
    const { minutes, rounds = Number.POSITIVE_INFINITY, checkEveryMs, only, onProgress } = this.#options;
    const kinds = only ?? Object.keys(FAULTS);
    const { random } = this.#target;
    const until = Date.now() + minutes * 60_000;
    let checkAt = Date.now() + checkEveryMs;
    let order: string[] = [];
    for (let n = 0; n < rounds * kinds.length && Date.now() < until; n++) {
      if (order.length === 0) order = shuffled(kinds, random);
      const kind = order.pop()!;
      await pause(random() * QUIET_MS);
      this.#kind = kind;
      onProgress?.(`${new Date().toISOString()} ${kind} …`);
      if (!(await FAULTS[kind]!(this.#target))) {
        await this.#back();
        continue;
      }
      const recoveredMs = await this.#back();
      this.#injected.push({ kind, recoveredMs });
      onProgress?.(`${kind}: back after ${recoveredMs} ms, ${this.#fleet.count} acknowledged`);
      if (Date.now() < checkAt) continue;
      await this.#check(`after ${this.#injected.length} faults, the last of them ${kind}`);
      checkAt = Date.now() + checkEveryMs;
    }
  }

  /** Starts the server as a supervisor does until it is ready and acknowledges again; returns how long that took. */
  async #back(): Promise<number> {
    const { server } = this.#target;
    const began = Date.now();
    const late = () => Date.now() - began > BACK_MS;
    while (!(await this.#isReady())) {
      if (late()) throw new Error(`the server is not ready after ${BACK_MS} ms: ${server.output.slice(-4_000)}`);
      if (!server.running) await server.start().catch(() => {});
      await pause(RESTART_MS);
    }
    for (const before = this.#fleet.count; this.#fleet.count === before; await pause(10)) {
      if (late()) throw new Error(`nothing is acknowledged after ${BACK_MS} ms: ${server.output.slice(-4_000)}`);
    }
    const took = Date.now() - began;
    if (server.running) this.#mostMiB = Math.max(this.#mostMiB, residentMiB(server.pid));
    return took;
  }

  async #isReady(): Promise<boolean> {
    const { server } = this.#target;
    if (!server.running) return false;
    const response = await fetch(`http://127.0.0.1:${server.httpPort}/ready`, {
      signal: AbortSignal.timeout(5_000),
    }).catch(() => null);
    if (response?.status === 503) {
      const { reasons } = (await response.json()) as { reasons: string[] };
      for (const reason of reasons) this.#count(`/ready: ${reason}`);
    }
    return response?.status === 200;
  }

  async #check(when: string): Promise<number> {
    const { server } = this.#target;
    const { faults, events } = await this.#fleet.quietly(() =>
      checkNow(server, this.#fleet.acknowledged(), [...this.#operator.asked]),
    );
    this.#faults.push(...faults.map((fault) => `${when}: ${fault}`));
    this.#options.onProgress?.(`checked ${when}: ${faults.length} faults`);
    return events;
  }

  #listen(text: string): void {
    for (const line of text.split('\n')) {
      const level = /"level":(\d+)/.exec(line);
      if (level === null ? line.includes('Error') : Number(level[1]) >= 50) this.#count(`log: ${gist(line)}`);
    }
  }

  #count(what: string): void {
    const same = what.replaceAll(/\d{4,}/g, 'N').replaceAll(this.#target.server.data, '');
    const said = this.#said.get(same) ?? { times: 0, after: new Set() };
    said.times++;
    said.after.add(this.#kind);
    this.#said.set(same, said);
  }
}

function gist(line: string): string {
  try {
    const { name, msg, err } = JSON.parse(line) as { name?: string; msg: string; err?: { message: string } };
    return `${name ?? ''}: ${msg}${err === undefined ? '' : ` (${err.message})`}`;
  } catch {
    return line.slice(0, 300);
  }
}

function shuffled(kinds: readonly string[], random: () => number): string[] {
  return kinds
    .map((kind) => ({ kind, at: random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ kind }) => kind);
}

function settingsOf(shim: FaultyDisk, clock: string | null, influx: DatabaseProcess | null): Record<string, string> {
  const env = shim.env();
  const settings: Record<string, string> = { ...env, WEBHOOK_ALLOW_PRIVATE: 'true' };
  if (influx !== null) Object.assign(settings, { INFLUX_URL: influx.url, INFLUX_API: 'v1' });
  if (clock === null) return settings;
  writeFileSync(clock, '+0\n');
  return {
    ...settings,
    LD_PRELOAD: `${FAKETIME}:${env.LD_PRELOAD}`,
    FAKETIME_TIMESTAMP_FILE: clock,
    FAKETIME_CACHE_DURATION: '1',
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
  };
}
