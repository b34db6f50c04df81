import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { RuleControl, Transition } from '../../../domain/index.ts';
import { JournalStore } from '../../../journal/index.ts';
import type { RulesConsumer, TransitionContext } from '../../../rules/index.ts';
import { cityControl, type Entry, native, testDir, write } from '../../kit/ingest/intake.ts';
import { rulesOf, startConsumer } from '../../kit/rules/consumer-run.ts';

const rule = (above: number, more: object = {}) => ({
  id: 'r1',
  title: `above ${above}`,
  when: { metric: 'a', last: true, above },
  severity: 'low',
  ...more,
});
const bin = (district = 'east') => ({ id: 'd1', profile: 'bin', district });
const city = (...rules: { id: string }[]): Entry => ({ kind: 'city', atMs: 0, body: cityControl({ rules }) });
const devices = (registered: readonly object[], revoked: readonly string[] = []): Entry => ({
  kind: 'devices',
  atMs: 0,
  body: { version: 1, registered, revoked },
});
const reading = (second: number, a: number): Entry => ({
  kind: 'messages',
  atMs: second * 1000,
  messages: [native('d1', { ts: second * 1000, metrics: { a } }, second * 1000)],
});

/** A change of a rule by the API; null deletes it. */
const change = (id: string, body: object | null, number = 1): Entry => {
  const text = body === null ? null : JSON.stringify({ ...body, id });
  const control: RuleControl = { id, number, text, version: text && 'v', by: 'k1', at: '2026-01-01', note: '' };
  return { kind: 'rule', atMs: 0, body: control };
};

let dir: string;
let store: JournalStore;
let open: { close(): void }[] = [];

beforeEach(() => {
  dir = testDir();
  store = new JournalStore(join(dir, 'journal.sqlite')).open();
});
afterEach(() => {
  for (const one of open) one.close();
  open = [];
  store.close();
});

/** A consumer over the test's journal; `applied` has its effects, `fail` makes the next effect throw. */
function consumer(state = 'state.sqlite') {
  const applied: (TransitionContext & { transition: Transition })[] = [];
  const bench = { applied, fail: false, committed: 0 };
  const deps = {
    rulesOf,
    effects(transition: Transition, context: TransitionContext) {
      if (bench.fail) throw new Error('the disk is full');
      applied.push({ transition, ...context });
    },
    onEffects: () => void bench.committed++,
  };
  const started = startConsumer(dir, deps, state);
  open.push(started);
  return Object.assign(bench, started);
}

function append(...entries: readonly Entry[]): void {
  for (const entry of entries) write(store, entry);
}
/** A change of a rule ends a step. */
function readAll(rules: RulesConsumer): void {
  while (rules.step().length > 0);
}

const seqs = (outcomes: readonly { block: { seq: number } }[]) => outcomes.map(({ block }) => block.seq);

