import { expect, test } from 'vitest';
import {
  type Device,
  isoOf,
  LamppostError,
  MINUTE_MS,
  type PointsSlice,
  type ReadingsQuery,
  type ReadOptions,
} from '../../../domain/index.ts';
import { createTrial, type TrialMessage } from '../../../rules/index.ts';
import { cityControl, parseOnce } from '../../kit/ingest/intake.ts';
import { rulesOf } from '../../kit/rules/consumer-run.ts';

const T0 = Date.UTC(2026, 0, 5, 8);
const device = (id: string, district = 'east', profile = 'bin'): Device => ({ id, profile, district });
const DEVICES = [device('d1'), device('d2'), device('d3', 'west'), device('p1', 'east', 'pole')];

const written = (more: object) => ({
  id: 'r1',
  title: 'A',
  when: { metric: 'a', mean: '10m', above: 10 },
  severity: 'low',
  ...more,
});

/** A trial over stored readings of metric a, [device, minute, value]; a query of more than `most` points is refused. */
function bench(stored: readonly (readonly [string, number, number])[], most = Number.POSITIVE_INFINITY) {
  const queries: ReadingsQuery[] = [];
  const city = parseOnce(cityControl())!;
  async function* read(one: ReadingsQuery): AsyncGenerator<PointsSlice> {
    queries.push(one);
    const within = stored
      .map(([id, minute, value]) => ({ id, ts: T0 + minute * MINUTE_MS, value }))
      .filter(({ id, ts }) => one.devices!.includes(id) && ts >= one.fromMs && ts < one.toMs);
    if (within.length > most) throw new LamppostError('invalid', `more than ${most} points`);
    for (const rows of Map.groupBy(within, ({ id }) => id).values()) {
      yield {
        series: [{ device: rows[0]!.id, metric: 'a', unit: 'u', from: 0 }],
        ts: Float64Array.from(rows, ({ ts }) => ts),
        value: Float64Array.from(rows, ({ value }) => value),
      };
    }
  }
  const devicesIn = (district: string | null) =>
    DEVICES.filter((one) => district === null || one.district === district);
  const trial = createTrial({ city: () => city, history: { read }, devicesIn });
  return {
    queries,
    run(more: object, messages: readonly TrialMessage[], context = true, options: ReadOptions = {}) {
      const control = cityControl({ rules: [written(more)] });
      const [rule] = rulesOf({ control, city: parseOnce(control)! }).rules;
      return trial({ rule: rule!, device: DEVICES[0]!, messages, context }, options);
    },
  };
}

const message = (minute: number, a: unknown, more: object = {}): TrialMessage => ({
  topic: 'devices/d1/readings',
  payload: Buffer.from(JSON.stringify({ ts: T0 + minute * MINUTE_MS, metrics: { a }, ...more })),
  receivedAtMs: T0 + minute * MINUTE_MS,
});

test("trial - reads the device's own readings of the rule's metrics, as far back as it needs", async () => {
  const { run, queries } = bench([['d1', -5, 30]]);
  const { steps, context } = await run({ for: '2h' }, [message(0, 10)]);
  expect(queries).toEqual([
    {
      devices: ['d1'],
      metrics: ['a'],
      fromMs: T0 - 130 * MINUTE_MS,
      toMs: T0,
      fn: 'last',
      maxPoints: expect.any(Number),
    },
  ]);
  expect(context).toMatchObject({ readings: 1, devices: 1 });
  expect(steps[0]!.explanation.clauses).toMatchObject([{ value: 20, count: 2 }]);
  expect(steps[0]!.would).toBe(`would fire at ${isoOf(T0 + 115 * MINUTE_MS)} if it stays so`);
});

test('trial - a rule for a district reads its other devices of the profile, and is tried for the district', async () => {
  const { run, queries } = bench([
    ['d2', -5, 30],
    ['d3', -5, 0],
  ]);
  const { steps, group } = await run({ for_each: 'district' }, [message(0, 10)]);
  expect(group).toBe('east');
  expect(queries[0]!.devices).toEqual(['d1', 'd2']);
  expect(steps[0]!.explanation.clauses).toMatchObject([{ value: 20 }]);
});

