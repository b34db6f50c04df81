import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  AGGREGATES,
  type Aggregate,
  systemClock as clock,
  GAUGE,
  type HistoryStore,
  type HistoryUpkeep,
  type KnownDevice,
  type Measure,
  type MetricKind,
} from '../../../domain/index.ts';
import { createDuckdbHistory, createInfluxHistory } from '../../../history/index.ts';
import { codeOfText } from '../../../ingest/texts.ts';
import { DatabaseProcess, has } from '../../kit/databases.ts';
import { columnsOf, tableOf } from '../../kit/history/query-reference.ts';
import { queried } from '../../kit/history/read.ts';
import { expected, expectedShare, FUNCTIONS, isSame, type Sample } from '../../kit/kinds/reference.ts';
import { runs } from '../../kit/runs.ts';

const SEED = 20261129;
const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const START = 1_700_000_000_000 - (1_700_000_000_000 % DAY);
const DEVICE: KnownDevice = { id: 'a', index: 0, profile: 'p', district: 'east' };
const OTHER: KnownDevice = { id: 'b', index: 1, profile: 'p', district: 'east' };
const MEASURES: Readonly<Record<string, Measure>> = {
  total: { kind: 'counter', max: 65_535 },
  direction: { kind: 'angle', max: 360 },
  laeq: { kind: 'level', max: 140 },
  door: {
    kind: 'state',
    max: 2,
    values: ['open', 'closed', 'fault'].map((name, code) => ({ code, name })),
  },
  occupied: { kind: 'presence', max: 1 },
  firmware: { kind: 'text', max: 1e15 - 1 },
  plain: GAUGE,
};
const measureOf = (metric: string) => MEASURES[metric]!;
const metrics = tableOf(...Object.keys(MEASURES));
const unitOf = () => 'u';

/** What is drawn of each metric. */
const VALUES: Readonly<Record<string, fc.Arbitrary<number>>> = {
  total: fc.integer({ min: 0, max: 65_535 }),
  direction: fc.integer({ min: 0, max: 359 }),
  laeq: fc.integer({ min: 20, max: 140 }),
  door: fc.integer({ min: 0, max: 2 }),
  occupied: fc.integer({ min: 0, max: 1 }),
  firmware: fc.string().map(codeOfText),
  plain: fc.integer({ min: -50, max: 50 }),
};
type Readings = Readonly<Record<string, readonly Sample[]>>;
const seconds = fc.integer({ min: 0, max: 3 * 86_400 });
const minutes = fc.integer({ min: 0, max: 3 * 1_440 }).map((minute) => minute * 60);
/** Readings of each metric over three days, at most one a second; of the state at most one a minute. */
const drawn: fc.Arbitrary<Readings> = fc.record(
  Object.fromEntries(
    Object.entries(VALUES).map(([metric, values]) => [
      metric,
      fc
        .uniqueArray(fc.tuple(metric === 'door' ? minutes : seconds, values), {
          minLength: 1,
          maxLength: 100,
          selector: ([second]) => second,
        })
        .map((all) => all.map(([second, value]): Sample => [START + second * 1000, value]).sort(([a], [b]) => a - b)),
    ]),
  ),
);

const rowsOf = (readings: Readings, device = DEVICE) =>
  Object.entries(readings).flatMap(([metric, all]) => all.map(([ts, value]) => ({ device, metric, ts, value })));

async function store(history: HistoryStore, readings: Readings, device = DEVICE): Promise<void> {
  const rows = rowsOf(readings, device).toSorted((a, b) => a.ts - b.ts);
  await history.append([columnsOf(rows, metrics)], 1);
}

/** Whether roll-ups have what the function needs; else it is computed of the readings that are left. */
function isRolled(kind: MetricKind, fn: Aggregate): boolean {
  if (['mean', 'min', 'max', 'sum', 'count', 'changes'].includes(fn)) return true;
  return (kind === 'angle' && fn === 'stddev') || (kind === 'counter' && (fn === 'delta' || fn === 'rate'));
}

interface Span {
  readonly fromMs: number;
  readonly toMs: number;
  /** Raw readings before this time are deleted. */
  readonly prunedMs?: number;
}

