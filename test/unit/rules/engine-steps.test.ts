import fc from 'fast-check';
import { expect, test } from 'vitest';
import { DAY_MS, HOUR_MS, MINUTE_MS, type Rule, SECOND_MS, type Transition } from '../../../domain/index.ts';
import { createRuleEngine, type RuleEngine, type StateRow } from '../../../rules/engine/index.ts';
import { columns, device, inForce, metricTable, rule } from '../../kit/rules/engine.ts';
import { absent, calendar, rule as ruleOf } from '../../kit/rules/reference/kit.ts';
import { runs } from '../../kit/runs.ts';

const START = Date.UTC(2027, 0, 4);
const metrics = metricTable();
const bin = device('a0');

const RULES: Rule[] = [
  rule({ id: 'for', forMs: 5 * MINUTE_MS, keepFiringForMs: MINUTE_MS, latenessMs: 10 * MINUTE_MS }),
  rule({
    id: 'mean',
    when: { fn: 'mean', windowMs: 10 * MINUTE_MS },
    flapping: { times: 2, withinMs: 20 * MINUTE_MS },
  }),
  ruleOf({ id: 'quiet', profiles: ['air', 'noise'], when: absent({ absentMs: 3 * MINUTE_MS }) }),
  rule({ id: 'no-data', onNoData: 'alert', noDataAfterMs: 4 * MINUTE_MS }),
];

/** What happens after some time: a reading of a value and an age, or a tick; and to where the wall clock was set. */
interface Act {
  readonly afterMs: number;
  readonly value: number | null;
  readonly ageMs: number;
  readonly civilMs: number;
  readonly restart: boolean;
}

const acts: fc.Arbitrary<Act[]> = fc.array(
  fc.record({
    afterMs: fc.integer({ min: 1, max: 59 * SECOND_MS }),
    value: fc.option(fc.integer({ min: 60, max: 90 })),
    ageMs: fc.integer({ min: 0, max: 12 * MINUTE_MS }),
    civilMs: fc.constantFrom(0, SECOND_MS, -MINUTE_MS, 8 * DAY_MS, -20_000 * DAY_MS, 26_000 * DAY_MS),
    restart: fc.boolean(),
  }),
  { minLength: 1, maxLength: 60 },
);

/** An engine that another one goes on from, with what that one stored. */
function successor(engine: RuleEngine, stored: Map<string, StateRow>): RuleEngine {
  for (const row of engine.takeDirty()) stored.set(`${row.rule} ${row.group}`, row);
  const next = createRuleEngine({ metrics });
  next.configure(inForce(RULES), { seq: 0, atMs: 0 });
  next.deviceChanged(bin, { seq: 0, atMs: 0 });
  next.restore(stored.values());
  return next;
}

/** All that was decided, in steady time. */
function play(timeline: readonly Act[], { stepped }: { readonly stepped: boolean }): object[] {
  let engine = createRuleEngine({ metrics });
  const stored = new Map<string, StateRow>();
  let [seq, steadyMs] = [0, START];
  engine.configure(inForce(RULES), { seq, atMs: steadyMs });
  engine.deviceChanged(bin, { seq: ++seq, atMs: steadyMs });
  return timeline.flatMap(({ afterMs, value, ageMs, civilMs, restart }) => {
    if (stepped && restart) engine = successor(engine, stored);
    const offsetMs = stepped ? civilMs : 0;
    steadyMs += afterMs;
    const moment = { seq: ++seq, atMs: steadyMs + offsetMs, offsetMs };
    const decided =
      value === null
        ? engine.tick(moment)
        : engine.step(columns([[bin, metrics.indexOf('pm25'), moment.atMs - ageMs, value]]), moment);
    return decided.map((transition) => steady(transition, offsetMs));
  });
}

function steady({ sinceMs: _, atMs, evidence, ...rest }: Transition, offsetMs: number): object {
  const { window, readings } = evidence;
  const times = { fromMs: window.fromMs - offsetMs, toMs: window.toMs - offsetMs };
  const shown = readings.map(([ts, value]) => [ts - offsetMs, value]);
  return { ...rest, atMs: atMs - offsetMs, window: { ...window, ...times }, readings: shown };
}

test('clock - whatever the wall clock is set to, and whenever the server restarts, every duration stays what it is', () => {
  let decided = 0;
  fc.assert(
    fc.property(acts, (timeline) => {
      const expected = play(timeline, { stepped: false });
      expect(play(timeline, { stepped: true })).toEqual(expected);
      decided += expected.length;
    }),
    { seed: 14, numRuns: runs(1_000) },
  );
  // Fewer would mean that little was compared.
  expect(decided).toBeGreaterThan(runs(3_000));
});

test('clock - a calendar follows the wall clock at once, and goes back with it', () => {
  const engine = createRuleEngine({ metrics });
  // Every day from 10:00 to 11:00 in Shanghai.
  engine.configure(inForce([rule({ active: 'hours' })], [calendar()]), { seq: 1, atMs: START });
  engine.deviceChanged(bin, { seq: 2, atMs: START });
  const reading = columns([[bin, metrics.indexOf('pm25'), START, 90]]);
  expect(engine.step(reading, { seq: 3, atMs: START })).toEqual([]);
  const offsetMs = 2.5 * HOUR_MS;
  const on = engine.tick({ seq: 4, atMs: START + offsetMs, offsetMs });
  expect(on).toMatchObject([{ to: 'firing', atMs: START + offsetMs }]);
  expect(engine.tick({ seq: 5, atMs: START + 1 })).toMatchObject([{ to: 'resolved', atMs: START }]);
});
