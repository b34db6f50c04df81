import { once } from 'node:events';
import { mkdtempSync, readdirSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import Fastify from 'fastify';
import { serializerCompiler } from 'fastify-type-provider-zod';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ApiDeps } from '../../../api/deps.ts';
import { createQueries } from '../../../api/index.ts';
import { respondWithProblems, validate } from '../../../api/problem.ts';
import { readingRoutes } from '../../../api/routes/readings.ts';
import type { App } from '../../../api/routes/routes.ts';
import { systemClock as clock, type HistoryStore, type Series } from '../../../domain/index.ts';
import { createDuckdbHistory, createInfluxHistory } from '../../../history/index.ts';
import { columnsOf, type Row, tableOf } from '../../kit/history/query-reference.ts';

const RATE = { perSecond: 1e9, burst: 1e9 };
const QUERIES = { seconds: 30, points: RATE, work: RATE };
const START = 1_700_000_000_000;
const HOUR = 3_600_000;
const dir = mkdtempSync(join(tmpdir(), 'lamppost-export-'));
const path = join(dir, 'history.duckdb');
const metrics = tableOf();
const unitOf = (metric: string) => (metric === 'a' ? 'm"2, or\n' : "1'");
const ROWS: Row[] = Array.from({ length: 5_000 }, (_, n) => ({
  device: { id: `d${n % 3}`, index: n % 3, profile: 'p', district: n % 3 === 0 ? 'east' : 'west' },
  metric: n % 2 === 0 ? 'a' : 'b',
  ts: START + n * 10,
  value: n / 8,
}));
const ALL = `from=${START}&to=${START + HOUR}`;
let history: HistoryStore;
let base: string;
let app: App;

const open = () => createDuckdbHistory({ path, metrics, unitOf });

async function serve(store: HistoryStore): Promise<{ app: App; base: string }> {
  const one = Fastify() as unknown as App;
  one.setValidatorCompiler(validate);
  one.setSerializerCompiler(serializerCompiler);
  respondWithProblems(one as unknown as Parameters<typeof respondWithProblems>[0]);
  one.decorateRequest('key', null);
  one.addHook('onRequest', async (request) => {
    request.key = { kind: 'key', id: 'k', name: 'k', role: 'viewer', department: null };
  });
  readingRoutes(one, {
    history: store,
    queries: createQueries(QUERIES, clock),
    city: () => ({ metrics: new Map() }),
  } as unknown as ApiDeps);
  return { app: one, base: `${await one.listen({ host: '127.0.0.1', port: 0 })}/api/v1/readings` };
}

beforeAll(async () => {
  history = open();
  await history.start();
  await history.append([columnsOf(ROWS, metrics)], 1);
  ({ app, base } = await serve(history));
});
afterAll(async () => {
  await app.close();
  await history.stop();
});

const json = async (query: string) => ((await (await fetch(`${base}?${query}`)).json()) as { series: Series[] }).series;
const exports = () => readdirSync(dir).filter((name) => name.includes('export'));

/** RFC 4180 read back. */
function parseCsv(text: string): string[][] {
  const cells = text.matchAll(/(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n)/g);
  const rows: string[][] = [[]];
  for (const [, quoted, plain, end] of cells) {
    rows.at(-1)!.push(quoted?.replaceAll('""', '"') ?? plain!);
    if (end === '\r\n') rows.push([]);
  }
  expect(rows.pop()).toEqual([]);
  return rows;
}

const cellsOf = (series: readonly Series[]) =>
  series.flatMap(({ device, metric, unit, points }) =>
    points.map(([ts, value]) => [
      device,
      metric,
      unit,
      new Date(ts).toISOString(),
      value === null ? '' : String(value),
    ]),
  );

