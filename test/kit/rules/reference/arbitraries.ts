import fc from 'fast-check';
import {
  type Clause,
  type Condition,
  type KnownDevice,
  type Rule,
  WINDOW_FUNCTIONS,
} from '../../../../domain/index.ts';
import type { Entry, Op, Sample } from './journal.ts';
import { absent, anomaly, calendar, DAY, device, flat, forecast, HOUR, jump, MINUTE, rule, threshold } from './kit.ts';

const START = 1_790_000_000_000;
const IDS = ['a0', 'a1', 'a2', 'a3', 'a4', 'a5'];
const METRICS = ['pm25', 'noise', 'fill'] as const;
/** Functions that a shared window of many devices can have. */
/** Fault codes are no readings: `fault-share.test.ts` has them. Those of states are in `kinds.test.ts`. */
const FUNCTIONS = WINDOW_FUNCTIONS.filter((fn) => !['faults', 'changes', 'share'].includes(fn));
const POOLED = ['mean', 'min', 'max', 'sum', 'count', 'p50', 'p95', 'stddev'] as const;

const metrics = fc.constantFrom(...METRICS);
const windows = fc.constantFrom(1_000, 40_000, 61_000, 300_000);
const limits = fc.integer({ min: -3, max: 20 });
const bands = fc.integer({ min: 0, max: 6 });
const delays = fc.constantFrom(0, 0, 1_000, 20_000);

const thresholds = (functions: readonly ('last' | (typeof WINDOW_FUNCTIONS)[number])[], compared: boolean) =>
  fc
    .record({
      metric: metrics,
      fn: fc.constantFrom(...functions),
      window: windows,
      op: fc.constantFrom('above', 'below', 'outside', 'equals'),
      at: limits,
      band: bands,
      other: compared ? fc.constantFrom(null, null, null, 'peers' as const, ...METRICS) : fc.constant(null),
      as: fc.constantFrom('difference', 'ratio'),
      withinMs: windows,
    })
    .map(({ metric, fn, window, op, at, band, other, as, withinMs }): Clause => {
      const clear = { above: at - band, below: at + band, outside: [at + 1, at + 1 + band] as const, equals: at }[op];
      const limit = op === 'outside' ? ([at, at + 2 + band] as const) : at;
      const compare =
        other === null || other === metric
          ? null
          : ({ with: other === 'peers' ? other : { metric: other }, as, withinMs } as const);
      return threshold({ metric, fn, windowMs: fn === 'last' ? 0 : window, op, threshold: limit, clear, compare });
    });

const silences = fc
  .record({ metric: fc.constantFrom(null, ...METRICS), absentMs: fc.constantFrom(5_000, 30_000, 90_000) })
  .map((changes): Clause => absent(changes));

const others: fc.Arbitrary<Clause> = fc.oneof(
  fc.record({ metric: metrics, windowMs: windows, within: fc.integer({ min: 0, max: 8 }) }).map((one) => flat(one)),
  fc
    .record({
      metric: metrics,
      windowMs: windows,
      by: fc.integer({ min: 1, max: 12 }),
      clear: fc.integer({ min: 0, max: 1 }),
      direction: fc.constantFrom('up', 'down', 'either'),
    })
    .map((one) => jump(one)),
  fc
    .record({
      metric: metrics,
      withinMs: windows,
      overMs: fc.constantFrom(40_000, 300_000),
      reset: fc.constantFrom(null, null, 5),
      op: fc.constantFrom('above', 'below'),
      threshold: limits,
    })
    .map((one) => forecast({ ...one, clear: one.threshold })),
);

/** Any clause of a rule for each device. */
const clauses = fc.oneof(
  { weight: 5, arbitrary: thresholds(['last', ...FUNCTIONS], true) },
  { weight: 1, arbitrary: silences },
  { weight: 2, arbitrary: others },
);

