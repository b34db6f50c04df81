import { DatabaseSync } from 'node:sqlite';
import { afterAll, expect, test } from 'vitest';
import { JournalReader, JournalStore, rebuildJournal, walkBlocks } from '../../../journal/index.ts';
import { append, journalDir, openJournal, removeJournals } from '../../kit/journal/kit.ts';
import { blocksOf } from '../../kit/journal/reading.ts';

afterAll(removeJournals);

/** A journal of 10 blocks with one message each. */
async function tenBlocks(): Promise<string> {
  const journal = openJournal(journalDir());
  for (let i = 0; i < 10; i++) await append(journal, { identity: 'bin-1', topic: 't', payload: `message ${i}` });
  journal.close();
  return journal.path;
}

function change(path: string, sql: string): void {
  const db = new DatabaseSync(path);
  db.exec(sql);
  db.close();
}

test.each([
  ['body', "update blocks set body = cast(replace(body, 'message 4', 'massage 4') as blob) where seq = 5", 'checksum'],
  ['time', 'update blocks set received_at = received_at + 1 where seq = 5', 'checksum'],
  ['row', 'delete from blocks where seq = 5', 'block 5 is missing'],
])(
  'journal - a block with a changed %s is not read past: the blocks before it are read, then a sentence names it',
  async (_what, sql, why) => {
    const path = await tenBlocks();
    change(path, sql);
    const reader = new JournalReader(path).open();
    expect(reader.after(0, 64).map(({ seq }) => seq)).toEqual([1, 2, 3, 4]);
    const damaged = expect.objectContaining({ code: 'damaged', retryable: false });
    expect(() => reader.after(4, 64)).toThrow(damaged);
    expect(() => reader.after(4, 64)).toThrow(why);
    expect(() => reader.after(4, 64)).toThrow(`${path} is damaged: block 5 (message`);
    expect(reader.after(5, 64).map(({ seq }) => seq)).toEqual([6, 7, 8, 9, 10]);
    reader.close();
  },
);

test('journal - it does not go on from a newest block that is damaged', async () => {
  const path = await tenBlocks();
  change(path, 'update blocks set count = 7 where seq = 10');
  expect(() => new JournalStore(path).open()).toThrow(/block 10 .*checksum/);
});

test('journal - blocks from before there were checksums are read', async () => {
  const path = await tenBlocks();
  change(path, 'update blocks set sum = null');
  expect(blocksOf(path)).toHaveLength(10);
});

test('journal - the oldest block that is kept is no gap, whatever cursor asks for it', async () => {
  const path = await tenBlocks();
  change(path, 'delete from blocks where seq < 4');
  const reader = new JournalReader(path).open();
  expect(reader.after(1, 64)[0]!.seq).toBe(4);
  reader.close();
});

test('journal - it is made anew without a damaged block: the numbers go on, and a lost block stands for its messages', async () => {
  const path = await tenBlocks();
  change(path, 'update blocks set received_at = received_at + 1 where seq = 5; delete from blocks where seq in (7, 8)');
  const source = new DatabaseSync(path, { readOnly: true });
  const damaged = [...walkBlocks(source)].flatMap((found) => found.damaged ?? []);
  expect(damaged).toMatchObject([
    { from: 5, to: 5, first: 4, end: 5 },
    { from: 7, to: 8, first: 6, end: 8 },
  ]);
  const { kept, lost } = rebuildJournal(source, null, `${path}.new`, { from: 1, to: 10, messages: 10, atMs: 0 });
  source.close();
  expect([kept, lost.length]).toEqual([7, 2]);
  const blocks = blocksOf(`${path}.new`);
  expect(blocks.map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  expect(blocks.filter(({ kind }) => kind === 'lost').map(({ first, count }) => [first, count])).toEqual([
    [4, 1],
    [6, 2],
    [8, 0],
  ]);
  expect(new JournalStore(`${path}.new`).open().seq).toBe(10);
});

test('journal - one of which nothing is left goes on at the time of its repair, so that the wall clock is believed', async () => {
  const path = `${await tenBlocks()}.new`;
  const repairedAt = Date.UTC(2026, 10, 30);
  const { lost } = rebuildJournal(null, null, path, { from: 10, to: 10, messages: 10, atMs: repairedAt });
  expect(lost).toMatchObject([{ from: 10, to: 10, afterMs: null, beforeMs: null }]);
  expect(blocksOf(path).map(({ receivedAt, steadyAt }) => [receivedAt, steadyAt])).toEqual([[repairedAt, repairedAt]]);
});
