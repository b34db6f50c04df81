import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import fc from 'fast-check';
import pino from 'pino';
import { expect, test } from 'vitest';
import { NOT_FROM_JOURNAL, remakeState } from '../../../app/verify.ts';
import { JournalStore } from '../../../journal/index.ts';
import { compareFiles } from '../../../store/index.ts';
import { type Entry, parseOnce, testClock, testDir, write } from '../../kit/ingest/intake.ts';
import { type Action, Run } from '../../kit/rules/consumer-run.ts';
import { journals } from '../../kit/rules/replay/journal.ts';
import { ALL_TABLES } from '../../kit/rules/sink.ts';

/** `REPLAY_SEED` chooses other cases, `REPLAY_CASES` more of them. */
const SEED = Number(process.env.REPLAY_SEED ?? 20_261_129);
const CASES = Number(process.env.REPLAY_CASES ?? 60);

const log = pino({ level: 'silent' });

const actions: fc.Arbitrary<Action> = fc.oneof(
  { weight: 10, arbitrary: fc.constantFrom(1, 1, 2, 3, 5, 8, 20).map((blocks) => ({ kind: 'step' as const, blocks })) },
  { weight: 2, arbitrary: fc.constant({ kind: 'checkpoint' as const }) },
  { weight: 2, arbitrary: fc.constant({ kind: 'wait' as const }) },
  { weight: 1, arbitrary: fc.constantFrom(1, 3, 10).map((blocks) => ({ kind: 'other' as const, blocks })) },
  { weight: 3, arbitrary: fc.constant({ kind: 'crash' as const }) },
  { weight: 2, arbitrary: fc.nat({ max: 4 }).map((at) => ({ kind: 'crash in effect' as const, at })) },
  { weight: 1, arbitrary: fc.nat({ max: 4 }).map((at) => ({ kind: 'fail in effect' as const, at })) },
  {
    weight: 2,
    arbitrary: fc.constantFrom('crash at commit' as const, 'fail at commit' as const).map((kind) => ({ kind })),
  },
);
const scripts = fc.array(actions, { minLength: 5, maxLength: 60, size: 'max' });

const seen = { alerts: 0, tickets: 0, done: 0, refused: 0, due: 0, crashes: 0 };

function differences(entries: readonly Entry[], script: readonly Action[]) {
  const dir = testDir();
  const journal = join(dir, 'journal.sqlite');
  const store = new JournalStore(journal).open();
  for (const entry of entries) write(store, entry);
  store.close();
  mkdirSync(join(dir, 'live'));
  const live = new Run(join(dir, 'live'), journal, { sink: ALL_TABLES });
  for (const action of script) live.do(action);
  live.finish();
  seen.crashes += live.crashes;
  mkdirSync(join(dir, 'remade'));
  remakeState(journal, join(dir, 'remade'), { clock: testClock(), log, parse: parseOnce });
  const remade = join(dir, 'remade', 'state.sqlite');
  count(remade);
  const found = compareFiles(live.path, remade, { except: Object.keys(NOT_FROM_JOURNAL) });
  rmSync(dir, { recursive: true });
  return found;
}

function count(path: string): void {
  const db = new DatabaseSync(path, { readOnly: true });
  seen.alerts += Number(db.prepare("select count(*) as n from outbox where type like '%alert%'").get()!.n);
  seen.tickets += Number(db.prepare('select count(*) as n from tickets').get()!.n);
  seen.done += Number(db.prepare("select count(*) as n from audit where result = 'done'").get()!.n);
  seen.refused += Number(
    db.prepare("select count(*) as n from audit where result not in ('done', 'requested')").get()!.n,
  );
  seen.due += Number(db.prepare(`select count(*) as n from ticket_changes where "by" = 'clock'`).get()!.n);
  db.close();
}

test('replay - a state made anew from the whole journal equals the one that crashed on its way, table by table', () => {
  fc.assert(
    fc.property(journals, scripts, (entries, script) => {
      expect(differences(entries, script)).toEqual([]);
    }),
    // To make a failing case smaller takes minutes: without `endOnFailure`, when somebody looks for the cause.
    { seed: SEED, numRuns: CASES, endOnFailure: true },
  );
  // Fewer would mean that little was compared.
  expect(seen.alerts).toBeGreaterThan(5 * CASES);
  expect(seen.tickets).toBeGreaterThan(CASES);
  expect(seen.crashes).toBeGreaterThan(CASES);
  expect(seen.done).toBeGreaterThan(2 * CASES);
  expect(seen.refused).toBeGreaterThan(2 * CASES);
  expect(seen.due).toBeGreaterThan(CASES);
}, 3_600_000);
