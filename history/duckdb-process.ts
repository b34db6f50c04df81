import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Logger } from 'pino';
import {
  type HistoryStore,
  type HistoryUpkeep,
  LamppostError,
  type LatestReading,
  type MetricTable,
  type PointsSlice,
  type ReadingColumns,
  type ReadingsFilter,
  type ReadingsQuery,
  type ReadOptions,
  type ScannedReadings,
  type ScanQuery,
} from '../domain/index.ts';
import { type Calls, callsOf } from './calls.ts';
import type { DuckdbLimits } from './duckdb.ts';
import type { Asked, DuckdbChild, Measures } from './duckdb-child.ts';
import { ColumnSender } from './sent-columns.ts';

interface Options {
  readonly path: string;
  readonly metrics: Pick<MetricTable, 'idOf'>;
  /** Returns units and kinds of the city in force. */
  readonly measures: () => Measures;
  readonly limits: DuckdbLimits;
  readonly log: Logger;
}

/** How the history's process is. */
export interface ProcessStatus {
  /** Its id; null while there is none. */
  readonly pid: number | null;
  /** How many times it was started again. */
  readonly restarts: number;
  readonly residentBytes: number;
}

/** A history in a process of its own. */
export interface HistoryProcess extends HistoryStore, HistoryUpkeep {
  /** Why it is not there at the moment, or null. */
  trouble(): string | null;
  status(): Promise<ProcessStatus>;
}

/**
 * Returns a batch whose arrays have memory of their own. Those of a message are views of one buffer, which may hold
 * other messages too: moving it on to another thread would take these along.
 */
function owned<B extends object>(batch: B): B {
  if (Array.isArray(batch)) return batch;
  const own = (value: unknown) =>
    value instanceof Float64Array || value instanceof Int32Array ? value.slice() : value;
  return Object.fromEntries(Object.entries(batch).map(([name, value]) => [name, own(value)])) as B;
}

const ENTRY = fileURLToPath(new URL('./duckdb-child.ts', import.meta.url));
// Its heap holds one batch and the newest readings; V8's helper threads would have a malloc arena each.
const FLAGS = ['--max-semi-space-size=4', '--no-concurrent-marking', '--single-threaded-gc', '--expose-gc'];
const FIRST_DELAY_MS = 250;
const LONGEST_DELAY_MS = 30_000;
/** After so long, another crash counts as the first one. */
const STABLE_MS = 60_000;
/** How long its last checkpoint may take. */
const STOP_MS = 30_000;

/**
 * The embedded history with DuckDB in a process of its own: what kills it, such as a fault in DuckDB or a lack of
 * memory, kills nothing else. It is started again with a growing delay; until then every call throws `history`,
 * retryable. An append whose outcome is unknown is found out by the cursor after that.
 */
export function createDuckdbProcess(options: Options): HistoryProcess {
  return new DuckdbProcess(options);
}

class DuckdbProcess implements HistoryProcess {
  readonly #options: Options;
  #child: { readonly process: ChildProcess; readonly call: Calls<DuckdbChild>; readonly sender: ColumnSender } | null =
    null;
  #trouble: string | null = null;
  #cursor = 0;
  #restarts = 0;
  /** Crashes one after the other, and when the last start was. */
  #failures = 0;
  #startedAt = 0;
  #restart: NodeJS.Timeout | undefined;
  #stopped = false;
  #reads = 0;

  constructor(options: Options) {
    this.#options = options;
  }

