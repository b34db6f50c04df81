/** Entry of the process that runs DuckDB; `duckdb-process.ts` starts it. It ends with the process that started it. */
import { writeFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import pino from 'pino';
import {
  GAUGE,
  LamppostError,
  type Measure,
  type ReadingsFilter,
  type ReadingsQuery,
  type ReadOptions,
  type ScanQuery,
} from '../domain/index.ts';
import { serveParent } from './calls.ts';
import { createDuckdbHistory, type DuckdbLimits } from './duckdb.ts';
import { ColumnReceiver, type SentColumns } from './sent-columns.ts';

/** What a read may ask for, by its kind. */
interface Reads {
  readonly read: readonly [ReadingsQuery, Omit<ReadOptions, 'signal'>];
  readonly latest: readonly [ReadingsFilter];
  readonly scan: readonly [ScanQuery];
}

/** A read by its kind, with its arguments. */
export type Asked = { [K in keyof Reads]: { readonly kind: K; readonly args: Reads[K] } }[keyof Reads];

/** Units and kinds of the metrics of the city in force. */
export type Measures = Readonly<Record<string, Measure & { readonly unit: string }>>;

/** How long the file may be locked by a process that is about to end, of a server that was killed. */
const LOCKED_MS = 3_000;
const LOCKED_PAUSE_MS = 50;

const log = pino({ name: 'history' });
const columns = new ColumnReceiver();
const running = new Map<number, { readonly ended: AbortController; readonly batches?: AsyncIterator<object> }>();
let measures: Measures = {};
let history!: ReturnType<typeof createDuckdbHistory>;

function batchesOf(asked: Asked, signal: AbortSignal): AsyncIterable<object> {
  if (asked.kind === 'latest') return history.latest(...asked.args);
  if (asked.kind === 'scan') return history.scan(...asked.args, signal);
  const [query, options] = asked.args;
  return history.read(query, { ...options, signal });
}

const functions = {
  /** Opens the file; resolves to its cursor. */
  async open(path: string, limits: DuckdbLimits): Promise<number> {
    const unitOf = (metric: string) => measures[metric]?.unit ?? '';
    const measureOf = (metric: string) => measures[metric] ?? GAUGE;
    const until = performance.now() + LOCKED_MS;
    for (;;) {
      history = createDuckdbHistory({ path, metrics: columns, unitOf, measureOf, log, ...limits });
      try {
        await history.start();
        // Modules that were parsed; see `collectAfterStart`.
        globalThis.gc?.();
        return history.cursor();
      } catch (error) {
        if (!/lock on file/i.test((error as Error).message) || performance.now() > until) throw error;
        await pause(LOCKED_PAUSE_MS);
      }
    }
  },
  async append(readings: SentColumns, next: number, replaced: SentColumns): Promise<void> {
    try {
      await history.append(columns.unpack(readings), next, columns.unpack(replaced));
    } catch (error) {
      // After an fsync that failed DuckDB takes nothing more: another process opens the file again.
      if (error instanceof LamppostError && !error.retryable) process.kill(process.pid, 'SIGKILL');
      throw error;
    }
  },
  /** Begins a read under a number that the caller chose; `next` returns its batches, null at the end. */
  begin(id: number, asked: Asked, inForce: Measures): void {
    measures = inForce;
    const ended = new AbortController();
    running.set(id, { ended, batches: batchesOf(asked, ended.signal)[Symbol.asyncIterator]() });
  },
  async next(id: number): Promise<object | null> {
    const { done, value } = await running.get(id)!.batches!.next();
    return done === true ? null : value;
  },
  /** Ends a read or an export, also before its end. */
  end(id: number): void {
    const one = running.get(id);
    running.delete(id);
    one?.ended.abort();
    void one?.batches?.return?.().then(undefined, () => {});
  },
  async exportParquet(id: number, query: ReadingsQuery, options: Omit<ReadOptions, 'signal'>, inForce: Measures) {
    measures = inForce;
    const ended = new AbortController();
    running.set(id, { ended });
    try {
      return await history.exportParquet(query, { ...options, signal: ended.signal });
    } finally {
      running.delete(id);
    }
  },
  count: () => history.count(),
  rollup(untilMs: number, inForce: Measures): Promise<number> {
    measures = inForce;
    return history.rollup(untilMs);
  },
  prune(beforeMs: number, inForce: Measures): Promise<number> {
    measures = inForce;
    return history.prune(beforeMs);
  },
  copyTo: (path: string) => history.copyTo(path),
  /** Resident memory of this process, bytes. */
  resident: () => process.memoryUsage.rss(),
  stop: () => history.stop(),
};
export type DuckdbChild = typeof functions;

// The parent says when to stop; it gets these signals, too.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => {});
// DuckDB's file is as a crash leaves it, which its log is made for; ending in order may take long.
process.once('disconnect', () => process.kill(process.pid, 'SIGKILL'));
try {
  // Where the system is out of memory, this process goes first: the other one has the devices.
  writeFileSync('/proc/self/oom_score_adj', '500');
} catch {
  // Another system than Linux.
}
serveParent(functions);