describe('rules consumer', () => {
  test('an alert of a rule that is gone ends in the version that raised it', () => {
    append(city(rule(10)), devices([bin()]), reading(1, 20), city());
    const { rules, applied } = consumer();
    rules.step();
    expect(applied.map(({ transition, rule: { title } }) => [transition.to, title])).toEqual([
      ['firing', 'above 10'],
      ['resolved', 'above 10'],
    ]);
  });

  test('an alert that fires after the change has the new version, also where the consumer starts between the two', () => {
    append(city(rule(10)), devices([bin()]), city(rule(5)));
    const first = consumer();
    first.rules.step();
    first.rules.checkpoint();
    append(reading(1, 7));
    const { rules, applied } = consumer();
    rules.step();
    expect(applied.map((one) => [one.transition.to, one.rule.title])).toEqual([['firing', 'above 5']]);
  });

  test('the alerts of a revoked device end with the device as it was before', () => {
    append(city(rule(10)), devices([bin('east')]), reading(1, 20), devices([bin('west')]), devices([], ['d1']));
    const { rules, applied } = consumer();
    rules.step();
    const districts = applied.map(({ subject }) => (subject.kind === 'device' ? subject.device.district : null));
    expect(applied.map(({ transition }, i) => [transition.to, districts[i]])).toEqual([
      ['firing', 'east'],
      ['resolved', 'west'],
    ]);
  });

  test('a failed commit is tried again before anything new is decided, and the outcomes keep its blocks', () => {
    append(city(rule(10)), devices([bin()]), reading(1, 20));
    const bench = consumer();
    bench.fail = true;
    expect(() => bench.rules.step()).toThrow('the disk is full');
    expect(() => bench.rules.step()).toThrow('the disk is full');
    expect([bench.rules.cursor(), bench.committed]).toEqual([0, 0]);
    append(reading(2, 5));
    bench.fail = false;
    expect(seqs(bench.rules.step())).toEqual([1, 2, 3, 4]);
    expect(bench.applied.map(({ transition }) => `${transition.id} ${transition.to}`)).toEqual([
      '3.0 firing',
      '4.0 resolved',
    ]);
    expect(bench.rules.cursor()).toBe(4);
    expect(bench.rules.step()).toEqual([]);
  });

  test('a cursor without effects is written after a second and a half', () => {
    append(city(rule(10)), devices([bin()]), reading(1, 5));
    const { rules, clock, committed } = consumer();
    expect(seqs(rules.step())).toEqual([1, 2, 3]);
    expect(rules.cursor()).toBe(0);
    clock.ms = 1_499;
    rules.step();
    expect(rules.cursor()).toBe(0);
    clock.ms = 1_500;
    rules.step();
    expect(rules.cursor()).toBe(3);
    expect(committed).toBe(0);
  });

  test('after a failed checkpoint the last one stays valid, and the next one stores all states', () => {
    append(city(rule(10, { for: '10s' })), devices([bin()]), reading(1, 20));
    const first = consumer();
    first.rules.step();
    first.db.exec("create temp trigger full before insert on rules_state begin select raise(abort, 'full'); end");
    expect(() => first.rules.checkpoint()).toThrow('full');
    expect(first.rules.checkpointed()).toBe(0);
    first.db.exec('drop trigger full');
    first.rules.checkpoint();
    expect(first.rules.checkpointed()).toBe(3);
    append({ kind: 'tick', atMs: 11_000, body: {} });
    const { rules, applied } = consumer();
    rules.step();
    expect(applied.map(({ transition }) => transition.to)).toEqual(['firing']);
  });

  test('a start throws where the journal lacks blocks after the checkpoint', () => {
    append(city(rule(10)), devices([bin()]), reading(1, 20), reading(2, 5), reading(3, 20));
    consumer().rules.step();
    store.trim(5, 10);
    expect(() => consumer()).toThrow('the journal lacks blocks 1 to 4');
  });

  test('a rule of the API fires, a new version that still holds keeps the alert, and it ends with the rule', () => {
    append(city(), devices([bin()]), change('x', rule(10)), reading(1, 20), change('x', rule(15), 2), reading(2, 20));
    append(change('x', null, 3));
    const { rules, applied } = consumer();
    readAll(rules);
    expect(applied.map(({ transition, rule: { title, origin } }) => [transition.to, title, origin])).toEqual([
      ['firing', 'above 10', 'api:k1'],
      ['resolved', 'above 15', 'api:k1'],
    ]);
    expect(rules.rules()).toEqual([]);
  });

  test('a rule of the API is in force again after a start at a checkpoint, and its alert continues', () => {
    append(city(), devices([bin()]), change('x', rule(10)), reading(1, 20));
    const first = consumer();
    readAll(first.rules);
    first.rules.checkpoint();
    append(reading(2, 5));
    const { rules, applied } = consumer();
    readAll(rules);
    expect(applied.map(({ transition }) => `${transition.from} ${transition.to}`)).toEqual(['firing resolved']);
  });

  test('another city keeps the alerts of rules that did not change or still hold, and ends that of one that does not', () => {
    const [kept, ends] = ['kept', 'ends'].map((id) => ({ ...rule(10), id }));
    const changed = { ...rule(30), id: 'ends' };
    append(city(kept!, rule(10), ends!), devices([bin()]), reading(1, 20));
    append(city(kept!, rule(12), changed), reading(2, 20));
    const { rules, applied } = consumer();
    rules.step();
    expect(applied.map(({ transition }) => `${transition.rule} ${transition.to}`)).toEqual([
      'ends firing',
      'kept firing',
      'r1 firing',
      'ends resolved',
    ]);
  });

  test('a rule of the API that the city no longer allows is left out until the city allows it again', () => {
    const without: Entry = { kind: 'city', atMs: 0, body: cityControl({ profiles: { bin: ['b'] } }) };
    append(city(), devices([bin()]), change('x', rule(10)), reading(1, 20), without, city(), reading(2, 20));
    const { rules, applied } = consumer();
    readAll(rules);
    expect(applied.map(({ transition }) => transition.to)).toEqual(['firing', 'resolved', 'firing']);
  });

  test("a file's rule wins over one of the API with the same id, from the block that adds it", () => {
    append(
      city(),
      devices([bin()]),
      change('r1', rule(10)),
      reading(1, 20),
      city(rule(15)),
      reading(2, 12),
      reading(3, 18),
    );
    const { rules, applied } = consumer();
    readAll(rules);
    expect(applied.map(({ transition, rule: { title } }) => `${transition.to} ${title}`)).toEqual([
      'firing above 10',
      'resolved above 15',
      'firing above 15',
    ]);
    expect(rules.rules()).toHaveLength(1);
  });

  test('a step that reads a change of a rule writes its cursor at once', () => {
    append(city(), devices([bin()]), change('x', rule(10)));
    const { rules } = consumer();
    rules.step();
    expect(rules.cursor()).toBe(3);
  });

  test('the subject of a rule for a district is the district, for the city the city', () => {
    const when = { metric: 'a', mean: '1m', above: 10 };
    const district = { ...rule(10), id: 'd', when, for_each: 'district' };
    const whole = { ...district, id: 'c', for_each: 'city' };
    append(city(district, whole), devices([bin()]), reading(1, 20));
    const { rules, applied } = consumer();
    rules.step();
    expect(applied.map(({ transition: { rule: id, group }, subject }) => [id, group, subject])).toEqual([
      ['c', 'city', { kind: 'city', title: { en: 'A', zh: '甲' } }],
      ['d', 'east', { kind: 'district', id: 'east', title: { en: 'A', zh: '甲' } }],
    ]);
  });

  test('the engine explains one alert, and all rules of a device', () => {
    append(city({ ...rule(10), id: 'low' }, { ...rule(50), id: 'high' }), devices([bin()]), reading(1, 20));
    const { rules } = consumer();
    rules.step();
    expect(rules.explain('low', 'd1')).toMatchObject({ state: 'firing', reason: 'firing', matches: true });
    expect(rules.explain('high', 'd1')).toMatchObject({ state: 'inactive', reason: 'not-matching' });
    expect(rules.explain('none', 'd1')).toBeNull();
    expect(rules.explainDevice('d1').map(({ rule: id }) => id)).toEqual(['high', 'low']);
  });
});