test.each([
  ['the Accept header', ALL, { accept: 'text/csv' }],
  ['format=csv', `${ALL}&format=csv`, { accept: 'application/json' }],
])('CSV - asked for by %s, says just what the JSON says', async (_how, query, headers) => {
  const response = await fetch(`${base}?${query}`, { headers });
  expect(response.headers.get('content-type')).toBe('text/csv; charset=utf-8; header=present');
  const [header, ...rows] = parseCsv(await response.text());
  expect(header).toEqual(['device', 'metric', 'unit', 'ts', 'value']);
  expect(rows).toEqual(cellsOf(await json(ALL)));
  expect(rows).toHaveLength(5_000);
});

test('CSV - a gap is an empty value', async () => {
  const query = `${ALL}&device=d0&every=20m&fn=count&fill=null`;
  const series = await json(query);
  expect(series.map(({ points }) => points.map(([, value]) => value))).toEqual([
    [834, null, null, null],
    [833, null, null, null],
  ]);
  const [, ...rows] = parseCsv(await (await fetch(`${base}?${query}&format=csv`)).text());
  expect(rows).toEqual(cellsOf(series));
});

test('CSV - past maxPoints it is a problem, not half a file', async () => {
  const response = await fetch(`${base}?${ALL}&format=csv&maxPoints=4999`);
  expect(response.status).toBe(400);
  expect(((await response.json()) as { detail: string }).detail).toContain('more than 4999 points');
});

async function parquet(query: string): Promise<unknown[][]> {
  const response = await fetch(`${base}?${query}`, { headers: { accept: 'application/vnd.apache.parquet' } });
  expect(response.status).toBe(200);
  const file = join(dir, 'response.parquet');
  writeFileSync(file, Buffer.from(await response.arrayBuffer()));
  const connection = await (await DuckDBInstance.create()).connect();
  const columns = 'device, metric, unit, epoch_ms(ts)::double, value';
  return (await connection.runAndReadAll(`select ${columns} from read_parquet('${file}')`)).getRows();
}

test.each([
  ['raw readings', ALL],
  ['points of intervals', `${ALL}&every=1m&fn=max&device=d1,d2&metric=a`],
  ['of a district', `${ALL}&district=west&fn=p95&every=5m`],
  ['nothing', 'from=0&to=1'],
])('Parquet - %s, without bound, and the file is gone afterwards', async (_what, query) => {
  const expected = (await json(query)).flatMap(({ device, metric, unit, points }) =>
    points.map(([ts, value]) => [device, metric, unit, ts, value]),
  );
  expect(await parquet(`${query}&maxPoints=1`)).toEqual(expected);
  await expect.poll(exports).toEqual([]);
});

test('Parquet - a reader that goes away in the middle leaves no file behind', async () => {
  const request = get(`${base}?${ALL}&format=parquet`);
  const [response] = await once(request, 'response');
  response.destroy();
  await expect.poll(exports).toEqual([]);
});

test('Parquet - what a crash left behind goes at the next start', async () => {
  await history.stop();
  writeFileSync(`${path}.export-1.parquet`, 'x');
  await history.start();
  expect(exports()).toEqual([]);
});

test('a history that has no Parquet says so', async () => {
  const settings = { url: 'http://127.0.0.1:9', token: '', org: '', bucket: 'b', api: 'v2' } as const;
  const other = await serve(createInfluxHistory({ metrics, unitOf, clock }, settings));
  const response = await fetch(`${other.base}?format=parquet`);
  expect(response.status).toBe(400);
  expect(((await response.json()) as { detail: string }).detail).toContain('ask for CSV');
  const unreachable = await fetch(`${other.base}?metric=a`);
  expect(unreachable.status).toBe(503);
  expect(((await unreachable.json()) as { detail: string }).detail).toContain('nothing listens there');
  await other.app.close();
});

test.each([
  ['fill=null', 'every=5m'],
  [`from=${START}&to=1`, 'is after'],
  ['fn=median', 'p95'],
  ['format=xml', 'parquet'],
])('?%s - responds with what would be right', async (query, hint) => {
  const response = await fetch(`${base}?${query}`);
  expect(response.status).toBe(400);
  expect(((await response.json()) as { detail: string }).detail).toContain(hint);
});