  async start(): Promise<void> {
    await this.#open();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#restart);
    const child = this.#child;
    this.#child = null;
    if (child === null) return;
    const gone = once(child.process, 'exit');
    const late = setTimeout(() => child.process.kill('SIGKILL'), STOP_MS);
    await child.call.stop().catch((error: Error) => this.#options.log.error({ err: error }, 'the history stops'));
    if (child.process.connected) child.process.disconnect();
    await gone;
    clearTimeout(late);
  }

  cursor(): number {
    return this.#cursor;
  }

  trouble(): string | null {
    return this.#trouble;
  }

  async status(): Promise<ProcessStatus> {
    const child = this.#child;
    const residentBytes = (await child?.call.resident().catch(() => 0)) ?? 0;
    return { pid: child?.process.pid ?? null, restarts: this.#restarts, residentBytes };
  }

  async append(batches: readonly ReadingColumns[], next: number, replaced: readonly ReadingColumns[] = []) {
    const { call, sender } = this.#running();
    await call.append(sender.pack(batches), next, sender.pack(replaced));
    this.#cursor = next;
    return [];
  }

  read(query: ReadingsQuery, { signal, ...options }: ReadOptions = {}) {
    return this.#batches<PointsSlice>({ kind: 'read', args: [query, options] }, signal);
  }

  latest(filter: ReadingsFilter) {
    return this.#batches<readonly LatestReading[]>({ kind: 'latest', args: [filter] });
  }

  async *scan(query: ScanQuery, signal?: AbortSignal) {
    try {
      yield* this.#batches<ScannedReadings>({ kind: 'scan', args: [query] }, signal);
    } catch (error) {
      // A scan that is aborted ends.
      if (signal?.aborted !== true) throw error;
    }
  }

  async count(): Promise<number> {
    return this.#running().call.count();
  }

  async exportParquet(query: Omit<ReadingsQuery, 'maxPoints'>, { signal, ...options }: ReadOptions = {}) {
    const { call } = this.#running();
    const id = this.#reads++;
    const end = () => void call.end(id).catch(() => {});
    signal?.throwIfAborted();
    signal?.addEventListener('abort', end, { once: true });
    try {
      return await call.exportParquet(id, query as ReadingsQuery, options, this.#options.measures());
    } catch (error) {
      throw signal?.aborted === true ? signal.reason : error;
    } finally {
      signal?.removeEventListener('abort', end);
    }
  }

  async rollup(untilMs: number): Promise<number> {
    return this.#running().call.rollup(untilMs, this.#options.measures());
  }

  async prune(beforeMs: number): Promise<number> {
    return this.#running().call.prune(beforeMs, this.#options.measures());
  }

  async copyTo(path: string): Promise<number> {
    return this.#running().call.copyTo(path);
  }

  async *#batches<B extends object>(asked: Asked, signal?: AbortSignal): AsyncGenerator<B, void, undefined> {
    signal?.throwIfAborted();
    const { call } = this.#running();
    const id = this.#reads++;
    const end = () => void call.end(id).catch(() => {});
    signal?.addEventListener('abort', end, { once: true });
    try {
      await call.begin(id, asked, this.#options.measures());
      for (let batch = await call.next(id); batch !== null; batch = await call.next(id)) {
        signal?.throwIfAborted();
        yield owned(batch as B);
      }
    } catch (error) {
      throw signal?.aborted === true ? signal.reason : error;
    } finally {
      signal?.removeEventListener('abort', end);
      end();
    }
  }

  #running() {
    if (this.#child === null) throw this.#gone();
    return this.#child;
  }

  #gone(): LamppostError {
    return new LamppostError('history', this.#trouble ?? 'the history is closed', { retryable: true });
  }

  async #open(): Promise<void> {
    const { path, limits, metrics, log } = this.#options;
    const child = fork(ENTRY, {
      execArgv: FLAGS,
      serialization: 'advanced',
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    // More than one call can fail while it ends.
    child.on('error', (error) => log.error({ err: error }, 'the process of the history cannot be reached'));
    child.once('exit', (code, signal) => this.#exited(child, signal ?? `code ${code}`));
    const call = callsOf<DuckdbChild>(child, () => this.#gone());
    this.#startedAt = performance.now();
    try {
      this.#trouble ??= `the process of the history ended while it opened ${path}`;
      this.#cursor = await call.open(path, limits);
      this.#trouble = null;
      this.#child = { process: child, call, sender: new ColumnSender(metrics) };
    } catch (error) {
      this.#trouble = (error as Error).message;
      child.kill('SIGKILL');
      throw error;
    }
  }

  #exited(child: ChildProcess, how: string): void {
    if (this.#child?.process !== child) return;
    this.#child = null;
    if (performance.now() - this.#startedAt > STABLE_MS) this.#failures = 0;
    this.#trouble = `the process of the history ended (${how}) and is started again`;
    this.#options.log.error({ how }, 'the process of the history ended; readings wait in the journal');
    this.#restartLater();
  }

  #restartLater(): void {
    const delayMs = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** this.#failures++);
    this.#restart = setTimeout(() => void this.#reopen(), delayMs);
  }

  async #reopen(): Promise<void> {
    const { log } = this.#options;
    try {
      this.#restarts++;
      await this.#open();
      log.warn({ ms: Math.round(performance.now() - this.#startedAt) }, 'the history is back');
    } catch (error) {
      log.error({ err: error }, 'the history could not be opened again');
      if (!this.#stopped) this.#restartLater();
    }
  }
}
