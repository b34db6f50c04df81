import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type HistoryStore, LamppostError, type PointsSlice } from '../../../domain/index.ts';
import { createDuckdbHistory } from '../../../history/index.ts';
import { columnsOf, type Row, tableOf } from '../../kit/history/query-reference.ts';
import { newest, queried } from '../../kit/history/read.ts';

const dir = mkdtempSync(join(tmpdir(), 'lamppost-slices-'));
const metrics = tableOf();
const START = 1_700_000_000_000;
const DEVICES = Array.from({ length: 600 }, (_, index) => ({
  id: `d${String(index).padStart(3, '0')}`,
  index,
  profile: 'p',
  district: 'east',
}));
const ROWS: Row[] = Array.from({ length: 18_000 }, (_, n) => ({
  device: DEVICES[n % DEVICES.length]!,
  metric: 'a',
  ts: START + n * 10,
  value: n,
}));
const ALL = { fromMs: START, toMs: START + 1e9, fn: 'mean', maxPoints: 1_000_000 } as const;
/** As many groups as readings, and the percentile of each. */
const ENDLESS = { ...ALL, everyMs: 1, fn: 'p95' } as const;
let history: HistoryStore;

beforeAll(async () => {
  history = createDuckdbHistory({ path: join(dir, 'history.duckdb'), metrics, unitOf: () => 'u' });
  await history.start();
  await history.append([columnsOf(ROWS, metrics)], 1);
});
afterAll(() => history.stop());

test('slices - a large result comes in slices of bounded points and series, each on request', async () => {
  const slices: PointsSlice[] = [];
  for await (const slice of history.read(ALL)) slices.push(slice);
  expect(slices.reduce((sum, { ts }) => sum + ts.length, 0)).toBe(ROWS.length);
  for (const { ts, value, series } of slices) {
    expect(ts.length).toBeLessThanOrEqual(8_192);
    expect(value).toHaveLength(ts.length);
    expect(series.length).toBeLessThanOrEqual(257);
    expect(series[0]!.from).toBe(0);
  }
  const few: PointsSlice[] = [];
  for await (const slice of history.read({ ...ALL, everyMs: 1e9 })) few.push(slice);
  expect(few.map(({ series }) => series.length).reduce((sum, one) => sum + one, 0)).toBeGreaterThanOrEqual(600);
  expect(few.length, 'many short series fill a slice, too').toBeGreaterThan(1);
});

test('slices - newest readings come some hundreds at a time', async () => {
  const parts: number[] = [];
  for await (const some of history.latest({})) parts.push(some.length);
  expect(parts.length).toBeGreaterThan(1);
  expect(Math.max(...parts)).toBeLessThanOrEqual(500);
  expect(await newest(history)).toHaveLength(600);
});

test('slices - a reader that stops early, or at all, lets others read: more at once than results may be open', async () => {
  for (let n = 0; n < 10; n++) {
    for await (const _ of history.read(ALL, { by: 'one' })) break;
  }
  const counts = await Promise.all(
    Array.from({ length: 12 }, async (_, n) => (await queried(history, ALL, { by: `key-${n % 3}` })).length),
  );
  expect(new Set(counts)).toEqual(new Set([600]));
});

test('slices - results that nobody takes are bounded for each holder; another holder still reads', async () => {
  const open = Array.from({ length: 3 }, () => history.read(ALL, { by: 'slow' })[Symbol.asyncIterator]());
  for (const one of open) await one.next();
  const gone = new AbortController();
  const fourth = queried(history, ALL, { by: 'slow', signal: gone.signal });
  expect(await queried(history, ALL, { by: 'other' })).toHaveLength(600);
  gone.abort(new LamppostError('busy', 'gone'));
  await expect(fourth).rejects.toThrow('gone');
  await open[0]!.return!();
  expect(await queried(history, ALL, { by: 'slow' })).toHaveLength(600);
  for (const one of open) await one.return!();
});

test('slices - fill=null is refused beforehand where its intervals are too many, by one series or by all', async () => {
  const filled = { ...ALL, fill: 'null', everyMs: 1_000 } as const;
  const intervals = 180;
  const query = { ...filled, toMs: START + intervals * 1_000, devices: ['d000', 'd001'] };
  const aligned = { ...query, maxPoints: 2 * (intervals + 1) };
  expect((await queried(history, aligned)).map(({ points }) => points.length)).toEqual([intervals, intervals]);
  await expect(queried(history, { ...query, maxPoints: 2 * intervals - 1 })).rejects.toMatchObject({ code: 'invalid' });
  await expect(queried(history, { ...filled, maxPoints: 1_000, devices: ['none'] })).rejects.toMatchObject({
    code: 'invalid',
    message: expect.stringContaining('longer every'),
  });
});

const APPENDS = 12;

/** A read of 216,000 readings that takes the database much longer than a moment. */
async function slowRead(options: { signal?: AbortSignal; withinMs?: number }) {
  const big = createDuckdbHistory({
    path: join(mkdtempSync(join(dir, 'big-')), 'h.duckdb'),
    metrics,
    unitOf: () => 'u',
  });
  await big.start();
  for (let n = 0; n < APPENDS; n++) {
    const rows = ROWS.map((row, i) => ({ ...row, ts: START + (n * ROWS.length + i) * 10 }));
    await big.append([columnsOf(rows, metrics)], n + 1);
  }
  return { big, read: () => queried(big, { ...ENDLESS, toMs: START + 1e12 }, options) };
}

test('statements - one that takes too long is interrupted, and says how to ask for less; the writer goes on', async () => {
  const { big, read } = await slowRead({ withinMs: 1 });
  await expect(read()).rejects.toMatchObject({
    code: 'busy',
    message: expect.stringMatching(/more than 0.001 s; name fewer devices/),
  });
  await big.append([columnsOf([{ ...ROWS[0]!, ts: START + 1e10 }], metrics)], 99);
  expect(await big.count()).toBe(APPENDS * ROWS.length + 1);
  await big.stop();
});

test('statements - one whose caller is gone is interrupted, also before it has begun, and its turn is free', async () => {
  const gone = new AbortController();
  const { big, read } = await slowRead({ signal: gone.signal });
  const reads = [read(), read(), read()];
  gone.abort(new LamppostError('busy', 'gone'));
  for (const one of reads) await expect(one).rejects.toThrow('gone');
  expect(await big.count()).toBe(APPENDS * ROWS.length);
  await big.stop();
});

test('statements - a stop interrupts what runs', async () => {
  const { big, read } = await slowRead({});
  const ended = expect(read()).rejects.toThrow('the server stops');
  await new Promise((resolve) => setImmediate(resolve));
  await big.stop();
  await ended;
});

test('statements - an export that is aborted leaves no file', async () => {
  const folder = mkdtempSync(join(dir, 'export-'));
  const store = createDuckdbHistory({ path: join(folder, 'h.duckdb'), metrics, unitOf: () => 'u' });
  await store.start();
  await store.append([columnsOf(ROWS, metrics)], 1);
  const { maxPoints: _, ...query } = ALL;
  // A quick machine may be done in time.
  let late: unknown = null;
  for (let tries = 0; late === null && tries < 100; tries++) {
    await store.exportParquet(query, { withinMs: 1 }).then(
      (path) => rmSync(path),
      (error: unknown) => {
        late = error;
      },
    );
  }
  expect(late).toMatchObject({ code: 'busy' });
  expect(readdirSync(folder).filter((name) => name.includes('export'))).toEqual([]);
  await store.stop();
});
