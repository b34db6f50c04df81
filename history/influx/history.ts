import {
  type Clock,
  GAUGE,
  type HistoryStore,
  LamppostError,
  type Measure,
  type MetricTable,
  type ReadingColumns,
  type ReadingsFilter,
  type ReadingsQuery,
  type ReadOptions,
  type RefusedRow,
  type ScanQuery,
} from '../../domain/index.ts';
import { lastOfEach } from '../columns.ts';
import { Latest } from '../latest.ts';
import { checkIntervals } from '../slices.ts';
import { endingWith } from '../statements.ts';
import { RESULTS_AT_ONCE, Turns } from '../turns.ts';
import {
  createConnection,
  INFLUX_LIMITS,
  type InfluxConnection,
  type InfluxLimits,
  type InfluxSettings,
} from './connection.ts';
import { type Ask, createAsk, identifier, Places } from './influxql.ts';
import { createLineBuilder, fieldOf, Rows } from './lines.ts';
import { countIn, deviceOf, metricsIn, readInflux } from './reading.ts';
import { type Verdict, verdictOf } from './responses.ts';
import { scanInflux } from './scan.ts';
import { createLineWriter, type LineWriter } from './writer.ts';

interface Deps {
  readonly metrics: MetricTable;
  readonly unitOf: (metric: string) => string;
  /** Of the city in force; by default every metric is a gauge. */
  readonly measureOf?: (metric: string) => Measure;
  readonly clock: Clock;
  /** Whether this node writes what it is given; absent: it does. Another one writes the same where it does not. */
  readonly writes?: () => boolean;
}

/** A batch that is partly written; writing continues here when the same batch is passed again. */
interface Progress {
  readonly first: ReadingColumns | undefined;
  rows: number;
  /** The number of losses when it began: what was written before another one counts for nothing. */
  readonly losses: number;
  readonly refused: RefusedRow[];
}

/**
 * InfluxDB as history (1, 2, 3, and other databases that take line protocol). It keeps no cursor: writing the same
 * points again changes nothing, so after a crash the caller writes its last batch again. It does not retry and has no
 * queue of its own: the journal is the queue. It opens no connection before the first request.
 */
export function createInfluxHistory(
  deps: Deps,
  settings: InfluxSettings,
  limits: InfluxLimits = INFLUX_LIMITS,
): HistoryStore {
  return new InfluxHistory(deps, settings, limits);
}

class InfluxHistory implements HistoryStore {
  readonly #deps: Deps;
  readonly #settings: InfluxSettings;
  readonly #connection: InfluxConnection;
  readonly #ask: Ask;
  readonly #writer: LineWriter;
  readonly #places = new Places();
  readonly #latest = new Latest();
  #progress: Progress | null = null;
  #reached = false;
  #loading: Promise<void> | null = null;
  readonly #results = new Turns(RESULTS_AT_ONCE);

  constructor(deps: Deps, settings: InfluxSettings, limits: InfluxLimits) {
    this.#deps = deps;
    this.#settings = settings;
    this.#connection = createConnection(settings, limits.timeoutMs);
    this.#ask = createAsk(this.#connection, settings);
    this.#writer = createLineWriter((lines) => this.#send(lines), createLineBuilder(deps.metrics), limits);
  }

  async start(): Promise<void> {}

  async stop(): Promise<void> {
    this.#connection.close();
  }

  cursor(): number {
    return 0;
  }

