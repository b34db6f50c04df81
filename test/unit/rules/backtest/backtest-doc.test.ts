import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { formatProblems } from '../../../../city-model/index.ts';
import { parseRules, testRules } from '../../../../rules/index.ts';
import { sample } from '../../../kit/city-model/kit.ts';
import { CITY } from '../../../kit/rules/backtest.ts';

const examples = [...readFileSync('docs/backtest.md', 'utf8').matchAll(/```yaml\n(.*?)```/gs)].map(([, text]) => text!);

test('docs/backtest.md - its example of a test passes on the rules of the sample city', () => {
  const { rules } = parseRules(sample, CITY);
  const files = examples.map((text, i) => ({ path: `rules/example-${i}.test.yaml`, text }));
  const { cases, problems } = testRules(files, { city: CITY, rules });
  expect(formatProblems(problems)).toBe('');
  expect(cases).toMatchObject([{ failures: [] }]);
});
