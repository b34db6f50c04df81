import { closeSync, existsSync, fsyncSync, openSync } from 'node:fs';
import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import type { Logger } from 'pino';
import { parseCity } from '../city-model/index.ts';
import {
  type Block,
  type City,
  type CityControl,
  type Clock,
  type HistoryStore,
  LamppostError,
} from '../domain/index.ts';
import { createDuckdbHistory, createHistoryConsumer, type HistoryConsumer } from '../history/index.ts';
import {
  type Context,
  createContext,
  createLedgerStore,
  createQuarantineStore,
  Intake,
  type QuarantineLimits,
} from '../ingest/index.ts';
import { JournalReader } from '../journal/index.ts';
import { createConsumerStore, createRulesConsumer, type RulesConsumer } from '../rules/index.ts';
import { atOnce, transact } from '../store/index.ts';
import { createThreadEffects } from './threads/effects.ts';
import { openStateFile } from './threads/state.ts';

/** What a replica is made with, beside its files. */
export interface ReplicaDeps {
  readonly clock: Clock;
  readonly log: Logger;
  /** Returns the city of a folder's files, null where it has mistakes. */
  readonly parse?: (control: CityControl) => City | null;
  /** How long entries of the audit trail are kept, ms; for ever where absent. */
  readonly auditMs?: number;
  /** How long discards of refused messages are kept, ms; for ever where absent. */
  readonly quarantineMs?: number;
  /** What the quarantine keeps; everything where absent. */
  readonly quarantine?: QuarantineLimits;
  /** Called from time to time with the block that has been read. */
  readonly onBlock?: (seq: number, last: number) => void;
}

interface Files {
  /** The folder of the state file, which is made where there is none. */
  readonly dir: string;
  readonly journal: string;
  /** The last block that is read; the newest where absent. */
  readonly upTo?: number;
}

/** What stores readings; `COUNTED` where only the ledger is of interest. */
export type ReadingsStore = Pick<HistoryStore, 'append' | 'cursor'>;

/** A history that has every reading already: blocks are counted, and nothing is stored. */
export const COUNTED: ReadingsStore = {
  cursor: () => Number.MAX_SAFE_INTEGER,
  append: () => Promise.reject(new Error('nothing is stored')),
};

const ALL_KEPT: QuarantineLimits = { bytes: Number.MAX_SAFE_INTEGER, holderBytes: Number.MAX_SAFE_INTEGER };
/** As in the engine's thread, but that nobody waits for a batch. */
const BATCH = { readings: 50_000, ageMs: Number.POSITIVE_INFINITY };
/** Blocks and messages after which what nobody needs any more is dropped. */
const PRUNE_BLOCKS = 20_000;
const PRUNE_MESSAGES = 2_000_000;

/** A journal that ends with a block. */
class JournalUpTo extends JournalReader {
  readonly #last: number;

  constructor(path: string, last: number) {
    super(path);
    this.#last = last;
  }

