import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { openSource, RULE_BOUNDS } from '../../../city-model/index.ts';
import { excessOf } from '../../../domain/index.ts';
import { runs } from '../../kit/runs.ts';

const read = (text: string, path = 'rule.yaml') => {
  const { value, problems } = openSource({ path, text }, RULE_BOUNDS);
  return { value, problems: problems.map(({ line, column, message }) => `${line}:${column} ${message}`) };
};
const aliases = (n: number) => `a: &a 1\nb: [${Array.from({ length: n }, () => '*a').join(', ')}]\n`;
const levels = (n: number) => '['.repeat(n) + ']'.repeat(n);

describe('yaml', () => {
  test('100 aliases are read, 101 are refused where the last one is', () => {
    expect(read(aliases(100)).problems).toEqual([]);
    expect(read(aliases(101))).toEqual({
      value: undefined,
      problems: ['2:405 more than 100 aliases; write out what they stand for'],
    });
  });

  test.each([
    ['flow sequences', (n: number) => levels(n)],
    ['block sequences in one line', (n: number) => `${'- '.repeat(n)}a`],
    ['maps as keys', (n: number) => `${'? '.repeat(n)}a`],
    ['flow maps', (n: number) => '{a: '.repeat(n) + '}'.repeat(n)],
    ['maps', (n: number) => Array.from({ length: n }, (_, i) => `${' '.repeat(i)}a:`).join('\n')],
  ])('%s are read 64 levels deep, and refused one level deeper', (_, text) => {
    expect(read(text(64)).problems.filter((one) => one.includes('levels'))).toEqual([]);
    expect(read(text(65))).toEqual({ value: undefined, problems: [expect.stringMatching('nested deeper than 64')] });
    expect(read(text(400)).problems).toEqual([expect.stringMatching(/^\d+:\d+ nested deeper than 64 levels$/)]);
  });

  test('aliases that stand for each other are counted by what they stand for', () => {
    const rows = Array.from({ length: 9 }, (_, i) => `a${i + 1}: &a${i + 1} [${`*a${i}, `.repeat(9)}]`);
    expect(read(`a0: &a0 [1]\n${rows.join('\n')}`)).toMatchObject({ value: undefined, problems: [expect.any(String)] });
    const wide = `a: &a [${'1, '.repeat(2_000)}1]\nb: [${'*a, '.repeat(4)}*a]`;
    expect(read(wide).problems).toEqual(['1:1 more than 10000 values, with aliases written out']);
    expect(read('a: &a [*a]').problems).toEqual([expect.stringMatching(/./)]);
    expect(read('a: &a { b: *a }').problems).toEqual([expect.stringMatching(/./)]);
  });

  test.each(['%YAML 1.1\n---\n', ''])('merges are no way to multiply: %j', (head) => {
    const chain = Array.from({ length: 40 }, (_, i) => `a${i + 1}: &a${i + 1} { !!merge <<: [*a${i}, *a${i}] }`);
    const { value, problems } = read(`${head}a0: &a0 { x: 1 }\n${chain.join('\n')}`);
    expect((value === undefined) !== (problems.length === 0)).toBe(true);
  });

  test('a text with too many tokens is read up to there; its place is named', () => {
    const text = Array.from({ length: 3_000 }, (_, i) => `k${i}: 1`).join('\n');
    expect(read(text).problems).toEqual([expect.stringMatching(/^\d{4}:\d+ more than 10000 tokens of YAML/)]);
    expect(read(`a: ${'x'.repeat(100_000)}`).problems).toEqual(['1:1 more than 100000 characters']);
  });

  test('thousands of errors are twenty at most; a key that occurs twice is one', () => {
    expect(read('{]'.repeat(5_000)).problems.length).toBeLessThanOrEqual(21);
    expect(read(`[${','.repeat(9_000)}]`).problems.length).toBeLessThanOrEqual(21);
    expect(read('a: 1\nb: 1\na: 2\n').problems).toEqual(['3:1 Map keys must be unique']);
    expect(read('a: 1\n---\nb: 1\n').problems).toEqual(['2:1 a second document begins here; a file has one']);
  });

  test('JSON is read 64 levels deep', () => {
    expect(read(levels(64), 'districts.geojson').problems).toEqual([]);
    expect(read(levels(65), 'districts.geojson').problems).toEqual([expect.stringContaining('deeper than 64 levels')]);
    expect(read('['.repeat(100_000), 'districts.geojson').problems).toHaveLength(1);
    expect(read(levels(100_000), 'districts.geojson').problems).toHaveLength(1);
  });

  test('whatever is nested and aliased in it, a text has a value within the bounds, or faults with their place', () => {
    const word = fc.constantFrom(
      ...['a', 'b: ', '- ', '? ', ': ', '[', ']', '{', '}', ',', '&a ', '*a', '&b ', '*b', '\n', '\n  ', '"', "'"],
      ...[
        '#',
        '|',
        '>',
        '!',
        '!!map ',
        '<<: ',
        '---\n',
        '...\n',
        '%YAML 1.1\n',
        '\t',
        '\u0000',
        '\ud800',
        '😀',
        '\r\n',
      ],
    );
    const text = fc.oneof(
      fc.array(word, { maxLength: 60 }).map((words) => words.join('')),
      fc
        .tuple(fc.array(word, { maxLength: 5 }), fc.integer({ min: 1, max: 3_000 }))
        .map(([words, n]) => words.join('').repeat(n)),
    );
    fc.assert(
      fc.property(text, (one) => {
        const { value, problems } = read(one);
        if (problems.length === 0) expect(excessOf(value, 64, 10_000)).toBeNull();
        else expect(value).toBeUndefined();
        for (const problem of problems) expect(problem).toMatch(/^[1-9]\d*:[1-9]\d* ./);
        expect(problems.length).toBeLessThan(50);
      }),
      { numRuns: runs(300) },
    );
  });
});

describe('excess', () => {
  test('levels and values are counted without recursion, each at every place where it stands', () => {
    const nested = (n: number): unknown => JSON.parse(levels(n));
    expect([excessOf(nested(5), 5), excessOf(nested(6), 5)]).toEqual([null, 'depth']);
    expect(excessOf(nested(200_000), 64)).toBe('depth');
    const shared = [1, 2];
    expect([excessOf([shared, shared], 9, 7), excessOf([shared, shared], 9, 6)]).toEqual([null, 'size']);
    expect(excessOf({ a: { b: 1 } }, 2, 3)).toBeNull();
    expect([undefined, null, 1, 'a'].map((one) => excessOf(one, 1, 1))).toEqual([null, null, null, null]);
  });
});
