import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
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
