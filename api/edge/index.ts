import type { FastifyInstance } from 'fastify';
import type { Clock } from '../../domain/index.ts';
import { sourceOf } from '../../limits/index.ts';
import type { ApiDeps } from '../deps.ts';
import { admit } from './admission.ts';
import { boundBodies } from './bodies.ts';
import { addressOf } from './client.ts';
import { limitConcurrency } from './concurrency.ts';
import type { Connections } from './connections.ts';
import { setHeaders } from './headers.ts';
import { boundMemory } from './memory.ts';
import type { EdgeOptions } from './options.ts';
import type { Refusals } from './refusals.ts';

export { TOO_MANY_WRONG, tooManyWrongKeys } from './admission.ts';
export { BODY_LIMIT } from './bodies.ts';
export { type Connections, createConnections } from './connections.ts';
export { decoded, ENCODINGS, isEncoding } from './encodings.ts';
export { PAGE_CSP, setHeaders } from './headers.ts';
export { listenerOf } from './listener.ts';
export { EDGE, type EdgeOptions } from './options.ts';
export { createRefusals, type Refusals } from './refusals.ts';
export { acceptWebSockets } from './web-sockets.ts';

interface Parts {
  readonly clock: Clock;
  readonly keys: Pick<ApiDeps['keys'], 'authenticate'>;
  readonly connections: Connections;
  readonly refusals: Refusals;
}

/**
 * Adds what every request meets before its route, in this order: headers of the response, who asks (key, role, rate),
 * then the bounds of the body, then those of expensive routes.
 */
export function protect(app: FastifyInstance, parts: Parts, options: EdgeOptions): void {
  app.decorateRequest('source', '');
  app.decorateRequest('holder', '');
  app.addHook('onRequest', async (request, reply) => {
    setHeaders(reply.raw, options.https);
    request.source = sourceOf(addressOf(request.raw, options.proxies));
    request.holder = request.source;
    reply.raw.once('close', parts.connections.begin(request.raw.socket));
  });
  admit(app, { ...options, ...parts });
  boundBodies(app, options.timeouts, parts.refusals);
  boundMemory(app, parts.refusals, options.memory);
  limitConcurrency(app, parts.refusals);
}
