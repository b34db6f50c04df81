import { join } from 'node:path';
import pino from 'pino';
import { afterEach, describe, expect, test } from 'vitest';
import { systemClock as clock, type KnownDevice, type RefusedRow } from '../../domain/index.ts';
import { createHistoryConsumer, createInfluxHistory, type InfluxSettings } from '../../history/index.ts';
import { createLedgerReader, createLedgerStore, createQuarantineStore } from '../../ingest/index.ts';
import { JournalReader, JournalStore } from '../../journal/index.ts';
import { DatabaseProcess, has } from '../kit/databases.ts';
import { columnsOf, type Row, tableOf } from '../kit/history/query-reference.ts';
import { newest, queried } from '../kit/history/read.ts';
import { cityControl, native, openIntake, openState, testDir, write } from '../kit/ingest/intake.ts';

const metrics = tableOf('fill', 'battery', 'level');
const DEVICES: KnownDevice[] = ['waste-bin', 'water'].map((profile, index) => ({
  id: `d${index}`,
  index,
  profile,
  district: 'east',
}));
const NOW = Date.now();

const ends: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

/** A consumer over a log of so many messages, one reading each. */
function consumerOf(database: DatabaseProcess, messages: number) {
  const dir = testDir();
  const store = new JournalStore(join(dir, 'journal.sqlite')).open();
  write(store, { kind: 'city', atMs: NOW, body: cityControl() });
  const registered = [{ id: 'd1', profile: 'bin', district: 'east' }];
  write(store, { kind: 'devices', atMs: NOW, body: { version: 1, registered, revoked: [] } });
  const sent = Array.from({ length: messages }, (_, n) =>
    native('d1', { ts: NOW - n * 1_000, metrics: { a: 1 } }, NOW),
  );
  write(store, { kind: 'messages', atMs: NOW, messages: sent });
  const db = openState(join(dir, 'state.sqlite'));
  const journal = new JournalReader(join(dir, 'journal.sqlite')).open();
  const { context, intake } = openIntake(db);
  ends.push(async () => {
    for (const one of [db, journal, store]) one.close();
  });
  const history = historyAt(database, { api: 'v2', org: 'city' }, context.metrics);
  const parts = {
    ledger: createLedgerStore(db),
    quarantine: createQuarantineStore(db),
    log: pino({ level: 'silent' }),
  };
  const consumer = createHistoryConsumer(
    { db, journal, intake, history, clock, metrics: context.metrics, ...parts },
    { readings: 20_000, ageMs: 1_000 },
  );
  return { consumer, ledger: createLedgerReader(db, journal) };
}

/** How many times the database has readings of. */
async function timesIn(database: DatabaseProcess): Promise<number> {
  await fetch(`${database.url}/internal/force_flush`);
  const match = new URLSearchParams({ 'match[]': '{device!=""}', start: String(NOW / 1_000 - 86_400) });
  const text = await (await fetch(`${database.url}/api/v1/export?${match}`)).text();
  const times = text.split('\n').filter(Boolean);
  return new Set(times.flatMap((line) => (JSON.parse(line) as { timestamps: number[] }).timestamps)).size;
}

/** Starts InfluxDB with settings from its environment. */
async function influxd(settings: Record<string, string> = {}): Promise<DatabaseProcess> {
  const database = await DatabaseProcess.influx();
  Object.assign(process.env, settings);
  await database.start();
  for (const name of Object.keys(settings)) delete process.env[name];
  ends.push(() => database.end('SIGKILL'));
  return database;
}

async function ask(database: DatabaseProcess, statement: string, login = 'nobody:-'): Promise<void> {
  const [u, p] = login.split(':') as [string, string];
  const response = await fetch(`${database.url}/query?${new URLSearchParams({ q: statement, u, p })}`, {
    method: 'POST',
  });
  expect(response.status, await response.clone().text()).toBe(200);
}

