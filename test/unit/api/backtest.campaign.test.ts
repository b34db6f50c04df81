import { afterEach, expect, test } from 'vitest';
import type { Backtest, BacktestProgress, BacktestReport, BacktestRequest } from '../../../rules/index.ts';
import { openApi, type TestApi } from '../../kit/api/kit.ts';
import { until } from '../../kit/wait.ts';

let api: TestApi;
afterEach(() => api.stop());

const TOTALS = { incidents: 0, tickets: 0, before: 0, firing: 0, cancelled: 0, pending: 0, groups: 0, firingMs: 0 };
const REPORT: BacktestReport = {
  rule: 'r1',
  version: '0123456789ab',
  from: '2026-01-01T00:00:00.000Z',
  to: '2026-01-31T00:00:00.000Z',
  warmUpFrom: '2025-12-31T00:00:00.000Z',
  devices: 1,
  readings: 7,
  tookMs: 3,
  totals: { ...TOTALS, districts: [] },
  incidents: [],
  difference: null,
  fault: null,
};
const PLENTY = { perSecond: 1e9, burst: 1e9 };
const PROGRESS: BacktestProgress = { done: 0.5, at: '2026-01-01T00:00:00.000Z', readings: 7, incidents: 0 };

/** A backtest that reports progress once, and then waits for its end or cancellation. */
async function open(limits: { readonly seconds?: number } = {}) {
  const bench = { asked: [] as BacktestRequest[], finish: () => {}, cancelled: false };
  const backtest: Backtest = (request, { signal, onProgress } = {}) => {
    bench.asked.push(request);
    onProgress?.(PROGRESS);
    return new Promise((resolve, reject) => {
      bench.finish = () => resolve(REPORT);
      signal?.addEventListener('abort', () => {
        bench.cancelled = true;
        reject(signal.reason as Error);
      });
    });
  };
  const queryLimits = { seconds: 30, points: PLENTY, work: PLENTY, ...limits };
  api = await openApi({}, { backtest, queryLimits });
  return bench;
}
const ask = (body: object, init: RequestInit = {}) =>
  api.fetch('/api/v1/rules/backtest', {
    method: 'POST',
    body: JSON.stringify(body),
    ...init,
    headers: { 'content-type': 'application/json', ...init.headers },
  });
test('backtest - returns the report of the rule for the time range', async () => {
  const bench = await open();
  const response = ask({ rule: 'r1', from: '2026-01-01', to: '2026-01-31T00:00:00Z' });
  await until(() => bench.asked.length === 1, 'backtest 1');
  bench.finish();
  expect(await (await response).json()).toEqual(REPORT);
  expect(bench.asked[0]).toMatchObject({
    rule: { id: 'r1' },
    fromMs: Date.UTC(2026, 0, 1),
    toMs: Date.UTC(2026, 0, 31),
  });
});

test('backtest - streams its progress, then the report', async () => {
  const bench = await open();
  const response = await ask({ rule: 'r1' }, { headers: { accept: 'text/event-stream' } });
  expect(response.headers.get('content-type')).toMatch(/^text\/event-stream/);
  bench.finish();
  expect(await response.text()).toBe(
    `event: progress\ndata: ${JSON.stringify(PROGRESS)}\n\nevent: report\ndata: ${JSON.stringify(REPORT)}\n\n`,
  );
  const [{ fromMs, toMs }] = bench.asked as [BacktestRequest];
  expect(toMs - fromMs).toBe(30 * 86_400_000);
});

test.each(['application/json', 'text/event-stream'])(
  'backtest - is cancelled when its client disconnects (%s)',
  async (accept) => {
    const bench = await open();
    const stop = new AbortController();
    const response = ask({ rule: 'r1' }, { headers: { accept }, signal: stop.signal });
    const ended = response.then((found) => found.text()).catch(() => 'cut');
    await until(() => bench.asked.length === 1, 'backtest 1');
    stop.abort();
    expect(await ended).toBe('cut');
    await until(() => bench.cancelled, 'the end of the first');
    const next = ask({ rule: 'r1' });
    await until(() => bench.asked.length === 2, 'backtest 2');
    bench.finish();
    expect((await next).status).toBe(200);
  },
);

test.each(['application/json', 'text/event-stream'])(
  'backtest - that takes longer than its budget is cancelled and says so; the next may run (%s)',
  async (accept) => {
    const bench = await open({ seconds: 0.001 });
    const response = await ask({ rule: 'r1' }, { headers: { accept } });
    expect(await response.text()).toMatch(/the backtest took more than 0.02 s; choose a shorter time/);
    expect(bench.cancelled).toBe(true);
    const next = ask({ rule: 'r1' });
    await until(() => bench.asked.length === 2, 'backtest 2');
    bench.finish();
    expect((await next).status).toBe(200);
  },
);

test('backtest - only one runs at a time', async () => {
  const bench = await open();
  const first = ask({ rule: 'r1' });
  await until(() => bench.asked.length === 1, 'backtest 1');
  const second = await ask({ rule: 'r1' });
  expect(second.status).toBe(409);
  expect(((await second.json()) as { detail: string }).detail).toContain('already running');
  bench.finish();
  expect((await first).status).toBe(200);
});

test.each([
  [{ rule: 'nope' }, 404],
  [{ rule: 'id: x\n' }, 422],
  [{ rule: 'r1', from: 'yesterday' }, 400],
  [{}, 400],
])('backtest - %j gets %i', async (body, status) => {
  await open();
  expect((await ask(body)).status).toBe(status);
});
