import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import fc from 'fast-check';
import pino from 'pino';
import { comparison, remakeState } from '../../../../app/verify.ts';
import { JournalStore } from '../../../../journal/index.ts';
import { compareFiles } from '../../../../store/index.ts';
import { type Entry, parseOnce, testClock, testDir, write } from '../../ingest/intake.ts';
import { type Action, Run } from '../consumer-run.ts';
import { ALL_TABLES } from '../sink.ts';
import { journals } from './journal.ts';

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

/** How much the cases so far have led to. */
export interface Seen {
  alerts: number;
  tickets: number;
  done: number;
  refused: number;
  due: number;
  requests: number;
  rated: number;
  /** Of keys, people, devices, commands, rules, webhooks and subscriptions. */
  administered: number;
  crashes: number;
}
export const nothingSeen = (): Seen => ({
  ...{ alerts: 0, tickets: 0, done: 0, refused: 0, due: 0, requests: 0, rated: 0, administered: 0, crashes: 0 },
});

/** Reads one journal twice: in a process that crashes on its way, and at once into a new state. */
function differences(entries: readonly Entry[], script: readonly Action[], seen: Seen) {
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
  count(remade, seen);
  const found = compareFiles(live.path, remade, comparison({ ledger: false }));
  rmSync(dir, { recursive: true });
  return found;
}

function count(path: string, seen: Seen): void {
  const db = new DatabaseSync(path, { readOnly: true });
  seen.alerts += Number(db.prepare("select count(*) as n from outbox where type like '%alert%'").get()!.n);
  seen.tickets += Number(db.prepare('select count(*) as n from tickets').get()!.n);
  seen.done += Number(db.prepare("select count(*) as n from audit where result = 'done'").get()!.n);
  seen.refused += Number(
    db.prepare("select count(*) as n from audit where result not in ('done', 'requested')").get()!.n,
  );
  seen.requests += Number(db.prepare("select count(*) as n from tickets where origin = 'citizen'").get()!.n);
  seen.rated += Number(db.prepare('select count(*) as n from tickets where stars is not null').get()!.n);
  const administered =
    "result = 'done' and not (action glob 'ticket.*' or action glob 'citizen.*' or action glob 'silence.*')";
  seen.administered += Number(db.prepare(`select count(*) as n from audit where ${administered}`).get()!.n);
  seen.due += Number(db.prepare(`select count(*) as n from ticket_changes where "by" = 'clock'`).get()!.n);
  db.close();
}

/**
 * The property: a state made anew from the whole journal equals the one that crashed on its way, table by table. Counts
 * in `seen` what the cases led to.
 */
export const sameState = (seen: Seen) =>
  fc.property(journals, scripts, (entries, script) => {
    const found = differences(entries, script, seen);
    if (found.length > 0) throw new Error(JSON.stringify(found));
  });

/** Runs so many cases of each seed, prints a line for each; returns whether all states were equal. */
export function replayMany(cases: number, seeds: number, first: number): boolean {
  let isSame = true;
  for (let seed = first; seed < first + seeds; seed++) {
    const seen = nothingSeen();
    // To make a failing case smaller takes minutes: REPLAY_SEED and the test do that.
    const { failed, numRuns, errorInstance } = fc.check(sameState(seen), { seed, numRuns: cases, endOnFailure: true });
    process.stdout.write(
      `seed ${seed}: ${numRuns} cases, ${failed ? `a difference: ${errorInstance}` : 'no difference'}; ${JSON.stringify(seen)}\n`,
    );
    if (failed) isSame = false;
  }
  return isSame;
}
