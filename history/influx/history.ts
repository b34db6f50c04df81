import {
  type Clock,
  type HistoryStore,
  LamppostError,
  type MetricTable,
  type ReadingColumns,
  type RefusedRow,
} from '../../domain/index.ts';
import { Latest } from '../latest.ts';
import { lastOfEach } from '../replaced.ts';
import { verdictOf } from './answers.ts';
import { createConnection } from './connection.ts';
import { createAsk, identifier } from './influxql.ts';
import { createLineBuilder, fieldOf, Rows } from './lines.ts';
import { Places } from './places.ts';
import { countIn, deviceOf, metricsIn, queryInflux } from './query.ts';
import { scanInflux } from './scan.ts';
import { INFLUX_LIMITS, type InfluxLimits, type InfluxSettings } from './settings.ts';
import { createLineWriter } from './writer.ts';

interface Deps {
  readonly metrics: MetricTable;
  readonly unitOf: (metric: string) => string;
  readonly clock: Clock;
}

/** A batch that is partly done: it is gone on with where the same one comes again. */
interface Progress {
  readonly first: ReadingColumns | undefined;
  rows: number;
  readonly refused: RefusedRow[];
}

/**
 * InfluxDB as history (1, 2, 3, and what takes line protocol). It keeps no cursor: the same points written again change
 * nothing, so after a crash the caller's last batch is simply written again. It never retries by itself and keeps nothing
 * that it was not just given: the journal is the queue.
 */
export function createInfluxHistory(
  { metrics, unitOf, clock }: Deps,
  settings: InfluxSettings,
  limits: InfluxLimits = INFLUX_LIMITS,
): HistoryStore {
  const connection = createConnection(settings, limits.timeoutMs);
  const ask = createAsk(connection, settings);
  const send = async (lines: string) => verdictOf(await connection.write(lines), settings, clock.now());
  const writer = createLineWriter(send, createLineBuilder(metrics), limits);
  const places = new Places();
  const latest = new Latest();
  const nameOf = (metric: number) => metrics.idOf(metric);
  let progress: Progress | null = null;
  let reached = false;
  let loading: Promise<void> | null = null;

  /** Before the first reading comes, an empty write tells a wrong token or a missing bucket, and does no harm. */
  async function tryOut(): Promise<void> {
    const verdict = await send('');
    if (verdict.kind === 'wait') throw verdict.error;
    reached = true;
  }

  async function writeAll(batches: readonly ReadingColumns[], replaced: readonly ReadingColumns[]) {
    const [first] = batches;
    if (progress === null || progress.first !== first) progress = { first, rows: 0, refused: [] };
    const under = progress;
    await writer.write(new Rows('readings', batches), under.rows, (row, refused) => {
      under.rows = row;
      under.refused.push(...refused);
    });
    const refused = [...under.refused];
    // Only now: the earlier value may have been in the very batch.
    const last = new Rows('replaced', replaced, lastOfEach(replaced));
    await writer.write(last, 0, (_row, more) => {
      refused.push(...more);
    });
    progress = null;
    return refused;
  }

  /** What was stored before this process: asked once, the first time that somebody wants to know. */
  function load(): Promise<void> {
    loading ??= loadNewest().catch((error: unknown) => {
      loading = null;
      throw error;
    });
    return loading;
  }

  async function loadNewest(): Promise<void> {
    const found: { device: string; district: string; metric: string; ts: number; value: number }[] = [];
    for (const metric of await metricsIn(ask)) {
      const last = `select last(${identifier(fieldOf(metric))}) as v from /.*/ where "device" != ''`;
      for await (const series of ask(`${last} group by "device", "district"`)) {
        const [ts, value] = series.values[0] as [number, unknown];
        if (typeof value !== 'number') continue;
        found.push({ device: deviceOf(series), district: series.tags!.district ?? '', metric, ts, value });
      }
    }
    found.sort((a, b) => b.ts - a.ts);
    for (const { device, district } of found) places.remember(device, district, true);
    for (const { device, metric, ts, value } of found) latest.put(device, places.of(device)!, metric, ts, value);
  }

  return {
    async start() {},
    async stop() {
      connection.close();
    },
    cursor: () => 0,
    async append(batches, _cursor, replaced = []) {
      if (!reached && batches.every(isEmpty) && replaced.every(isEmpty)) await tryOut();
      const refused = await writeAll(batches, replaced);
      reached ||= batches.some((batch) => batch.length > 0);
      const isRefused = refusedIn(refused);
      places.learn(batches);
      latest.putAll(batches, nameOf, { skip: isRefused('readings') });
      latest.putAll(replaced, nameOf, { skip: isRefused('replaced'), replaces: true });
      return refused;
    },
    async query(query) {
      if (query.district !== undefined) await load();
      const where = places.condition(query);
      return where === null ? [] : queryInflux(ask, query, where, unitOf);
    },
    async latest(filter) {
      await load();
      return latest.list(filter, unitOf);
    },
    scan: (query, signal) => scanInflux(ask, query, signal),
    count: () => countIn(ask),
    async exportParquet() {
      throw new LamppostError('invalid', 'InfluxDB as history gives no Parquet; ask for CSV, or export there');
    },
    interrupt: () => connection.interrupt(),
  };
}

const isEmpty = ({ length }: ReadingColumns) => length === 0;

function refusedIn(refused: readonly RefusedRow[]) {
  const keys = new Set(refused.map(({ of, batch, row }) => `${of} ${batch} ${row}`));
  return (of: RefusedRow['of']) => (batch: number, row: number) => keys.size > 0 && keys.has(`${of} ${batch} ${row}`);
}
