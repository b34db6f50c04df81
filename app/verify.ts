import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { LamppostError } from '../domain/index.ts';
import { createConsumerStore } from '../rules/index.ts';
import { compareFiles, copyDatabase, type TableDifference } from '../store/index.ts';
import { COUNTED, Replica, type ReplicaDeps } from './replica.ts';

/** The tables of the state file that do not follow from the journal alone, and why. */
const NOT_FROM_JOURNAL: Readonly<Record<string, string>> = {
  intake: 'how far any consumer has read: at a stop the history reads a last tick after the rules',
  seen: 'a row is what one commit added: rows and chunks together are the same',
  seen_chunks: 'they end at a commit, as the rows do',
  seen_pages: 'as the chunks do',
  seen_hours: 'old ones go once no consumer needs them',
  seen_spans: 'old ones go once no consumer needs them',
  seen_seed: 'random',
  context_cities: 'old versions go once no consumer needs them',
  context_devices: 'old versions go once no consumer needs them',
  context_hardware: 'old versions go once no consumer needs them',
  context_past: 'old versions go once no consumer needs them',
  registry_key_use: 'when a key was used is no record',
  outbox_store: 'a restore gives another name, which is no record',
  outbox_cursors: 'how far an earlier version had copies for MQTT',
  texts: 'old ones go with the readings that have them',
  history_confirmed: 'what a database has on its disk by when is no record',
  quarantine: 'old ones expire at night',
  quarantine_raw: 'old ones expire at night',
  quarantine_message: 'old ones expire at night',
  quarantine_holder: 'old ones expire at night',
  quarantine_total: 'old ones expire at night',
};

/** Tables of which a part follows from the journal: the query of one file, beside the other one. */
const PARTLY_FROM_JOURNAL: Readonly<Record<string, (of: string, beside: string) => string>> = {
  // From the oldest event that both keep: old ones go.
  outbox: (of, beside) => `
    select row_number() over (order by n) as place, id, type, subject, time, department, district, severity, rule,
      ticket, audience, body
    from ${of}.outbox where n >= coalesce((select min(n) from ${of}.outbox where id in (select id from ${beside}.outbox)), 0)`,
  // One that begins to count elsewhere is another one.
  rules_checksum: (of, beside) => `
    select * from ${of}.rules_checksum where since = (select since from ${beside}.rules_checksum)`,
  rules_marks: (of, beside) => `
    select * from ${of}.rules_marks where since = (select since from ${beside}.rules_checksum)`,
  // Old entries expire by a setting.
  audit: (of, beside) => `
    select * from ${of}.audit
    where n >= coalesce((select min(n) from ${of}.audit where n in (select n from ${beside}.audit)), 0)`,
};

const LEDGER = ['ledger', 'ledger_cursor', 'ledger_imported', 'device_clocks'];

/** How two states are compared; without the ledger, only what the rules' consumer writes. */
export const comparison = ({ ledger }: { readonly ledger: boolean }) => ({
  except: [...Object.keys(NOT_FROM_JOURNAL), ...(ledger ? [] : LEDGER)],
  parts: PARTLY_FROM_JOURNAL,
});

/**
 * Makes `state.sqlite` in the folder `dir` anew from a journal alone, up to a block, by the code that the engine's
 * thread runs; counts nothing. Throws `disk` where the journal lacks its first block, or the folder has a state
 * already.
 */
export function remakeState(
  journal: string,
  dir: string,
  { upTo, ...deps }: ReplicaDeps & { readonly upTo?: number },
): void {
  if (existsSync(join(dir, 'state.sqlite'))) throw new LamppostError('disk', `${join(dir, 'state.sqlite')} is not new`);
  const replica = new Replica({ dir, journal, ...(upTo !== undefined && { upTo }) }, deps);
  try {
    replica.start().decide();
  } finally {
    replica.close();
  }
}

interface Verify extends ReplicaDeps {
  /** The folder of a backup, from which the state is made anew; null: from the log alone. */
  readonly backup: string | null;
}

/** What was compared. */
export interface Verified {
  /** The block at which both states were compared. */
  readonly block: number;
  readonly differences: readonly TableDifference[];
}

/**
 * Compares the state of a data folder with one that is made anew from a backup and the log (promise 4), at the newest
 * block that the state has read. A server may run on the folder: it is compared as it is at this moment. Both states
 * are in a folder beside it meanwhile. Throws `disk` where the log lacks a block that is needed.
 */
export async function verifyState(dir: string, { backup, ...deps }: Verify): Promise<Verified> {
  const scratch = mkdtempSync(join(dir, 'verify-'));
  const [live, anew] = [join(scratch, 'live'), join(scratch, 'anew')];
  const journal = join(dir, 'journal.sqlite');
  try {
    for (const folder of [live, anew]) mkdirSync(folder, { mode: 0o700 });
    await copyDatabase(join(dir, 'state.sqlite'), join(live, 'state.sqlite'));
    if (backup !== null) copyFileSync(join(backup, 'state.sqlite'), join(anew, 'state.sqlite'));
    const block = Math.max(...[live, anew].map((folder) => reachedBy(join(folder, 'state.sqlite'))));
    // Readings that another database refused are counted, and in no record.
    const ledger = existsSync(join(dir, 'history.duckdb'));
    for (const folder of [live, anew]) await readTo({ dir: folder, journal, upTo: block }, { ...deps, ledger });
    const [left, right] = [join(live, 'state.sqlite'), join(anew, 'state.sqlite')];
    return { block, differences: compareFiles(left, right, comparison({ ledger })) };
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

async function readTo(
  files: { readonly dir: string; readonly journal: string; readonly upTo: number },
  { ledger, ...deps }: ReplicaDeps & { readonly ledger: boolean },
): Promise<void> {
  const replica = new Replica(files, deps);
  try {
    replica.start();
    if (ledger) await replica.follow(COUNTED);
    else replica.decide();
  } finally {
    replica.close();
  }
}

/** The newest block that any consumer of a state file has read; 0 where there is no file. */
export function reachedBy(state: string): number {
  if (!existsSync(state)) return 0;
  const db = new DatabaseSync(state, { readOnly: true });
  try {
    const intake = Number(db.prepare('select seq from intake').get()?.seq ?? 0);
    const ledger = Number(db.prepare('select seq from ledger_cursor').get()?.seq ?? 0);
    return Math.max(createConsumerStore(db).progress()?.cursor ?? 0, intake, ledger);
  } finally {
    db.close();
  }
}
