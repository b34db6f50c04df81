import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Ledger, Page } from '../../domain/index.ts';
import { endsWithUs, runs } from './children.ts';
import { HERE, type Machine } from './machines.ts';
import { freePort } from './ports.ts';
import { PATIENCE_MS, until } from './wait.ts';

export const ADMIN_KEY = 'a-key-for-tests-that-is-long-enough-0123456789';
export const BIN = fileURLToPath(new URL('../../bin/lamppost.js', import.meta.url));
const CITY = fileURLToPath(new URL('../../city', import.meta.url));

/** A server in its own process; it can be killed and started again with the same data. */
export class ServerProcess {
  readonly data: string;
  readonly settings: Record<string, string>;
  mqttPort = 0;
  httpPort = 0;
  output = '';
  startWithinMs = 2 * PATIENCE_MS;
  /** Where it runs. */
  machine: Machine = HERE;
  /** The program: of another version, after an upgrade. */
  bin = BIN;
  /** What a start waits for. */
  readyPath: '/ready' | '/ready?for=devices' = '/ready';
  /** Called with everything that it writes; `output` keeps the end of it. */
  onOutput: (text: string) => void = () => {};
  #child: ChildProcess | null = null;

  constructor(data = mkdtempSync(join(tmpdir(), 'lamppost-test-')), settings: Record<string, string> = {}) {
    this.data = data;
    this.settings = settings;
  }

  get pid(): number {
    return this.#child!.pid!;
  }

  /** Where it answers over HTTP. */
  get url(): string {
    return `http://${this.machine.host}:${this.httpPort}`;
  }

  /** Whether its process runs. */
  get running(): boolean {
    return this.#child !== null && runs(this.#child);
  }

  /** Resolves when /ready responds with 200. The ports stay the same over restarts. */
  async start(): Promise<void> {
    this.mqttPort ||= await freePort();
    this.httpPort ||= await freePort();
    const log = process.env.OTHER_LOG === undefined ? {} : await (await import('./other-log.ts')).otherLog(this.data);
    const [command, ...args] = [...this.machine.within, process.execPath, this.bin, 'start'];
    const child = spawn(command!, args, {
      cwd: this.data,
      env: {
        PATH: process.env.PATH,
        LAMPPOST_DATA: this.data,
        LAMPPOST_CITY: CITY,
        LAMPPOST_ADMIN_KEY: ADMIN_KEY,
        MQTT_HOST: this.machine.host,
        HTTP_HOST: this.machine.host,
        MQTT_PORT: String(this.mqttPort),
        HTTP_PORT: String(this.httpPort),
        LOG_LEVEL: 'error',
        ...log,
        ...this.settings,
      },
    });
    this.#child = child;
    endsWithUs(child);
    const keep = (chunk: Buffer) => {
      this.onOutput(chunk.toString());
      this.output = (this.output + chunk.toString()).slice(-20_000);
    };
    child.stdout!.on('data', keep);
    child.stderr!.on('data', keep);
    await this.#untilReady(child);
  }

  async #untilReady(child: ChildProcess): Promise<void> {
    const deadline = Date.now() + this.startWithinMs;
    while (Date.now() < deadline) {
      if (child.exitCode !== null || child.signalCode !== null)
        throw new Error(`the server ended with ${child.exitCode ?? child.signalCode}: ${this.output}`);
      if (await this.isReady(this.readyPath)) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`the server was not ready in time: ${this.output}`);
  }

  isReady(path = '/ready'): Promise<boolean> {
    return fetch(`${this.url}${path}`).then(
      ({ ok }) => ok,
      () => false,
    );
  }

  /** kill -9; resolves when the process is gone. */
  kill(): Promise<unknown> {
    return this.#end('SIGKILL');
  }

  /** SIGTERM; resolves with the exit code. */
  async stop(): Promise<number | null> {
    await this.#end('SIGTERM');
    return this.#child!.exitCode;
  }

  /** Resolves with the exit code once the process has ended by itself. */
  async ended(): Promise<number | null> {
    const child = this.#child!;
    if (runs(child)) await once(child, 'exit');
    return child.exitCode;
  }

  async #end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const child = this.#child!;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill(signal);
    await gone;
  }

  /** Journal blocks that the rules have not processed yet. */
  async #rulesLag(): Promise<number> {
    const text = await (await this.#fetch('/metrics', ADMIN_KEY)).text();
    return Number(/^lamppost_consumer_lag_blocks\{consumer="rules"\} (\d+)$/m.exec(text)![1]);
  }

  async get<T>(path: string, key = ADMIN_KEY): Promise<T> {
    return (await (await this.#fetch(path, key)).json()) as T;
  }

  /** Resolves to every item of a list. */
  async all<T>(path: string): Promise<T[]> {
    const items: T[] = [];
    let after: string | null = null;
    do {
      const query: string = `limit=1000${after === null ? '' : `&after=${after}`}`;
      const page: Page<T> = await this.get(`${path}${path.includes('?') ? '&' : '?'}${query}`);
      items.push(...page.items);
      after = page.next;
    } while (after !== null);
    return items;
  }

  async #fetch(path: string, key: string): Promise<Response> {
    const response = await fetch(`${this.url}${path}`, {
      headers: { authorization: `Bearer ${key}` },
    });
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return response;
  }

  async post<T>(path: string, body?: unknown): Promise<T> {
    const json = body === undefined ? {} : { 'content-type': 'application/json' };
    const response = await fetch(`${this.url}${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${ADMIN_KEY}`, ...json },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return (await response.json()) as T;
  }

  /** Resolves to the payload, as text, of an entry of the quarantine. */
  async refusedText(id: string): Promise<string> {
    const { raw } = await this.get<{ raw: string }>(`/api/v1/quarantine/${id}`);
    return Buffer.from(raw, 'base64').toString();
  }

  /** Resolves to the ledger once every consumer has processed everything; checks both equations at every read. */
  async settledLedger(device?: string): Promise<Ledger> {
    let ledger: Ledger | null = null;
    let lag = 0;
    const settled = async () => {
      const { messages } = await this.get<Ledger>('/api/v1/ledger');
      const ofDevice = this.get<Ledger>(`/api/v1/ledger${device === undefined ? '' : `?device=${device}`}`);
      // What is not counted yet may be the first message of its device.
      ledger = await (messages.pending > 0 ? ofDevice.catch(() => null) : ofDevice);
      if (ledger === null) return false;
      assertBalanced(ledger);
      lag = await this.#rulesLag();
      return ledger.messages.pending === 0 && lag === 0 && ledger;
    };
    return until(settled, () => `a ledger that settles: rules ${lag} blocks behind, ${JSON.stringify(ledger)}`, 50);
  }
}

/** Promise 2. */
function assertBalanced({ messages, readings }: Ledger): void {
  const found = JSON.stringify({ messages, readings });
  if (messages.received !== messages.decoded + messages.quarantined + messages.pending)
    throw new Error(`messages: ${found}`);
  if (readings.received !== readings.stored + readings.duplicate + readings.quarantined)
    throw new Error(`readings: ${found}`);
}
