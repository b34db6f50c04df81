import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type {
  ActionsControl,
  Block,
  CityControl,
  ClockControl,
  DevicesControl,
  NoticesControl,
  ProgressControl,
  RuleControl,
} from '../domain/index.ts';
import type { RoomSchema } from '../store/index.ts';
import type { CityVersion, Context } from './context.ts';
import { Dedupe } from './dedupe.ts';
import { HORIZON_LIMITS, Horizon, type HorizonLimits } from './horizon.ts';
import { IMPORT_STEPS, ImportReader } from './import/reader.ts';
import { LOST } from './ledger.ts';
import { createColumns, emptyTally, type Outcome, refusedBytes } from './outcome.ts';
import { BlockReader } from './reader.ts';
import { SEEN_STEPS, SeenKeys } from './seen.ts';
import { TEXT_STEPS, TextStore } from './texts.ts';

/** SQL of intake's state: the newest block it read, and the keys it has seen. */
export const INTAKE_SCHEMA: RoomSchema = {
  room: 'intake',
  steps: [
    `
  create table if not exists intake (one integer primary key check (one = 1), seq integer not null) strict;
  create table if not exists seen (last integer primary key, entries blob not null) strict;
  create table if not exists seen_hours (hour integer primary key, first integer not null) strict;
`,
    'create table seen_spans (first integer primary key, bytes integer not null) strict;',
    ...SEEN_STEPS,
    ...IMPORT_STEPS,
    ...TEXT_STEPS,
  ],
};

/** Bounds what is kept for a consumer that is behind: about 48 MB. */
const CACHED_BYTES = 48 * 1024 ** 2;
/** What an outcome without a reading holds, and each reading and each device in it, bytes. */
const BYTES = { outcome: 3_000, reading: 32, tally: 120 } as const;

/**
 * Turns blocks into outcomes. New blocks must come in order; blocks that were read before may come again at any time.
 */
export class Intake {
  readonly #context: Context;
  readonly #seen: SeenKeys;
  readonly #reader: BlockReader;
  readonly #recent = new OutcomeCache();
  readonly #imports: ImportReader;
  readonly #texts: TextStore;
  readonly #horizon: Horizon;
  readonly #db: DatabaseSync;
  readonly #saveHead: StatementSync;
  #head = 0;

  constructor(db: DatabaseSync, context: Context, limits: HorizonLimits = HORIZON_LIMITS) {
    this.#db = db;
    this.#context = context;
    this.#seen = new SeenKeys(db, limits.spanBytes);
    this.#reader = new BlockReader(context, new Dedupe(this.#seen));
    this.#imports = new ImportReader(db, context);
    this.#texts = new TextStore(db);
    this.#horizon = new Horizon(db, limits);
    this.#saveHead = db.prepare('insert or replace into intake values (1, ?)');
  }

  /** Reads from the state file how far it had come; the newest seen keys come with `restore`. */
  open(): this {
    this.#head = Number(this.#db.prepare('select seq from intake').get()?.seq ?? 0);
    this.#horizon.open();
    return this;
  }

  /** Steps that read the newest seen keys back, some at a time: all of them before the first block. */
  restore(): Generator<void, void, undefined> {
    return this.#seen.restore();
  }

  /** Returns what a block means; from the cache where it was read recently. Throws where a block was left out. */
  outcome(block: Block): Outcome {
    const cached = this.#recent.get(block.seq);
    if (cached !== undefined) return cached;
    if (block.seq > this.#head + 1) {
      throw new Error(`intake has read blocks up to ${this.#head}; block ${block.seq} is not the next`);
    }
    const outcome = this.#read(block, block.seq === this.#head + 1);
    if (outcome.texts !== undefined) this.#texts.learn(outcome.texts, block.receivedAt);
    this.#head = Math.max(this.#head, block.seq);
    this.#recent.put(outcome);
    return outcome;
  }

  /**
   * Returns a recent outcome, so that a consumer close behind another need not decode again; undefined where it is
   * gone.
   */
  recall(seq: number): Outcome | undefined {
    return this.#recent.get(seq);
  }

  /** Forgets the outcomes up to a block that every consumer has taken. */
  forget(taken: number): void {
    this.#recent.forget(taken);
  }

  /** Returns the number of the newest block that was read. */
  head(): number {
    return this.#head;
  }