function historyAt(database: DatabaseProcess, more: Partial<InfluxSettings> = {}, table = metrics) {
  const settings = { url: database.url, token: '', org: '', bucket: 'lamppost', api: 'v1', ...more } as const;
  const history = createInfluxHistory({ metrics: table, unitOf: () => 'u', clock }, settings);
  ends.push(() => history.stop());
  return history;
}

/** `count` readings of every device and metric, ten seconds apart, up to `until`. */
const readings = (count: number, until = NOW): Row[] =>
  Array.from({ length: count }, (_, n) =>
    DEVICES.flatMap((device) =>
      ['fill', 'battery', 'level'].map((metric) => ({ device, metric, ts: until - n * 10_000, value: n / 2 })),
    ),
  ).flat();

const rowsOf = (rows: readonly Row[], refused: readonly RefusedRow[]) => refused.map(({ row }) => rows[row]!);

describe.skipIf(!has('influxd'))('a real InfluxDB 1', () => {
  test('refuses values of a field that has another type: only these are refused, and 33,000 readings are stored', async () => {
    const database = await influxd();
    await ask(database, 'create database lamppost');
    // InfluxDB has the type of a field for each shard, and a shard ends on Sundays: all of these are in one week.
    const thursday = Date.UTC(2026, 10, 26, 12);
    const body = `waste-bin,device=x fill=1i ${thursday}`;
    await fetch(`${database.url}/write?db=lamppost&precision=ms`, { method: 'POST', body });
    const history = historyAt(database);
    const rows = readings(6_600, thursday);
    const refused = await history.append([columnsOf(rows, metrics)], 1);
    const bad = rows.filter(({ device, metric }) => device.profile === 'waste-bin' && metric === 'fill');
    expect(rowsOf(rows, refused)).toEqual(bad);
    expect(refused[0]!.detail).toContain('already exists as type integer');
    // The one that was there before is counted too.
    expect(await history.count()).toBe(33_000 + 1);
  });

  test('refuses readings beyond its retention and times that it cannot store, and only these', async () => {
    const database = await influxd();
    await ask(database, 'create database lamppost with duration 1h shard duration 1h');
    const history = historyAt(database);
    const rows = [...readings(20), ...readings(20, NOW - 7_200_000), ...readings(1, 10_000_000_000_000)];
    const refused = await history.append([columnsOf(rows, metrics)], 1);
    expect(new Set(rowsOf(rows, refused))).toEqual(new Set(rows.slice(120)));
    expect(await history.count()).toBe(120);
  });

  test('that only accepts small requests gets them', async () => {
    const database = await influxd({ INFLUXDB_HTTP_MAX_BODY_SIZE: '2000' });
    await ask(database, 'create database lamppost');
    const history = historyAt(database);
    expect(await history.append([columnsOf(readings(500), metrics)], 1)).toEqual([]);
    expect(await history.count()).toBe(3_000);
  });

  test('that needs a login reports what is wrong with it, and takes the readings once it is repaired', async () => {
    const database = await influxd({ INFLUXDB_HTTP_AUTH_ENABLED: 'true' });
    await ask(database, `create user root with password 'r' with all privileges`);
    await ask(database, 'create database lamppost', 'root:r');
    const batch = [columnsOf(readings(2), metrics)];
    await expect(historyAt(database).append(batch, 1)).rejects.toThrow(/asks for a token; set INFLUX_TOKEN/);
    const history = historyAt(database, { token: 'lamppost:secret' });
    await expect(history.append(batch, 1)).rejects.toThrow(/does not know the token.*authorization failed/);
    await expect(newest(history, {})).rejects.toThrow(/INFLUX_TOKEN.*401/);
    await ask(database, `create user lamppost with password 'secret'`, 'root:r');
    await expect(history.append(batch, 1)).rejects.toMatchObject({ code: 'history', retryable: true });
    await expect(history.append(batch, 1)).rejects.toThrow(/read and write access.*403/);
    await ask(database, 'grant all on lamppost to lamppost', 'root:r');
    expect(await history.append(batch, 1)).toEqual([]);
    expect(await history.count()).toBe(12);
    expect(await newest(history, { devices: ['d0'] })).toHaveLength(3);
  });

  test.each(['SIGTERM', 'SIGKILL'] as const)(
    '%s in the middle of a load, three times: every acknowledged reading is stored once',
    async (signal) => {
      const database = await influxd();
      await ask(database, 'create database lamppost');
      const history = historyAt(database);
      const batches = Array.from({ length: 12 }, (_, n) => columnsOf(readings(1_000, NOW - n * 10_000_000), metrics));
      let stopped: Promise<void> = Promise.resolve();
      for (const [n, batch] of batches.entries()) {
        const ending = n % 4 === 1;
        if (ending) stopped = database.end(signal);
        for (let attempt = 0; ; attempt++) {
          try {
            expect(await history.append([batch], n + 1)).toEqual([]);
            break;
          } catch (error) {
            expect(error).toMatchObject({ code: 'history', retryable: true });
            expect(attempt).toBeLessThan(100);
            await stopped;
            await database.start();
          }
        }
        // It may have responded before it ended.
        if (ending) {
          await stopped;
          await database.end(signal);
          await database.start();
        }
      }
      expect(await history.count()).toBe(12 * 6_000);
      const all = {
        fromMs: 0,
        toMs: NOW + 1,
        metrics: ['fill'],
        devices: ['d1'],
        fn: 'mean',
        maxPoints: 100_000,
      } as const;
      const [series] = await queried(history, all);
      const expected = batches.flatMap((_, n) => readings(1_000, NOW - n * 10_000_000)).filter(isFillOfD1);
      expect(series!.points).toEqual(expected.map(({ ts, value }) => [ts, value]).sort(([a], [b]) => a! - b!));
    },
  );
});

