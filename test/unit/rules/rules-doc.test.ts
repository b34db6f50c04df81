import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { formatProblems, parseCity } from '../../../city-model/index.ts';
import { parseRule } from '../../../rules/language/index.ts';
import { sample } from '../../kit/city-model/kit.ts';

const city = parseCity(sample).city!;
const examples = [...readFileSync('docs/rules.md', 'utf8').matchAll(/```yaml\n(.*?)```/gs)].map(([, text]) => text!);

test('docs/rules.md - has an example of every kind of condition', () => {
  expect(examples.length).toBeGreaterThan(8);
});

test.each(examples)('docs/rules.md - has a valid rule: %s', (text) => {
  const { problems } = parseRule(text, city, { path: 'docs/rules.md', origin: 'file:docs/rules.md' });
  expect(formatProblems(problems)).toBe('');
});

const kinds = [...readFileSync('docs/kinds.md', 'utf8').matchAll(/```yaml\n(.*?)```/gs)].map(([, text]) => text!);

test('docs/kinds.md - its metrics are ones of a city, and its rules are valid there', () => {
  const [rules, metrics] = [true, false].map((is) => kinds.filter((text) => text.startsWith('id: ') === is));
  const added: object = Object.assign({}, ...metrics!.map((text) => parse(text)));
  const files: Readonly<Record<string, object>> = {
    'metrics.yaml': added,
    'profiles.yaml': { gate: { title: { en: 'Gate', zh: '闸门' }, interval: '10m', metrics: Object.keys(added) } },
  };
  const withKinds = sample.files.map(({ path, text }) => ({
    path,
    text: files[path] === undefined ? text : stringify({ ...parse(text), ...files[path] }),
  }));
  const found = parseCity({ version: 'kinds', files: withKinds });
  expect(formatProblems(found.problems)).toBe('');
  expect(rules!.length).toBeGreaterThan(2);
  for (const text of rules!) {
    const { problems } = parseRule(text, found.city!, { path: 'docs/kinds.md', origin: 'file:docs/kinds.md' });
    expect(formatProblems(problems), text).toBe('');
  }
});
