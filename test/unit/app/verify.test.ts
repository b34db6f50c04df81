import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import pino from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { remakeState, verifyState } from '../../../app/verify.ts';
import { JournalStore } from '../../../journal/index.ts';
import { parseOnce, testClock, testDir, write } from '../../kit/ingest/intake.ts';
import { scenario } from '../../kit/rules/crash-scenario.ts';

const deps = { clock: testClock(), log: pino({ level: 'silent' }), parse: parseOnce };
let dir: string;
let journal: string;

beforeEach(() => {
  dir = testDir();
  journal = join(dir, 'journal.sqlite');
  const store = new JournalStore(journal).open();
  for (const entry of scenario()) write(store, entry);
  store.close();
});
afterEach(() => rmSync(dir, { recursive: true }));

test('verify - a state that follows from its journal has no differences, one that was edited is shown', () => {
  remakeState(journal, dir, deps);
  expect(verifyState(dir, deps)).toEqual([]);
  const db = new DatabaseSync(join(dir, 'state.sqlite'));
  db.exec("update alerts set value = value + 1 where n = (select max(n) from alerts where state = 'firing')");
  db.close();
  const [found, ...more] = verifyState(dir, deps);
  expect(more).toEqual([]);
  expect(found).toMatchObject({ table: 'alerts', left: [{ state: 'firing' }], right: [{ state: 'firing' }] });
});

test('verify - what came into the journal after the process stopped is no difference; one that was killed is refused', () => {
  remakeState(journal, dir, deps);
  const store = new JournalStore(journal).open();
  write(store, { kind: 'tick', atMs: Date.UTC(2026, 2, 3), body: {} });
  store.close();
  expect(verifyState(dir, deps)).toEqual([]);
  const db = new DatabaseSync(join(dir, 'state.sqlite'));
  db.exec('update rules_cursor set checkpoint = checkpoint - 1');
  db.close();
  expect(() => verifyState(dir, deps)).toThrow('start Lamppost and stop it again');
});

test('verify - a journal without its beginning, and a folder with a state, are refused', () => {
  remakeState(journal, dir, deps);
  expect(() => remakeState(journal, dir, deps)).toThrow('is not new');
  const store = new JournalStore(journal).open();
  store.trim(10, 100);
  store.close();
  mkdirSync(join(dir, 'other'));
  expect(() => remakeState(journal, join(dir, 'other'), deps)).toThrow('begins with block 10, not with the first');
});
