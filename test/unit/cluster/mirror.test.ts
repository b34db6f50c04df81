import { expect, test } from 'vitest';
import { commonBlock, decideJoin, type JoinFacts } from '../../../cluster/index.ts';

const facts = (some: Partial<JoinFacts>): JoinFacts => ({
  dir: '/data',
  stream: 'lamppost',
  newest: 0,
  range: { first: 1, last: 100 },
  isSame: null,
  snapshot: null,
  ...some,
});

test('join - the first node of all, and an empty folder at a whole stream without a snapshot, follow from the first block', () => {
  expect(decideJoin(facts({ range: null }))).toEqual({ by: 'following' });
  expect(decideJoin(facts({ range: { first: 1, last: 0 } }))).toEqual({ by: 'following' });
  expect(decideJoin(facts({}))).toEqual({ by: 'following' });
});

test('join - an empty folder takes a snapshot where there is one', () => {
  expect(decideJoin(facts({ snapshot: 50 }))).toEqual({ by: 'snapshot', why: 'the data folder is empty' });
  expect(decideJoin(facts({ range: { first: 51, last: 100 }, snapshot: 50 }))).toMatchObject({ by: 'snapshot' });
});

test('join - an empty folder at a trimmed stream without a snapshot that leads up to it says so', () => {
  expect(() => decideJoin(facts({ range: { first: 40, last: 100 } }))).toThrow(/no snapshot leads up to block 40/);
  expect(() => decideJoin(facts({ range: { first: 40, last: 100 }, snapshot: 38 }))).toThrow(/no snapshot leads up/);
});

test('join - a log that ends within the stream follows, also where its next block is the oldest of the stream', () => {
  expect(decideJoin(facts({ newest: 60, isSame: true, snapshot: 90 }))).toEqual({ by: 'following' });
  expect(decideJoin(facts({ newest: 39, range: { first: 40, last: 100 } }))).toEqual({ by: 'following' });
  expect(decideJoin(facts({ newest: 100, isSame: true }))).toEqual({ by: 'following' });
});

test('join - a log that ends before the stream begins takes the newest snapshot', () => {
  const range = { first: 40, last: 100 };
  expect(decideJoin(facts({ newest: 38, range, snapshot: 70 }))).toEqual({
    by: 'snapshot',
    why: 'its log ends with block 38, and the stream begins with 40',
  });
  expect(() => decideJoin(facts({ newest: 38, range }))).toThrow(/cannot join: its log ends with block 38/);
});

test('join - a log that is ahead of the stream stops with the command that puts blocks back', () => {
  expect(() => decideJoin(facts({ newest: 101, isSame: true }))).toThrow(
    /ends with block 100: NATS lost.*cluster recover/,
  );
  expect(() => decideJoin(facts({ newest: 7, range: { first: 1, last: 0 } }))).toThrow(
    /is empty.*cluster recover --data/,
  );
});

test('join - a log whose newest common block is another one is not of this cluster', () => {
  expect(() => decideJoin(facts({ newest: 60, isSame: false }))).toThrow(
    /block 60 in \/data is not block 60 of the stream/,
  );
});

test('join - the newest common block is one that both have', () => {
  expect(commonBlock(60, { first: 40, last: 100 })).toBe(60);
  expect(commonBlock(120, { first: 40, last: 100 })).toBe(100);
  expect(commonBlock(39, { first: 40, last: 100 })).toBeNull();
  expect(commonBlock(0, { first: 1, last: 100 })).toBeNull();
  expect(commonBlock(5, { first: 101, last: 100 })).toBeNull();
  expect(commonBlock(5, null)).toBeNull();
});
