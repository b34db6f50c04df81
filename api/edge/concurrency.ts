import { setImmediate } from 'node:timers/promises';
import type { FastifyInstance, FastifyReply, FastifyRequest, RouteOptions } from 'fastify';
import { z } from 'zod';
import { LamppostError } from '../../domain/index.ts';
import { createGate, createTurns, type GateLimits, type TurnLimits } from '../../limits/index.ts';
import type { Refusals } from './refusals.ts';

/** How many expensive requests of each kind run at once, of one key and in all. */
const CONCURRENCY = {
  /** Reads of the history: readings, exports, trials and backtests of rules. */
  queries: { perHolder: 4, total: 32 },
  /** Lists that anybody may read without a key, counted by address. */
  lists: { perHolder: 8, total: 64 },
} as const satisfies Readonly<Record<string, GateLimits>>;

export type Concurrency = keyof typeof CONCURRENCY;

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The kind of expensive request that the route is; a key has a few of each kind open at once. Default: cheap. */
    concurrency?: Concurrency;
  }
}

/**
 * Lets a key have only so many expensive requests open at once, from the time that the request was received and checked
 * until its response has ended. Beyond that the response is 429, or 503 where all places are taken by others.
 */
export function limitConcurrency(
  app: FastifyInstance,
  refusals: Refusals,
  limits: Readonly<Record<Concurrency, GateLimits>> = CONCURRENCY,
): void {
  const gates = Object.fromEntries(Object.entries(limits).map(([kind, limit]) => [kind, createGate(limit)]));
  app.addHook('preHandler', async (request, reply) => {
    const { concurrency } = request.routeOptions.config;
    if (concurrency === undefined) return;
    const leave = gates[concurrency]!.enter(request.holder);
    if (leave !== null) {
      reply.raw.once('close', leave);
      return;
    }
    refusals.count('concurrency');
    throw tooMany(concurrency, limits[concurrency], gates[concurrency]!.size);
  });
}

/** Lists that wait to begin, of one key and in all. */
const WAITING: TurnLimits = { atOnce: 1, perHolder: 200, total: 2_000 };

/**
 * Lets one list begin in each turn of the event loop, and keys in turns. A long page takes tens of milliseconds of this
 * thread, and several of them one after another would keep everybody else's requests waiting.
 */
export function spreadLists(app: FastifyInstance, refusals: Refusals, limits = WAITING): void {
  const turns = createTurns(limits);
  const turnOf = (holder: string) =>
    new Promise<void>((begin, refuse) => {
      const turn = async () => {
        begin();
        await setImmediate();
      };
      turns.run(holder, turn).catch(refuse);
    });
  app.addHook('onRoute', (route) => {
    if (!isList(route)) return;
    const wait = async ({ holder }: FastifyRequest, reply: FastifyReply) => {
      await turnOf(holder).catch((error: unknown) => {
        refusals.count('concurrency');
        throw error;
      });
      // Whoever has gone meanwhile costs nothing more.
      return reply.raw.destroyed ? reply.hijack() : undefined;
    };
    route.preHandler = [wait, ...[route.preHandler ?? []].flat()];
  });
}

/** Whether a route takes how many items a page has at most. */
const isList = ({ schema }: RouteOptions) =>
  schema?.querystring instanceof z.ZodObject && 'limit' in schema.querystring.shape;

function tooMany(kind: Concurrency, { perHolder, total }: GateLimits, open: number): LamppostError {
  if (open >= total) {
    return new LamppostError('busy', `${total} requests for ${kind} are open, which is the limit`, { retryable: true });
  }
  const detail = `${perHolder} requests for ${kind} of yours are open, which is the limit; wait until one has ended`;
  return new LamppostError('limit', detail, { retryable: true, retryAfterMs: 1_000 });
}