function whole(leaf: fc.Arbitrary<Clause>): fc.Arbitrary<Condition> {
  const parts = fc.array(leaf, { minLength: 1, maxLength: 3 });
  return fc.oneof(
    { weight: 5, arbitrary: leaf },
    { weight: 1, arbitrary: parts.map((of): Condition => ({ kind: 'all', of })) },
    { weight: 1, arbitrary: parts.map((of): Condition => ({ kind: 'any', of })) },
    { weight: 1, arbitrary: leaf.map((of): Condition => ({ kind: 'not', of })) },
    {
      weight: 1,
      arbitrary: fc.tuple(leaf, parts).map(
        ([first, of]): Condition => ({
          kind: 'all',
          of: [
            { kind: 'not', of: first },
            { kind: 'any', of },
          ],
        }),
      ),
    },
  );
}

const options = fc
  .record({
    id: fc.constantFrom('r1', 'r2', 'r3', 'r4'),
    forMs: delays,
    keepFiringForMs: delays,
    latenessMs: fc.constantFrom(null, null, 2_000, 30_000),
    active: fc.constantFrom(null, null, null, 'hours'),
    onNoData: fc.constantFrom('keep', 'keep', 'keep', 'resolve', 'alert'),
    noDataAfterMs: fc.constantFrom(5_000, 12_000),
    noDataGraceMs: fc.constantFrom(5_000, 12_000, 25_000),
    noDataForMs: fc.constantFrom(0, 0, 2_000, 8_000),
    flapping: fc.constantFrom(null, null, { times: 2, withinMs: 60_000 }),
    limit: fc.constantFrom(1_000, 1_000, 1, 2),
    where: fc.constantFrom({}, {}, { district: ['harbour'] }, { profile: ['air'] }),
    suspect: fc.constantFrom({}, {}, { suspect: 'ignore' as const }),
  })
  .map(({ suspect, ...rest }) => ({ ...rest, ...suspect }));

const forEach = fc.constantFrom('district' as const, 'city' as const);
const quorums = fc.constantFrom({ devices: 1 }, { devices: 2 }, { percent: 50 }, { percent: 100 });

function isSilent(when: Condition): boolean {
  if (!('of' in when)) return when.kind === 'absent';
  return when.kind === 'not' ? isSilent(when.of) : when.of.some(isSilent);
}

/**
 * Adds steps where the condition allows them, and on_no_data where it is not about silence itself, as the language
 * does.
 */
function finished(changes: Partial<Rule> & { when: Condition }): Rule {
  const { when } = changes;
  const stepped = when.kind === 'threshold' && typeof when.threshold === 'number' && (changes.quorum ?? null) === null;
  const direction = stepped && when.op === 'below' ? -1 : 1;
  const steps =
    stepped && (when.op === 'above' || when.op === 'below')
      ? [{ at: (when.threshold as number) + 4 * direction, severity: 'critical' as const }]
      : [];
  return rule({ ...changes, steps, ...(isSilent(when) ? { onNoData: 'keep' as const } : {}) });
}

/** Rules of every kind except those with long seasons. */
const rules: fc.Arbitrary<Rule> = fc.oneof(
  { weight: 5, arbitrary: fc.tuple(options, whole(clauses)).map(([base, when]) => finished({ ...base, when })) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(options, whole(fc.oneof(thresholds(POOLED, false), silences)), forEach)
      .map(([base, when, each]) => finished({ ...base, when, forEach: each })),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(options, whole(clauses), forEach, quorums)
      .map(([base, when, each, quorum]) => finished({ ...base, when, forEach: each, quorum })),
  },
);

const ruleSets = fc.uniqueArray(rules, { selector: ({ id }) => id, minLength: 1, maxLength: 3 });

const devices: fc.Arbitrary<KnownDevice> = fc
  .tuple(fc.constantFrom(...IDS), fc.constantFrom('harbour', 'harbour', 'hills'), fc.constantFrom('air', 'air', 'bin'))
  .map(([id, district, profile]) => device(id, { district, profile }));

