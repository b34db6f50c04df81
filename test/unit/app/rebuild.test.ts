import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import pino from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { rebuildState } from '../../../app/rebuild.ts';
import { comparison, remakeState } from '../../../app/verify.ts';
import { systemClock } from '../../../domain/index.ts';
import { JournalStore } from '../../../journal/index.ts';
import { compareFiles, lockFolder } from '../../../store/index.ts';
import { parseOnce, testDir, write } from '../../kit/ingest/intake.ts';
import { scenario } from '../../kit/rules/crash-scenario.ts';

const deps = { clock: systemClock, log: pino({ level: 'silent' }), parse: parseOnce };
let dir: string;
let journal: string;
let state: string;

beforeEach(() => {
  dir = testDir();
  journal = join(dir, 'journal.sqlite');
  state = join(dir, 'state.sqlite');
  const store = new JournalStore(journal).open();
  for (const entry of scenario()) write(store, entry);
  store.close();
  remakeState(journal, dir, deps);
});
afterEach(() => rmSync(dir, { recursive: true }));

const differences = (aside: string) => compareFiles(aside, state, comparison({ ledger: false }));

function change(path: string, sql: string): void {
  const db = new DatabaseSync(path);
  db.exec(sql);
  db.close();
}

function storeOf(path: string) {
  const db = new DatabaseSync(path, { readOnly: true });
  const { name } = db.prepare('select name from outbox_store').get()!;
  const { n } = db.prepare('select n from outbox_cursors').get()!;
  db.close();
  return { name, n };
}

test('rebuild - the state is made anew from the log, the one before is kept, and what MQTT has had is not published again', async () => {
  change(state, 'update outbox_cursors set n = 5');
  const before = storeOf(state);
  const { aside, from } = await rebuildState(dir, { ...deps, snapshot: null });
  expect(from).toBeNull();
  expect(differences(aside!)).toEqual([]);
  expect(storeOf(state)).toEqual(before);
  expect(readdirSync(dir).filter((name) => name.startsWith('rebuild-'))).toEqual([]);
});

test('rebuild - what the log does not lead to is gone; from a backup and the log after it, too', async () => {
  change(state, "update alerts set value = value + 1 where state = 'firing'; update tickets set title = 'another'");
  const backup = join(dir, 'backup');
  mkdirSync(backup);
  remakeState(journal, backup, { ...deps, upTo: 30 });
  const store = new JournalStore(journal).open();
  store.trim(31, 100);
  store.close();
  await expect(rebuildState(dir, { ...deps, snapshot: null })).rejects.toThrow('begins with block 31');
  const { aside } = await rebuildState(dir, { ...deps, snapshot: { dir: backup } });
  expect(differences(aside!).map(({ table }) => table)).toEqual(['alerts', 'tickets']);
});

test('rebuild - where events have other numbers, readers begin anew; a folder in use is refused', async () => {
  const before = storeOf(state);
  change(state, "update outbox set id = id || 'x'");
  const { block } = await rebuildState(dir, { ...deps, snapshot: null });
  expect(block).toBeGreaterThan(30);
  const after = storeOf(state);
  expect(after.n).toBe(0);
  expect(after.name).not.toBe(before.name);
  const lock = lockFolder(dir, 0);
  await expect(rebuildState(dir, { ...deps, snapshot: null })).rejects.toThrow('is in use by');
  lock.release();
});
