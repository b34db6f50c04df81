import { expect, test } from 'vitest';
import { encodeBlock, isSameBlock } from '../../../../journal/index.ts';

const message = (kind: 'tick' | 'messages', body: string, steadyAt: number) => {
  const block = { kind, body: Buffer.from(body), count: 0, head: null, now: steadyAt, offsetMs: 0, id: null };
  return { seq: 7, data: encodeBlock(block, 'a') };
};
const here = (kind: 'tick' | 'messages', body: string, steadyAt: number) => ({
  kind,
  body: Buffer.from(body),
  steadyAt,
});

test('wire - two ticks are the same block only at the same time', () => {
  expect(isSameBlock(here('tick', '{}', 5_000), message('tick', '{}', 5_000), null)).toBe(true);
  expect(isSameBlock(here('tick', '{}', 5_000), message('tick', '{}', 6_000), null)).toBe(false);
  expect(isSameBlock(here('tick', '{}', 6_000), message('tick', '{}', 5_000), { steadyAt: 5_999 })).toBe(false);
});

test('wire - a block that the file has at the time of the one before it is still the same', () => {
  expect(isSameBlock(here('messages', 'abc', 6_000), message('messages', 'xyz', 5_990), { steadyAt: 6_000 })).toBe(
    true,
  );
});

test('wire - a block of another kind, size or, of control records, content is another one', () => {
  expect(isSameBlock(here('tick', '{}', 1), message('messages', '{}', 1), null)).toBe(false);
  expect(isSameBlock(here('messages', 'ab', 1), message('messages', 'abc', 1), null)).toBe(false);
  expect(isSameBlock(here('tick', '{"a":1}', 1), message('tick', '{"a":2}', 1), null)).toBe(false);
});
