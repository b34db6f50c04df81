import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import pino from 'pino';
import type { RuleControl } from '../../../domain/index.ts';
import type { CityVersion, Context, Intake, Outcome } from '../../../ingest/index.ts';
import { JournalReader } from '../../../journal/index.ts';
import {
  type BlockEffects,
  type Checksum,
  createRulesConsumer,
  type Effects,
  type InForce,
  RULES_SCHEMA,
  type RulesConsumer,
  rulesInForce,
} from '../../../rules/index.ts';
import { atOnce, type RoomSchema } from '../../../store/index.ts';
import {
  copyState,
  openIntake,
  openState,
  PartialReader,
  persist,
  type TestClock,
  testClock,
} from '../ingest/intake.ts';

/** What effects are written to, and how it is read at the end. */
export interface Sink {
  readonly schemas: readonly RoomSchema[];
  open(
    db: DatabaseSync,
    context: Context,
  ): { readonly effects: Effects; readonly blocks?: BlockEffects; readonly checksum?: Checksum };
  /** Everything that was written, as text. */
  written(db: DatabaseSync): string;
}

/** Every transition with its context, one a line. */
const TRANSITIONS: Sink = {
  schemas: [{ room: 'written', steps: ['create table written (n integer primary key, body text not null) strict'] }],
  open(db) {
    const insert = db.prepare('insert into written (body) values (?)');
    const effects: Effects = (transition, { rule, subject, city }) => {
      insert.run(JSON.stringify({ transition, rule: rule.source, subject, city: city.version }));
    };
    return { effects };
  },
  written: (db) =>
    db
      .prepare('select body from written order by n')
      .all()
      .map(({ body }) => body)
      .join('\n'),
};
const rulesByCity = new Map<string, InForce>();

/** `rulesInForce`, memoized. */
export function rulesOf(
  { control, city }: Pick<CityVersion, 'control' | 'city'>,
  records: readonly RuleControl[] = [],
): InForce {
  const key = JSON.stringify([control.version, records]);
  const known = rulesByCity.get(key);
  if (known !== undefined) return known;
  const inForce = rulesInForce({ control, city }, records);
  rulesByCity.set(key, inForce);
  return inForce;
}

type Deps = Parameters<typeof createRulesConsumer>[0];

/** Starts a consumer of the rules over the journal in a folder, and a state beside it. */
export function startConsumer(dir: string, more: Partial<Deps> = {}, state = 'state.sqlite') {
  const db = openState(join(dir, state), RULES_SCHEMA);
  const journal = new JournalReader(join(dir, 'journal.sqlite')).open();
  const clock = testClock();
  const log = pino({ level: 'silent' });
  const rules = createRulesConsumer({
    ...{ db, journal, ...openIntake(db), clock, log, effects() {}, onEffects() {} },
    ...more,
  });
  atOnce(rules.start());
  const close = () => {
    for (const one of [db, journal]) one.close();
  };
  return { db, clock, rules, close };
}

/** What a test does to a consumer. */
export type Action =
  /** This number of further blocks can be read; then the consumer steps. */
  | { readonly kind: 'step'; readonly blocks: number }
  | { readonly kind: 'checkpoint' }
  /** Time passes on the machine: commits without effects come due. */
  | { readonly kind: 'wait' }
  /** Another consumer of the same process reads this number of blocks from its position, and commits. */
  | { readonly kind: 'other'; readonly blocks: number }
  /** The process is gone and another one starts from the file as it is. */
  | { readonly kind: 'crash' }
  /** The same in the middle of the next transaction, at its n-th effect. */
  | { readonly kind: 'crash in effect'; readonly at: number }
  /** The next transaction fails at its n-th effect, and is tried again. */
  | { readonly kind: 'fail in effect'; readonly at: number }
  /** The next transaction, whatever it writes, has written everything when the process is gone, or the disk full. */
  | { readonly kind: 'crash at commit' | 'fail at commit' };

const log = pino({ level: 'silent' });

class Crash extends Error {}
class Failure extends Error {}

interface Process {
  readonly path: string;
  readonly db: DatabaseSync;
  readonly intake: Intake;
  readonly consumer: RulesConsumer;
}

interface RunOptions {
  readonly sink?: Sink;
  /** Replaces `rulesOf`. */
  readonly parse?: typeof rulesOf;
}

/** A rules consumer over a journal file, with another consumer beside it, that can crash at any moment. */
export class Run {
  readonly #dir: string;
  readonly #sink: Sink;
  readonly #parse: typeof rulesOf;
  readonly #journal: PartialReader;
  readonly #clock: TestClock = testClock(1);
  readonly taken: number[] = [];
  #process: Process;
  #other: PartialReader;
  #otherAt = 0;
  #files = 0;
  #due: { kind: 'crash' | 'fail'; at: 'effect' | 'commit'; in: number } | null = null;
  #snapshot: string | null = null;
  crashes = 0;

