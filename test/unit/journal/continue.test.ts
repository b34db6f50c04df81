import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, expect, test } from 'vitest';
import { continueJournal, JournalReader, JournalStore } from '../../../journal/index.ts';
import { journalDir, removeJournals } from '../../kit/journal/kit.ts';

afterAll(removeJournals);

const START = Date.UTC(2026, 2, 2);
const FOREVER = Number.MAX_SAFE_INTEGER;
const json = (value: unknown) => Buffer.from(JSON.stringify(value));

/** A log of ten blocks, a second apart; a copy of it as it was after four. */
function twoOfOneLog(): { backup: string; live: string; store: JournalStore } {
  const dir = journalDir();
  const [backup, live] = [join(dir, 'backup.sqlite'), join(dir, 'live.sqlite')];
  const store = new JournalStore(live).open();
  store.appendControl('city', json({ version: 'c1' }), START, 'c1');
  store.appendControl('devices', json({ version: 1 }), START + 1_000, '1');
  store.appendMessages(Buffer.from('abc'), 3, START + 2_000);
  store.appendReplay(json({ items: [1, 2] }), 2, START + 3_000);
  store.close();
  copyFileSync(live, backup);
  store.open();
  store.appendControl('devices', json({ version: 2 }), START + 4_000, '2');
  store.appendMessages(Buffer.from('defg'), 4, START + 5_000);
  store.appendReplay(json({ items: [3] }), 1, START + 6_000);
  store.appendControl('city', json({ version: 'c2' }), START + 7_000, 'c2');
  store.appendMessages(Buffer.from('h'), 1, START + 8_000);
  store.appendControl('tick', json({}), START + 9_000, null);
  return { backup, live, store };
}

function contentOf(path: string) {
  const reader = new JournalReader(path).open();
  const blocks = reader.after(0, 100);
  const { messages } = reader.head();
  reader.close();
  const store = new JournalStore(path).open();
  const { heads } = store;
  store.close();
  return { seqs: blocks.map(({ seq }) => seq), messages, heads };
}

test('continue - a backup gets the rest of its log, with the counts and versions of it', () => {
  const { backup, live, store } = twoOfOneLog();
  store.close();
  expect(continueJournal(backup, live, FOREVER)).toEqual({ newest: 10, atMs: START + 9_000, added: 6, dropped: 0 });
  expect(contentOf(backup)).toEqual(contentOf(live));
  expect(contentOf(backup)).toMatchObject({ messages: 8, heads: { city: 'c2', registry: 2 } });
});

test('continue - up to a moment in the log after a backup, and in the middle of the backup itself', () => {
  const { backup, live, store } = twoOfOneLog();
  store.close();
  const until = START + 6_500;
  expect(continueJournal(backup, live, until)).toEqual({ newest: 7, atMs: START + 6_000, added: 3, dropped: 0 });
  expect(contentOf(backup)).toEqual({
    seqs: [1, 2, 3, 4, 5, 6, 7],
    messages: 7,
    heads: { city: 'c1', registry: 2 },
  });
  expect(continueJournal(backup, null, START + 2_000)).toMatchObject({ newest: 3, added: 0, dropped: 4 });
  expect(contentOf(backup)).toEqual({ seqs: [1, 2, 3], messages: 3, heads: { city: 'c1', registry: 1 } });
  // What is not known any more is appended again by the next start.
  expect(continueJournal(backup, null, START)).toMatchObject({ newest: 1, dropped: 2 });
  expect(contentOf(backup).heads).toEqual({ city: 'c1', registry: 0 });
  expect(() => continueJournal(backup, null, START - 1)).toThrow('take an older backup');
});

test('continue - another log, a gap between the two, and a damaged block are named', () => {
  const { backup, live, store } = twoOfOneLog();
  const other = twoOfOneLog();
  other.store.close();
  const changed = new DatabaseSync(other.live);
  changed.exec('update blocks set received_at = received_at + 1, sum = 1 where seq = 4');
  changed.close();
  expect(() => continueJournal(backup, other.live, FOREVER)).toThrow('is not the log of');
  store.trim(6, 100);
  store.close();
  expect(() => continueJournal(backup, live, FOREVER)).toThrow(/begins with block 6 and .* ends with block 4/);
  expect(contentOf(backup).seqs).toEqual([1, 2, 3, 4]);

  const damaged = twoOfOneLog();
  damaged.store.close();
  const db = new DatabaseSync(damaged.live);
  db.exec("update blocks set body = x'00' where seq = 7");
  db.close();
  expect(() => continueJournal(damaged.backup, damaged.live, FOREVER)).toThrow('block 7: its checksum does not match');
  expect(continueJournal(damaged.backup, damaged.live, START + 5_000)).toMatchObject({ newest: 6 });
});
