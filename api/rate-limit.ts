import type { FastifyReply } from 'fastify';
import type { Clock } from '../domain/index.ts';

/** So many in a minute for each of those who ask. */
export interface RateLimit {
  /** Counts one more; false where it is too many. Tells how many are left (RateLimit header fields for HTTP, IETF draft 10). */
  take(who: string, reply: FastifyReply): boolean;
}

const WINDOW_MS = 60_000;

/** Makes a limit over fixed minutes of its own; 0: none. */
export function createRateLimit(clock: Clock, perMinute: number): RateLimit {
  const counts = new Map<string, number>();
  let began = 0;

  return {
    take(who, reply) {
      if (perMinute === 0) return true;
      const nowMs = clock.now();
      if (nowMs - began >= WINDOW_MS || nowMs < began) {
        counts.clear();
        began = nowMs;
      }
      const count = (counts.get(who) ?? 0) + 1;
      counts.set(who, count);
      const seconds = Math.ceil((began + WINDOW_MS - nowMs) / 1_000);
      reply.header('ratelimit-policy', `"requests";q=${perMinute};w=${WINDOW_MS / 1_000}`);
      reply.header('ratelimit', `"requests";r=${Math.max(0, perMinute - count)};t=${seconds}`);
      if (count > perMinute) reply.header('retry-after', String(seconds));
      return count <= perMinute;
    },
  };
}
