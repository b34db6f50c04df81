import type { Logger } from 'pino';
import { LamppostError, monotonicClock } from '../../domain/index.ts';
import type { StreamLog } from './log.ts';

interface Parts {
  readonly log: Pick<StreamLog, 'record' | 'ends'>;
  /** The number of the newest record that is here. */
  readonly newest: () => number;
  /** Takes the next records, in order and without gaps, all or none. Throws `disk`, `too-new`, `damaged`. */
  readonly take: (records: readonly StreamRecord[]) => void;
  /**
   * Called before anything is read after a time without records, or where some are missing. Throws `damaged`,
   * `log-away`.
   */
  readonly afterQuiet: () => Promise<void>;
  /** Called where the log cannot be followed any more. */
  readonly onFault: (error: Error) => void;
  readonly logger: Logger;
}

/** A record with its number. */
export interface StreamRecord {
  readonly seq: number;
  readonly data: Uint8Array;
}

/** Records that are asked for at once: this bounds the memory of a node that is far behind. */
const MOST_AT_ONCE = 32;
/** A server that has just acknowledged a record may not be the one that is asked. */
const NOT_YET_MS = 10;
/** So often in a row a record is missing before it is asked whether it is there at all. */
const MISSES = 50;
const AGAIN_MS = 250;
/** Where nobody says anything, the stream is asked what it has. */
const ASK_MS = 1_500;
const MOST_OWN = 64;
/** Servers take longer than this until another one leads. */
const QUIET_MS = 2_500;

/**
 * Reads the stream record by record into the file, up to the newest that anybody knows of. It asks for records by
 * number instead of having a consumer: no server has to know who follows (ADR 48).
 */
export class Follower {
  readonly #parts: Parts;
  /** What this node appended itself and need not ask for. */
  readonly #own = new Map<number, Uint8Array>();
  #known = 0;
  /** When something was read, or it was looked after a quiet time, monotonic. */
  #lookedAt = 0;
  #atOnce = MOST_AT_ONCE;
  #wake: () => void = () => {};
  #stopped = false;
  #running: Promise<void> = Promise.resolve();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** The newest record that anybody spoke of. */
  get known(): number {
    return this.#known;
  }

  start(): void {
    this.#running = this.#run();
  }

  /** The stream has records up to this one. */
  reach(seq: number): void {
    if (seq <= this.#known) return;
    this.#known = seq;
    this.#wake();
  }

  /** The stream has this record. */
  have(seq: number, data: Uint8Array): void {
    if (this.#own.size < MOST_OWN && seq > this.#parts.newest()) this.#own.set(seq, data);
    this.reach(seq);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#wake();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { newest, onFault, logger } = this.#parts;
    let misses = 0;
    while (!this.#stopped) {
      try {
        if (newest() >= this.#known) await this.#untilKnown();
        else if (await this.#read()) misses = 0;
        else if (++misses % MISSES === 0) await this.#refuseGap();
        else await pause(NOT_YET_MS);
      } catch (error) {
        if (this.#stopped) return;
        if (!(error instanceof LamppostError) || !error.retryable) {
          onFault(error as Error);
          return;
        }
        logger.debug({ err: error }, 'the log is read again soon');
        await pause(AGAIN_MS);
      }
    }
  }

  /** Reads the next records; false where not even the first one is there yet. */
  async #read(): Promise<boolean> {
    const { newest, take } = this.#parts;
    const from = newest() + 1;
    if (monotonicClock.now() - this.#lookedAt > QUIET_MS) await this.#parts.afterQuiet();
    this.#lookedAt = monotonicClock.now();
    const count = Math.min(this.#atOnce, this.#known - newest());
    const asked = await Promise.allSettled(Array.from({ length: count }, (_, n) => this.#record(from + n)));
    const records: StreamRecord[] = [];
    for (const one of asked) {
      if (one.status === 'rejected' || one.value === null) break;
      records.push(one.value);
    }
    const failed = asked.find(({ status }) => status === 'rejected') as PromiseRejectedResult | undefined;
    // A slow line takes fewer at a time.
    this.#atOnce = failed === undefined ? Math.min(MOST_AT_ONCE, 2 * this.#atOnce) : Math.ceil(this.#atOnce / 2);
    if (records.length === 0 && failed !== undefined) throw failed.reason;
    if (records.length === 0 || this.#stopped) return false;
    take(records);
    this.#lookedAt = monotonicClock.now();
    for (const { seq } of records) this.#own.delete(seq);
    return true;
  }

  async #record(seq: number): Promise<StreamRecord | null> {
    const data = this.#own.get(seq) ?? (await this.#parts.log.record(seq));
    return data === null ? null : { seq, data };
  }

  /** Throws `damaged` where the next record has been trimmed. */
  async #refuseGap(): Promise<void> {
    const next = this.#parts.newest() + 1;
    const { first } = await this.#parts.log.ends();
    if (first <= next) return;
    const missing = next === first - 1 ? `record ${next} is` : `records ${next} to ${first - 1} are`;
    throw new LamppostError(
      'damaged',
      `${missing} not in the stream any more: this node needs a snapshot; start it again`,
    );
  }

  /** Waits until somebody knows of more, or asks. Throws `log-away`, `damaged`. */
  async #untilKnown(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const isWoken = await new Promise<boolean>((resolve) => {
      this.#wake = () => resolve(true);
      timer = setTimeout(() => resolve(false), ASK_MS);
    });
    clearTimeout(timer);
    this.#wake = () => {};
    if (isWoken || this.#stopped) return;
    const { last } = await this.#parts.log.ends();
    if (last < this.#parts.newest()) await this.#parts.afterQuiet();
    else this.reach(last);
  }
}

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