test('trial - a rule for the city reads all devices', async () => {
  const { run, queries } = bench([
    ['d2', -5, 30],
    ['d3', -5, 20],
  ]);
  const { steps, group } = await run({ for_each: 'city' }, [message(0, 10)]);
  expect([group, queries[0]!.devices]).toEqual(['city', ['d1', 'd2', 'd3']]);
  expect(steps[0]!.explanation.clauses).toMatchObject([{ value: 20 }]);
});

test('trial - starts later where the history holds too much, and reports it', async () => {
  const stored = Array.from({ length: 60 }, (_, i) => ['d1', -60 + i, 20] as const);
  const { run } = bench(stored, 20);
  const { context } = await run({}, [message(0, 20)]);
  expect(context).toMatchObject({ cut: true, from: isoOf(T0 - 15 * MINUTE_MS), readings: 15 });
});

test('trial - hours between two readings count: for, keep_firing_for and a second firing happen at their own times', async () => {
  const { run } = bench([]);
  const rule = { when: { metric: 'a', last: true, above: 10 }, for: '30m', keep_firing_for: '1h' };
  const { steps } = await run(rule, [message(180, 5), message(0, 20), message(120, 5)], false);
  const outcomes = steps.map(({ would, transitions }) => [
    would,
    transitions.map(({ to, at }) => `${to} +${(Date.parse(at) - T0) / MINUTE_MS}`),
  ]);
  expect(outcomes).toEqual([
    [`would fire at ${isoOf(T0 + 30 * MINUTE_MS)} if it stays so`, ['pending +0']],
    [`no longer matches; resolves at ${isoOf(T0 + 180 * MINUTE_MS)} if it stays so`, ['firing +30']],
    ['does not match', ['resolved +180']],
  ]);
});

test('trial - reports a device that the rule does not apply to', async () => {
  const { run } = bench([]);
  const { steps } = await run({ where: { district: 'west' } }, [message(0, 20)], false);
  expect(steps[0]).toMatchObject({
    explanation: { reason: 'not-taken' },
    would: expect.stringContaining('does not apply to it'),
  });
});

test('trial - takes 1,000 readings; a message with one more is refused', async () => {
  const { run } = bench([]);
  const many = (count: number): TrialMessage => ({
    topic: 'devices/d1/readings',
    payload: Buffer.from(JSON.stringify(Array.from({ length: count }, (_, i) => ({ ts: T0 + i, metrics: { a: 1 } })))),
    receivedAtMs: T0 + count,
  });
  expect((await run({}, [many(1_000)], false)).steps).toHaveLength(1_000);
  await expect(run({}, [many(1_001)], false)).rejects.toMatchObject({
    code: 'invalid',
    message: expect.stringContaining('at most 1000 readings; the message has 1001'),
  });
});

test('trial - other work of the thread runs in between, and one whose caller is gone ends', async () => {
  const stored = Array.from({ length: 2_000 }, (_, i) => ['d1', -200 + i / 20, 20] as const);
  const { run } = bench(stored);
  const gone = new AbortController();
  let turns = 0;
  let running = true;
  const other = (): void => {
    turns++;
    if (running) setImmediate(other);
  };
  setImmediate(other);
  await run({ for: '4h' }, [message(0, 10)]);
  expect(turns).toBeGreaterThanOrEqual(5);
  setImmediate(() => gone.abort(new LamppostError('busy', 'gone')));
  await expect(run({ for: '4h' }, [message(0, 10)], true, { signal: gone.signal })).rejects.toThrow('gone');
  running = false;
});

test('trial - stored readings of several devices are read in order of time', async () => {
  const { run } = bench([
    ['d2', -9, 1],
    ['d1', -8, 2],
    ['d2', -7, 3],
    ['d1', -6, 4],
    ['d2', -6, 5],
  ]);
  const rule = { for_each: 'district', when: { metric: 'a', mean: '1h', above: 4 } };
  const { before, context } = await run(rule, [message(0, 0)]);
  expect(context).toMatchObject({ readings: 5, devices: 2 });
  expect(before.clauses).toMatchObject([{ value: 3, count: 5 }]);
});
