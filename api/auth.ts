import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { KEY_ROLES, type Key, type KeyRole } from '../domain/index.ts';
import type { ApiDeps } from './deps.ts';
import { problem } from './problem.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Whose key the request carries; null on open routes only. */
    key: Key | null;
  }
  interface FastifyContextConfig {
    /** Least role that may call the route; `open` needs no key. Absent: viewer. */
    role?: KeyRole | 'open';
  }
}

/** Nobody gets in by default: a route that says nothing needs a key (promise 7). */
export function authenticate(app: FastifyInstance, keys: ApiDeps['keys']): void {
  app.decorateRequest('key', null);
  app.addHook('onRequest', async (request: FastifyRequest, reply: FastifyReply) => {
    const needed = request.routeOptions.config.role ?? 'viewer';
    if (needed === 'open' || request.is404) return;
    const [scheme, token] = (request.headers.authorization ?? '').split(' ');
    request.key = scheme?.toLowerCase() === 'bearer' && token ? keys.authenticate(token) : null;
    if (request.key === null) {
      reply.header('www-authenticate', 'Bearer realm="lamppost"');
      return problem(reply, 401, 'send a key: Authorization: Bearer <key>');
    }
    if (KEY_ROLES.indexOf(request.key.role) < KEY_ROLES.indexOf(needed)) {
      return problem(reply, 403, `this needs a key of role ${needed}; yours is ${request.key.role}`);
    }
  });
}