  async append(batches: readonly ReadingColumns[], _cursor: number, replaced: readonly ReadingColumns[] = []) {
    const writes = this.#deps.writes?.() ?? true;
    if (writes && !this.#reached && batches.every(isEmpty) && replaced.every(isEmpty)) await this.#tryOut();
    const refused = writes ? await this.#writeAll(batches, replaced) : [];
    this.#reached ||= writes && batches.some((batch) => batch.length > 0);
    const isRefused = refusedIn(refused);
    const nameOf = (metric: number) => this.#deps.metrics.idOf(metric);
    this.#places.learn(batches);
    this.#latest.putAll(batches, nameOf, { skip: isRefused('readings') });
    this.#latest.putAll(replaced, nameOf, { skip: isRefused('replaced'), replaces: true });
    return refused;
  }

  async *read(query: ReadingsQuery, { signal, by = '', withinMs }: ReadOptions = {}) {
    checkIntervals(query);
    const leave = await this.#results.take(by, signal);
    const { ending, done } = endingWith(signal, withinMs);
    try {
      if (query.district !== undefined) await this.#load();
      const where = this.#places.condition(query);
      const { unitOf, measureOf = () => GAUGE } = this.#deps;
      const reading = { ask: this.#ask, unitOf, measureOf, signal: ending };
      if (where !== null) yield* readInflux(reading, query, where);
    } finally {
      done();
      leave();
    }
  }

  async *latest(filter: ReadingsFilter) {
    await this.#load();
    yield* this.#latest.list(filter, this.#deps.unitOf);
  }

  scan(query: ScanQuery, signal?: AbortSignal) {
    return scanInflux(this.#ask, query, signal);
  }

  count(): Promise<number> {
    return countIn(this.#ask);
  }

  async exportParquet(): Promise<string> {
    throw new LamppostError('invalid', 'InfluxDB as history gives no Parquet; ask for CSV, or export there');
  }

  losses(): number {
    return 1 + this.#connection.losses();
  }

  interrupt(): void {
    this.#connection.interrupt();
  }

  async #send(lines: string): Promise<Verdict> {
    return verdictOf(await this.#connection.write(lines), this.#settings, this.#deps.clock.now());
  }

  /** Before the first reading, an empty write finds a wrong token or a missing bucket, and changes nothing. */
  async #tryOut(): Promise<void> {
    const verdict = await this.#send('');
    if (verdict.kind === 'wait') throw verdict.error;
    this.#reached = true;
  }

  async #writeAll(batches: readonly ReadingColumns[], replaced: readonly ReadingColumns[]): Promise<RefusedRow[]> {
    const [first] = batches;
    const losses = this.losses();
    if (this.#progress === null || this.#progress.first !== first || this.#progress.losses !== losses)
      this.#progress = { first, rows: 0, losses, refused: [] };
    const progress = this.#progress;
    await this.#writer.write(new Rows('readings', batches), progress.rows, (row, refused) => {
      progress.rows = row;
      progress.refused.push(...refused);
    });
    const refused = [...progress.refused];
    // Replacements come last: the earlier value may be in the same batch.
    const last = new Rows('replaced', replaced, lastOfEach(replaced));
    await this.#writer.write(last, 0, (_row, more) => {
      refused.push(...more);
    });
    this.#progress = null;
    return refused;
  }

  /** Reads once what was stored before this process started; a failed read is repeated by the next call. */
  #load(): Promise<void> {
    this.#loading ??= this.#loadNewest().catch((error: unknown) => {
      this.#loading = null;
      throw error;
    });
    return this.#loading;
  }

  async #loadNewest(): Promise<void> {
    const found: { device: string; district: string; metric: string; ts: number; value: number }[] = [];
    for (const metric of await metricsIn(this.#ask)) {
      const last = `select last(${identifier(fieldOf(metric))}) as v from /.*/ where "device" != ''`;
      for await (const series of this.#ask(`${last} group by "device", "district"`)) {
        const [ts, value] = series.values[0] as [number, unknown];
        if (typeof value !== 'number') continue;
        found.push({ device: deviceOf(series), district: series.tags!.district ?? '', metric, ts, value });
      }
    }
    found.sort((a, b) => b.ts - a.ts);
    for (const { device, district } of found) this.#places.load(device, district, true);
    for (const { device, metric, ts, value } of found)
      this.#latest.put(device, this.#places.of(device)!, metric, ts, value);
  }
}

const isEmpty = ({ length }: ReadingColumns) => length === 0;

function refusedIn(refused: readonly RefusedRow[]) {
  const keys = new Set(refused.map(({ of, batch, row }) => `${of} ${batch} ${row}`));
  return (of: RefusedRow['of']) => (batch: number, row: number) => keys.size > 0 && keys.has(`${of} ${batch} ${row}`);
}
