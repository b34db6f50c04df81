import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import pino from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { comparison, remakeState, verifyState } from '../../../app/verify.ts';
import { JournalStore } from '../../../journal/index.ts';
import { compareFiles } from '../../../store/index.ts';
import { parseOnce, testClock, testDir, write } from '../../kit/ingest/intake.ts';
import { type Action, Run } from '../../kit/rules/consumer-run.ts';
import { scenario } from '../../kit/rules/crash-scenario.ts';
import { ALL_TABLES } from '../../kit/rules/sink.ts';

const deps = { clock: testClock(), log: pino({ level: 'silent' }), parse: parseOnce };
const differences = async () => (await verifyState(dir, { ...deps, backup: null })).differences;
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

test('verify - a state that follows from its journal has no differences, one that was edited is shown', async () => {
  remakeState(journal, dir, deps);
  expect(await differences()).toEqual([]);
  const db = new DatabaseSync(join(dir, 'state.sqlite'));
  db.exec("update alerts set value = value + 1 where n = (select max(n) from alerts where state = 'firing')");
  db.close();
  const [found, ...more] = await differences();
  expect(more).toEqual([]);
  expect(found).toMatchObject({ table: 'alerts', left: [{ state: 'firing' }], right: [{ state: 'firing' }] });
});

test('verify - what came into the journal after the process stopped is no difference; one that was killed is compared at its cursor', async () => {
  remakeState(journal, dir, { ...deps, upTo: 40 });
  expect(await verifyState(dir, { ...deps, backup: null })).toEqual({ block: 40, differences: [] });
  const db = new DatabaseSync(join(dir, 'state.sqlite'));
  // As a kill leaves it: windows are older than alerts.
  const killed = join(dir, 'killed');
  mkdirSync(killed);
  remakeState(journal, killed, { ...deps, upTo: 20 });
  db.prepare('attach ? as killed').run(join(killed, 'state.sqlite'));
  db.exec('delete from rules_state; insert into rules_state select * from killed.rules_state');
  db.exec('update rules_cursor set checkpoint = 20');
  db.close();
  expect(await verifyState(dir, { ...deps, backup: null })).toEqual({ block: 40, differences: [] });
});

test('verify - a state that a backup and the log after it lead to has no differences; the backup may be of any moment', async () => {
  remakeState(journal, dir, deps);
  const backup = join(dir, 'backup');
  mkdirSync(backup);
  remakeState(journal, backup, { ...deps, upTo: 30 });
  const store = new JournalStore(journal).open();
  store.trim(31, 100);
  store.close();
  await expect(verifyState(dir, { ...deps, backup: null })).rejects.toThrow('begins with block 31, not with the first');
  expect((await verifyState(dir, { ...deps, backup })).differences).toEqual([]);
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

/** A life with lags, checkpoints, a consumer that reads ahead, and a kill after every third step. */
function live(path: string): string {
  mkdirSync(path);
  const run = new Run(path, journal, { sink: ALL_TABLES });
  const steps: readonly Action[] = [
    { kind: 'step', blocks: 3 },
    { kind: 'other', blocks: 7 },
    { kind: 'checkpoint' },
    { kind: 'step', blocks: 5 },
    { kind: 'crash' },
  ];
  for (let i = 0; i < 60; i++) run.do(steps[i % steps.length]!);
  run.finish();
  expect(run.crashes).toBe(12);
  return run.path;
}

test('verify - a whole log, with steps of the clock and what people set, makes from nothing the state of a life with kills', () => {
  const path = live(join(dir, 'live'));
  remakeState(journal, dir, deps);
  expect(compareFiles(path, join(dir, 'state.sqlite'), comparison({ ledger: false }))).toEqual([]);
  const db = new DatabaseSync(path, { readOnly: true });
  const count = (sql: string) => Number(db.prepare(`select count(*) as n from ${sql}`).get()!.n);
  const found = {
    clock: count("outbox where type = 'city.lamppost.clock.stepped'"),
    notices: count("outbox where type in ('city.lamppost.session.dropped', 'city.lamppost.login.failing')"),
    rules: count('context_rules'),
    receivers: count('receivers'),
    secrets: count('receiver_secrets'),
    discarded: count('quarantine_discarded'),
    refused: count("audit where result <> 'done'"),
    cities: count("audit where action = 'city.reload' and result = 'done'"),
  };
  db.close();
  expect(found).toEqual({
    clock: 2,
    notices: 2,
    rules: 4,
    receivers: 2,
    secrets: 2,
    discarded: 2,
    refused: 7,
    cities: 1,
  });
});