/** Compares a query of each function, of all metrics of which it makes sense, with the reference. */
async function compare(history: HistoryStore, readings: Readings, { fromMs, toMs, prunedMs = fromMs }: Span) {
  for (const everyMs of [DAY, 7 * HOUR]) {
    for (const fn of AGGREGATES.filter((one) => one !== 'share')) {
      const names = Object.keys(MEASURES).filter((metric) => FUNCTIONS[measureOf(metric).kind].includes(fn));
      const query = { devices: ['a'], metrics: names, fromMs, toMs, everyMs, fn, maxPoints: 10_000 };
      const found = new Map((await queried(history, query)).map(({ metric, points }) => [metric, points]));
      for (const metric of names) {
        const { kind, max } = measureOf(metric);
        const all = readings[metric]!;
        const begin = isRolled(kind, fn) ? fromMs : Math.max(fromMs, prunedMs);
        const within = all.filter(([ts]) => ts >= begin && ts < toMs);
        const buckets = [...Map.groupBy(within, ([ts]) => Math.floor(ts / everyMs) * everyMs)];
        const wanted = buckets.flatMap(([start, some]) => {
          const before = all.findLast(([ts]) => ts < some[0]![0]);
          const value = expected(kind, fn, { readings: some, before, max });
          return value === null ? [] : [[start, value] as const];
        });
        const points = found.get(metric) ?? [];
        expect([metric, fn, points.map(([ts]) => ts)]).toEqual([metric, fn, wanted.map(([ts]) => ts)]);
        for (const [i, [, value]] of points.entries()) {
          const [, right] = wanted[i]!;
          if (!isSame(kind, fn, value, right)) expect.fail(`${fn} of ${metric}: ${value} found, ${right} expected`);
        }
      }
    }
  }
}

/** Compares the share of the time in each value with the reference, also in intervals without a reading. */
async function compareShares(history: HistoryStore, { door = [] }: Readings, { fromMs, toMs }: Span) {
  for (const everyMs of [DAY, 7 * HOUR]) {
    for (const { code, name: state } of measureOf('door').values!) {
      const query = { devices: ['a'], metrics: ['door'], fromMs, toMs, everyMs, fn: 'share', state } as const;
      const [series] = await queried(history, { ...query, maxPoints: 10_000 });
      const starts = Array.from({ length: 100 }, (_, i) => (Math.floor(fromMs / everyMs) + i) * everyMs);
      const wanted = starts.flatMap((start) => {
        const span = { fromMs: Math.max(start, fromMs), toMs: Math.min(start + everyMs, toMs), stepMs: 60_000 };
        const share = expectedShare(door, code, span);
        return share === null ? [] : [[start, share] as const];
      });
      expect((series?.points ?? []).map(([ts]) => ts)).toEqual(wanted.map(([ts]) => ts));
      for (const [i, [, value]] of (series?.points ?? []).entries()) expect(value).toBeCloseTo(wanted[i]![1], 6);
    }
  }
}

let history: HistoryStore & HistoryUpkeep;
const open = async (of = measureOf, path = join(mkdtempSync(join(tmpdir(), 'lamppost-kinds-')), 'history.duckdb')) => {
  const opened = createDuckdbHistory({ path, metrics, unitOf, measureOf: of });
  await opened.start();
  return opened;
};

