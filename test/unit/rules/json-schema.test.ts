import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { rulesJsonSchema } from '../../../rules/index.ts';

test('rules.schema.json - is the schema of the language as it is', () => {
  expect(JSON.parse(readFileSync('city/rules.schema.json', 'utf8'))).toEqual(rulesJsonSchema());
});
