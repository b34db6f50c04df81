import type { FastifyInstance } from 'fastify';
import type { Clock, Sharing } from '../../domain/index.ts';
import { type Counters, sourceOf } from '../../limits/index.ts';
import type { ApiDeps } from '../deps.ts';
import { admit } from './admission.ts';
import { boundBodies } from './bodies.ts';
import { addressOf } from './client.ts';
import { limitConcurrency, spreadLists } from './concurrency.ts';
import type { Connections } from './connections.ts';
import type { Cookies } from './cookies.ts';
import { setHeaders } from './headers.ts';
import { boundMemory } from './memory.ts';
import type { EdgeOptions } from './options.ts';
import type { Refusals } from './refusals.ts';

export { refuseCrossSite, TOO_MANY_WRONG, tooManyWrongKeys } from './admission.ts';
export { BODY_LIMIT } from './bodies.ts';
export { compressResponses, varyBy } from './compression.ts';
export { type Connections, createConnections } from './connections.ts';
export { type Cookies, createCookies, isFromElsewhere } from './cookies.ts';
export { asUtf8, charsetOf, decoded, ENCODINGS, isEncoding } from './encodings.ts';
export { PAGE_CSP, pageCsp, setHeaders } from './headers.ts';
export { listenerOf } from './listener.ts';
export { EDGE, type EdgeOptions } from './options.ts';
export { createRefusals, type Refusals } from './refusals.ts';
export { type Certificate, createSecureListener, type SecureListener } from './secure.ts';
export { acceptWebSockets } from './web-sockets.ts';

/** What a proxy or a supervisor asks from the same machine, without TLS. */
const SERVED_PLAIN: ReadonlySet<string> = new Set(['/health', '/ready']);

interface Parts {
  readonly clock: Clock;
  readonly keys: Pick<ApiDeps['keys'], 'authenticate'>;
  readonly sharing: () => Sharing;
  readonly signIn: Pick<ApiDeps['people']['signIn'], 'principalOf'>;
  readonly cookies: Cookies;
  readonly connections: Connections;
  readonly refusals: Refusals;
  /** See `ApiDeps`. */
  readonly counters: Counters;
}

/**
 * Adds what every request meets before its route, in this order: headers of the response, who asks (key, permission,
 * rate), then the bounds of the body, then those of expensive routes.
 */
export function protect(app: FastifyInstance, parts: Parts, options: EdgeOptions): void {
  app.decorateRequest('source', '');
  app.decorateRequest('holder', '');
  app.addHook('onRequest', async (request, reply) => {
    const { redirect } = options;
    const isSecure = request.protocol === 'https';
    // Without TLS there is no HSTS (RFC 6797 §7.2). A proxy that is not named may have it in front.
    setHeaders(reply.raw, isSecure || (options.https && redirect === null));
    request.source = sourceOf(addressOf(request.raw, options.proxies));
    request.holder = request.source;
    reply.raw.once('close', parts.connections.begin(request.raw.socket));
    if (redirect === null || isSecure || SERVED_PLAIN.has(request.url.split('?')[0]!)) return;
    // RFC 9110 §15.4.9: the method and the body stay.
    return reply
      .code(308)
      .header('location', redirect + request.url)
      .send();
  });
  admit(app, { ...options, ...parts });
  boundBodies(app, options.timeouts, parts.refusals);
  boundMemory(app, parts.refusals, options.memory);
  limitConcurrency(app, parts.refusals);
  spreadLists(app, parts.refusals);
}
