import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { GAUGE, type Measure, WINDOW_FUNCTIONS, type WindowAggregate } from '../../../domain/index.ts';
import { codeOfText } from '../../../ingest/texts.ts';
import { AggregateState, aggregateSpec } from '../../../rules/engine/aggregate.ts';
import { Reader, Writer } from '../../../rules/engine/bytes.ts';
import { expected, FUNCTIONS, isSame, type Sample } from '../../kit/kinds/reference.ts';
import { rule, timeline } from '../../kit/rules/engine.ts';

const SEED = 20261129;
const HOUR = 3_600_000;
const COUNTER: Measure = { kind: 'counter', max: 65_535 };
const ANGLE: Measure = { kind: 'angle', max: 360 };
const LEVEL: Measure = { kind: 'level', max: 140 };
const PRESENCE: Measure = { kind: 'presence', max: 1 };
const TEXT: Measure = { kind: 'text', max: 1e15 - 1 };
const STATE: Measure = {
  kind: 'state',
  max: 2,
  values: ['open', 'closed', 'fault'].map((name, code) => ({ code, name })),
};

const stateOf = (fn: WindowAggregate['fn'], measure: Measure, windowMs = HOUR) =>
  new AggregateState(
    aggregateSpec({ metric: 'm', fn, windowMs, measure, ...(measure.kind === 'state' ? { states: [0] } : {}) }, 0),
  );

/** The aggregate of an hour over readings a minute apart. */
function aggregateOf(fn: WindowAggregate['fn'], measure: Measure, values: readonly number[]): number {
  const state = stateOf(fn, measure);
  for (const [minute, value] of values.entries()) state.take(minute * 60_000, value);
  return state.value();
}

describe('kinds', () => {
  test('kinds - a counter that was reset counts on from 0', () => {
    expect(aggregateOf('delta', COUNTER, [100, 110, 0, 10])).toBe(20);
    expect(aggregateOf('sum', COUNTER, [100, 110, 0, 10])).toBe(20);
    expect(aggregateOf('rate', COUNTER, [100, 110, 0, 10])).toBe(400);
  });

  test('kinds - a counter that overflows counts on past its maximum', () => {
    expect(aggregateOf('delta', COUNTER, [65_530, 4])).toBe(10);
    expect(aggregateOf('delta', { kind: 'counter', max: 999.9 }, [990, 5])).toBeCloseTo(14.9);
  });

  test('kinds - the mean of angles goes past north', () => {
    expect(aggregateOf('mean', ANGLE, [350, 10])).toBe(0);
    expect(aggregateOf('delta', ANGLE, [350, 10])).toBe(20);
    expect(aggregateOf('mean', ANGLE, [0, 180])).toBeNaN();
    expect(aggregateOf('last', ANGLE, [360])).toBe(0);
  });

  test('kinds - the mean of levels is that of their power', () => {
    expect(aggregateOf('mean', LEVEL, [...Array<number>(14).fill(40), 80])).toBeCloseTo(68.245, 2);
    expect(aggregateOf('p90', LEVEL, [...Array<number>(14).fill(40), 80])).toBe(40);
  });

  test('kinds - levels on the threshold have exactly the threshold as their mean', () => {
    const state = new AggregateState(aggregateSpec({ metric: 'm', fn: 'mean', windowMs: HOUR, measure: LEVEL }, 68.3));
    for (let minute = 0; minute < 50; minute++) state.take(minute * 60_000, 68.3);
    expect(state.value()).toBe(68.3);
  });
});

/** Functions of the newest reading and of a window; of fault codes see `fault-share.test.ts`. */
const ENGINE = ['last', ...WINDOW_FUNCTIONS] as const;
const CASES = [
  [GAUGE, fc.double({ min: -1e6, max: 1e6, noNaN: true })],
  [COUNTER, fc.integer({ min: 0, max: 65_535 })],
  // In quarters, so that a turn of 180 degrees is exactly that.
  [ANGLE, fc.integer({ min: 0, max: 1_440 }).map((quarters) => quarters / 4)],
  [LEVEL, fc.double({ min: 20, max: 140, noNaN: true })],
  [PRESENCE, fc.integer({ min: 0, max: 1 })],
  [STATE, fc.integer({ min: 0, max: 2 })],
  [TEXT, fc.string().map(codeOfText)],
] as const;

