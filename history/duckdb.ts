import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';
import {
  type HistoryStore,
  type HistoryUpkeep,
  LamppostError,
  type MetricTable,
  type ReadingColumns,
} from '../domain/index.ts';
import { appendColumns } from './columns.ts';
import { copyDuckdb } from './copy.ts';
import { Latest } from './latest.ts';
import { removeExports, writeParquet } from './parquet.ts';
import { queryReadings } from './query.ts';
import { lastOfEach, pick, rowsWhere } from './replaced.ts';
import { hourOf, hoursDue, hoursOf, noteUnknownHours, prunedBefore, ROLLUP_SCHEMA, rollUp } from './rollup.ts';
import { scanDuckdb } from './scan.ts';

const SCHEMA = `
  create table if not exists readings (ts bigint not null, device integer not null, metric smallint not null, value double not null);
  create table if not exists devices (id integer primary key, name varchar not null, district varchar not null);
  create table if not exists metrics (id smallint primary key, name varchar not null);
  create table if not exists progress (cursor bigint not null);
  create temp table if not exists incoming as from readings limit 0;
`;

// One thread of its own beside this one: the engine needs the other core. A WAL of 64 MiB is folded in every 10 M
// readings or so; a smaller one means more rewriting, a larger one a longer start after a crash.
const SETTINGS = { threads: '1', memory_limit: '1GB', checkpoint_threshold: '64MB' };

const LATE_MS = 3_600_000;

interface Deps {
  readonly path: string;
  readonly metrics: MetricTable;
  readonly unitOf: (metric: string) => string;
}