describe('kinds in the embedded history', () => {
  beforeEach(async () => {
    history = await open();
  });
  afterEach(() => history.stop());

  test('kinds - queries, before and after roll-ups take the place of readings, agree with the reference', async () => {
    await fc.assert(
      fc.asyncProperty(drawn, fc.constantFrom(0, 20, 32, 50), async (readings, hours) => {
        await history.stop();
        history = await open();
        await store(history, readings);
        await store(history, { total: [[START, 5]] }, OTHER);
        const span = { fromMs: START + hours * HOUR, toMs: START + 4 * DAY };
        await compare(history, readings, span);
        await compareShares(history, readings, span);
        await history.rollup(START + 2 * DAY);
        await history.prune(START + DAY + 5 * HOUR);
        await compare(history, readings, { ...span, prunedMs: START + DAY + 5 * HOUR });
        await compareShares(history, readings, span);
      }),
      { seed: SEED, numRuns: runs(4) },
    );
  });

  test('kinds - a counter counts a late reading of deleted readings once it is rolled up', async () => {
    await store(history, { total: [1, 5, 9].map((minute): Sample => [START + minute * 60_000, minute]) });
    await history.prune(START + 2 * HOUR);
    const late = [0, 3, 20].map((minute): Sample => [START + minute * 60_000, minute]);
    await store(history, { total: late });
    await history.rollup(START + 2 * HOUR);
    const query = { fromMs: START, toMs: START + DAY, everyMs: HOUR, maxPoints: 10 };
    const [series] = await queried(history, { ...query, metrics: ['total'], fn: 'delta' });
    expect(series?.points).toEqual([[START, 20]]);
  });

  test('kinds - what was rolled up before its metric had a kind is rolled up again', async () => {
    const levels = [40, 80].map((value, minute): Sample => [START + minute * 60_000, value]);
    await history.stop();
    const path = join(mkdtempSync(join(tmpdir(), 'lamppost-kinds-')), 'history.duckdb');
    const before = await open(() => GAUGE, path);
    await store(before, { laeq: levels });
    await before.rollup(START + DAY);
    await before.stop();
    history = await open(measureOf, path);
    await history.rollup(START + DAY);
    await history.prune(START + DAY);
    const query = { fromMs: START, toMs: START + DAY, everyMs: HOUR, maxPoints: 10 };
    const [series] = await queried(history, { ...query, metrics: ['laeq'], fn: 'mean' });
    expect(series?.points[0]?.[1]).toBeCloseTo(76.99, 2);
  });

  test('kinds - a state changes and holds over late readings of deleted readings once these are rolled up', async () => {
    const door = ([minute, value]: Sample): Sample => [START + minute * 60_000, value];
    await store(history, {
      door: (
        [
          [10, 0],
          [20, 1],
          [70, 0],
        ] as Sample[]
      ).map(door),
    });
    await history.prune(START + 2 * HOUR);
    await store(history, {
      door: (
        [
          [5, 1],
          [50, 2],
        ] as Sample[]
      ).map(door),
    });
    await history.rollup(START + 2 * HOUR);
    const query = { fromMs: START, toMs: START + 2 * HOUR, everyMs: HOUR, metrics: ['door'], maxPoints: 10 };
    const valuesOf = async (fn: Aggregate, state?: string) =>
      (await queried(history, { ...query, fn, ...(state === undefined ? {} : { state }) }))[0]!.points.map(
        ([, v]) => v,
      );
    expect(await valuesOf('changes')).toEqual([3, 1]);
    expect(await valuesOf('share', 'closed')).toEqual([expect.closeTo((100 * 35) / 55, 9), 0]);
    expect(await valuesOf('share', 'fault')).toEqual([expect.closeTo((100 * 10) / 55, 9), expect.closeTo(100 / 6, 9)]);
  });

  test('kinds - a share without a value of the state, or with one that it does not have, is refused', async () => {
    await store(history, { door: [[START, 1]], plain: [[START, 1]] });
    const query = { fromMs: START, toMs: START + DAY, everyMs: HOUR, fn: 'share', maxPoints: 100 } as const;
    await expect(queried(history, query)).rejects.toThrow('share needs state: the value whose time counts');
    await expect(queried(history, { ...query, metrics: ['door'], state: 'opn' })).rejects.toThrow(
      'unknown state of door "opn": did you mean "open"?',
    );
    await expect(queried(history, { ...query, metrics: ['plain'], state: 'open' })).rejects.toThrow(
      'share makes no sense for plain, which is a gauge; use mean, last or delta: only a state has changes and share',
    );
    expect((await queried(history, { ...query, state: 'closed' })).map(({ metric }) => metric)).toEqual(['door']);
    expect(await queried(history, { ...query, state: 'shut' })).toEqual([]);
  });

  test('kinds - a function that makes no sense is refused with what would, or left out where none is named', async () => {
    await store(history, { total: [[START, 1]], plain: [[START, 1]] });
    const query = { fromMs: START, toMs: START + DAY, everyMs: HOUR, fn: 'mean', maxPoints: 10 } as const;
    for (const [metric, { kind }] of Object.entries(MEASURES)) {
      for (const fn of AGGREGATES.filter((one) => !FUNCTIONS[kind].includes(one)))
        await expect(queried(history, { ...query, metrics: [metric], fn })).rejects.toThrow(
          `${fn} makes no sense for ${metric}, which is a`,
        );
    }
    await expect(queried(history, { ...query, metrics: ['total'] })).rejects.toThrow(
      'mean makes no sense for total, which is a counter; use delta (how much was counted), rate (an hour) or last',
    );
    await expect(history.exportParquet({ ...query, metrics: ['total'] })).rejects.toThrow('mean makes no sense');
    expect((await queried(history, query)).map(({ metric }) => metric)).toEqual(['plain']);
  });
});

describe.runIf(has('influxd'))('kinds in InfluxDB', () => {
  let influxd: DatabaseProcess;
  beforeAll(async () => {
    influxd = await DatabaseProcess.influx();
    await influxd.start();
  });
  afterAll(() => influxd.end('SIGKILL'));

  test('kinds - queries of InfluxDB agree with the reference', async () => {
    for (const [n, readings] of fc.sample(drawn, { seed: SEED, numRuns: 1 }).entries()) {
      await fetch(`${influxd.url}/query?q=create+database+city${n}`, { method: 'POST' });
      const settings = { url: influxd.url, token: '', org: '', bucket: `city${n}`, api: 'v1' as const };
      const influx = createInfluxHistory({ metrics, unitOf, measureOf, clock }, settings);
      await influx.start();
      await store(influx, readings);
      const span = { fromMs: START + 7 * HOUR, toMs: START + 4 * DAY };
      await compare(influx, readings, span);
      await compareShares(influx, readings, span);
      await influx.stop();
    }
  });
});
