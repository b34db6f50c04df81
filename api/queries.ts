import type { ServerResponse } from 'node:http';
import { addAbortSignal, Readable } from 'node:stream';
import type { FastifyReply } from 'fastify';
import { type Clock, LamppostError, type ReadOptions } from '../domain/index.ts';
import { createAccounts, type Rate } from '../limits/index.ts';
import { sendRaw } from './schema.ts';

/** What queries of the history may take. */
export interface QueryLimits {
  /** How long the statements of one query may run, seconds. */
  readonly seconds: number;
  /** Points that a key may read. */
  readonly points: Rate;
  /** Seconds of the history that a key may take. */
  readonly work: Rate;
}

/** An export, a backtest and the sending of a result may take so many times as long as a query. */
const LONG = 20;

/** One query of a key, from its check to its end. */
interface Query {
  readonly options: Required<ReadOptions> & { readonly signal: AbortSignal; readonly withinMs: number };
  /** How long exports and backtests may run, and how long sending may take, ms. */
  readonly longMs: number;
  /** Charges points that were sent. */
  points(count: number): void;
  /** Charges the time since the query began, once. */
  worked(): void;
}

/** Accounts of what the queries of each key take. */
export interface Queries {
  /**
   * Begins a query of a key, which ends when its client disconnects. Throws `limit` where the key took more than it may
   * before.
   */
  begin(key: string, response: ServerResponse): Query;
}

/**
 * Creates the accounts. What a query takes is known when it was taken: the next one waits for it, and `queried` is
 * called with its seconds.
 */
export function createQueries(
  { seconds, points, work }: QueryLimits,
  clock: Clock,
  queried: (seconds: number) => void = () => {},
): Queries {
  const pointsOf = createAccounts(points);
  const workOf = createAccounts(work);
  return {
    begin(key, response) {
      const now = clock.now();
      const waitMs = Math.max(pointsOf.waitMs(key, now), workOf.waitMs(key, now));
      if (waitMs > 0) throw tooMuch(waitMs);
      let charged = false;
      return {
        options: { by: key, withinMs: seconds * 1_000, signal: untilGone(response) },
        longMs: LONG * seconds * 1_000,
        points: (count) => pointsOf.charge(key, count, clock.now()),
        worked() {
          if (charged) return;
          charged = true;
          const took = Math.max(0, clock.now() - now) / 1_000;
          workOf.charge(key, took, clock.now());
          queried(took);
        },
      };
    },
  };
}

function tooMuch(waitMs: number): LamppostError {
  const wait = `wait ${Math.ceil(waitMs / 1_000)} s, and ask for fewer points or a longer every`;
  const message = `the queries of your key took more of the history than it may; ${wait}`;
  return new LamppostError('limit', message, { retryable: true, retryAfterMs: waitMs });
}

/** Aborts when the client disconnects before the response is complete. */
export function untilGone(response: ServerResponse): AbortSignal {
  const gone = new AbortController();
  response.once('close', () => gone.abort(new LamppostError('busy', 'cancelled: the client disconnected')));
  return gone.signal;
}

/** Returns a signal of a request that also aborts, with `busy`, where its work takes longer than `withinMs`. */
export function endingWithin(request: AbortSignal, withinMs: number, what: string): AbortSignal {
  const late = new AbortController();
  const reason = `${what} took more than ${withinMs / 1_000} s; choose a shorter time or fewer devices`;
  const timer = setTimeout(() => late.abort(new LamppostError('busy', reason)), withinMs);
  request.addEventListener('abort', () => clearTimeout(timer), { once: true });
  return AbortSignal.any([request, late.signal]);
}

/**
 * Sends text piece by piece, as fast as the client takes it. An error before the first piece is thrown; after it, the
 * connection is cut. So it is where the client takes too long.
 */
export async function sendPieces(
  reply: FastifyReply,
  type: string,
  pieces: AsyncGenerator<string, void, undefined>,
  withinMs: number,
): Promise<FastifyReply> {
  const first = await pieces.next();
  const body = Readable.from(continued(first, pieces), { objectMode: false });
  return sendRaw(reply, type, withinTime(body, withinMs));
}

async function* continued(
  first: IteratorResult<string, void>,
  pieces: AsyncGenerator<string, void, undefined>,
): AsyncGenerator<string, void, undefined> {
  try {
    if (first.done !== true) yield first.value;
    yield* pieces;
  } finally {
    await pieces.return();
  }
}

/** Destroys the stream where it takes too long. */
export function withinTime<T extends Readable>(body: T, withinMs: number): T {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), withinMs);
  body.once('close', () => clearTimeout(timer));
  return addAbortSignal(late.signal, body);
}
