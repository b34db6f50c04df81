import { copyFileSync, existsSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type {
  Aggregate,
  HistoryStore,
  HistoryUpkeep,
  KnownDevice,
  ReadingsQuery,
  Series,
} from '../../../domain/index.ts';
import { createDuckdbHistory } from '../../../history/index.ts';
import { columnsOf, expectedSeries, type Row, tableOf } from '../../kit/history/query-reference.ts';
import { queried } from '../../kit/history/read.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
/** A day's start, before and after which these readings lie. */
const NOON = Math.floor(1_700_000_000_000 / DAY) * DAY;
const DEVICES: KnownDevice[] = ['a', 'b'].map((id, index) => ({ id, index, profile: 'p', district: 'east' }));
const DISTRICTS = new Map(DEVICES.map(({ id, district }) => [id, district]));
const ROLLED: readonly Aggregate[] = ['mean', 'min', 'max', 'sum', 'count'];

const metrics = tableOf('m', 'n');
let path: string;
let history: HistoryStore & HistoryUpkeep;

async function open(file: string): Promise<void> {
  history = createDuckdbHistory({ path: file, metrics, unitOf: (metric) => `unit of ${metric}` });
  await history.start();
}
beforeEach(async () => {
  path = join(mkdtempSync(join(tmpdir(), 'lamppost-rollup-')), 'history.duckdb');
  await open(path);
});
afterEach(() => history.stop());

/** The same process after kill -9: only what is on disk is left. No file may be written while they are copied. */
async function crash(): Promise<void> {
  await append([]);
  const to = `${path}+`;
  for (const end of ['', '.wal']) if (existsSync(path + end)) copyFileSync(path + end, to + end);
  await history.stop();
  path = to;
  await open(path);
}

const append = (rows: readonly Row[]) => history.append([columnsOf(rows, metrics)], 1);
const reading = (hour: number, value: number): Row => ({
  device: DEVICES[0]!,
  metric: 'm',
  ts: NOON + hour * HOUR,
  value,
});
const ask = (more: Partial<ReadingsQuery>) =>
  queried(history, { fromMs: NOON - 2 * DAY, toMs: NOON + 3 * DAY, fn: 'sum', maxPoints: 100_000, ...more });
const points = async (more: Partial<ReadingsQuery>) => (await ask(more)).flatMap((one) => one.points);

function expectClose(found: readonly Series[], expected: readonly Series[]): void {
  const rounded = (all: readonly Series[]) =>
    all.map((one) => ({ ...one, points: one.points.map(([ts, value]) => [ts, value!.toPrecision(10)]) }));
  expect(rounded(found)).toEqual(rounded(expected));
}

interface Drawn {
  readonly device: number;
  readonly metric: string;
  readonly at: number;
  readonly value: number;
}

type Action =
  | { readonly kind: 'append'; readonly keys: readonly Drawn[] }
  | { readonly kind: 'rollup' | 'prune'; readonly hour: number }
  | { readonly kind: 'crash' };
const hour = fc.integer({ min: -30, max: 60 });
const keys = fc.record({
  device: fc.nat(1),
  metric: fc.constantFrom('m', 'n'),
  at: fc.integer({ min: -30 * HOUR, max: 60 * HOUR }),
  value: fc.integer({ min: -1_000, max: 1_000 }),
});
const actions: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('append' as const),
      keys: fc.array(keys, { minLength: 10, maxLength: 40 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('rollup' as const, 'prune' as const), hour }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'crash' as const }) },
);

test('roll-ups - after appends, roll-ups, pruning and crashes in any order, hours and days count every reading once', async () => {
  let pruned = 0;
  const property = fc.asyncProperty(fc.array(actions, { minLength: 4, maxLength: 14, size: 'max' }), async (script) => {
    await history.stop();
    path = join(mkdtempSync(join(tmpdir(), 'lamppost-rollup-')), 'history.duckdb');
    await open(path);
    const rows = new Map<string, Row>();
    for (const [step, action] of script.entries()) {
      if (action.kind === 'crash') await crash();
      else if (action.kind === 'append') await append(takeNew(action.keys, rows));
      else if (action.kind === 'rollup') await history.rollup(NOON + action.hour * HOUR + 17);
      else pruned += await history.prune(NOON + action.hour * HOUR + 17);
      const [everyMs, fn] = [[HOUR, 3 * HOUR, DAY][step % 3]!, ROLLED[step % ROLLED.length]!];
      const query = { fromMs: NOON - 2 * DAY, toMs: NOON + 3 * DAY, everyMs, fn, maxPoints: 100_000 };
      expectClose(await queried(history, query), expectedSeries([...rows.values()], query, DISTRICTS));
    }
  });
  await fc.assert(property, { numRuns: 30, seed: 2 });
  expect(pruned).toBeGreaterThan(100);
});

