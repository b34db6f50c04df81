import { copyFileSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import pino from 'pino';
import type { HistoryStore, Ledger } from '../../../domain/index.ts';
import { createDuckdbHistory, createHistoryConsumer, type HistoryConsumer } from '../../../history/index.ts';
import {
  type Context,
  createLedgerReader,
  createLedgerStore,
  createQuarantineReader,
  createQuarantineStore,
  type Intake,
  type LedgerStore,
} from '../../../ingest/index.ts';
import { copyState, openIntake, openState, PartialReader, persist, type TestClock, testClock } from './intake.ts';

/** A step of a test with the history's consumer. */
export type Action =
  /** Lets the consumer read this many more blocks, then steps it. */
  | { readonly kind: 'step'; readonly blocks: number; readonly flush: boolean }
  | { readonly kind: 'wait' }
  /** Another consumer of the process reads this many blocks ahead, and commits. */
  | { readonly kind: 'other'; readonly blocks: number }
  | { readonly kind: 'crash' }
  /** The process crashes after the next commit of the history and before that of the state file. */
  | { readonly kind: 'crash between' }
  /** The same, but only the transaction of the state file fails. */
  | { readonly kind: 'fail between' };

interface Process {
  readonly state: string;
  readonly duckdb: string;
  readonly db: DatabaseSync;
  readonly history: HistoryStore;
  readonly intake: Intake;
  readonly context: Context;
  readonly consumer: HistoryConsumer;
}

const log = pino({ level: 'silent' });

/** The history's consumer over a journal's file and real stores. It can be stopped at any moment. */
export class HistoryRun {
  readonly clock: TestClock = testClock(1);
  readonly journal: PartialReader;
  readonly #dir: string;
  #process!: Process;
  #files = 0;
  #due: 'crash' | 'fail' | null = null;
  #copies: { state: string; duckdb: string } | null = null;
  crashes = 0;
  between = 0;

  constructor(dir: string, journal: string) {
    this.#dir = dir;
    this.journal = new PartialReader(journal).open();
    this.journal.end = 0;
  }

  async start(): Promise<void> {
    this.#process = await this.#open(join(this.#dir, 'state-0.sqlite'), join(this.#dir, 'history-0.duckdb'));
  }

  get cursor(): number {
    return this.#process.consumer.cursor();
  }

  get history(): HistoryStore {
    return this.#process.history;
  }

  async do(action: Action): Promise<void> {
    if (action.kind === 'step') {
      this.journal.end = Math.min(this.journal.end + action.blocks, this.journal.head().seq);
      await this.step(action.flush);
    } else if (action.kind === 'wait') this.clock.ms += 300;
    else if (action.kind === 'other') this.#readAhead(action.blocks);
    else if (action.kind === 'crash') await this.#crash();
    else this.#due = action.kind === 'crash between' ? 'crash' : 'fail';
  }

  async step(flush: boolean): Promise<boolean> {
    const moved = await this.#process.consumer.step(flush);
    if (this.#copies !== null) await this.#crash();
    // A failure is followed by a pause.
    else if (this.#process.consumer.trouble() !== null) this.clock.ms += 30_000;
    return moved;
  }

  /** Reads all that the journal holds. */
  async finish(): Promise<void> {
    this.journal.end = Number.POSITIVE_INFINITY;
    this.#due = null;
    while (await this.step(true));
  }

  /** Returns what a reader of the files sees now. */
  look<T>(at: (readers: Readers) => T): T {
    const db = new DatabaseSync(this.#process.state, { readOnly: true });
    const journal = new PartialReader(this.journal.path).open();
    try {
      return at({ ledger: createLedgerReader(db, journal), quarantine: createQuarantineReader(db) });
    } finally {
      journal.close();
      db.close();
    }
  }

  async stop(): Promise<void> {
    await this.#process.history.stop();
    this.#process.db.close();
    this.journal.close();
  }

  #readAhead(blocks: number): void {
    const { db, intake } = this.#process;
    const reader = new PartialReader(this.journal.path).open();
    for (const block of reader.after(intake.head(), blocks)) intake.outcome(block);
    reader.close();
    persist(db, intake);
  }

  async #crash(): Promise<void> {
    const { state, duckdb } = this.#copies ?? this.#copy();
    this.#copies = null;
    this.#due = null;
    await this.#process.history.stop();
    this.#process.db.close();
    this.crashes++;
    this.#process = await this.#open(state, duckdb);
  }

  /** Copies both files as a process that crashes at this moment leaves them. */
  #copy(): { state: string; duckdb: string } {
    const { state, duckdb } = this.#process;
    const n = ++this.#files;
    const to = join(this.#dir, `history-${n}.duckdb`);
    for (const end of ['', '.wal']) if (existsSync(duckdb + end)) copyFileSync(duckdb + end, to + end);
    return { state: copyState(state, join(this.#dir, `state-${n}.sqlite`)), duckdb: to };
  }

  async #open(state: string, duckdb: string): Promise<Process> {
    const db = openState(state);
    const { context, intake } = openIntake(db);
    const history = createDuckdbHistory({ path: duckdb, metrics: context.metrics, unitOf: () => 'u' });
    await history.start();
    // Comes after what an opened history still writes: a crash copies its files, one after the other.
    await history.rollup(0);
    const consumer = createHistoryConsumer(
      {
        db,
        journal: this.journal,
        intake,
        history,
        ledger: this.#between(createLedgerStore(db)),
        quarantine: createQuarantineStore(db),
        metrics: context.metrics,
        clock: this.clock,
        log,
      },
      { readings: 12, ageMs: 250 },
    );
    return { state, duckdb, db, history, intake, context, consumer };
  }

  /** A ledger that fails before it counts, when the history has committed and the state file has not. */
  #between(ledger: LedgerStore): LedgerStore {
    return {
      ...ledger,
      count: (...args) => {
        ledger.count(...args);
        if (this.#due === null) return;
        if (this.#due === 'crash') this.#copies = this.#copy();
        this.#due = null;
        this.between++;
        throw new Error('the disk is full');
      },
    };
  }
}

interface Readers {
  readonly ledger: { read(device?: string): Ledger | null };
  readonly quarantine: ReturnType<typeof createQuarantineReader>;
}