describe.each(CASES)('kinds - %o over a window', (measure, values) => {
  const functions = ENGINE.filter((fn) => fn !== 'faults' && FUNCTIONS[measure.kind].includes(fn));
  // Times in order, seldom at the same time, so that a counter's resets have one meaning.
  const readings = fc.array(fc.tuple(fc.integer({ min: 1, max: 600_000 }), values), { minLength: 1, maxLength: 120 });

  test.each(functions)('%s agrees with the slow reference, also after a restart', (fn) => {
    fc.assert(
      fc.property(readings, fc.nat(), (steps, stop) => {
        let state = stateOf(fn, measure);
        const all: Sample[] = [];
        let ts = 1_700_000_000_000;
        for (const [i, [after, value]] of steps.entries()) {
          ts += after;
          all.push([ts, value]);
          state.take(ts, value);
          const window = all.filter(([at]) => fn === 'last' || at >= state.fromMs);
          const found = state.value();
          const wanted = expected(measure.kind, fn, { readings: window, max: measure.max });
          if (!isSame(measure.kind, fn, Number.isNaN(found) ? null : found, wanted)) {
            expect.fail(`${found} found, ${wanted} expected of ${JSON.stringify(window)}`);
          }
          if (i === stop % steps.length) state = copyOf(state, fn, measure);
        }
      }),
      { seed: SEED, numRuns: 50 },
    );
  });
});

function copyOf(state: AggregateState, fn: WindowAggregate['fn'], measure: Measure): AggregateState {
  const writer = new Writer();
  state.write(writer);
  const copy = stateOf(fn, measure);
  copy.read(new Reader(writer.bytes()));
  return copy;
}

test('kinds - a counter counts the same in whatever order its readings arrive', () => {
  const arrivals = fc.uniqueArray(fc.integer({ min: 0, max: HOUR / 2 }), { minLength: 2, maxLength: 60 });
  fc.assert(
    fc.property(arrivals, (times) => {
      const state = stateOf('delta', COUNTER);
      // It counts one a second.
      for (const ts of times) state.take(ts, ts / 1000);
      const total = (Math.max(...times) - Math.min(...times)) / 1000;
      expect(state.value()).toBeCloseTo(total, 6);
    }),
    { seed: SEED, numRuns: 50 },
  );
});

test('kinds - a rule about a state fires while it is one of its values, and says their names', () => {
  const faulty = { op: 'is', threshold: 0, clear: 0, measure: STATE, states: [0, 2] } as const;
  const city = timeline(rule({ when: faulty, forMs: 60_000 }));
  expect(city.reading(1, 1)).toEqual([]);
  expect(city.reading(2, 0)).toEqual(['dust a0: inactive → pending at 0']);
  expect(city.reading(10, 2)).toEqual([]);
  const [fired] = city.transitions(63, 2);
  expect(fired).toMatchObject({ to: 'firing', value: 2 });
  const { window } = fired!.evidence;
  expect(window).toMatchObject({ op: 'is', threshold: null, states: ['open', 'fault'], state: 'fault' });
  expect(city.reading(64, 1)).toEqual(['dust a0: firing → resolved at 1']);
});

test('kinds - a state that gets a value, or another name of one, leaves a rule about it and its alert as they are', () => {
  const when = (names: readonly string[]) =>
    ({
      op: 'is',
      threshold: 0,
      clear: 0,
      states: [2],
      measure: { kind: 'state', max: names.length - 1, values: names.map((name, code) => ({ code, name })) },
    }) as const;
  const city = timeline(rule({ version: 'v1', when: when(['open', 'closed', 'fault']) }));
  expect(city.reading(1, 2)).toEqual(['dust a0: inactive → firing at 2']);
  expect(city.configure(2, rule({ version: 'v1', when: when(['open', 'closed', 'jammed', 'half']) }))).toEqual([]);
  expect(city.reading(3, 2)).toEqual([]);
  const [ended] = city.transitions(4, 3);
  expect(ended).toMatchObject({ from: 'firing', to: 'resolved' });
  // Evidence has the names of today, as it has after a restart.
  expect(ended!.evidence.window).toMatchObject({ states: ['jammed'], state: 'half' });
});

test('kinds - a rule that a state is not one of its values ends where it is', () => {
  const city = timeline(rule({ when: { op: 'is_not', threshold: 0, clear: 0, measure: STATE, states: [1] } }));
  expect(city.reading(1, 1)).toEqual([]);
  expect(city.reading(2, 0)).toEqual(['dust a0: inactive → firing at 0']);
  expect(city.reading(3, 2)).toEqual([]);
  expect(city.reading(4, 1)).toEqual(['dust a0: firing → resolved at 1']);
});

test('kinds - a rule about a sector past north fires within it, and ends where it is left', () => {
  const north = { op: 'outside', threshold: [30, 330], clear: [40, 320], measure: ANGLE } as const;
  const city = timeline(rule({ when: north }));
  expect(city.reading(1, 200)).toEqual([]);
  expect(city.reading(2, 355)).toEqual(['dust a0: inactive → firing at 355']);
  expect(city.reading(3, 5)).toEqual([]);
  expect(city.reading(4, 38)).toEqual([]);
  expect(city.reading(5, 41)).toEqual(['dust a0: firing → resolved at 41']);
});
