import { expect, test } from 'vitest';
import { createBacktests } from '../../../../app/threads/backtests.ts';
import { offerBatches, scanParts } from '../../../../app/threads/batches.ts';
import type { HistoryStore, ScannedReadings, ScanQuery } from '../../../../domain/index.ts';
import { backtest, CITY, DAY, HOUR, historyOf, MINUTE, ruleOf, START, series } from '../../../kit/rules/backtest.ts';

const RULE = ruleOf(`
id: dust
title: "Dust at {{device.name}}: {{value}}"
for_each: device
where: { profile: air-quality }
when: { metric: pm25, mean: 15m, above: 75, clear: 60 }
for: 10m
severity: high
ticket: { service: air-quality, deadline: 4h }
`);
const STRICTER = ruleOf(RULE.source.replace('above: 75', 'above: 85'));
const DEVICES = ['a', 'b', 'c'].map((id) => ({ id, profile: 'air-quality', district: 'old-town' }));
const READINGS = DEVICES.flatMap(({ id }, n) =>
  series(id, 'pm25', [START, START + 2 * DAY, 20_000], (ts) => 70 + 30 * Math.sin(ts / HOUR + n)),
);
/** On a busy machine a thread waits for a core. */
const TIMES = { fromMs: START, toMs: START + 2 * DAY };

function runner(history: Pick<HistoryStore, 'scan'>) {
  return createBacktests({
    city: () => CITY,
    inForce: () => RULE,
    devices: () => DEVICES,
    scan: async (port) => offerBatches(port, (signal, query: ScanQuery) => history.scan(query, signal), scanParts),
  });
}

/** A scan without an end, of the same minute again and again. Counts its batches. */
function endless() {
  const seen = { batches: 0, closed: false };
  const scan: HistoryStore['scan'] = async function* () {
    try {
      for (;;) {
        seen.batches++;
        yield batchOf(seen.batches);
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    } finally {
      seen.closed = true;
    }
  };
  return { seen, scan };
}

function batchOf(n: number): ScannedReadings {
  const ts = Float64Array.from({ length: 1_000 }, () => START + Math.min(n, 100) * MINUTE);
  const place = new Int32Array(1_000);
  return { device: place, metric: place.slice(), ts, value: new Float64Array(1_000) };
}

test('backtest thread - has the same report as a backtest in this thread, and reports its progress', async () => {
  const expected = await backtest({ rule: STRICTER, inForce: RULE, devices: DEVICES, readings: READINGS, ...TIMES });
  const reported: number[] = [];
  const backtests = runner(historyOf(READINGS, 3_000));
  const report = await backtests.run(
    { rule: STRICTER, ...TIMES },
    { onProgress: ({ done }) => void reported.push(done) },
  );
  expect({ ...report, tookMs: 0 }).toEqual({ ...expected, tookMs: 0 });
  expect(report.totals.incidents).toBeGreaterThan(10);
  expect(report.difference!.counts.moved).toBeGreaterThan(10);
  expect(reported.at(-1)).toBe(1);
  expect((await backtests.run({ rule: RULE, ...TIMES })).difference).toBeNull();
});

test('backtest thread - one runs at a time; cancelling ends it and its scan, then the next may run', async () => {
  const { seen, scan } = endless();
  const backtests = runner({ scan });
  const cancelled = new AbortController();
  const first = backtests.run({ rule: RULE, ...TIMES }, { signal: cancelled.signal });
  const second = backtests.run({ rule: RULE, ...TIMES });
  await expect(second).rejects.toMatchObject({ code: 'busy', retryable: true });
  await expect.poll(() => seen.batches).toBeGreaterThan(5);
  const before = seen.batches;
  cancelled.abort(new Error('enough'));
  await expect(first).rejects.toThrow('enough');
  await expect.poll(() => seen.closed).toBe(true);
  // The scan has no end; cancelling must stop it within a few batches.
  expect(seen.batches - before).toBeLessThan(500);
  const third = backtests.run({ rule: RULE, ...TIMES });
  const stopped = expect(third).rejects.toThrow('the server stops');
  await backtests.stop();
  await stopped;
});

test('backtest thread - rejects with the error of the history, and its code', async () => {
  const scan: HistoryStore['scan'] = () => {
    throw Object.assign(new Error('the disk is gone'), { code: 'history' });
  };
  const backtests = runner({ scan });
  await expect(backtests.run({ rule: RULE, ...TIMES })).rejects.toThrow('the disk is gone');
  await expect(backtests.run({ rule: RULE, fromMs: 5, toMs: 5 })).rejects.toMatchObject({ code: 'invalid' });
});
