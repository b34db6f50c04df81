import { expect, test } from 'vitest';
import type { RuleControl } from '../../../domain/index.ts';
import { createRuleBook, parseRules } from '../../../rules/index.ts';
import { cityControl, parseOnce } from '../../kit/ingest/intake.ts';

const yaml = (id: string, above = 10) =>
  `id: ${id}\ntitle: A\nwhen: { metric: a, last: true, above: ${above} }\nseverity: low\n`;

/** A book over a journal in memory; `lag` is how many records the rules have yet to take. */
function bench(records: RuleControl[] = []) {
  const control = cityControl();
  const city = parseOnce(control)!;
  const state = { records, lag: 0, plan: control };
  const taken = () => records.slice(0, records.length - state.lag);
  const book = createRuleBook(
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
  return { book, state };
}

test('book - a change that the rules have yet to take is told as such, and the next one waits for it', async () => {
  const { book, state } = bench();
  state.lag = 1;
  const slow = await book.create({ text: yaml('x'), note: '' }, 'k1');
  expect(slow).toMatchObject({ inForce: false, rule: { id: 'x', number: 1, inForce: false, origin: 'api:k1' } });
  await expect(book.create({ text: yaml('y'), note: '' }, 'k1')).rejects.toMatchObject({
    code: 'busy',
    retryable: true,
  });
  state.lag = 0;
  const editor = { by: 'k2', ifMatch: null };
  expect(await book.change('x', { text: yaml('x', 20), note: '' }, editor)).toMatchObject({
    inForce: true,
    rule: { number: 2 },
  });
});

test('book - changes at the same time go one after the other, each with its own number', async () => {
  const { book, state } = bench();
  await book.create({ text: yaml('x'), note: '' }, 'k1');
  const editor = { by: 'k1', ifMatch: null };
  await Promise.all([11, 12, 13].map((above) => book.change('x', { text: yaml('x', above), note: '' }, editor)));
  expect(state.records.map(({ number }) => number)).toEqual([1, 2, 3, 4]);
});

test('book - of two who change the same version, the second is told', async () => {
  const { book } = bench();
  const { rule } = await book.create({ text: yaml('x'), note: '' }, 'k1');
  const editor = { by: 'k1', ifMatch: [rule.version] };
  const both = [11, 12].map((above) => book.change('x', { text: yaml('x', above), note: '' }, editor));
  const [first, second] = await Promise.allSettled(both);
  expect(first).toMatchObject({ status: 'fulfilled' });
  expect(second).toMatchObject({ status: 'rejected', reason: { code: 'precondition', reason: 'rule-changed' } });
});

test('book - a rule that the city no longer allows is listed with why, and can be mended or deleted', async () => {
  const { book, state } = bench();
  await book.create({ text: yaml('x'), note: '' }, 'k1');
  state.plan = cityControl({ metrics: { b: { min: 0, max: 1 } }, profiles: { bin: ['b'] } });
  expect(book.get('x')).toMatchObject({ inForce: false, source: yaml('x'), number: 1 });
  expect(book.get('x')!.problems).toMatchObject([{ line: 3, message: expect.stringContaining('"a"') }]);
  expect(() => book.resolve('x', 'k1')).toThrow('no rule "x" in force');
  const mended = yaml('x', 0.5).replace('metric: a', 'metric: b');
  const editor = { by: 'k1', ifMatch: null };
  expect(await book.change('x', { text: mended, note: '' }, editor)).toMatchObject({
    rule: { inForce: true, problems: [] },
  });
  state.plan = cityControl();
  expect(await book.remove('x', '', editor)).toEqual({ inForce: true });
});

test("book - a file's rule hides one of the API with its id, which comes back when the file goes", async () => {
  const { book, state } = bench();
  await book.create({ text: yaml('x'), note: '' }, 'k1');
  state.plan = cityControl({
    rules: [{ id: 'x', title: 'A', when: { metric: 'a', last: true, above: 5 }, severity: 'low' } as never],
  });
  expect(book.list()).toMatchObject([{ id: 'x', readOnly: true, problems: [{ file: 'rules/x.yaml' }] }]);
  const editor = { by: 'k1', ifMatch: null };
  await expect(book.change('x', { text: yaml('x'), note: '' }, editor)).rejects.toMatchObject({ code: 'forbidden' });
  expect(book.history('x')!.map(({ number }) => number)).toEqual([null, 1]);
  state.plan = cityControl();
  expect(book.list()).toMatchObject([{ id: 'x', readOnly: false, inForce: true, number: 1 }]);
});
