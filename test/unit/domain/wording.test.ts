import { expect, test } from 'vitest';
import { z } from 'zod';
import { wordingOf } from '../../../domain/index.ts';

const said = (schema: z.ZodType, value: unknown) =>
  schema.safeParse(value, { error: wordingOf }).error?.issues.map(({ message }) => message);

test.each([
  [z.string(), undefined, 'is missing'],
  [z.string(), 5, '5 is not a string'],
  [z.object({}), [1], 'a list is not an object'],
  [z.coerce.number(), 'many', 'is not a number'],
  [z.int(), 1.5, '1.5 is not a whole number'],
  [z.boolean(), 'yes', '"yes" is not true or false'],
  [z.enum(['open', 'closed']), 'opne', '"opne" is not possible here: did you mean "open"?'],
  [z.enum(['open', 'closed']), 'lost', '"lost" is not possible here; known: open, closed'],
  [z.number().min(1), 0, 'must be at least 1'],
  [z.number().positive(), 0, 'must be more than 0'],
  [z.number().lt(3), 3, 'must be less than 3'],
  [z.string().max(2), 'abc', 'must have at most 2 characters'],
  [z.array(z.string()).min(1), [], 'must have at least 1 items'],
  [z.iso.datetime(), 'tomorrow', '"tomorrow" is not a moment with its zone, such as 2026-03-01T06:00:00Z'],
  [z.email(), 'mei', '"mei" is not an e-mail address, such as mei@city.example'],
  [z.strictObject({ name: z.string().optional() }), { nmae: 1 }, 'unknown field "nmae": did you mean "name"?'],
])('wording - %# says what is wrong and what would be right', (schema, value, message) => {
  expect(said(schema, value)).toEqual([message]);
});

test('wording - an enumeration that is too long to be listed by others is listed as a whole', () => {
  const names = Array.from({ length: 30 }, (_, i) => `name-${i}`);
  expect(said(z.enum(names), 'x')).toEqual([`"x" is not possible here; known: ${names.join(', ')}`]);
});

test('wording - a message of the schema itself stays', () => {
  expect(said(z.string({ error: 'a text is needed' }), 5)).toEqual(['a text is needed']);
});
