import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';
import { type HistoryStore, LamppostError, type MetricTable, type ReadingColumns } from '../../domain/index.ts';
import { appendColumns } from './columns.ts';
import { Latest } from './latest.ts';
import { queryReadings } from './query.ts';

const SCHEMA = `
  create table if not exists readings (ts bigint not null, device integer not null, metric smallint not null, value double not null);
  create table if not exists devices (id integer primary key, name varchar not null, district varchar not null);
  create table if not exists metrics (id smallint primary key, name varchar not null);
  create table if not exists progress (cursor bigint not null);
`;

// One thread of its own beside this one: the engine needs the other core. A WAL of 64 MiB is folded in every 10 M
// readings or so; a smaller one means more rewriting, a larger one a longer start after a crash.
const SETTINGS = { threads: '1', memory_limit: '1GB', checkpoint_threshold: '64MB' };

interface Deps {
  readonly path: string;
  readonly metrics: MetricTable;
  readonly unitOf: (metric: string) => string;
}

/** The embedded history: columns on disk, about 4 bytes a reading. */
export function createDuckdbHistory({ path, metrics, unitOf }: Deps): HistoryStore {
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

  async function write(batches: readonly ReadingColumns[], next: number): Promise<void> {
    const appender = await writer.createAppender('readings');
    appendColumns(appender, batches, {
      device: (readings, row) => deviceOf[readings.device[row]!.index]!,
      metric: (index) => metricOf[index]!,
    });
    appender.closeSync();
    await writer.run('delete from progress');
    await writer.run(`insert into progress values (${next})`);
  }

  return {
    async start() {
      try {
        instance = await DuckDBInstance.create(path, SETTINGS);
        writer = await instance.connect();
        reader = await instance.connect();
        await writer.run(SCHEMA);
        await load();
      } catch (cause) {
        throw new LamppostError('history', `the history ${path} cannot be opened: ${(cause as Error).message}`, {
          cause,
        });
      }
    },
    async stop() {
      if (instance === null) return;
      await writer.run('checkpoint');
      writer.closeSync();
      reader.closeSync();
      instance.closeSync();
      instance = null;
    },
    cursor: () => cursor,
    async append(batches, next) {
      try {
        // Numbers are committed on their own: one that no reading uses yet does no harm.
        await number(batches);
        await writer.run('begin');
        await write(batches, next);
        await writer.run('commit');
      } catch (cause) {
        await writer.run('rollback').catch(() => {});
        const message = `readings could not be stored: ${(cause as Error).message}`;
        throw new LamppostError('history', message, { retryable: true, cause });
      }
      cursor = next;
      latest.putAll(batches, (index) => metrics.idOf(index));
    },
    query: (query) => queryReadings(reader, query, unitOf),
    latest: async (filter) => latest.list(filter, unitOf),
    async count() {
      return Number((await reader.runAndReadAll('select count(*) from readings')).getRows()[0]![0]);
    },
  };
}
