import fc from 'fast-check';
import { DAY_MS, type Device, HOUR_MS, MINUTE_MS, type RuleControl, SECOND_MS } from '../../../../domain/index.ts';
import { cityControl, type Entry, native, type Sent } from '../../ingest/intake.ts';
import { type Acted, acts, nobodyActed, recordsOf } from './actions.ts';

/** A Monday, shortly before the calendar of the test city is on. */
const START = Date.UTC(2026, 2, 2, 8, 58);
const IDS = ['d1', 'd2', 'd3', 'd4', 'd5'];

const pick = fc.constantFrom;
const short = pick('10s', '30s', '1m', '3m');
const limit = fc.integer({ min: 5, max: 35 });

const threshold = fc
  .record({
    metric: pick('a', 'a', 'b'),
    fn: pick(
      { last: true },
      { mean: '1m' },
      { max: '3m' },
      { sum: '1m' },
      { count: '2m' },
      { p95: '2m' },
      { stddev: '1m' },
    ),
    at: limit,
    op: pick('above', 'below'),
    band: pick(0, 3),
  })
  .map(({ metric, fn, at, op, band }) => ({ metric, ...fn, [op]: at, clear: op === 'above' ? at - band : at + band }));
const silence = short.map((absent) => ({ absent }));
const others = fc.oneof(
  short.map((time) => ({ metric: 'b', flat: { for: time, within: 0 } })),
  short.map((within) => ({ metric: 'a', jump: { by: 15, within } })),
  limit.map((at) => ({ metric: 'a', forecast: { within: '2m', over: '10m' }, above: at })),
  limit.map((above) => ({
    metric: 'a',
    mean: '1m',
    compare: { with: pickOther(above), within: '5m' },
    above: above - 5,
  })),
  fc.constant({ metric: 'a', anomaly: { deviations: 2, train: '2d', least: 1 } }),
);
const pickOther = (n: number) => (n % 2 === 0 ? 'peers' : 'b');
const clause = fc.oneof(
  { weight: 5, arbitrary: threshold },
  { weight: 2, arbitrary: silence },
  { weight: 2, arbitrary: others },
);
const when = fc.oneof(
  { weight: 6, arbitrary: clause },
  { weight: 1, arbitrary: fc.tuple(clause, clause).map((all) => ({ all })) },
  { weight: 1, arbitrary: fc.tuple(clause, clause).map(([first, not]) => ({ any: [first, { not }] })) },
);

/** What a rule is for: each device, or a district or city of which all readings are one window, or which counts. */
const scope = fc.oneof(
  { weight: 5, arbitrary: when.map((one) => ({ when: one })) },
  {
    weight: 2,
    arbitrary: fc.tuple(pooled(), pick('district', 'city')).map(([one, for_each]) => ({ when: one, for_each })),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(threshold, pick(1, 2, '50%', '100%'), pick('district', 'city'))
      .map(([one, at_least, of]) => ({ when: { ...one, quorum: { at_least, of } } })),
  },
);

function pooled() {
  return fc.oneof(
    silence,
    limit.map((above) => ({ metric: 'a', mean: '1m', above })),
    limit.map((below) => ({ metric: 'b', min: '2m', below })),
  );
}

const options = fc.record({
  severity: pick<unknown[]>('low', 'high', { low: 10, high: 25, critical: 40 }),
  for: pick('0s', '0s', '10s', '30s', '2m'),
  keep_firing_for: pick('0s', '0s', '10s', '2m'),
  where: pick({}, {}, {}, { profile: 'bin' }, { district: 'west' }, { tags: { side: 'left' } }),
  active: pick(undefined, undefined, undefined, 'office'),
  lateness: pick(undefined, undefined, '5s'),
  limit: pick(100, 100, 100, 1, 2),
  flapping: pick(undefined, undefined, undefined, { times: 2, within: '2m' }),
  on_no_data: pick('keep', 'keep', 'keep', 'resolve', 'alert'),
  no_data_after: pick(undefined, '45s'),
  no_data_for: pick(undefined, '20s'),
  no_data_grace: pick(undefined, '2m'),
  ticket: pick(undefined, { service: 'repair' }, { service: 'repair' }, { service: 'lights' }, { service: 'visit' }),
});

type WrittenRule = { readonly id: string } & Readonly<Record<string, unknown>>;