  /**
   * Writes what was learned, inside a consumer's transaction. Call the result after the commit, or it is written again.
   */
  persist(): () => void {
    const contextSaved = this.#context.persist();
    const seenSaved = this.#seen.persist();
    const horizonSaved = this.#horizon.persist();
    const importsSaved = this.#imports.persist();
    const textsSaved = this.#texts.persist();
    this.#saveHead.run(this.#head);
    return () => {
      contextSaved();
      seenSaved();
      horizonSaved();
      importsSaved();
      textsSaved();
    };
  }

  /** Forgets texts that no reading since a time has, epoch ms. */
  forgetTexts(beforeMs: number): void {
    this.#texts.prune(beforeMs);
  }

  /** Frees what no consumer needs any more, once all of them have taken the blocks up to `settled`. */
  prune(settled: number): void {
    this.#seen.prune(this.#horizon.prune(settled));
    this.#context.prune(settled);
  }

  #read(block: Block, fresh: boolean): Outcome {
    const horizon = this.#horizon.at(block, fresh);
    if (block.kind === 'messages' || block.kind === 'replay') {
      const before = this.#seen.bytes;
      const outcome = this.#reader[block.kind === 'messages' ? 'messages' : 'replay'](block, { fresh, horizon });
      this.#horizon.grow(block, this.#seen.bytes - before);
      return outcome;
    }
    const { body, ...head } = block;
    const base: Outcome = {
      block: head,
      fresh,
      readings: createColumns(0),
      replaced: createColumns(0),
      faults: createColumns(0),
      tallies: [],
      refusals: [],
      said: [],
      replays: [],
      city: null,
      devices: null,
      rule: null,
      clock: null,
      notices: null,
      progress: null,
      actions: null,
      imported: null,
    };
    if (block.kind === 'city') {
      const { action, ...control } = parseBody<CityControl>(body);
      const actions = action === undefined ? null : { items: [action], anchor: null };
      return { ...base, city: this.#city(block, control, fresh), actions };
    }
    if (block.kind === 'import') return { ...base, ...this.#imports.read(block) };
    if (block.kind === 'devices') return { ...base, devices: this.#devices(block, body, fresh) };
    if (block.kind === 'lost') return { ...base, tallies: [{ ...emptyTally(LOST), quarantined: block.count }] };
    if (block.kind === 'rule') return { ...base, rule: parseBody<RuleControl>(body) };
    if (block.kind === 'actions') return { ...base, actions: parseBody<ActionsControl>(body) };
    if (block.kind === 'notices') return { ...base, notices: parseBody<NoticesControl>(body) };
    if (block.kind === 'progress') return { ...base, progress: parseBody<ProgressControl>(body) };
    return block.kind === 'clock' ? { ...base, clock: parseBody<ClockControl>(body) } : base;
  }

  #city({ seq }: Block, control: CityControl, fresh: boolean): CityVersion | null {
    if (fresh) return this.#context.learnCity(seq, control);
    const version = this.#context.cityAt(seq);
    return version?.seq === seq ? version : null;
  }

  #devices({ seq }: Block, body: Uint8Array, fresh: boolean) {
    return fresh ? this.#context.learnDevices(seq, parseBody<DevicesControl>(body)) : this.#context.devicesIn(seq);
  }
}

/** The newest outcomes, bounded by their bytes. */
class OutcomeCache {
  readonly #kept = new Map<number, Outcome>();
  #bytes = 0;

  get(seq: number): Outcome | undefined {
    return this.#kept.get(seq);
  }

  put(outcome: Outcome): void {
    this.#kept.set(outcome.block.seq, outcome);
    this.#bytes += bytesOf(outcome);
    this.#dropWhile(() => this.#bytes > CACHED_BYTES && this.#kept.size > 1);
  }

  forget(taken: number): void {
    this.#dropWhile((seq) => seq <= taken);
  }

  /** Drops the oldest, one after the other. */
  #dropWhile(isDue: (seq: number) => boolean): void {
    for (const [seq, oldest] of this.#kept) {
      if (!isDue(seq)) break;
      this.#kept.delete(seq);
      this.#bytes -= bytesOf(oldest);
    }
  }
}

/** A refusal holds the payload of its message. */
function bytesOf(outcome: Outcome): number {
  const rows = outcome.readings.length + outcome.replaced.length;
  return BYTES.outcome + rows * BYTES.reading + outcome.tallies.length * BYTES.tally + refusedBytes(outcome);
}

function parseBody<T>(body: Uint8Array): T {
  return JSON.parse(Buffer.from(body).toString('utf8')) as T;
}
