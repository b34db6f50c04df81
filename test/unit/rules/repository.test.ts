import { expect, test } from 'vitest';
import { createRuleRecordReader, INGEST_SCHEMAS } from '../../../ingest/index.ts';
import { createRuleRepository, createRuleWriter, parseRules } from '../../../rules/index.ts';
import { transact } from '../../../store/index.ts';
import { cityControl, parseOnce } from '../../kit/ingest/intake.ts';
import { openMigrated } from '../../kit/store/new-state.ts';

const yaml = (id: string, above = 10) =>
  `id: ${id}\ntitle: A\nwhen: { metric: a, last: true, above: ${above} }\nseverity: low\n`;
const draft = (id: string, above?: number) => ({ text: yaml(id, above), note: '' });

/** A repository whose changes are decided at once, each in a block of its own, under the city of `state.plan`. */
function bench() {
  const db = openMigrated(':memory:', INGEST_SCHEMAS);
  const first = cityControl();
  const state = { plan: first, seq: 0 };
  const cityNow = () => ({ control: state.plan, city: parseOnce(state.plan) ?? parseOnce(first)! });
  const writer = createRuleWriter(db, cityNow);
  const author = (by: string) => ({ by, atMs: 1_000 * ++state.seq, seq: state.seq, item: 0 });
  const decide = async <T>(work: () => T) => transact(db, work);
  const repository = createRuleRepository<string>({
    city: () => ({ ...cityNow(), rules: parseRules(state.plan, cityNow().city).rules }),
    records: createRuleRecordReader(db),
    write: {
      create: (wanted, by) => decide(() => writer.create(wanted, author(by))),
      change: (id, wanted, ifMatch, by) => decide(() => writer.change(id, wanted, ifMatch, author(by))),
      remove: (id, note, ifMatch, by) => decide(() => writer.remove(id, note, ifMatch, author(by))),
    },
  });
  return { repository, state, db };
}

test('rule repository - changes at the same time are decided one after the other, each with its own number', async () => {
  const { repository } = bench();
  await repository.create(draft('x'), 'k1');
  await Promise.all([11, 12, 13].map((above) => repository.change('x', draft('x', above), null, 'k2')));
  expect(repository.history('x')!.map(({ number, by, at }) => [number, by, at])).toEqual([
    [4, 'k2', '1970-01-01T00:00:04.000Z'],
    [3, 'k2', '1970-01-01T00:00:03.000Z'],
    [2, 'k2', '1970-01-01T00:00:02.000Z'],
    [1, 'k1', '1970-01-01T00:00:01.000Z'],
  ]);
});

test('rule repository - of two changes to the same version the second throws `precondition`, and changes nothing', async () => {
  const { repository, db } = bench();
  const { version } = await repository.create(draft('x'), 'k1');
  const both = [11, 12].map((above) => repository.change('x', draft('x', above), [version], 'k1'));
  const [first, second] = await Promise.allSettled(both);
  expect(first).toMatchObject({ status: 'fulfilled', value: { number: 2, source: yaml('x', 11) } });
  expect(second).toMatchObject({ status: 'rejected', reason: { code: 'precondition', reason: 'rule-changed' } });
  await expect(repository.create(draft('x'), 'k1')).rejects.toMatchObject({ code: 'conflict', reason: 'rule-exists' });
  await expect(repository.change('x', draft('y'), null, 'k1')).rejects.toMatchObject({ reason: 'rule-id' });
  await expect(repository.remove('y', '', null, 'k1')).rejects.toMatchObject({ code: 'not-found' });
  expect(db.prepare('select count(*) as n from context_rules').get()!.n).toBe(2);
});

test('rule repository - a text with mistakes is refused with all of them before it is in the log', async () => {
  const { repository, state } = bench();
  const wrong = { text: yaml('x').replace('low', 'lowest'), note: '' };
  await expect(repository.create(wrong, 'k1')).rejects.toMatchObject({ code: 'mistakes', problems: [{ line: 4 }] });
  expect(state.seq).toBe(0);
});

test('rule repository - a rule that the city no longer allows is listed with the reason, and can be repaired or deleted', async () => {
  const { repository, state } = bench();
  await repository.create(draft('x'), 'k1');
  state.plan = cityControl({ metrics: { b: { min: 0, max: 1 } }, profiles: { bin: ['b'] } });
  expect(repository.get('x')).toMatchObject({ inForce: false, source: yaml('x'), number: 1 });
  expect(repository.get('x')!.problems).toMatchObject([{ line: 3, message: expect.stringContaining('"a"') }]);
  expect(() => repository.resolve('x', 'k1')).toThrow('no rule "x" in force');
  const repaired = yaml('x', 0.5).replace('metric: a', 'metric: b');
  const changed = await repository.change('x', { text: repaired, note: '' }, null, 'k1');
  expect(changed).toMatchObject({ inForce: true, problems: [] });
  state.plan = cityControl();
  await repository.remove('x', '', null, 'k1');
  expect(repository.get('x')).toBe(null);
});

test("rule repository - a file's rule hides one of the API with its id, which is in force again when the file is gone", async () => {
  const { repository, state } = bench();
  await repository.create(draft('x'), 'k1');
  const fileRule = { id: 'x', title: 'A', when: { metric: 'a', last: true, above: 5 }, severity: 'low' };
  state.plan = cityControl({ rules: [fileRule] });
  expect(repository.list()).toMatchObject([{ id: 'x', readOnly: true, problems: [{ file: 'rules/x.yaml' }] }]);
  await expect(repository.change('x', draft('x'), null, 'k1')).rejects.toMatchObject({ code: 'forbidden' });
  expect(repository.history('x')!.map(({ number }) => number)).toEqual([null, 1]);
  state.plan = cityControl();
  expect(repository.list()).toMatchObject([{ id: 'x', readOnly: false, inForce: true, number: 1 }]);
});