const isFillOfD1 = ({ device, metric }: Row) => device.id === 'd1' && metric === 'fill';

describe.skipIf(!has('victoria-metrics'))('a real VictoriaMetrics', () => {
  test('kill -9 right after it confirmed readings that it had only in memory: they are written again, and counted once', async () => {
    const database = await DatabaseProcess.victoria();
    await database.start();
    ends.push(() => database.end('SIGKILL'));
    const { consumer, ledger } = consumerOf(database, 5_000);
    while (await consumer.step(true));
    expect(ledger.read()!.readings.stored).toBe(5_000);
    await database.end('SIGKILL');
    await database.start();
    expect(await timesIn(database), 'what it lost').toBeLessThan(5_000);
    await expect.poll(() => consumer.step(true)).toBe(true);
    while (await consumer.step(true));
    await expect.poll(() => timesIn(database)).toBe(5_000);
    expect(ledger.read()!.readings).toMatchObject({ received: 5_000, stored: 5_000, duplicate: 0 });
  });

  test('stores readings, and a query throws that it must be made there', async () => {
    const database = await DatabaseProcess.victoria();
    await database.start();
    ends.push(() => database.end('SIGKILL'));
    const history = historyAt(database, { api: 'v2', org: 'city' });
    expect(await history.append([columnsOf(readings(10), metrics)], 1)).toEqual([]);
    const query = { fromMs: 0, toMs: NOW + 1, fn: 'mean', maxPoints: 10 } as const;
    await expect(queried(history, query)).rejects.toThrow(/does not support InfluxQL/);
    await expect(queried(history, { ...query, metrics: ['fill'], district: 'east' })).rejects.toThrow(/InfluxQL/);
    await expect(newest(history, {})).rejects.toMatchObject({ code: 'invalid' });
    await expect(history.count()).rejects.toThrow(/InfluxQL/);
    const look = async () => {
      await fetch(`${database.url}/internal/force_flush`);
      const match = new URLSearchParams({ 'match[]': '{device!=""}', start: String(NOW / 1_000 - 3_600) });
      const text = await (await fetch(`${database.url}/api/v1/export?${match}`)).text();
      const lines = text.split('\n').filter(Boolean);
      return lines.reduce((sum, line) => sum + (JSON.parse(line) as { values: number[] }).values.length, 0);
    };
    await expect.poll(look).toBe(60);
  });
});
