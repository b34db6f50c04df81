import fc from 'fast-check';
import type { CityControl, Device } from '../../../domain/index.ts';
import { type CityPlan, cityControl, type Entry, native, type Sent } from '../ingest/intake.ts';

/** Epoch ms, on the hour. */
const START = 1_699_999_200_000;
const DEVICES = ['d1', 'd2', 'd3'];
const SENDERS = [...DEVICES, 'ghost'];

/** The extent of random journals. */
export interface Extent {
  readonly blocks: number;
  /** Steps of engine time between two blocks, ms. */
  readonly steps: readonly number[];
}

export const MINUTES: Extent = { blocks: 40, steps: [0, 0, 1, 500, 1000, 1000, 10_000, 30_000, 70_000, 900_000] };
/** With pauses longer than the horizon of the dedupe. */
export const DAYS: Extent = { blocks: 40, steps: [0, 1, 1000, 70_000, 3_600_000, 20_000_000, 90_000_000] };

const duration = (...texts: string[]) => fc.constantFrom(...texts);

/** A rule whose threshold is within the range of the values that are sent. */
const rule = fc
  .record({
    id: fc.constantFrom('r1', 'r2', 'r3', 'r4'),
    metric: fc.constantFrom('a', 'a', 'b'),
    fn: fc.constantFrom({ last: true }, { mean: '1m' }, { max: '10m' }, { min: '5s' }),
    threshold: fc.integer({ min: 5, max: 35 }),
    above: fc.boolean(),
    band: fc.integer({ min: 0, max: 6 }),
    for: duration('0s', '0s', '1s', '30s'),
    keep_firing_for: duration('0s', '0s', '1s', '30s'),
    where: fc.constantFrom({}, {}, { profile: 'bin' }, { district: 'west' }),
  })
  .map(({ id, metric, fn, threshold, above, band, ...rest }) => ({
    id,
    title: 'A at {{device.name}}',
    when: above
      ? { metric, ...fn, above: threshold, clear: threshold - band }
      : { metric, ...fn, below: threshold, clear: threshold + band },
    severity: 'low',
    ...rest,
  }))
  .map((one) => (one.when.metric === 'b' || !('profile' in one.where) ? one : { ...one, where: { profile: 'bin' } }));
const rules = fc.uniqueArray(rule, { selector: ({ id }) => id, minLength: 1, maxLength: 4, size: 'max' });

/**
 * Changes of rules by the API: some have the id of a file's rule, some are deletions, a few are invalid in any city.
 */
const ruleChanges = fc.record({
  rule: rule.map((one) => ({ ...one, id: one.id === 'r4' ? one.id : `x${one.id}` })),
  dice: fc.nat({ max: 9 }),
});

const plans: fc.Arbitrary<CityPlan> = fc.record({
  rules,
  past: duration('1d', '1d', '10s'),
  ahead: duration('5m', '1s'),
  metrics: fc
    .constantFrom(30, 40, 100)
    .map((max) => ({ a: { min: 0, max }, b: { min: -50, max: 50 }, c: { min: 0, max: 1 } })),
  profiles: fc.constantFrom<Record<string, string[]>[]>(
    { bin: ['a', 'b'], pole: ['b', 'c'] },
    { bin: ['b', 'a', 'c'], pole: ['a'] },
    { bin: ['a'], pole: ['b', 'c'] },
  ),
});

/** Small cities. A few folders have a mistake, which no start would accept but a journal may hold. */
const cities: fc.Arbitrary<CityControl> = fc
  .tuple(plans, fc.integer({ min: 0, max: 19 }))
  .map(([plan, dice]) => (dice > 0 ? cityControl(plan) : broken(cityControl(plan))));

function broken({ version, files }: CityControl): CityControl {
  return { version: `${version}-broken`, files: files.filter(({ path }) => path !== 'profiles.yaml') };
}

const devices: fc.Arbitrary<Device> = fc.record({
  id: fc.constantFrom(...DEVICES),
  profile: fc.constantFrom('bin', 'bin', 'bin', 'pole', 'lost'),
  district: fc.constantFrom('east', 'west'),
});

interface Draft {
  readonly sender: string;
  readonly readings: readonly { readonly skew: number; readonly metrics: Readonly<Record<string, unknown>> }[];
  readonly lag: number;
  readonly array: boolean;
}

const values = fc.oneof(
  { weight: 12, arbitrary: fc.integer({ min: 0, max: 45 }) },
  { weight: 3, arbitrary: fc.double({ min: 0, max: 40, noNaN: true }) },
  { weight: 1, arbitrary: fc.constantFrom<unknown[]>(null, 'x', 1e9, -1e9, true, [1], {}) },
);
const metrics = fc.oneof(
  { weight: 6, arbitrary: fc.record({ a: values }) },
  { weight: 4, arbitrary: fc.record({ a: values, b: values }) },
  { weight: 2, arbitrary: fc.record({ b: values, c: values, zzz: values }, { requiredKeys: [] }) },
);
const skews = fc.constantFrom(0, 0, 0, 0, -1, -300, -5_000, -20_000, -60_000, -90_000_000, 900, 400_000);
const drafts: fc.Arbitrary<Draft> = fc.record({
  sender: fc.constantFrom('d1', 'd1', 'd2', 'd2', ...SENDERS),
  readings: fc.array(fc.record({ skew: skews, metrics }), { minLength: 1, maxLength: 3 }),
  lag: fc.constantFrom(0, 0, 5, 800),
  array: fc.boolean(),
});
const MALFORMED = [
  '',
  '{',
  'null',
  '[]',
  '{"metrics":{}}',
  '{"ts":1,"metrics":{"a":1},"more":1}',
  '\u0000',
  '[1,{"metrics":{"a":7}}]',
];