/** Returns the readings whose key is new, and notes them. */
function takeNew(drawn: readonly Drawn[], rows: Map<string, Row>): Row[] {
  const fresh: Row[] = [];
  for (const { device, at, metric, value } of drawn) {
    const row = { device: DEVICES[device]!, ts: NOON + at, metric, value };
    if (rows.has(keyOf(row))) continue;
    rows.set(keyOf(row), row);
    fresh.push(row);
  }
  return fresh;
}

const keyOf = ({ device, metric, ts }: Row) => `${device.id} ${metric} ${ts}`;

test('roll-ups - an hour is rolled up once it has ended, and again only when it got late readings', async () => {
  await append([reading(0.5, 1), reading(1.5, 2), reading(2.5, 4)]);
  expect(await history.rollup(NOON + 2 * HOUR)).toBe(2);
  expect(await history.rollup(NOON + 2 * HOUR)).toBe(0);
  await append([reading(0.6, 8)]);
  expect(await history.rollup(NOON + 2 * HOUR)).toBe(1);
  expect(await history.rollup(NOON + 3 * HOUR)).toBe(1);
});

test('retention - raw readings before the hour are deleted, newer ones stay, and aggregates without a roll-up end there', async () => {
  await append([reading(0.25, 1), reading(0.75, 3), reading(1.5, 5)]);
  expect(await history.prune(NOON + 1.5 * HOUR)).toBe(2);
  expect(await history.prune(NOON + 1.5 * HOUR)).toBe(0);
  expect(await history.count()).toBe(1);
  expect(await points({})).toEqual([[NOON + 1.5 * HOUR, 5]]);
  expect(await points({ everyMs: HOUR })).toEqual([
    [NOON, 4],
    [NOON + HOUR, 5],
  ]);
  expect(await points({ everyMs: HOUR / 2 })).toEqual([[NOON + 1.5 * HOUR, 5]]);
  expect(await points({ everyMs: HOUR, fn: 'p95' })).toEqual([[NOON + HOUR, 5]]);
  expect(await points({ everyMs: DAY, fn: 'mean' })).toEqual([[NOON, 3]]);
  expect(await points({ everyMs: DAY, fn: 'mean', fromMs: NOON + HOUR })).toEqual([[NOON, 5]]);
});

test('retention - a reading for a pruned hour is in queries at once, is added to the roll-up once, and is then deleted', async () => {
  await append([reading(0.25, 1)]);
  await history.prune(NOON + 2 * HOUR);
  await append([reading(0.5, 10)]);
  expect(await points({ everyMs: HOUR })).toEqual([[NOON, 11]]);
  expect(await history.rollup(NOON + 2 * HOUR)).toBe(1);
  expect(await history.rollup(NOON + 2 * HOUR)).toBe(0);
  expect(await history.count()).toBe(0);
  expect(await points({ everyMs: HOUR })).toEqual([[NOON, 11]]);
  expect(await points({ everyMs: HOUR, fn: 'count' })).toEqual([[NOON, 2]]);
});

test('retention - a value that is replaced counts once in the roll-up of its hour', async () => {
  await append([reading(0.25, 1), reading(0.5, 2)]);
  await history.rollup(NOON + HOUR);
  await history.append([], 2, [columnsOf([reading(0.5, 20)], metrics)]);
  await history.rollup(NOON + HOUR);
  await history.prune(NOON + HOUR);
  expect(await points({ everyMs: HOUR })).toEqual([[NOON, 21]]);
});

test('retention - a file from before there were roll-ups loses nothing either', async () => {
  await append([reading(0.25, 1), reading(1.25, 2)]);
  await history.stop();
  const { DuckDBInstance } = await import('@duckdb/node-api');
  const instance = await DuckDBInstance.create(path);
  const connection = await instance.connect();
  for (const table of ['rollup_hours', 'rollup_days', 'rollup_due', 'pruned'])
    await connection.run(`drop table ${table}`);
  connection.closeSync();
  instance.closeSync();
  await open(path);
  expect(await history.prune(NOON + DAY)).toBe(2);
  expect(await points({ everyMs: HOUR })).toEqual([
    [NOON, 1],
    [NOON + HOUR, 2],
  ]);
});

test('roll-ups and appends at the same time take turns', async () => {
  const batches = Array.from({ length: 20 }, (_, n) => [reading(n * 0.1, 1), reading(n * 0.1 + 0.05, 1)]);
  const work: Promise<unknown>[] = [];
  for (const [n, rows] of batches.entries()) {
    work.push(history.rollup(NOON + DAY), history.prune(NOON + n * 0.05 * HOUR));
    await append(rows);
  }
  await Promise.all(work);
  await history.rollup(NOON + DAY);
  expect(await points({ everyMs: DAY, fn: 'count' })).toEqual([[NOON, 40]]);
});
