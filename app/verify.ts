import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { Logger } from 'pino';
import { parseCity } from '../city-model/index.ts';
import { type Block, type City, type CityControl, type Clock, LamppostError } from '../domain/index.ts';
import { createContext, Intake } from '../ingest/index.ts';
import { JournalReader } from '../journal/index.ts';
import { createConsumerStore, createRulesConsumer, type Progress } from '../rules/index.ts';
import { atOnce, compareFiles, type TableDifference } from '../store/index.ts';
import { createThreadEffects } from './threads/effects.ts';
import { openStateFile } from './threads/state.ts';

/** The tables of the state file that do not follow from the journal alone, and why. */
export const NOT_FROM_JOURNAL: Readonly<Record<string, string>> = {
  intake: 'how far any consumer has read: at a stop the history reads a last tick after the rules',
  seen: 'a row is what one commit added: the rows together are the same',
  context_cities: 'old versions go once no consumer needs them',
  context_devices: 'old versions go once no consumer needs them',
  outbox_store: 'the name of the file is random',
  outbox_cursors: 'how far MQTT has published',
  ledger: 'written with the history',
  ledger_cursor: 'written with the history',
  quarantine: 'written with the history',
  quarantine_raw: 'written with the history',
  quarantine_message: 'written with the history',
  quarantine_holder: 'written with the history',
  quarantine_total: 'written with the history',
};

interface Deps {
  readonly clock: Clock;
  readonly log: Logger;
  /** Returns the city of a folder's files, null where it has mistakes. */
  readonly parse?: (control: CityControl) => City | null;
}

/** A journal that ends with a block. */
class JournalUpTo extends JournalReader {
  readonly #last: number;

  constructor(path: string, last: number) {
    super(path);
    this.#last = last;
  }

  override after(seq: number, limit: number): Block[] {
    return super.after(seq, Math.max(0, Math.min(limit, this.#last - seq)));
  }
}

/**
 * Makes `state.sqlite` in the folder `dir` anew from a journal alone, up to a block, by the code that the engine's
 * thread runs. Throws `disk` where the journal lacks its first block, or the folder has a state already.
 */
export function remakeState(
  journalPath: string,
  dir: string,
  { clock, log, parse, upTo = Number.MAX_SAFE_INTEGER }: Deps & { readonly upTo?: number },
): void {
  const db = openStateFile(dir);
  const journal = new JournalUpTo(journalPath, upTo).open();
  try {
    const context = createContext(db, parse ?? ((control) => parseCity(control).city));
    const intake = new Intake(db, context).open();
    atOnce(intake.restore());
    const oldest = journal.after(0, 1)[0]?.seq ?? 1;
    if (oldest !== 1) throw new LamppostError('disk', `${journalPath} begins with block ${oldest}, not with the first`);
    if (intake.head() > 0) throw new LamppostError('disk', `${join(dir, 'state.sqlite')} is not new`);
    const { effects, blocks } = createThreadEffects({ db, context, log, auditMs: Number.MAX_SAFE_INTEGER });
    const rules = createRulesConsumer({
      ...{ db, journal, intake, context, clock, log },
      effects: (transition, more) => void effects.apply({ transition, ...more }),
      blocks,
      onEffects() {},
    });
    atOnce(rules.start());
    while (rules.step().length > 0);
    rules.checkpoint();
  } finally {
    journal.close();
    db.close();
  }
}

/**
 * Compares the state of a data folder, whose process has stopped, with one that is made anew from its journal (promise
 * 4); returns the tables that differ. The new state is in a folder beside it meanwhile. Throws as `remakeState`, and
 * `disk` where the process did not stop in order: then its windows are older than its alerts, until it has started and
 * stopped again.
 */
export function verifyState(dir: string, deps: Deps): TableDifference[] {
  const state = join(dir, 'state.sqlite');
  const { cursor, checkpoint } = progressOf(state);
  if (cursor !== checkpoint)
    throw new LamppostError('disk', `${state} is not settled: start Lamppost and stop it again`);
  const scratch = mkdtempSync(join(dir, 'verify-'));
  try {
    // Ticks may come in while a process stops, after its rules have.
    remakeState(join(dir, 'journal.sqlite'), scratch, { ...deps, upTo: cursor });
    return compareFiles(state, join(scratch, 'state.sqlite'), { except: Object.keys(NOT_FROM_JOURNAL) });
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

function progressOf(state: string): Progress {
  const db = new DatabaseSync(state, { readOnly: true });
  try {
    return createConsumerStore(db).progress() ?? { cursor: 0, checkpoint: 0 };
  } finally {
    db.close();
  }
}
