import type { DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';
import { LamppostError, type ReadOptions } from '../domain/index.ts';
import { Turns } from './turns.ts';

/**
 * Statements that read, at once. Each takes a thread of the process's pool of four, which the writer, files and names
 * of hosts need, too.
 */
const AT_ONCE = { total: 2, perHolder: 1, waiting: 100 };
/** Of these, exports and scans, which may take long. */
const LONG_AT_ONCE = { total: 1, perHolder: 1, waiting: 20 };
/** A statement that has not begun yet forgets an interruption, so it is repeated. */
const REPEAT_MS = 50;

interface StatementOptions extends ReadOptions {
  /** Whether it is an export or a scan: one of these runs at a time, so that queries get the other turns. */
  readonly long?: boolean;
  /** A connection with temporary tables of its own; by default, a new one. */
  readonly connection?: DuckDBConnection;
}

/**
 * Runs the statements that read a DuckDB file: a few at once, each with a limit of time and interrupted when it ends.
 */
export class Statements {
  readonly #instance: DuckDBInstance;
  readonly #turns = new Turns(AT_ONCE);
  readonly #longTurns = new Turns(LONG_AT_ONCE);
  readonly #stopped = new AbortController();
  readonly #running = new Set<Promise<unknown>>();

  constructor(instance: DuckDBInstance) {
    this.#instance = instance;
  }

  /**
   * Runs statements of one connection when it is their turn. Throws the signal's reason where that aborts, `busy` where
   * they take longer than `withinMs`, and the error of the database.
   */
  async run<T>(work: (connection: DuckDBConnection) => Promise<T>, options: StatementOptions = {}): Promise<T> {
    const { by = '', signal, long = false } = options;
    const until = AbortSignal.any([this.#stopped.signal, ...(signal === undefined ? [] : [signal])]);
    const leaveLong = long ? await this.#longTurns.take(by, until) : () => {};
    try {
      // An export of a key does not hold up its own queries.
      const leave = await this.#turns.take(long ? `long ${by}` : by, until);
      try {
        return await this.#tracked(this.#within(work, { ...options, signal: until }));
      } finally {
        leave();
      }
    } finally {
      leaveLong();
    }
  }

  /** Interrupts what runs, and resolves when it has ended. */
  async stop(): Promise<void> {
    this.#stopped.abort(new LamppostError('busy', 'the server stops', { retryable: true }));
    await Promise.allSettled(this.#running);
  }

  async #tracked<T>(running: Promise<T>): Promise<T> {
    this.#running.add(running);
    try {
      return await running;
    } finally {
      this.#running.delete(running);
    }
  }

  async #within<T>(work: (connection: DuckDBConnection) => Promise<T>, options: StatementOptions): Promise<T> {
    const connection = options.connection ?? (await this.#instance.connect());
    const { ending, done } = endingWith(options.signal, options.withinMs);
    const interrupt = () => {
      connection.interrupt();
      repeating = setInterval(() => connection.interrupt(), REPEAT_MS);
    };
    let repeating: NodeJS.Timeout | undefined;
    ending.addEventListener('abort', interrupt, { once: true });
    try {
      ending.throwIfAborted();
      return await work(connection);
    } catch (error) {
      throw ending.aborted ? ending.reason : error;
    } finally {
      done();
      clearInterval(repeating);
      if (options.connection === undefined) connection.closeSync();
    }
  }
}

/**
 * Returns a signal that aborts with the given one, or after `withinMs` with `busy`, which says how to ask for less.
 * `done` ends both.
 */
export function endingWith(
  signal: AbortSignal | undefined,
  withinMs: number | undefined,
): { readonly ending: AbortSignal; done(): void } {
  const controller = new AbortController();
  const abort = () => controller.abort(signal!.reason);
  if (signal?.aborted) abort();
  signal?.addEventListener('abort', abort, { once: true });
  const late = withinMs === undefined ? undefined : setTimeout(() => controller.abort(tooSlow(withinMs)), withinMs);
  return {
    ending: controller.signal,
    done() {
      clearTimeout(late);
      signal?.removeEventListener('abort', abort);
    },
  };
}

/** What makes a query take less. */
export const NARROWER = 'name fewer devices or metrics, a shorter time, or a longer every';

function tooSlow(withinMs: number): LamppostError {
  const message = `the query took more than ${withinMs / 1_000} s; ${NARROWER}`;
  return new LamppostError('busy', message, { retryable: false });
}
