import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseCity } from '../../../city-model/index.ts';
import { parseRule } from '../../../rules/index.ts';
import { sample } from '../../kit/city-model/kit.ts';
import { runs } from '../../kit/runs.ts';

const city = parseCity(sample).city!;
const parse = (text: string) => parseRule(text, city, { path: 'rule', origin: 'api:k' });
const HEAD = 'id: r\ntitle: T\nseverity: low\n';
const WHEN = 'when: { metric: fill, last: true, above: 90 }\n';
const messages = (text: string) => parse(text).problems.map(({ message }) => message);

/** What is bounded: a rule at the bound, and how the mistake one past it begins. */
const BOUNDS: [what: string, most: number, text: (n: number) => string, fault: RegExp][] = [
  ['characters of a title', 200, (n) => `id: r\ntitle: "${'t'.repeat(n)}"\nseverity: low\n${WHEN}`, /^title: .*200/],
  [
    'characters of a title in two languages',
    200,
    (n) => `id: r\ntitle: { en: A, zh: "${'字'.repeat(n)}" }\nseverity: low\n${WHEN}`,
    /^title: .*200/,
  ],
  [
    'devices of where',
    1_000,
    (n) => `${HEAD}${WHEN}where: { device: [${Array.from({ length: n }, (_, i) => `d${i}`).join(', ')}] }\n`,
    /^where\.device: .*1000/,
  ],
  ['characters of a name', 256, (n) => `${HEAD}${WHEN}where: { device: ${'d'.repeat(n)} }\n`, /^where\.device: .*256/],
  [
    'tags of where',
    64,
    (n) => `${HEAD}${WHEN}where: { tags: { ${Array.from({ length: n }, (_, i) => `t${i}: a`).join(', ')} } }\n`,
    /^where\.tags: at most 64/,
  ],
];

describe('rules', () => {
  test.each(BOUNDS)('%s: at most %i', (_, most, text, fault) => {
    expect(messages(text(most))).toEqual([]);
    expect(messages(text(most + 1))).toEqual([expect.stringMatching(fault)]);
  });

  test('a placeholder that never ends is no work', () => {
    expect(messages(`id: r\ntitle: "${`{{${' '.repeat(96)}`.repeat(2)}"\nseverity: low\n${WHEN}`)).toEqual([]);
    const known = `id: r\ntitle: "{{ device.name }} {{value}}"\nseverity: low\n${WHEN}`;
    expect(messages(known)).toEqual([]);
    expect(messages(known.replace('value', 'valeu'))[0]).toMatch(/^unknown placeholder {{valeu}}.*value/);
    expect(messages(`id: r\ntitle: "${'{{ '.repeat(30_000)}"\nseverity: low\n${WHEN}`)).toHaveLength(1);
  });

  test('of thousands of mistakes a hundred are listed', () => {
    const names = Array.from({ length: 1_000 }, (_, i) => `harbor${i}`).join(', ');
    const found = messages(`${HEAD}${WHEN}where: { district: [${names}] }\n`);
    expect(found).toHaveLength(100);
    expect(found[0]).toMatch(/^unknown district "harbor0"/);
    const keys = Array.from({ length: 1_000 }, (_, i) => `k${i}: 1`).join('\n');
    const unknown = messages(`${HEAD}${WHEN}${keys}\n`);
    expect(unknown).toHaveLength(101);
    expect(unknown.at(-1)).toBe('and 900 more mistakes');
  });

  test('a name of any length is neither compared with all others nor repeated as a whole', () => {
    for (const text of [
      `when: { metric: ${'f'.repeat(90_000)}, last: true, above: 1 }`,
      `${'k'.repeat(900)}: 1\n${WHEN}`,
    ]) {
      for (const message of messages(HEAD + text)) expect(message.length).toBeLessThanOrEqual(1_100);
    }
  });

  test('whatever is nested, aliased and repeated in it, a rule is valid or has mistakes with their place', () => {
    const part = fc.constantFrom(
      ...[
        'when: ',
        '{ any: [',
        '{ all: [',
        '{ not: ',
        ']}',
        '}',
        '{ metric: fill, last: true, above: 90 }',
        ', ',
        '\n',
      ],
      ...['&a ', '*a', 'where: ', '{ tags: ', '[', ']', 'fill', '{{value}}', ': ', '- ', '15m', '1e999', '.inf', '~'],
    );
    const text = fc.tuple(fc.array(part, { maxLength: 30 }), fc.integer({ min: 1, max: 400 }));
    fc.assert(
      fc.property(text, ([parts, times]) => {
        const { rule, problems } = parse(HEAD + parts.join('').repeat(times));
        expect(rule === null).toBe(problems.length > 0);
        expect(problems.length).toBeLessThanOrEqual(202);
        for (const { line, column } of problems) expect(Math.min(line, column)).toBeGreaterThan(0);
      }),
      { numRuns: runs(200) },
    );
  });
});
