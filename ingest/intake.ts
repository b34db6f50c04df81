import type { DatabaseSync, StatementSync } from 'node:sqlite';
import {
  type ActionsControl,
  type Block,
  type CityControl,
  type DevicesControl,
  HOUR_MS,
  type RuleControl,
} from '../domain/index.ts';
import type { RoomSchema } from '../store/index.ts';
import type { CityVersion, Context } from './context.ts';
import { Dedupe } from './dedupe.ts';
import { createColumns, type Outcome, refusedBytes } from './outcome.ts';
import { BlockReader } from './reader.ts';
import type { SeenKeys } from './seen.ts';

/** SQL of intake's state: the newest block it read, and the keys it has seen. */
export const INTAKE_SCHEMA: RoomSchema = {
  room: 'intake',
  steps: [
    `
  create table if not exists intake (one integer primary key check (one = 1), seq integer not null) strict;
  create table if not exists seen (last integer primary key, entries blob not null) strict;
  create table if not exists seen_hours (hour integer primary key, first integer not null) strict;
`,
  ],
};

/** Keys count for this many hours after receipt … */
const HORIZON_HOURS = 24;
// A consumer that is days behind still finds the first message of its own day.
const KEEP_HOURS = 24 * 14;
/** … and for this many messages at the most, so that a flood cannot fill the memory (24 bytes and 4 a value each). */
const HORIZON_MESSAGES = 8_388_608;
/**
 * A consumer further behind than this may take a repetition for new: memory stays bounded whatever happens to the
 * history.
 */
const MOST_MESSAGES = 2 * HORIZON_MESSAGES;
// In a flood the horizon moves with every block; it is recorded this often.
const RECORD_EVERY_BLOCKS = 1_000;
/** About 45 MB at the most. */
const CACHED_READINGS = 1_500_000;

/**
 * Turns blocks into outcomes. New blocks must come in order; blocks that were read before may come again at any time.
 */
export class Intake {
  readonly #context: Context;
  readonly #seen: SeenKeys;
  readonly #reader: BlockReader;
  readonly #recent = new OutcomeCache();
  readonly #horizon: Horizon;
  readonly #db: DatabaseSync;
  readonly #save: { head: StatementSync; seen: StatementSync };
  readonly #dropSeen: StatementSync;
  #head = 0;

  constructor(db: DatabaseSync, context: Context) {
    const dedupe = new Dedupe();
    this.#db = db;
    this.#context = context;
    this.#seen = dedupe.seen;
    this.#reader = new BlockReader(context, dedupe);
    this.#horizon = new Horizon(db);
    this.#save = {
      head: db.prepare('insert or replace into intake values (1, ?)'),
      seen: db.prepare('insert or replace into seen values (?, ?)'),
    };
    this.#dropSeen = db.prepare('delete from seen where last < ?');
  }

  /** Reads from the state file how far it had come; the seen keys come with `restore`. */
  open(): this {
    this.#head = Number(this.#db.prepare('select seq from intake').get()?.seq ?? 0);
    this.#horizon.open();
    return this;
  }

  /** Steps that read the seen keys back, some at a time: all of them before the first block. */
  *restore(): Generator<void, void, undefined> {
    const next = this.#db.prepare('select last, entries from seen where last > ? order by last limit 1');
    for (let row = next.get(-1); row !== undefined; row = next.get(row.last!)) {
      this.#seen.restore(row.entries as Uint8Array);
      yield;
    }
  }

  /** Returns what a block means; from the cache where it was read recently. Throws where a block was left out. */
  outcome(block: Block): Outcome {
    const cached = this.#recent.get(block.seq);
    if (cached !== undefined) return cached;
    if (block.seq > this.#head + 1) {
      throw new Error(`intake has read blocks up to ${this.#head}; block ${block.seq} is not the next`);
    }
    const outcome = this.#read(block, block.seq === this.#head + 1);
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

  /** Returns the number of the newest block that was read. */
  head(): number {
    return this.#head;
  }

  /**
   * Writes what was learned, inside a consumer's transaction. Call the result after the commit, or it is written again.
   */
  persist(): () => void {
    const contextSaved = this.#context.persist();
    const added = this.#seen.added();
    if (added !== null) this.#save.seen.run(added.last, added.blob);
    const horizonSaved = this.#horizon.persist();
    this.#save.head.run(this.#head);
    return () => {
      contextSaved();
      this.#seen.confirmAdded(added);
      horizonSaved();
    };
  }

  /** Frees what no consumer needs any more, once all of them have taken the blocks up to `settled`. */
  prune(settled: number): void {
    const keepFrom = this.#horizon.prune(settled);
    this.#seen.prune(keepFrom);
    this.#dropSeen.run(keepFrom);
  }

  #read(block: Block, fresh: boolean): Outcome {
    const horizon = this.#horizon.at(block, fresh);
    if (block.kind === 'messages') return this.#reader.messages(block, { fresh, horizon });
    if (block.kind === 'replay') return this.#reader.replay(block, { fresh, horizon });
    const { body, ...head } = block;
    const base: Outcome = {
      block: head,
      fresh,
      readings: createColumns(0),
      replaced: createColumns(0),
      tallies: [],
      refusals: [],
      replays: [],
      city: null,
      devices: null,
      rule: null,
      actions: null,
    };
    if (block.kind === 'city') return { ...base, city: this.#city(block, body, fresh) };
    if (block.kind === 'devices') return { ...base, devices: this.#devices(block, body, fresh) };
    if (block.kind === 'rule') return { ...base, rule: this.#rule(block, body, fresh) };
    if (block.kind === 'actions') return { ...base, actions: parseBody<ActionsControl>(body) };
    return base;
  }

  #city({ seq }: Block, body: Uint8Array, fresh: boolean): CityVersion | null {
    if (fresh) return this.#context.learnCity(seq, parseBody<CityControl>(body));
    const version = this.#context.cityAt(seq);
    return version?.seq === seq ? version : null;
  }

  #rule({ seq }: Block, body: Uint8Array, fresh: boolean): RuleControl | null {
    return fresh ? this.#context.learnRule(seq, parseBody<RuleControl>(body)) : this.#context.ruleIn(seq);
  }

  #devices({ seq }: Block, body: Uint8Array, fresh: boolean) {
    return fresh ? this.#context.learnDevices(seq, parseBody<DevicesControl>(body)) : this.#context.devicesIn(seq);
  }
}

