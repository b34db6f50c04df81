import { DatabaseSync } from 'node:sqlite';
import { afterAll, expect, test } from 'vitest';
import { JournalReader, JournalStore } from '../../../journal/index.ts';
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
