import { expect, test } from 'vitest';
import type { RuleControl } from '../../../domain/index.ts';
import { createRuleRepository, parseRules } from '../../../rules/index.ts';
import { cityControl, parseOnce } from '../../kit/ingest/intake.ts';

const yaml = (id: string, above = 10) =>
  `id: ${id}\ntitle: A\nwhen: { metric: a, last: true, above: ${above} }\nseverity: low\n`;

/** A repository over a journal in memory; `lag` is how many records the rules have not read yet. */
function bench(records: RuleControl[] = []) {
  const control = cityControl();
  const city = parseOnce(control)!;
  const state = { records, lag: 0, plan: control };
  const taken = () => records.slice(0, records.length - state.lag);
  const repository = createRuleRepository(
    {
      city: () => {
        const now = parseOnce(state.plan) ?? city;
        return { control: state.plan, city: now, rules: parseRules(state.plan, now).rules };
      },
      records: {
        present: () => [...new Map(taken().map((one) => [one.id, one])).values()].filter(({ text }) => text !== null),
        history: (id) =>
          taken()
            .filter((one) => one.id === id)
            .reverse(),
      },
      append: async (one) => records.push(one),
      taken: async () => taken().length,
      clock: { now: () => Date.now() },
    },
    { head: records.length, patienceMs: 30 },
  );
  return { repository, state };
}

test('rule repository - a change that the rules have not read yet has inForce: false, and the next one waits for it', async () => {
  const { repository, state } = bench();
  state.lag = 1;
  const slow = await repository.create({ text: yaml('x'), note: '' }, 'k1');
  expect(slow).toMatchObject({ inForce: false, rule: { id: 'x', number: 1, inForce: false, origin: 'api:k1' } });
  await expect(repository.create({ text: yaml('y'), note: '' }, 'k1')).rejects.toMatchObject({
    code: 'busy',
    retryable: true,
  });
  state.lag = 0;
  const editor = { by: 'k2', ifMatch: null };
  expect(await repository.change('x', { text: yaml('x', 20), note: '' }, editor)).toMatchObject({
    inForce: true,
    rule: { number: 2 },
  });
});

test('rule repository - changes at the same time go one after the other, each with its own number', async () => {
  const { repository, state } = bench();
  await repository.create({ text: yaml('x'), note: '' }, 'k1');
  const editor = { by: 'k1', ifMatch: null };
  await Promise.all([11, 12, 13].map((above) => repository.change('x', { text: yaml('x', above), note: '' }, editor)));
  expect(state.records.map(({ number }) => number)).toEqual([1, 2, 3, 4]);
});

test('rule repository - of two changes to the same version the second throws `precondition`', async () => {
  const { repository } = bench();
  const { rule } = await repository.create({ text: yaml('x'), note: '' }, 'k1');
  const editor = { by: 'k1', ifMatch: [rule.version] };
  const both = [11, 12].map((above) => repository.change('x', { text: yaml('x', above), note: '' }, editor));
  const [first, second] = await Promise.allSettled(both);
  expect(first).toMatchObject({ status: 'fulfilled' });
  expect(second).toMatchObject({ status: 'rejected', reason: { code: 'precondition', reason: 'rule-changed' } });
});

test('rule repository - a rule that the city no longer allows is listed with the reason, and can be repaired or deleted', async () => {
  const { repository, state } = bench();
  await repository.create({ text: yaml('x'), note: '' }, 'k1');
  state.plan = cityControl({ metrics: { b: { min: 0, max: 1 } }, profiles: { bin: ['b'] } });
  expect(repository.get('x')).toMatchObject({ inForce: false, source: yaml('x'), number: 1 });
  expect(repository.get('x')!.problems).toMatchObject([{ line: 3, message: expect.stringContaining('"a"') }]);
  expect(() => repository.resolve('x', 'k1')).toThrow('no rule "x" in force');
  const repaired = yaml('x', 0.5).replace('metric: a', 'metric: b');
  const editor = { by: 'k1', ifMatch: null };
  expect(await repository.change('x', { text: repaired, note: '' }, editor)).toMatchObject({
    rule: { inForce: true, problems: [] },
  });
  state.plan = cityControl();
  expect(await repository.remove('x', '', editor)).toEqual({ inForce: true });
});

test("rule repository - a file's rule hides one of the API with its id, which is in force again when the file is gone", async () => {
  const { repository, state } = bench();
  await repository.create({ text: yaml('x'), note: '' }, 'k1');
  const fileRule = { id: 'x', title: 'A', when: { metric: 'a', last: true, above: 5 }, severity: 'low' };
  state.plan = cityControl({ rules: [fileRule] });
  expect(repository.list()).toMatchObject([{ id: 'x', readOnly: true, problems: [{ file: 'rules/x.yaml' }] }]);
  const editor = { by: 'k1', ifMatch: null };
  await expect(repository.change('x', { text: yaml('x'), note: '' }, editor)).rejects.toMatchObject({
    code: 'forbidden',
  });
  expect(repository.history('x')!.map(({ number }) => number)).toEqual([null, 1]);
  state.plan = cityControl();
  expect(repository.list()).toMatchObject([{ id: 'x', readOnly: false, inForce: true, number: 1 }]);
});
