import { type JSONValue, search } from '@jmespath-community/jmespath';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { beginPaths, compilePath, type Path, PathExcess } from '../../../city-model/index.ts';
import { runs } from '../../kit/runs.ts';

const pathOf = (text: string): Path => {
  const path = compilePath(text);
  if (typeof path === 'string') throw new Error(path);
  return path;
};

// Without the names that all objects have, and the empty text as a number: there the library departs from its standard.
const key = fc.constantFrom('a', 'b', 'c', 'PM2.5');
const { value: document } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom<unknown>(null, true, false, 0, 1, 2.5, 'x', '7'),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom('a', 'b', 'c', 'PM2.5'), tie('value'), { maxKeys: 3 }),
  ),
}));

const step = fc.oneof(
  key.map((one) => `."${one}"`),
  fc.constantFrom('[0]', '[-1]', '[1]', '[*]', '[]', '.*', "[?a == 'x']", '[?b > `1`]', '[?!c]', ' | [0]'),
);
const chain = fc.array(step, { maxLength: 4 }).map((steps) => `a${steps.join('')}`);
const expression = fc.oneof(
  chain,
  fc.tuple(chain, chain).map(([a, b]) => `${a} || ${b}`),
  fc.tuple(chain, chain).map(([a, b]) => `${a} && ${b}`),
  fc.tuple(chain, chain).map(([a, b]) => `not_null(${a}, ${b})`),
  chain.map((a) => `to_number(${a})`),
  chain.map((a) => `type(${a})`),
);

test('paths - mean what the library of JMESPath says they mean', () => {
  fc.assert(
    fc.property(expression, document, (text, value) => {
      const given = { a: value, b: 'x', c: [1, { a: 'x', b: 3 }] } as JSONValue;
      beginPaths();
      expect(pathOf(text).read(given) ?? null).toEqual(search(given, text) ?? null);
    }),
    { seed: 19, numRuns: runs(2_000) },
  );
});

test.each([
  ['a.', 'it is no JMESPath'],
  ['[a, b]', 'MultiSelectList is not offered'],
  ['{x: a}', 'MultiSelectHash is not offered'],
  ["join('', a)", 'the function join is not offered'],
  ['map(&a, b)', 'is not offered'],
  ['$.a', 'Root is not offered'],
  ['`[1, 2]`[*]', 'a literal is a text'],
  [`a${'.a'.repeat(300)}`, 'at most 512 characters'],
])('paths - %s is refused: %s', (text, message) => {
  expect(compilePath(text)).toContain(message);
});

test('paths - an expression that looks at too many items ends, and says so', () => {
  const { read } = pathOf("split('a a a a a a a a', ' ')[?split('a a a a a a a a a a', ' ')[?@ == `1`] == @]");
  const all = pathOf('a[?b[?c[?d]]]');
  const wide = { a: Array.from({ length: 800_000 }, () => null) };
  beginPaths();
  expect(() => all.read(wide)).toThrow(PathExcess);
  beginPaths();
  const nested = pathOf(
    `${"split(x, ' ')[?".repeat(7)}@${']'.repeat(7)}`.replaceAll('split(x', "split('a a a a a a a a'"),
  );
  expect(() => nested.read({})).toThrow(PathExcess);
  beginPaths();
  expect(read({})).toEqual([]);
});

test('paths - properties that every object has are none of the message', () => {
  for (const name of ['constructor', 'toString', '__proto__', 'hasOwnProperty']) {
    expect(pathOf(`"${name}"`).read({})).toBeNull();
  }
});