/** Rules of every kind; those that the language refuses are left out of force, which a journal may hold too. */
const ruleOf = (ids: readonly string[]): fc.Arbitrary<WrittenRule> =>
  fc
    .tuple(pick(...ids), scope, options)
    .map(([id, scoped, chosen]) => ({ id, title: `${id} {{value}}`, ...scoped, ...steady(chosen, scoped.when) }));

/** Steps of severity and what to do without data go with some conditions only. */
function steady(chosen: Readonly<Record<string, unknown>>, of: object) {
  const { severity, on_no_data, no_data_after, no_data_for, no_data_grace, ...rest } = chosen;
  const plain = 'above' in of && !('quorum' in of) && !('compare' in of);
  const silent = JSON.stringify(of).includes('"absent"') || on_no_data === 'keep';
  return {
    severity: plain || typeof severity === 'string' ? severity : 'medium',
    ...(silent ? {} : { on_no_data, no_data_after }),
    ...(silent || on_no_data !== 'alert' ? {} : { no_data_for, no_data_grace }),
    ...rest,
  };
}

const FILES = ['r1', 'r2', 'r3', 'r4', 'r5'];
const calendars = pick(
  { weekdays: ['mon'], from: '09:00', to: '09:04' },
  { weekdays: ['mon', 'tue'], from: '08:00', to: '20:00' },
  { weekdays: ['sun'], from: '00:00', to: '01:00' },
);
const titled = (calendar: object) => ({ title: { en: 'Office', zh: '上班' }, ...calendar });

/** The files of a city; a reload takes some of another one. */
const plans = fc.record({
  rules: fc.uniqueArray(ruleOf(FILES), { selector: ({ id }) => id, minLength: 1, maxLength: 5, size: 'max' }),
  office: calendars,
  timezone: pick('UTC', 'UTC', 'Asia/Shanghai'),
  most: pick(100, 100, 40),
  interval: pick('1m', '10s'),
  profiles: pick<Record<string, string[]>[]>(
    { bin: ['a', 'b'], pole: ['a', 'b', 'c'] },
    { bin: ['a', 'b'], pole: ['a', 'b', 'c'] },
    { bin: ['b', 'a', 'c'], pole: ['a'] },
  ),
  reopen: pick('0s', '1h'),
  inhibited: fc.boolean(),
});
type Plan = typeof plans extends fc.Arbitrary<infer T> ? T : never;
const reloads = fc.tuple(
  plans,
  fc.subarray(['rules', 'office', 'timezone', 'most', 'interval', 'profiles', 'reopen', 'inhibited'] as const, {
    minLength: 1,
  }),
);

const title = { en: 'A', zh: '甲' };

function cityOf({ rules, office, timezone, most, interval, profiles, reopen, inhibited }: Plan) {
  const service = { title, department: 'care', deadline: '1h', reopen };
  const commands = { dim: { title, parameters: { level: { type: 'integer', min: 0, max: 100 } }, valid_for: '1m' } };
  const named = Object.entries(profiles).map(([id, metrics]) => [id, { title, metrics, interval, commands }]);
  return cityControl({
    rules,
    calendars: { office: titled(office) },
    metrics: { a: { min: 0, max: most }, b: { min: -50, max: 50 }, c: { min: 0, max: 1 } },
    files: {
      'city.yaml': { name: title, timezone, accepts: { past: '1d', ahead: '5m' } },
      'profiles.yaml': Object.fromEntries(named),
      'services.yaml': {
        repair: service,
        visit: { ...service, resolution: 'confirm' },
        lights: { ...service, department: 'roads', gather: { by: ['district'], wait: '30s' } },
      },
      'inhibitions.yaml': inhibited
        ? [{ source: { rule: ['r1'] }, target: { service: ['repair'] }, equal: ['district'] }]
        : [],
    },
  });
}

const devices: fc.Arbitrary<Device> = fc.record({
  id: pick(...IDS),
  profile: pick('bin', 'bin', 'pole'),
  district: pick('east', 'west'),
  tags: pick({ side: 'left' }, {}),
});

const samples = fc.array(
  fc.record({
    id: pick(...IDS),
    skew: pick(0, 0, 0, 0, 0, -300, -5_000, -20_000, -70_000, -7_000_000, 900, 40_000),
    a: fc.integer({ min: 0, max: 45 }),
    b: pick<(number | null)[]>(7, 7, 7, null, 0, 20, 33, -45),
    again: pick(false, false, false, false, true),
  }),
  { minLength: 1, maxLength: 8 },
);

