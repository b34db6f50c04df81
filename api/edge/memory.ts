import type { FastifyInstance, FastifyRequest } from 'fastify';
import { LamppostError } from '../../domain/index.ts';
import type { Refusals } from './refusals.ts';

const MIB = 1024 * 1024;
/** Bodies that are received or worked on, and responses that their clients have not taken yet, bytes. */
const BODIES = 64 * MIB;
const RESPONSES = 128 * MIB;

/** A response that is not counted, bytes. */
const SMALL = 4 * 1024;
const NOT_TAKEN = 'you have not taken the responses that were sent; read them first';

/** Bytes that holders have in memory. */
export interface Shares {
  /** Whether a holder may have more: as much as is then left for all others, so that there is always room for one. */
  fits(who: string, bytes: number): boolean;
  /** Returns the bytes of a holder. */
  of(who: string): number;
  /** Counts bytes of a holder; returns the function that gives them back. */
  add(who: string, bytes: number): () => void;
}

/** Returns shares of so many bytes in all. */
export function createShares(total: number): Shares {
  const holders = new Map<string, number>();
  let held = 0;
  const of = (who: string) => holders.get(who) ?? 0;

  function change(who: string, bytes: number): void {
    held += bytes;
    const own = of(who) + bytes;
    if (own === 0) holders.delete(who);
    else holders.set(who, own);
  }

  return {
    fits: (who, bytes) => of(who) + bytes <= total - held - bytes,
    of,
    add(who, bytes) {
      change(who, bytes);
      return () => change(who, -bytes);
    },
  };
}

/**
 * Bounds what the requests of a key, or of an address without one, hold in memory: bodies by what they announce, before
 * they are read; responses by their size, so that a client that does not take them gets no more.
 */
export function boundMemory(app: FastifyInstance, refusals: Refusals, { bodies = BODIES, responses = RESPONSES } = {}) {
  const received = createShares(bodies);
  const unsent = createShares(responses);
  app.addHook('preParsing', async (request, reply) => {
    const bytes = sizeOf(request);
    if (bytes === 0) return;
    if (!received.fits(request.holder, bytes)) throw refused('bodies that you send at once are too large together');
    reply.raw.once('close', received.add(request.holder, bytes));
    // Sent here, so that only a body that is wanted is sent.
    if (request.headers.expect !== undefined) reply.raw.writeContinue();
  });
  app.addHook('preHandler', async ({ holder, routeOptions }) => {
    if (routeOptions.config.uncounted === true) return;
    if (!unsent.fits(holder, 1) && unsent.of(holder) > 0) throw refused(NOT_TAKEN);
  });
  // Again, as others of the holder may have been under way when it was allowed. One alone is always sent.
  app.addHook('onSend', async ({ holder, url }, reply, payload) => {
    const bytes = typeof payload === 'string' || Buffer.isBuffer(payload) ? payload.length : 0;
    if (bytes < SMALL) return undefined;
    if (unsent.fits(holder, bytes) || unsent.of(holder) === 0) {
      reply.raw.once('close', unsent.add(holder, bytes));
      return undefined;
    }
    refused(NOT_TAKEN);
    reply.code(429).header('retry-after', '1').header('content-type', 'application/problem+json');
    reply.removeHeader('content-length');
    const title = 'Too many requests';
    return JSON.stringify({ type: 'about:blank', title, status: 429, detail: NOT_TAKEN, instance: url, code: 'limit' });
  });

  function refused(detail: string): LamppostError {
    refusals.count('memory');
    return new LamppostError('limit', detail, { retryable: true, retryAfterMs: 1_000 });
  }
}

/** Returns what the body of a request may have, bytes; of one that does not say, as much as its route takes. */
function sizeOf({ headers, routeOptions }: FastifyRequest): number {
  const most = routeOptions.bodyLimit;
  if (headers['transfer-encoding'] !== undefined) return most;
  return Math.min(Number(headers['content-length'] ?? 0), most);
}
