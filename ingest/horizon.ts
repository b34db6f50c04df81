import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { type Block, HOUR_MS } from '../domain/index.ts';

/** Keys count for this many hours after receipt … */
const HORIZON_HOURS = 24;
// A consumer that is days behind still finds the first message of its own day.
const KEEP_HOURS = 24 * 14;
/** … for this many messages at the most … */
const HORIZON_MESSAGES = 8_388_608;
/**
 * … and for this many bytes of entries at the most, so that a flood cannot fill the memory: one message can bring
 * thousands of readings, of 24 bytes and 4 a value each.
 */
const HORIZON_BYTES = 256 * 2 ** 20;
/** Entries are counted in spans of messages of about this many bytes: the horizon is the beginning of one. */
const SPAN_BYTES = HORIZON_BYTES / 64;
/**
 * A consumer further behind than twice a horizon may take a repetition for new: memory stays bounded whatever happens
 * to the history.
 */
const MOST_HORIZONS = 2;
// In a flood the horizon moves with every block; it is recorded this often.
const RECORD_EVERY_BLOCKS = 1_000;

/** Bytes of the entries that count, and of one span of messages. */
export interface HorizonLimits {
  readonly bytes: number;
  readonly spanBytes: number;
}

export const HORIZON_LIMITS: HorizonLimits = { bytes: HORIZON_BYTES, spanBytes: SPAN_BYTES };

/** From which message on keys count, at each block. */
export class Horizon {
  /** The first message of each hour of receipt. */
  readonly #hours: [hour: number, first: number][] = [];
  /** Horizons as they were at some blocks, for a consumer that is behind; they never decrease. */
  readonly #recorded: [seq: number, horizon: number][] = [];
  readonly #allHours: StatementSync;
  readonly #saveHour: StatementSync;
  readonly #dropHour: StatementSync;
  readonly #spans: Spans;
  #saved = 0;
  #newest = 0;

  constructor(db: DatabaseSync, limits: HorizonLimits) {
    this.#spans = new Spans(db, limits);
    this.#allHours = db.prepare('select * from seen_hours order by hour');
    this.#saveHour = db.prepare('insert or replace into seen_hours values (?, ?)');
    this.#dropHour = db.prepare('delete from seen_hours where hour = ?');
  }

  open(): void {
    for (const row of this.#allHours.all()) this.#hours.push([Number(row.hour), Number(row.first)]);
    this.#saved = this.#hours.length;
    this.#spans.open();
  }

  /** Returns the number of the oldest message whose keys count at a block. */
  at(block: Block, fresh: boolean): number {
    const hour = Math.floor(block.steadyAt / HOUR_MS);
    if (fresh && block.count > 0 && (this.#hours.at(-1)?.[0] ?? -1) < hour) this.#hours.push([hour, block.first]);
    const oldest = this.#hours.find(([at]) => at >= hour - HORIZON_HOURS)?.[1] ?? block.first;
    const horizon = Math.max(oldest, block.first - HORIZON_MESSAGES, this.#spans.start(block.first, 1));
    if (fresh) this.#record(block, horizon, horizon === oldest);
    return horizon;
  }

  /** Counts the bytes of the entries that a block added. */
  grow({ first, count }: Pick<Block, 'first' | 'count'>, bytes: number): void {
    this.#spans.grow(first + count, bytes);
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
    const spansSaved = this.#spans.persist();
    return () => {
      this.#saved = length;
      spansSaved();
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
    const most = Math.max(
      this.#newest - MOST_HORIZONS * HORIZON_MESSAGES,
      this.#spans.start(this.#newest, MOST_HORIZONS),
    );
    const keepFrom = Math.max(seq <= settled ? horizon : 0, most);
    this.#spans.prune(keepFrom);
    return keepFrom;
  }
}

interface Span {
  /** Number of its first message. */
  readonly first: number;
  /** Bytes of the entries that its messages added. */
  bytes: number;
}

/** How many bytes of entries came with which messages. A span ends with the block that fills it. */
class Spans {
  readonly #limits: HorizonLimits;
  readonly #spans: Span[] = [{ first: 0, bytes: 0 }];
  readonly #all: StatementSync;
  readonly #save: StatementSync;
  readonly #drop: StatementSync;
  /** The first span that changed since it was written. */
  #changed = 0;

  constructor(db: DatabaseSync, limits: HorizonLimits) {
    this.#limits = limits;
    this.#all = db.prepare('select first, bytes from seen_spans order by first');
    this.#save = db.prepare('insert or replace into seen_spans values (?, ?)');
    this.#drop = db.prepare('delete from seen_spans where first < ?');
  }

  open(): void {
    const saved = this.#all.all().map(({ first, bytes }) => ({ first: Number(first), bytes: Number(bytes) }));
    if (saved.length > 0) this.#spans.splice(0, 1, ...saved);
    this.#changed = this.#spans.at(-1)!.first;
  }

  grow(next: number, bytes: number): void {
    const newest = this.#spans.at(-1)!;
    newest.bytes += bytes;
    if (newest.bytes >= this.#limits.spanBytes) this.#spans.push({ first: next, bytes: 0 });
  }

  /**
   * Returns the number of the first message of the spans that fill `horizons` times the bytes before a message. The
   * span that the message is in is not counted: when the message is read again, it is fuller than it was.
   */
  start(message: number, horizons: number): number {
    let left = this.#limits.bytes * horizons;
    let at = this.#spans.findLastIndex(({ first }) => first <= message);
    while (at > 0 && left >= this.#spans[at - 1]!.bytes) left -= this.#spans[--at]!.bytes;
    return at > 0 ? this.#spans[at]!.first : 0;
  }

  persist(): () => void {
    const changed = this.#spans.filter(({ first }) => first >= this.#changed);
    for (const { first, bytes } of changed) this.#save.run(first, bytes);
    return () => {
      this.#changed = changed.at(-1)!.first;
    };
  }

  /** Forgets the spans before the one that holds `keepFrom`. */
  prune(keepFrom: number): void {
    const unneeded = this.#spans.findLastIndex(({ first }) => first <= keepFrom);
    if (unneeded <= 0) return;
    this.#spans.splice(0, unneeded);
    this.#drop.run(this.#spans[0]!.first);
  }
}
