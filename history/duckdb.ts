import type { DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';
import type { Logger } from 'pino';
import {
  GAUGE,
  type HistoryStore,
  type HistoryUpkeep,
  HOUR_MS,
  type KnownDevice,
  LamppostError,
  type Measure,
  type MetricTable,
  type ReadingColumns,
  type ReadingsFilter,
  type ReadingsQuery,
  type ReadOptions,
  type ScanQuery,
} from '../domain/index.ts';
import { lastRows, Numbering, newerThan, rowsWhere } from './columns.ts';
import { copyDuckdb, faultOf, openDuckdb, openingFault, SETTINGS, scalar, spillOf } from './duckdb-file.ts';
import { KINDS_SCHEMA, type KindOfMetric } from './kinds.ts';
import { Latest, newestStored } from './latest.ts';
import { checkFunction, readDuckdb, removeExports, writeParquet } from './query.ts';
import {
  endOfNewestHour,
  hourOf,
  hoursDue,
  hoursOf,
  noteUnknownHours,
  prunedBefore,
  ROLLUP_SCHEMA,
  rollUp,
} from './rollup.ts';
import { scanDuckdb } from './scan.ts';
import { NARROWER, Statements } from './statements.ts';
import { RESULTS_AT_ONCE, Turns } from './turns.ts';

const SCHEMA = `
  create table if not exists readings (ts bigint not null, device integer not null, metric smallint not null, value double not null);
  create table if not exists devices (id integer primary key, name varchar not null, district varchar not null);
  create table if not exists metrics (id smallint primary key, name varchar not null);
  create table if not exists progress (cursor bigint not null);
  create temp table if not exists incoming as from readings limit 0;
`;

/** What DuckDB may use. */
export interface DuckdbLimits {
  /** Of memory, MiB; beyond it, it writes to the disk. */
  readonly memoryMiB?: number;
  /** Of its log, MiB, before that is brought into the file. What is in the log is in memory, too. */
  readonly walMiB?: number;
}

/** From so many rows on that may replace others, it is worth to find those that do not. */
const BULK = 10_000;

interface Options extends DuckdbLimits {
  readonly path: string;
  readonly metrics: Pick<MetricTable, 'idOf'>;
  readonly unitOf: (metric: string) => string;
  /** Of the city in force; by default every metric is a gauge. */
  readonly measureOf?: (metric: string) => Measure;
  readonly log?: Pick<Logger, 'warn'>;
}

/**
 * The embedded history: a DuckDB file of about 4 bytes a reading. `start` opens it; throws `history` where it cannot.
 */
export function createDuckdbHistory(options: Options): HistoryStore & HistoryUpkeep {
  return new DuckdbHistory(options);
}

class DuckdbHistory implements HistoryStore, HistoryUpkeep {
  readonly #path: string;
  readonly #metrics: Pick<MetricTable, 'idOf'>;
  readonly #unitOf: (metric: string) => string;
  readonly #measureOf: (metric: string) => Measure;
  readonly #limits: Required<DuckdbLimits>;
  readonly #log: Pick<Logger, 'warn'> | undefined;
  readonly #latest = new Latest();
  readonly #numbering: Numbering;
  #instance: DuckDBInstance | null = null;
  #writer!: DuckDBConnection;
  #statements!: Statements;
  #cursor = 0;
  /** Hours that the file marks as due for their roll-up. */
  #due = new Set<number>();
  #prunedMs = Number.NEGATIVE_INFINITY;
  #writing: Promise<unknown> = Promise.resolve();
  /** Until `#latest` has the newest of what was stored before the start. */
  #loading: Promise<void> | null = null;
  #isLoaded = false;
  readonly #results = new Turns(RESULTS_AT_ONCE);

  constructor({ path, metrics, unitOf, measureOf = () => GAUGE, memoryMiB = 1_024, walMiB = 32, log }: Options) {
    this.#log = log;
    this.#path = path;
    this.#metrics = metrics;
    this.#unitOf = unitOf;
    this.#measureOf = measureOf;
    this.#limits = { memoryMiB, walMiB };
    this.#numbering = new Numbering(metrics);
  }

  async start(): Promise<void> {
    try {
      removeExports(this.#path);
      const limits = {
        memory_limit: `${this.#limits.memoryMiB}MiB`,
        checkpoint_threshold: `${this.#limits.walMiB}MiB`,
        max_temp_directory_size: await spillOf(this.#path),
      };
      this.#instance = await openDuckdb(this.#path, { ...SETTINGS, ...limits }, (at) =>
        this.#log?.warn({ at }, 'the log of the history ended in an entry that is not whole, and is cut there'),
      );
      this.#writer = await this.#instance.connect();
      this.#statements = new Statements(this.#instance);
      await this.#writer.run(SCHEMA + ROLLUP_SCHEMA + KINDS_SCHEMA);
      await this.#load();
      this.#foldLog();
      this.#newestLoaded().catch((error) => {
        // A stop interrupts it.
        if (this.#instance !== null) this.#log?.warn({ err: error }, 'the newest readings are not loaded yet');
      });
    } catch (cause) {
      // So that it can be tried again.
      this.#instance?.closeSync();
      this.#instance = null;
      throw openingFault(this.#path, cause);
    }
  }

  async stop(): Promise<void> {
    const instance = this.#instance;
    if (instance === null) return;
    this.#instance = null;
    await this.#statements.stop();
    await this.#writing;
    await this.#writer.run('checkpoint');
    this.#writer.closeSync();
    instance.closeSync();
  }

  cursor(): number {
    return this.#cursor;
  }

  async append(batches: readonly ReadingColumns[], next: number, replaced: readonly ReadingColumns[] = []) {
    const again = Array.from({ length: Math.max(batches.length, replaced.length) }, (_, at) =>
      [batches.slice(at, at + 1).map((batch) => this.#perhapsStored(batch)), replaced.slice(at, at + 1)].flat(),
    ).flat();
    const others = lastRows(again);
    const noted = await this.#inTurn('readings could not be stored', async () => {
      // Numbers are committed on their own: one that no reading uses yet does no harm.
      await this.#numbering.add(this.#writer, [...batches, others]);
      return this.#transaction(() => this.#store(batches, others, next));
    });
    this.#cursor = next;
    for (const hour of noted) this.#due.add(hour);
    const nameOf = (index: number) => this.#metrics.idOf(index);
    this.#latest.putAll(batches, nameOf);
    this.#latest.putAll(again, nameOf, { replaces: true });
    return [];
  }

  async *read(query: ReadingsQuery, options: ReadOptions = {}) {
    checkFunction(query, this.#measureOf);
    const leave = await this.#results.take(options.by ?? '', options.signal);
    try {
      yield* readDuckdb(this.#source(), query, options);
    } catch (cause) {
      throw cause instanceof LamppostError ? cause : readFault(cause, options.signal);
    } finally {
      leave();
    }
  }

  async *latest(filter: ReadingsFilter) {
    await this.#newestLoaded();
    yield* this.#latest.list(filter, this.#unitOf);
  }

  scan(query: ScanQuery, signal?: AbortSignal) {
    return scanDuckdb(this.#instance!, this.#statements, query, signal);
  }

  count(): Promise<number> {
    return this.#statements.run(async (connection) =>
      Number(await scalar(connection, 'select count(*) from readings')),
    );
  }

  async exportParquet(query: Omit<ReadingsQuery, 'maxPoints'>, options: ReadOptions = {}): Promise<string> {
    checkFunction(query, this.#measureOf);
    return writeParquet(this.#source(), this.#path, query, options);
  }

  async copyTo(to: string): Promise<number> {
    try {
      return await copyDuckdb(this.#instance!, to);
    } catch (cause) {
      throw faultOf('the history could not be copied', cause);
    }
  }

  async rollup(untilMs: number): Promise<number> {
    const rolled = await this.#inTurn('the history could not be rolled up', () =>
      this.#transaction(() => rollUp(this.#writer, untilMs, this.#prunedMs, this.#kinds())),
    );
    for (const hour of rolled) this.#due.delete(hour);
    return rolled.length;
  }

  async prune(beforeMs: number): Promise<number> {
    const before = hourOf(beforeMs);
    if (before <= this.#prunedMs) return 0;
    const { rolled, deleted } = await this.#inTurn('the history could not be pruned', () =>
      this.#transaction(() => this.#pruneTo(before)),
    );
    for (const hour of rolled) this.#due.delete(hour);
    this.#prunedMs = before;
    return deleted;
  }

  #source() {
    const [statements, numbering, unitOf, prunedMs] = [this.#statements, this.#numbering, this.#unitOf, this.#prunedMs];
    return { statements, numbering, unitOf, prunedMs, kinds: this.#kinds() };
  }

  /** The metrics that are not gauges. */
  #kinds(): KindOfMetric[] {
    const all = this.#numbering.metricNames().map((name, metric) => ({ metric, measure: this.#measureOf(name) }));
    return all.filter(({ measure }) => measure.kind !== 'gauge');
  }

  async #load(): Promise<void> {
    this.#cursor = Number((await scalar(this.#writer, 'select max(cursor) from progress')) ?? 0);
    await this.#numbering.load(this.#writer);
    await noteUnknownHours(this.#writer);
    this.#due = new Set(await hoursDue(this.#writer));
    this.#prunedMs = await prunedBefore(this.#writer);
    this.#latest.newest = await endOfNewestHour(this.#writer);
  }

  /** Resolves when the newest reading of every series is known; tries again where that failed. */
  #newestLoaded(): Promise<void> {
    this.#loading ??= this.#loadNewest().catch((cause) => {
      this.#loading = null;
      throw cause instanceof LamppostError ? cause : faultOf('the newest readings cannot be read', cause);
    });
    return this.#loading;
  }

  /** Nobody but their readers waits for it: it takes the longer the more is stored. Meanwhile readings are appended. */
  async #loadNewest(): Promise<void> {
    const rows = await this.#statements.run(newestStored, { by: 'newest readings' });
    for (const row of rows) this.#latest.putStored(...row);
    this.#isLoaded = true;
  }

  /**
   * Writes what the log of an earlier process holds into the file. That process may have ended at an fsync that failed:
   * then it is read, but may not be on disk, and what is appended behind it would be lost with it.
   */
  #foldLog(): void {
    this.#inTurn('the log of the history could not be folded in', () => this.#writer.run('checkpoint')).catch((error) =>
      this.#log?.warn({ err: error }, 'the log of the history is folded in later'),
    );
  }

  /** Runs one piece of work at a time on the writer's connection; a failed one is rolled back. */
  #inTurn<T>(what: string, work: () => Promise<T>): Promise<T> {
    const turn = this.#writing.then(work).catch(async (cause: Error) => {
      await this.#writer.run('rollback').catch(() => {});
      // After an fsync that failed DuckDB takes nothing more: only another start helps.
      throw faultOf(what, cause, !cause.message.startsWith('FATAL'));
    });
    this.#writing = turn.catch(() => {});
    return turn;
  }

  async #transaction<T>(work: () => Promise<T>): Promise<T> {
    await this.#writer.run('begin');
    const result = await work();
    await this.#writer.run('commit');
    return result;
  }

  async #appendTo(table: string, batches: readonly ReadingColumns[]): Promise<void> {
    const [catalog, schema] = table === 'incoming' ? ['temp', 'main'] : [null, null];
    const appender = await this.#writer.createAppender(table, schema, catalog);
    this.#numbering.append(appender, batches);
    appender.closeSync();
  }

  /**
   * Rows that may be stored already although intake takes them for new, because it forgets keys in the end. A row that
   * is newer than all of its series is not one of them; nor is one of the last hour, so that searches through the file
   * stay rare.
   */
  #perhapsStored(readings: ReadingColumns): ReadingColumns {
    const before = this.#latest.newest - HOUR_MS;
    const { device, metric, ts } = readings;
    return rowsWhere(readings, (row) => {
      if (ts[row]! >= before) return false;
      if (!this.#isLoaded) return true;
      return ts[row]! <= this.#newestOf(device[row]!, metric[row]!);
    });
  }

  /** Time of the newest stored reading of a series. */
  readonly #newestOf = (device: KnownDevice, metric: number) =>
    this.#latest.newestOf(device.id, this.#metrics.idOf(metric));

  async #store(batches: readonly ReadingColumns[], others: ReadingColumns, next: number): Promise<number[]> {
    if (batches.some(({ length }) => length > 0)) await this.#appendTo('readings', batches);
    // Bulk need not search for rows that cannot be stored yet.
    const isNew = this.#isLoaded && others.length >= BULK ? newerThan(others, batches, this.#newestOf) : () => false;
    const fresh = rowsWhere(others, isNew);
    if (fresh.length > 0) await this.#appendTo('readings', [fresh]);
    await this.#replace(fresh.length === 0 ? others : rowsWhere(others, (row) => !isNew(row)));
    const noted = await this.#noteHours([...batches, others]);
    await this.#writer.run('delete from progress');
    await this.#writer.run(`insert into progress values (${next})`);
    return noted;
  }

  /**
   * Deletes the stored rows with the keys of these rows, also those stored earlier in this transaction, and inserts
   * these.
   */
  async #replace(rows: ReadingColumns): Promise<void> {
    if (rows.length === 0) return;
    await this.#writer.run('delete from incoming');
    await this.#appendTo('incoming', [rows]);
    const [from, to] = spanOf(rows);
    // With bounds, DuckDB skips the row groups of other times.
    await this.#writer.run(`
      delete from readings r using incoming i
      where r.ts between ${from} and ${to} and r.ts = i.ts and r.device = i.device and r.metric = i.metric`);
    await this.#writer.run('insert into readings from incoming');
  }

  /** Marks the hours of the batches as due for a roll-up; returns those that were not marked before. */
  async #noteHours(batches: readonly ReadingColumns[]): Promise<number[]> {
    const touched = new Set<number>();
    for (const { ts, length } of batches) hoursOf(ts, length, touched);
    const fresh = [...touched].filter((hour) => !this.#due.has(hour));
    if (fresh.length > 0) await this.#writer.run(`insert into rollup_due values ${fresh.map((hour) => `(${hour})`)}`);
    return fresh;
  }

  async #pruneTo(before: number): Promise<{ rolled: number[]; deleted: number }> {
    const rolled = await rollUp(this.#writer, before, this.#prunedMs, this.#kinds());
    const { rowsChanged } = await this.#writer.run(`delete from readings where ts < ${before}`);
    await this.#writer.run('delete from pruned');
    await this.#writer.run(`insert into pruned values (${before})`);
    return { rolled, deleted: rowsChanged };
  }
}

function spanOf({ ts, length }: ReadingColumns): [from: number, to: number] {
  let [from, to] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let row = 0; row < length; row++) [from, to] = [Math.min(from, ts[row]!), Math.max(to, ts[row]!)];
  return [from, to];
}

function readFault(cause: unknown, signal: AbortSignal | undefined): unknown {
  if (signal?.aborted) return signal.reason;
  const { message } = cause as Error;
  if (!/^out of memory/i.test(message)) return faultOf('the history cannot be read', cause);
  return new LamppostError('busy', `the query needs more memory than the history may use; ${NARROWER}`, { cause });
}