  get last(): number {
    return Math.min(this.#last, this.head().seq);
  }

  override after(seq: number, limit: number): Block[] {
    return super.after(seq, Math.max(0, Math.min(limit, this.#last - seq)));
  }
}

/**
 * A state file and what reads the log into it: the code of the engine's thread, one block after the other, in a process
 * without a server. What it writes is on disk once it is closed, not before: after a crash it has to be made anew.
 */
export class Replica {
  readonly #files: Files;
  readonly #deps: ReplicaDeps;
  readonly #db: DatabaseSync;
  readonly #journal: JournalUpTo;
  readonly #context: Context;
  readonly #intake: Intake;
  readonly #rules: RulesConsumer;
  readonly #prune: (seq: number) => void;
  #prunedAt = { seq: 0, messages: 0 };

  /** Throws `disk` where the file cannot be opened, `too-new`. */
  constructor(files: Files, deps: ReplicaDeps) {
    const { clock, log, parse, auditMs = Number.MAX_SAFE_INTEGER, quarantineMs = Number.MAX_SAFE_INTEGER } = deps;
    this.#files = files;
    this.#deps = deps;
    const db = openStateFile(files.dir);
    // Nothing was acknowledged as being on disk yet.
    db.exec('pragma synchronous = off');
    this.#db = db;
    this.#journal = new JournalUpTo(files.journal, files.upTo ?? Number.MAX_SAFE_INTEGER).open();
    const context = createContext(db, parse ?? ((control) => parseCity(control).city));
    const intake = new Intake(db, context).open();
    const made = createThreadEffects({ db, context, log, auditMs, quarantineMs });
    const { effects, blocks, checksum, takeDecided } = made;
    this.#context = context;
    this.#intake = intake;
    this.#rules = createRulesConsumer({
      ...{ db, journal: this.#journal, intake, context, clock, log, blocks, checksum },
      effects: (transition, more) => void effects.apply({ transition, ...more }),
      // Nobody waits for results.
      onEffects: () => void takeDecided(),
    });
    this.#prune = (seq) => intake.prune(seq);
  }

  /** The metrics by number, for the history. */
  get metrics() {
    return this.#context.metrics;
  }

  /**
   * Brings what is in memory to where the file is. Throws `disk` where the journal lacks a block that is needed, here
   * and below.
   */
  start(): this {
    const { checkpoint } = createConsumerStore(this.#db).progress() ?? { checkpoint: 0 };
    this.#needs(Math.min(checkpoint, this.#intake.head()) + 1);
    atOnce(this.#intake.restore());
    atOnce(this.#rules.start());
    return this;
  }

  /** Decides every block up to the last one, and counts none. */
  decide(): void {
    while (this.#step());
    this.#rules.checkpoint();
  }

  /** Decides, stores and counts every block up to the last one. */
  async follow(history: ReadingsStore): Promise<void> {
    const consumer = this.#consumerOf(history);
    this.#needs(consumer.cursor() + 1);
    const { last } = this.#journal;
    while (this.#step(consumer)) {
      // What reads far ahead decodes blocks that the rules decode again.
      while (consumer.cursor() < this.#rules.reached() && (await consumer.step(false)));
      this.#intake.forget(Math.min(consumer.cursor(), this.#rules.reached()));
      this.#deps.onBlock?.(this.#rules.reached(), last);
    }
    while (await consumer.step(true));
    const trouble = consumer.trouble();
    if (trouble !== null) throw new LamppostError('disk', trouble);
    this.#rules.checkpoint();
  }

  #needs(from: number): void {
    const oldest = this.#journal.after(0, 1)[0]?.seq ?? from;
    if (oldest <= from) return;
    const { journal } = this.#files;
    const wanted = from === 1 ? 'the first' : `block ${from}, where the backup ends`;
    throw new LamppostError('disk', `${journal} begins with block ${oldest}, not with ${wanted}: name a newer backup`);
  }

  #consumerOf(history: ReadingsStore): HistoryConsumer {
    const [db, journal, intake] = [this.#db, this.#journal, this.#intake];
    const [ledger, quarantine] = [createLedgerStore(db), createQuarantineStore(db, this.#deps.quarantine ?? ALL_KEPT)];
    const { clock, log } = this.#deps;
    return createHistoryConsumer(
      { db, journal, intake, history, ledger, quarantine, metrics: this.metrics, clock, log },
      BATCH,
    );
  }

  /** Decides some blocks; false where there are no more. */
  #step(consumer?: HistoryConsumer): boolean {
    const newest = this.#rules.step().at(-1)?.block;
    if (newest === undefined) return false;
    const { seq, first } = newest;
    if (consumer === undefined) this.#intake.forget(seq);
    const since = this.#prunedAt;
    if (seq - since.seq < PRUNE_BLOCKS && first - since.messages < PRUNE_MESSAGES) return true;
    this.#prunedAt = { seq, messages: first };
    this.#rules.checkpoint();
    transact(this.#db, () => this.#prune(Math.min(seq, consumer?.cursor() ?? seq)));
    return true;
  }

  /** Closes the files; what it wrote is on disk then. Idempotent. */
  close(): void {
    this.#journal.close();
    if (!this.#db.isOpen) return;
    this.#db.close();
    const file = openSync(join(this.#files.dir, 'state.sqlite'), 'r+');
    fsyncSync(file);
    closeSync(file);
  }
}

/**
 * Reads the journal of a data folder to its end into the state in the folder `dir`, and into the embedded history of
 * the data folder, which gets what it lacks. With InfluxDB the next start counts, and sends again what it counts.
 */
export async function readLog(
  { dir, data }: { readonly dir: string; readonly data: string },
  deps: ReplicaDeps,
): Promise<void> {
  const replica = new Replica({ dir, journal: join(data, 'journal.sqlite') }, deps);
  const path = join(data, 'history.duckdb');
  try {
    replica.start();
    if (!existsSync(path)) return replica.decide();
    const history = createDuckdbHistory({ path, metrics: replica.metrics, unitOf: () => '' });
    await history.start();
    await replica.follow(history).finally(() => history.stop());
  } finally {
    replica.close();
  }
}