const ops = fc.oneof(
  { weight: 14, arbitrary: acts.map((items) => ({ kind: 'actions' as const, items })) },
  { weight: 30, arbitrary: samples.map((all) => ({ kind: 'messages' as const, samples: all })) },
  { weight: 12, arbitrary: fc.constant({ kind: 'tick' as const }) },
  { weight: 3, arbitrary: reloads.map(([plan, parts]) => ({ kind: 'city' as const, plan, parts })) },
  {
    weight: 3,
    arbitrary: fc
      .tuple(ruleOf(['x1', 'x2', 'r1']), fc.nat({ max: 3 }))
      .map(([rule, dice]) => ({ kind: 'rule' as const, rule, gone: dice === 0 })),
  },
  {
    weight: 3,
    arbitrary: fc
      .tuple(
        fc.uniqueArray(devices, { selector: ({ id }) => id, maxLength: 3 }),
        pick<string[][]>([], [], ['d1'], ['d2', 'd3']),
      )
      .map(([registered, gone]) => ({
        kind: 'devices' as const,
        registered,
        revoked: gone.filter((id) => registered.every((one) => one.id !== id)),
      })),
  },
);
type Op = typeof ops extends fc.Arbitrary<infer T> ? T : never;

const steps = pick(
  0,
  0,
  1,
  500,
  SECOND_MS,
  SECOND_MS,
  5_000,
  10_000,
  20_000,
  59_000,
  61_000,
  15 * MINUTE_MS,
  7 * HOUR_MS,
  2 * DAY_MS,
);

/**
 * Journals of everything that changes what the rules decide: late, repeated and disordered readings, reloads of the
 * city, rules of the API, devices that come, change and go, ticks and downtime.
 */
export const journals: fc.Arbitrary<Entry[]> = fc
  .tuple(
    plans,
    fc.array(devices, { minLength: 5, maxLength: 5 }),
    fc.array(fc.tuple(steps, ops), { minLength: 10, maxLength: 70, size: 'max' }),
  )
  .map(([first, known, drawn]) => {
    const registered = known.map((one, i) => ({ ...one, id: IDS[i]! }));
    const entries: Entry[] = [
      { kind: 'city', atMs: START, body: cityOf(first) },
      { kind: 'devices', atMs: START, body: { version: 1, registered, revoked: [] } },
    ];
    const state = { plan: first, sent: [] as Sent[], atMs: START, ...nobodyActed() };
    for (const [step, op] of drawn) {
      state.atMs += step;
      entries.push(entryOf(op, state, entries.length));
    }
    return entries;
  });

interface Drawn extends Acted {
  plan: Plan;
  readonly sent: Sent[];
}

function entryOf(op: Op, state: Drawn, n: number): Entry {
  const { atMs } = state;
  if (op.kind === 'actions')
    return { kind: 'actions', atMs, body: { items: recordsOf(op.items, state, n + 1), anchor: null } };
  if (op.kind === 'tick') return { kind: 'tick', atMs, body: {} };
  if (op.kind === 'devices')
    return { kind: 'devices', atMs, body: { version: n, registered: op.registered, revoked: op.revoked } };
  if (op.kind === 'rule') return { kind: 'rule', atMs, body: controlOf(op.rule, op.gone, n) };
  if (op.kind === 'city') {
    const changed = Object.fromEntries(op.parts.map((part) => [part, op.plan[part]]));
    state.plan = { ...state.plan, ...changed };
    return { kind: 'city', atMs, body: cityOf(state.plan) };
  }
  const messages = op.samples.map(({ id, skew, a, b, again }): Sent => {
    const repeated = again ? state.sent.at(-1 - (a % 5)) : undefined;
    const metrics = b === null ? { a } : { a, b };
    return repeated === undefined ? native(id, { ts: atMs + skew, metrics }, atMs) : { ...repeated, receivedAt: atMs };
  });
  state.sent.push(...messages);
  return { kind: 'messages', atMs, messages };
}

function controlOf(rule: WrittenRule, gone: boolean, number: number): RuleControl {
  const text = gone ? null : JSON.stringify(rule);
  return { id: rule.id, number, text, version: gone ? null : `v${number}`, by: 'k1', at: '2026-03-02', note: '' };
}