/** The embedded history: columns on disk, about 4 bytes a reading. */
export function createDuckdbHistory({ path, metrics, unitOf }: Deps): HistoryStore & HistoryUpkeep {
  const latest = new Latest();
  /** Numbers in the file, by name; and by the process's own numbers, so that a row needs no look-up by name. */
  const deviceIds = new Map<string, { id: number; district: string }>();
  const metricIds = new Map<string, number>();
  const deviceOf: (number | undefined)[] = [];
  const metricOf: (number | undefined)[] = [];
  let instance: DuckDBInstance | null = null;
  let writer: DuckDBConnection;
  let reader: DuckDBConnection;
  let cursor = 0;
  /** Hours that the file knows to be due for their roll-up. */
  let due = new Set<number>();
  let prunedMs = Number.NEGATIVE_INFINITY;
  let writing: Promise<unknown> = Promise.resolve();

  /** The writer does one thing at a time; others wait for their turn. */
  function inTurn<T>(what: string, work: () => Promise<T>): Promise<T> {
    const turn = writing.then(work).catch(async (cause: Error) => {
      await writer.run('rollback').catch(() => {});
      throw new LamppostError('history', `${what}: ${cause.message}`, { retryable: true, cause });
    });
    writing = turn.catch(() => {});
    return turn;
  }

  async function transaction<T>(work: () => Promise<T>): Promise<T> {
    await writer.run('begin');
    const result = await work();
    await writer.run('commit');
    return result;
  }

  async function load(): Promise<void> {
    const rows = async (sql: string) => (await writer.runAndReadAll(sql)).getRows();
    cursor = Number((await rows('select max(cursor) from progress'))[0]?.[0] ?? 0);
    for (const [id, name, district] of await rows('select id, name, district from devices')) {
      deviceIds.set(name as string, { id: id as number, district: district as string });
    }
    for (const [id, name] of await rows('select id, name from metrics')) metricIds.set(name as string, id as number);
    const newest = await rows(`
      select d.name, d.district, m.name, max(ts)::double, arg_max(value, ts)
      from readings r join devices d on d.id = r.device join metrics m on m.id = r.metric group by all`);
    for (const row of newest) latest.put(...(row as unknown as Parameters<Latest['put']>));
    await noteUnknownHours(writer);
    due = new Set(await hoursDue(writer));
    prunedMs = await prunedBefore(writer);
  }

  /** Gives numbers to what the batch names for the first time, and moves devices whose district changed. */
  async function number(batches: readonly ReadingColumns[]): Promise<void> {
    const seen = new Set<unknown>();
    for (const { length, device, metric } of batches) {
      for (let row = 0; row < length; row++) {
        const one = device[row]!;
        if (metricOf[metric[row]!] === undefined) await numberMetric(metric[row]!);
        if (deviceOf[one.index] !== undefined && (seen.has(one) || deviceIds.get(one.id)!.district === one.district))
          continue;
        seen.add(one);
        await numberDevice(one);
      }
    }
  }

  async function numberMetric(index: number): Promise<void> {
    const name = metrics.idOf(index);
    let id = metricIds.get(name);
    if (id === undefined) {
      id = metricIds.size;
      await writer.run('insert into metrics values (?, ?)', [id, name]);
      metricIds.set(name, id);
    }
    metricOf[index] = id;
  }

  async function numberDevice(device: { id: string; index: number; district: string }): Promise<void> {
    const known = deviceIds.get(device.id);
    if (known === undefined) {
      const id = deviceIds.size;
      await writer.run('insert into devices values (?, ?, ?)', [id, device.id, device.district]);
      deviceIds.set(device.id, { id, district: device.district });
    } else if (known.district !== device.district) {
      await writer.run('update devices set district = ? where id = ?', [device.district, known.id]);
      known.district = device.district;
    }
    deviceOf[device.index] = deviceIds.get(device.id)!.id;
  }

  async function appendTo(table: string, batches: readonly ReadingColumns[]): Promise<void> {
    const [catalog, schema] = table === 'incoming' ? ['temp', 'main'] : [null, null];
    const appender = await writer.createAppender(table, schema, catalog);
    appendColumns(appender, batches, {
      device: (readings, row) => deviceOf[readings.device[row]!.index]!,
      metric: (index) => metricOf[index]!,
    });
    appender.closeSync();
  }

  /**
   * Rows that may stand here already, though intake takes them for new: it forgets keys in the end. A row that is newer
   * than all of its series is none of them; nor is one of the last hour, so that a search through the file stays rare.
   */
  function perhapsHere(readings: ReadingColumns): ReadingColumns {
    const before = latest.newest - LATE_MS;
    const { device, metric, ts } = readings;
    return rowsWhere(readings, (row) => {
      if (ts[row]! >= before) return false;
      return ts[row]! <= latest.newestOf(device[row]!.id, metrics.idOf(metric[row]!));
    });
  }

  /** Deletes what stands at the keys of these rows, also earlier in this transaction, and puts them there. */
  async function replace(rows: ReadingColumns): Promise<void> {
    if (rows.length === 0) return;
    await writer.run('delete from incoming');
    await appendTo('incoming', [rows]);
    const [from, to] = Array.from(rows.ts).reduce(
      ([low, high], ts) => [Math.min(low!, ts), Math.max(high!, ts)],
      [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
    );
    // The bounds let DuckDB pass over the row groups of other times.
    await writer.run(`
      delete from readings r using incoming i
      where r.ts between ${from} and ${to} and r.ts = i.ts and r.device = i.device and r.metric = i.metric`);
    await writer.run('insert into readings from incoming');
  }

  /** Notes the hours that must be rolled up again; answers those that were not noted before. */
  async function noteHours(batches: readonly ReadingColumns[]): Promise<number[]> {
    const touched = new Set<number>();
    for (const { ts, length } of batches) hoursOf(ts, length, touched);
    const fresh = [...touched].filter((hour) => !due.has(hour));
    if (fresh.length > 0) await writer.run(`insert into rollup_due values ${fresh.map((hour) => `(${hour})`)}`);
    return fresh;
  }

  async function store(batches: readonly ReadingColumns[], others: ReadingColumns, next: number): Promise<number[]> {
    if (batches.some(({ length }) => length > 0)) await appendTo('readings', batches);
    await replace(others);
    const noted = await noteHours([...batches, others]);
    await writer.run('delete from progress');
    await writer.run(`insert into progress values (${next})`);
    return noted;
  }

  async function prune(before: number): Promise<{ rolled: number[]; deleted: number }> {
    const rolled = await rollUp(writer, before, prunedMs);
    const { rowsChanged } = await writer.run(`delete from readings where ts < ${before}`);
    await writer.run(`insert into pruned values (${before})`);
    return { rolled, deleted: rowsChanged };
  }

  return {
    async start() {
      try {
        removeExports(path);
        instance = await DuckDBInstance.create(path, SETTINGS);
        writer = await instance.connect();
        reader = await instance.connect();
        await writer.run(SCHEMA + ROLLUP_SCHEMA);
        await load();
      } catch (cause) {
        throw new LamppostError('history', `the history ${path} cannot be opened: ${(cause as Error).message}`, {
          cause,
        });
      }
    },
    async stop() {
      if (instance === null) return;
      await writing;
      await writer.run('checkpoint');
      writer.closeSync();
      reader.closeSync();
      instance.closeSync();
      instance = null;
    },
    cursor: () => cursor,
    async append(batches, next, replaced = []) {
      const again = Array.from({ length: Math.max(batches.length, replaced.length) }, (_, at) =>
        [batches.slice(at, at + 1).map(perhapsHere), replaced.slice(at, at + 1)].flat(),
      ).flat();
      const others = pick(again, lastOfEach(again));
      const noted = await inTurn('readings could not be stored', async () => {
        // Numbers are committed on their own: one that no reading uses yet does no harm.
        await number([...batches, others]);
        return transaction(() => store(batches, others, next));
      });
      cursor = next;
      for (const hour of noted) due.add(hour);
      latest.putAll(batches, (index) => metrics.idOf(index));
      latest.putAll(again, (index) => metrics.idOf(index), { replaces: true });
      return [];
    },
    query: (query) => queryReadings(reader, query, unitOf, prunedMs),
    latest: async (filter) => latest.list(filter, unitOf),
    scan: (query, signal) => scanDuckdb(instance!, query, signal),
    async count() {
      return Number((await reader.runAndReadAll('select count(*) from readings')).getRows()[0]![0]);
    },
    exportParquet: (query) => writeParquet(reader, path, query, { unitOf, prunedMs, metrics: [...metricIds.keys()] }),
    async copyTo(to) {
      try {
        return await copyDuckdb(instance!, to);
      } catch (cause) {
        throw new LamppostError('history', `the history could not be copied: ${(cause as Error).message}`, { cause });
      }
    },
    async rollup(untilMs) {
      const rolled = await inTurn('the history could not be rolled up', () =>
        transaction(() => rollUp(writer, untilMs, prunedMs)),
      );
      for (const hour of rolled) due.delete(hour);
      return rolled.length;
    },
    async prune(beforeMs) {
      const before = hourOf(beforeMs);
      if (before <= prunedMs) return 0;
      const { rolled, deleted } = await inTurn('the history could not be pruned', () =>
        transaction(() => prune(before)),
      );
      for (const hour of rolled) due.delete(hour);
      prunedMs = before;
      return deleted;
    },
  };
}

/** The scan of a history that no server has open; to be closed. Throws `history`, where one has. */
export async function openDuckdbScan(path: string): Promise<Pick<HistoryStore, 'scan'> & { close(): void }> {
  try {
    const instance = await DuckDBInstance.create(path, { ...SETTINGS, access_mode: 'READ_ONLY' });
    return { scan: (query, signal) => scanDuckdb(instance, query, signal), close: () => instance.closeSync() };
  } catch (cause) {
    const { message } = cause as Error;
    const why = /lock/i.test(message) ? 'a server has it open: ask that one, with --url' : message;
    throw new LamppostError('history', `the history ${path} cannot be opened: ${why}`, { cause });
  }
}