  constructor(dir: string, journal: string, { sink = TRANSITIONS, parse = rulesOf }: RunOptions = {}) {
    this.#dir = dir;
    this.#sink = sink;
    this.#parse = parse;
    this.#journal = new PartialReader(journal).open();
    this.#journal.end = 0;
    this.#other = new PartialReader(journal).open();
    this.#process = this.#open(join(dir, 'state-0.sqlite'));
  }

  do(action: Action): void {
    if (action.kind === 'step') {
      this.#journal.end = Math.min(this.#journal.end + action.blocks, this.#journal.head().seq);
      this.step();
    } else if (action.kind === 'checkpoint') this.#guarded(() => this.#checkpoint());
    else if (action.kind === 'wait') this.#clock.ms += 1_500;
    else if (action.kind === 'other') this.#guarded(() => this.#readAhead(action.blocks));
    else if (action.kind === 'crash') this.crash();
    else {
      const kind = action.kind.startsWith('crash') ? 'crash' : 'fail';
      this.#due = 'at' in action ? { kind, at: 'effect', in: action.at } : { kind, at: 'commit', in: 0 };
    }
  }

  /** Reads the whole journal; returns everything that was written, in order. */
  finish(): string {
    this.#due = null;
    this.#journal.end = Number.POSITIVE_INFINITY;
    while (this.step().length > 0);
    this.#process.consumer.checkpoint();
    const written = this.#sink.written(this.#process.db);
    this.#close();
    this.#journal.close();
    this.#other.close();
    return written;
  }

  /** The state file of the present process. */
  get path(): string {
    return this.#process.path;
  }

  step(): readonly Outcome[] {
    let outcomes: readonly Outcome[] = [];
    this.#guarded(() => {
      outcomes = this.#process.consumer.step();
    });
    this.taken.push(...outcomes.map(({ block }) => block.seq));
    return outcomes;
  }

  crash(): void {
    const from = this.#snapshot ?? copyState(this.#process.path, this.#fresh());
    this.#snapshot = null;
    this.#due = null;
    this.#close();
    this.crashes++;
    this.#process = this.#open(from);
    this.#otherAt = this.#process.intake.head();
    this.taken.splice(0);
  }

  /** What no consumer needs any more is dropped after it, as the consumers' loops do. */
  #checkpoint(): void {
    const { consumer, intake } = this.#process;
    consumer.checkpoint();
    intake.prune(Math.min(consumer.checkpointed(), this.#otherAt));
  }

  #guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (error instanceof Crash) this.crash();
      else if (!(error instanceof Failure)) throw error;
    }
  }

  #readAhead(blocks: number): void {
    const { db, intake } = this.#process;
    this.#otherAt = Math.max(this.#otherAt, 0);
    for (const block of this.#other.after(this.#otherAt, blocks)) {
      if (block.seq > intake.head() + 1) break;
      intake.outcome(block);
      this.#otherAt = block.seq;
    }
    persist(db, intake);
  }

  #open(path: string): Process {
    const db = openState(path, RULES_SCHEMA, ...this.#sink.schemas);
    const exec = db.exec.bind(db);
    db.exec = (sql) => {
      if (sql === 'commit') this.#failIfDue('commit');
      exec(sql);
    };
    const { context, intake } = openIntake(db);
    const sink = this.#sink.open(db, context);
    const effects: Effects = (transition, context) => {
      this.#failIfDue('effect');
      sink.effects(transition, context);
    };
    const blocks = sink.blocks && this.#failing(sink.blocks);
    const deps = { db, journal: this.#journal as JournalReader, intake, context, clock: this.#clock, effects };
    const consumer = createRulesConsumer({
      ...deps,
      ...(blocks && { blocks }),
      ...(sink.checksum && { checksum: sink.checksum }),
      log,
      rulesOf: this.#parse,
      onEffects() {},
    });
    atOnce(consumer.start());
    return { path, db, intake, consumer };
  }

  #failing(blocks: BlockEffects): BlockEffects {
    return {
      ...blocks,
      apply: (outcome) => {
        blocks.apply(outcome);
        if (outcome.actions !== null) this.#failIfDue('effect');
      },
    };
  }

  #failIfDue(at: 'effect' | 'commit'): void {
    if (this.#due?.at !== at || this.#due.in-- > 0) return;
    const { kind } = this.#due;
    this.#due = null;
    if (kind === 'fail') throw new Failure('the disk is full');
    // A copy of the files as a crash in the middle of the transaction leaves them.
    this.#snapshot = copyState(this.#process.path, this.#fresh());
    throw new Crash('the process is gone');
  }

  #fresh(): string {
    return join(this.#dir, `state-${++this.#files}.sqlite`);
  }

  #close(): void {
    if (this.#process.db.isTransaction) this.#process.db.exec('rollback');
    this.#process.db.close();
  }
}
