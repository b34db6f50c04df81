import type { FastifyInstance } from 'fastify';

/** One response of HTTP. */
export interface Responded {
  /** The route's template, `none` where no route matched: what clients make up is no label. */
  readonly route: string;
  readonly method: string;
  /** The status code. */
  readonly status: number;
  readonly seconds: number;
}

/** Calls `listener` with each response that has left, but for event streams: these last as long as their readers. */
export function followResponses(app: FastifyInstance, listener: (response: Responded) => void): void {
  app.addHook('onResponse', async ({ routeOptions: { url }, method, headers }, reply) => {
    if (headers.accept?.includes('text/event-stream') === true) return;
    const matched = url === undefined ? { route: 'none', method: 'any' } : { route: url, method };
    listener({ ...matched, status: reply.statusCode, seconds: reply.elapsedTime / 1_000 });
  });
}
