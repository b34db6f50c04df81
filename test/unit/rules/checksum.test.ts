import { DatabaseSync } from 'node:sqlite';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  Checksum,
  compareMarks,
  createChecksumReader,
  MARK_BLOCKS,
  RULES_SCHEMA,
  whyToStop,
} from '../../../rules/index.ts';
import { migrate, transact } from '../../../store/index.ts';

/** What blocks decide, by their number: some decide nothing, some several things. */
const decisions = fc.array(
  fc.record({ seq: fc.integer({ min: 1, max: 4_000 }), what: fc.array(fc.string(), { minLength: 1, maxLength: 3 }) }),
  { maxLength: 40 },
);

function newState(cursor?: number): DatabaseSync {
  const db = new DatabaseSync(':memory:');
  migrate(db, [{ ...RULES_SCHEMA, steps: RULES_SCHEMA.steps.slice(0, 1) }]);
  if (cursor !== undefined) db.prepare('insert into rules_cursor values (1, ?, ?)').run(cursor, cursor);
  migrate(db, [RULES_SCHEMA]);
  return db;
}

/** Reads blocks 1 to 4,000 in transactions that end at these blocks; each is tried first, and fails, where asked. */
function read(made: ReadonlyMap<number, readonly string[]>, ends: readonly number[], fails: boolean) {
  const db = newState();
  const checksum = new Checksum(db);
  let from = 1;
  for (const end of [...new Set([...ends, 4_000])].sort((a, b) => a - b)) {
    const work = (fail: boolean) => () => {
      checksum.begin();
      for (let seq = from; seq <= end; seq++) {
        if (!made.has(seq)) continue;
        checksum.at(seq);
        for (const one of made.get(seq)!) checksum.add(one);
      }
      if (fail) throw new Error('the disk is full');
      checksum.save(end);
    };
    if (fails) expect(() => transact(db, work(true))).toThrow('the disk is full');
    transact(db, work(false));
    from = end + 1;
  }
  return createChecksumReader(db)();
}

test('checksum - it is the same however blocks are grouped into transactions, and whichever of these fail first', () => {
  fc.assert(
    fc.property(decisions, fc.array(fc.integer({ min: 1, max: 4_000 })), fc.boolean(), (all, ends, fails) => {
      const made = new Map(all.map(({ seq, what }) => [seq, what]));
      const found = read(made, ends, fails);
      expect(found).toEqual(read(made, [], false));
      expect(found.marks.map(({ seq }) => seq)).toEqual([1_000, 2_000, 3_000, 4_000]);
      expect(found.newest.seq).toBe(Math.max(0, ...made.keys()));
    }),
  );
});

test('checksum - another decision, another order and another block are another checksum, from the next mark on', () => {
  const one = read(
    new Map([
      [10, ['a', 'b']],
      [2_500, ['c']],
    ]),
    [],
    false,
  );
  for (const other of [['b', 'a'], ['ab'], ['a'], ['a', 'b', '']]) {
    const { marks } = read(
      new Map([
        [10, other],
        [2_500, ['c']],
      ]),
      [],
      false,
    );
    expect(marks.filter(({ hash }, i) => hash === one.marks[i]!.hash)).toEqual([]);
  }
  const late = read(
    new Map([
      [10, ['a', 'b']],
      [2_501, ['c']],
    ]),
    [],
    false,
  );
  expect(late.marks.map(({ hash }, i) => hash === one.marks[i]!.hash)).toEqual([true, true, false, false]);
});

test('checksum - a state from before counts from its cursor on, and only the newest marks are kept', () => {
  const db = newState(1_500);
  const checksum = new Checksum(db);
  expect(createChecksumReader(db)()).toEqual({ since: 1_500, newest: { seq: 1_500, hash: '' }, marks: [] });
  transact(db, () => {
    checksum.begin();
    checksum.save(400_000);
  });
  const { marks } = createChecksumReader(db)();
  expect([marks.length, marks[0]!.seq, marks.at(-1)!.seq]).toEqual([256, 145_000, 400_000]);
});

const node = (name: string, hashes: string, since = 0) => ({
  node: name,
  since,
  marks: [...hashes].map((hash, i) => ({ seq: (i + 1) * MARK_BLOCKS, hash })),
});

test('checksum - the first mark that differs is found, with those who are fewer; a tie has no minority', () => {
  expect(compareMarks(node('a', 'xyz'), [node('b', 'xyz'), node('c', 'xy')])).toBeNull();
  const found = compareMarks(node('a', 'xqr'), [node('b', 'xyz'), node('c', 'xyz'), node('a', 'old')]);
  const groups = [
    { hash: 'y', nodes: ['b', 'c'] },
    { hash: 'q', nodes: ['a'] },
  ];
  expect(found).toEqual({ seq: 2_000, minority: ['a'], groups });
  expect(whyToStop('a', found)).toMatch(/something else than b, c between blocks 1001 and 2000 of the log/);
  expect([whyToStop('b', found), whyToStop('a', null)]).toEqual([null, null]);
  // The others see the same.
  expect(compareMarks(node('b', 'xyz'), [node('a', 'xqr'), node('c', 'xyz')])?.minority).toEqual(['a']);
  expect(compareMarks(node('a', 'q'), [node('b', 'y')])?.minority).toEqual([]);
  expect(compareMarks(node('a', 'q'), [node('b', 'y'), node('c', 'z')])?.minority).toEqual([]);
});

test('checksum - nodes that count from other blocks, or have no mark at the place, are not compared', () => {
  expect(compareMarks(node('a', 'q'), [node('b', 'y', 5), node('c', '')])).toBeNull();
});