/** From which message on keys count, at each block. */
class Horizon {
  /** The first message of each hour of receipt. */
  readonly #hours: [hour: number, first: number][] = [];
  /** Horizons as they were at some blocks, for a consumer that is behind; they never decrease. */
  readonly #recorded: [seq: number, horizon: number][] = [];
  readonly #allHours: StatementSync;
  readonly #saveHour: StatementSync;
  readonly #dropHour: StatementSync;
  #saved = 0;
  #newest = 0;

  constructor(db: DatabaseSync) {
    this.#allHours = db.prepare('select * from seen_hours order by hour');
    this.#saveHour = db.prepare('insert or replace into seen_hours values (?, ?)');
    this.#dropHour = db.prepare('delete from seen_hours where hour = ?');
  }

  open(): void {
    for (const row of this.#allHours.all()) this.#hours.push([Number(row.hour), Number(row.first)]);
    this.#saved = this.#hours.length;
  }

  /** Returns the number of the oldest message whose keys count at a block. */
  at(block: Block, fresh: boolean): number {
    const hour = Math.floor(block.receivedAt / HOUR_MS);
    if (fresh && block.count > 0 && (this.#hours.at(-1)?.[0] ?? -1) < hour) this.#hours.push([hour, block.first]);
    const oldest = this.#hours.find(([at]) => at >= hour - HORIZON_HOURS)?.[1] ?? block.first;
    const horizon = Math.max(oldest, block.first - HORIZON_MESSAGES);
    if (fresh) this.#record(block, horizon, horizon === oldest);
    return horizon;
  }

  #record({ seq, first, count }: Block, horizon: number, byHour: boolean): void {
    this.#newest = first + count;
    const [lastSeq, last] = this.#recorded.at(-1) ?? [0, -1];
    if (horizon > last && (byHour || seq >= lastSeq + RECORD_EVERY_BLOCKS)) this.#recorded.push([seq, horizon]);
  }

  /** Writes new hours; call the result after the commit. */
  persist(): () => void {
    for (const hour of this.#hours.slice(this.#saved)) this.#saveHour.run(...hour);
    const { length } = this.#hours;
    return () => {
      this.#saved = length;
    };
  }

  /** Drops what no consumer behind `settled` needs. Returns the number of the oldest message whose keys are kept. */
  prune(settled: number): number {
    const recorded = this.#recorded;
    while (recorded.length > 1 && recorded[1]![0] <= settled) recorded.shift();
    const surplus = Math.max(0, this.#saved - KEEP_HOURS);
    for (const [hour] of this.#hours.splice(0, surplus)) this.#dropHour.run(hour);
    this.#saved -= surplus;
    const [seq, horizon] = recorded[0] ?? [0, 0];
    return Math.max(seq <= settled ? horizon : 0, this.#newest - MOST_MESSAGES);
  }
}

/** The newest outcomes, bounded by the readings and refusals in them. */
class OutcomeCache {
  readonly #kept = new Map<number, Outcome>();
  #weight = 0;

  get(seq: number): Outcome | undefined {
    return this.#kept.get(seq);
  }

  put(outcome: Outcome): void {
    this.#kept.set(outcome.block.seq, outcome);
    this.#weight += weightOf(outcome);
    for (const [seq, oldest] of this.#kept) {
      if (this.#weight <= CACHED_READINGS || this.#kept.size === 1) break;
      this.#kept.delete(seq);
      this.#weight -= weightOf(oldest);
    }
  }
}

/** In readings, of 32 bytes each: a refusal holds the payload of its message. */
function weightOf(outcome: Outcome): number {
  return 1 + outcome.readings.length + outcome.replaced.length + refusedBytes(outcome) / 32;
}

function parseBody<T>(body: Uint8Array): T {
  return JSON.parse(Buffer.from(body).toString('utf8')) as T;
}