/** Journals with disorder, gaps and jumps in the devices' time, downtime, ticks, and changes of rules and devices. */
export const journals: fc.Arbitrary<Entry[]> = fc
  .tuple(
    ruleSets,
    fc.array(devices, { minLength: 3, maxLength: 8 }),
    fc.array(
      fc.tuple(
        fc.constantFrom(0, 0, 1, 20, 500, 1_000, 1_000, 5_000, 9_000, 14_000, 14_900, 16_000, 7_000_000),
        fc.oneof(
          { weight: 30, arbitrary: samples() },
          { weight: 6, arbitrary: fc.constant({ kind: 'tick' as const }) },
          { weight: 1, arbitrary: ruleSets.map((set) => ({ kind: 'rules' as const, rules: set })) },
          { weight: 2, arbitrary: devices.map((one) => ({ kind: 'device' as const, device: one })) },
          { weight: 1, arbitrary: fc.constantFrom(...IDS).map((id) => ({ kind: 'revoke' as const, id })) },
        ),
      ),
      { minLength: 1, maxLength: 50 },
    ),
  )
  .map(([first, known, blocks]) => {
    const calendars = [calendar()];
    const opening: Op[] = [
      { kind: 'rules', rules: first, calendars },
      ...known.map((one) => ({ kind: 'device' as const, device: one })),
    ];
    const entries: Entry[] = opening.map((op, i) => ({ seq: i + 1, atMs: START, op }));
    let atMs = START;
    for (const [step, block] of blocks) {
      atMs += step;
      const op: Op =
        block.kind === 'rules' ? { ...block, calendars } : block.kind === 'readings' ? placed(block, atMs) : block;
      entries.push({ seq: entries.length + 1, atMs, op });
    }
    return entries;
  });

function samples() {
  const one = fc.record({
    id: fc.constantFrom(...IDS),
    metric: metrics,
    skew: fc.constantFrom(0, 0, 0, 0, -1, -300, -5_000, -59_000, -700_000, 40_000),
    value: fc.integer({ min: -5, max: 25 }),
    isSuspect: fc.constantFrom(false, false, true),
  });
  return fc.array(one, { minLength: 1, maxLength: 6 }).map((all) => ({ kind: 'readings' as const, samples: all }));
}

function placed(block: { samples: readonly (Omit<Sample, 'ts'> & { skew: number })[] }, atMs: number): Op {
  return { kind: 'readings', samples: block.samples.map(({ skew, ...rest }) => ({ ...rest, ts: atMs + skew })) };
}

const seasonal: fc.Arbitrary<Clause> = fc.oneof(
  fc
    .record({
      fn: fc.constantFrom('last', 'mean', 'max'),
      deviations: fc.constantFrom(1, 2, 4),
      trainMs: fc.constantFrom(2 * DAY, 5 * DAY, 14 * DAY),
      leastSpread: fc.constantFrom(0.5, 2),
    })
    .map((one) => anomaly({ ...one, windowMs: one.fn === 'last' ? 0 : 2 * HOUR })),
  fc
    .record({ withinMs: fc.constantFrom(HOUR, 90 * MINUTE, 6 * HOUR), threshold: limits, band: bands })
    .map(({ withinMs, threshold: at, band }) =>
      forecast({ method: 'holt_winters', withinMs, threshold: at, clear: at - band }),
    ),
);

/** Weeks of sparse readings of one device with a daily rhythm, for clauses that learn seasons. */
export const seasons: fc.Arbitrary<Entry[]> = fc
  .tuple(
    seasonal,
    fc.array(
      fc.tuple(fc.integer({ min: 5, max: 80 }), fc.integer({ min: -3, max: 3 }), fc.constantFrom(0, 0, 0, 0, 9)),
      {
        minLength: 500,
        maxLength: 700,
      },
    ),
    fc.constantFrom(0, 30, 2_000),
  )
  .map(([when, readings, pauseMin]) => {
    const opening: Op[] = [
      { kind: 'rules', rules: [rule({ when })], calendars: [] },
      { kind: 'device', device: device('a0') },
    ];
    const entries: Entry[] = opening.map((op, i) => ({ seq: i + 1, atMs: START, op }));
    let atMs = START;
    for (const [i, [minutes, noise, spike]] of readings.entries()) {
      atMs += minutes * MINUTE + (i === 350 ? pauseMin * MINUTE : 0);
      const value = Math.round(8 * Math.sin((2 * Math.PI * atMs) / DAY)) + noise + (i % 37 === 0 ? spike : 0);
      const ts = i % 29 === 0 ? atMs - 3 * HOUR : atMs;
      const sample: Sample = { id: 'a0', metric: 'pm25', ts, value };
      entries.push({ seq: entries.length + 1, atMs, op: { kind: 'readings', samples: [sample] } });
    }
    return entries;
  });