type Sending =
  | { readonly draft: Draft }
  /** The same bytes once more, by the same sender. */
  | { readonly again: number }
  | { readonly sender: string; readonly malformed: string }
  | { readonly sender: string; readonly topic: string };

const messageArbitrary: fc.Arbitrary<Sending> = fc.oneof(
  { weight: 16, arbitrary: drafts.map((draft) => ({ draft })) },
  { weight: 5, arbitrary: fc.nat({ max: 30 }).map((again) => ({ again })) },
  {
    weight: 1,
    arbitrary: fc.record({ sender: fc.constantFrom(...SENDERS), malformed: fc.constantFrom(...MALFORMED) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ sender: fc.constantFrom(...SENDERS), topic: fc.constantFrom('devices/d1/nothing', 'x') }),
  },
);

type Op =
  | { readonly messages: readonly Sending[] }
  | { readonly tick: true }
  | { readonly city: CityControl }
  | { readonly rule: { readonly id: string }; readonly dice: number }
  | { readonly registered: readonly Device[]; readonly revoked: readonly string[] };

const changes = fc.record({
  registered: fc.uniqueArray(devices, { selector: ({ id }) => id, maxLength: 2 }),
  revoked: fc.constantFrom<string[][]>([], [], [], ['d1'], ['d2', 'ghost']),
});

const ops: fc.Arbitrary<Op> = fc.oneof(
  { weight: 24, arbitrary: fc.record({ messages: fc.array(messageArbitrary, { minLength: 1, maxLength: 5 }) }) },
  { weight: 6, arbitrary: fc.constant({ tick: true as const }) },
  { weight: 2, arbitrary: cities.map((city) => ({ city })) },
  { weight: 3, arbitrary: ruleChanges },
  {
    weight: 2,
    arbitrary: changes.map(({ registered, revoked }) => ({
      registered,
      // A change of the registry never both registers and revokes the same device.
      revoked: revoked.filter((id) => registered.every((device) => device.id !== id)),
    })),
  },
);

/**
 * Random journals: late, repeated, disordered and broken messages, ticks, changes of the city, registered and revoked
 * devices.
 */
export function journals({ blocks, steps }: Extent): fc.Arbitrary<Entry[]> {
  const timed = fc.tuple(fc.constantFrom(...steps), ops);
  return fc.tuple(plans, fc.array(timed, { minLength: 1, maxLength: blocks, size: 'max' })).map(([plan, drawn]) => {
    const registered = DEVICES.map((id, i) => ({ id, profile: 'bin', district: i === 0 ? 'east' : 'west' }));
    const entries: Entry[] = [
      { kind: 'city', atMs: START, body: cityControl(plan) },
      { kind: 'devices', atMs: START, body: { version: 1, registered, revoked: [] } },
    ];
    const sent: Sent[] = [];
    let atMs = START;
    for (const [step, op] of drawn) {
      atMs += step;
      entries.push(entryOf(op, atMs, entries.length, sent));
    }
    return entries;
  });
}

function entryOf(op: Op, atMs: number, version: number, sent: Sent[]): Entry {
  if ('tick' in op) return { kind: 'tick', atMs, body: {} };
  if ('city' in op) return { kind: 'city', atMs, body: op.city };
  if ('rule' in op) return { kind: 'rule', atMs, body: ruleControlOf(op, atMs, version) };
  if ('registered' in op) return { kind: 'devices', atMs, body: { version, ...op } };
  const messages = op.messages.map((one) => messageOf(one, atMs, sent));
  return { kind: 'messages', atMs, messages };
}

function ruleControlOf({ rule, dice }: { rule: { readonly id: string }; dice: number }, atMs: number, number: number) {
  const at = new Date(atMs).toISOString();
  const text = dice < 3 ? null : JSON.stringify(dice === 3 ? { ...rule, severity: 'loud' } : rule);
  return { id: rule.id, number, text, version: text === null ? null : 'v', by: 'k1', at, note: '' };
}

function messageOf(one: Sending, atMs: number, sent: Sent[]): Sent {
  const made = makeMessage(one, atMs, sent);
  sent.push(made);
  return made;
}

function makeMessage(one: Sending, atMs: number, sent: readonly Sent[]): Sent {
  if ('malformed' in one) return native(one.sender, one.malformed, atMs);
  if ('topic' in one) return { identity: one.sender, topic: one.topic, payload: '{}', receivedAt: atMs };
  if ('again' in one) return { ...(sent.at(-1 - one.again) ?? native('d1', '[', atMs)), receivedAt: atMs };
  const { sender, readings, lag, array } = one.draft;
  const receivedAt = atMs - lag;
  const items = readings.map(({ skew, metrics: given }, i) =>
    // Some messages have no time: the time of receipt is used.
    i === 0 && skew === -1 ? { metrics: given } : { ts: receivedAt + skew, metrics: given },
  );
  return native(sender, array || items.length > 1 ? items : items[0], receivedAt);
}
