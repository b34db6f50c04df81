import { expect, test } from 'vitest';
import { hintAt, optionsAt, placeIn, type Schema } from '../../../console/src/pages/rule/complete.ts';
import { rulesJsonSchema } from '../../../rules/index.ts';

const schema = rulesJsonSchema() as Schema;
const title = { en: 'Fill', zh: '装满' };
const city = { metrics: [{ id: 'fill', title }], profiles: [{ id: 'bin', title }] };
const optionsFor = (text: string) =>
  optionsAt(schema, city as unknown as Parameters<typeof optionsAt>[1], 'en', placeIn(text, text.length)).map(
    ({ label }) => label,
  );

test.each([
  ['sev', { path: [], isKey: true, word: 'sev' }],
  ['when:\n  metric: fi', { path: ['when', 'metric'], isKey: false, word: 'fi' }],
  ['when: { metric: fill, abo', { path: ['when'], isKey: true, word: 'abo' }],
  ['when:\n  all:\n    - metric: fill\n      bel', { path: ['when', 'all'], isKey: true, word: 'bel' }],
  ['where: { profile: [bin, ot', { path: ['where', 'profile'], isKey: false, word: 'ot' }],
  ['title: "A: b"\nsev', { path: [], isKey: true, word: 'sev' }],
])('completion - of %j the place is found', (text, place) => {
  expect(placeIn(text, text.length)).toEqual(place);
});

test('completion - offers keys and values of the schema, and the names of the city', () => {
  expect(optionsFor('')).toContain('keep_firing_for');
  expect(optionsFor('when: { metric: fill, ')).toEqual(expect.arrayContaining(['above', 'below', 'mean']));
  expect(optionsFor('severity: ')).toEqual(['info', 'low', 'medium', 'high', 'critical']);
  expect(optionsFor('when: { metric: ')).toEqual(['fill']);
  expect(optionsFor('where: { profile: ')).toContain('bin');
});

test('completion - a hint says what a key takes, and its default', () => {
  expect(hintAt(schema, ['on_no_data'])).toBe('on_no_data: keep | resolve | alert = "keep"');
  expect(hintAt(schema, ['no_such_key'])).toBeNull();
});
