import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import {
  type Clock,
  type Grant,
  grantsOf,
  keyPrincipal,
  lackOf,
  mayAny,
  PERSON_REFUSALS,
  type Permission,
  type Principal,
  type Reach,
  reachOf,
  type Sharing,
} from '../../domain/index.ts';
import { type Accounts, type Counters, countedTogether, createAccounts, type Rate } from '../../limits/index.ts';
import type { ApiDeps } from '../deps.ts';
import { problem } from '../problem.ts';
import type { Connections } from './connections.ts';
import { type Cookies, isSameOrigin } from './cookies.ts';
import type { EdgeOptions } from './options.ts';
import type { Refusals } from './refusals.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Who asks, by a key or as a person who signed in; null on open routes only. */
    key: Principal | null;
    /** The roles of who asks; none on open routes. */
    grants: readonly Grant[];
    /** Whose things the request reaches with the permission of its route; nothing on open routes. */
    reach: Reach;
    /** What the client's address is counted as. */
    source: string;
    /** Who is charged: the key or device; the address while neither is known. */
    holder: string;
  }
  interface FastifyInstance {
    admission: Admission;
  }
  interface FastifyContextConfig {
    /** What one must be allowed to call the route; `any`: it is enough to be known; `open`: it needs no key. */
    permission?: Permission | 'any' | 'open';
    /**
     * Whether requests without a key are not charged to their address: for routes that cost nothing and must always
     * respond, and for those that know their client in a way of their own.
     */
    uncounted?: boolean;
  }
}

/** Charges requests to who sends them, before any body is read. */
export interface Admission {
  /**
   * Charges a request to a key or device that is known now. Sends the refusal and returns it; null where the request
   * may go on.
   */
  known(who: string, request: FastifyRequest, reply: FastifyReply): FastifyReply | null;
  /**
   * Charges a wrong key or secret to the client's address. Returns after how many ms it may send another, 0 where it
   * may now. A right one is never refused for the wrong ones.
   */
  wrongKey(request: FastifyRequest): number;
}

interface Parts extends Pick<EdgeOptions, 'requests' | 'strangers' | 'wrongKeys' | 'publicOrigin'> {
  readonly clock: Clock;
  readonly keys: Pick<ApiDeps['keys'], 'authenticate'>;
  /** What the city lets every department see. */
  readonly sharing: () => Sharing;
  readonly signIn: Pick<ApiDeps['people']['signIn'], 'principalOf'>;
  readonly cookies: Cookies;
  readonly connections: Connections;
  readonly refusals: Refusals;
  /** Counts wrong keys together with the other nodes of a cluster. */
  readonly counters: Counters;
}

/**
 * Refuses requests before their body is read: without the permission that the route needs, or too many. A route that
 * names no permission is a bug: nobody gets further by default (promise 7).
 */
export function admit(app: FastifyInstance, parts: Parts): void {
  const admission = createAdmission(parts);
  const strangers = parts.strangers && createAccounts(parts.strangers);
  app.decorate('admission', admission);
  app.decorateRequest('key', null);
  app.decorateRequest('grants');
  app.decorateRequest('reach');
  app.addHook('onRoute', ({ method, url, config }) => {
    if (config?.permission === undefined) throw new Error(`${method} ${url} has no entry in the table of permissions`);
  });
  app.addHook('onRequest', async (request, reply) => {
    const { permission: needed = 'any', uncounted = false } = request.routeOptions.config;
    request.grants = [];
    request.reach = [];
    if (needed === 'open' || request.is404) {
      if (uncounted || strangers === null) return;
      const waitMs = strangers.take(request.source, 1, parts.clock.now());
      if (waitMs === 0) return;
      parts.refusals.count('address-rate');
      return tooMany(reply, waitMs, 'too many requests without a key from this address');
    }
    return withKey(request, reply, needed);
  });

  function withKey(request: FastifyRequest, reply: FastifyReply, needed: Permission | 'any'): FastifyReply | undefined {
    const token = bearerOf(request);
    const who = token === null ? signedIn(request) : ofKey(token);
    if (who === null) {
      const waitMs = token === null ? 0 : admission.wrongKey(request);
      if (waitMs > 0) return tooManyWrongKeys(reply, waitMs);
      if (token === null) parts.refusals.count('no-key');
      reply.header('www-authenticate', 'Bearer realm="lamppost"');
      return problem(reply, 401, 'sign in, or send a key: Authorization: Bearer <key>');
    }
    request.key = who;
    const refused = admission.known(who.id, request, reply);
    if (refused !== null) return refused;
    const asked = { headers: request.headers, publicOrigin: parts.publicOrigin };
    if (who.kind === 'person' && !isReading(request) && !isSameOrigin(asked))
      return refuseCrossSite(reply, parts.refusals);
    request.grants = grantsOf(who);
    if (needed === 'any') return;
    request.reach = reachOf(request.grants, needed, parts.sharing());
    if (mayAny(request.grants, needed)) return;
    parts.refusals.count('role');
    return problem(reply, 403, lackOf(request.grants, needed));
  }

  function ofKey(token: string): Principal | null {
    const key = parts.keys.authenticate(token);
    return key === null ? null : keyPrincipal(key);
  }

  function signedIn({ headers }: FastifyRequest): Principal | null {
    const secret = parts.cookies.session(headers);
    return secret === null ? null : parts.signIn.principalOf(secret);
  }
}

const isReading = ({ method }: FastifyRequest) => method === 'GET' || method === 'HEAD';

/** Sends the refusal of a request that another website made a browser send. */
export function refuseCrossSite(reply: FastifyReply, refusals: Refusals): FastifyReply {
  refusals.count('cross-site');
  return problem(reply, 403, PERSON_REFUSALS['cross-site'], { code: 'forbidden', reason: 'cross-site' });
}

/** Scripts of who runs the server register thousands of devices, one after the other. */
const ADMIN_TIMES = 5;

const knownAt = (rate: Rate): Known => ({ rate, accounts: createAccounts(rate) });
const timesOf = ({ perSecond, burst }: Rate, times: number): Rate => ({
  perSecond: perSecond * times,
  burst: burst * times,
});

function createAdmission({ clock, connections, refusals, requests, wrongKeys, counters }: Parts): Admission {
  const usual = requests && knownAt(requests);
  const ofAdmins = requests && knownAt(timesOf(requests, ADMIN_TIMES));
  const wrong = countedTogether(createAccounts(wrongKeys), (apply) => counters.counter('key', apply), clock);
  return {
    known(who, request, reply) {
      request.holder = who;
      if (!connections.claim(request.raw.socket, who)) {
        refusals.count('connections');
        reply.header('connection', 'close');
        return tooMany(reply, 1_000, 'too many connections with this key are in use; wait until one has ended');
      }
      const known = request.key?.role === 'admin' ? ofAdmins : usual;
      if (known === null) return null;
      const waitMs = known.accounts.take(who, 1, clock.now());
      showRate(reply, known, who, waitMs || known.accounts.waitMs(who, clock.now(), known.rate.burst));
      if (waitMs === 0) return null;
      refusals.count('key-rate');
      const { perSecond, burst } = known.rate;
      return tooMany(reply, waitMs, `more than ${burst} requests at once, or ${perSecond} a second, with this key`);
    },
    wrongKey({ source }) {
      refusals.count('wrong-key');
      const waitMs = wrong.take(source, 1, clock.now());
      if (waitMs > 0) refusals.count('wrong-keys-limit');
      return waitMs;
    },
  };

  /** Sets the RateLimit headers (IETF draft-ietf-httpapi-ratelimit-headers-10). */
  function showRate(reply: FastifyReply, { rate, accounts }: Known, who: string, waitMs: number): void {
    const window = Math.max(1, Math.round(rate.burst / rate.perSecond));
    reply.header('ratelimit-policy', `"requests";q=${rate.burst};w=${window}`);
    reply.header('ratelimit', `"requests";r=${accounts.left(who, clock.now())};t=${Math.ceil(waitMs / 1_000)}`);
  }
}

interface Known {
  readonly rate: Rate;
  readonly accounts: Accounts;
}

/** Sends the refusal of an address that sent too many wrong keys. */
export function tooManyWrongKeys(reply: FastifyReply, waitMs: number): FastifyReply {
  return tooMany(reply, waitMs, `${TOO_MANY_WRONG}; a right key is accepted at any time`);
}

export const TOO_MANY_WRONG = 'too many wrong keys from this address';

function tooMany(reply: FastifyReply, waitMs: number, detail: string): FastifyReply {
  return problem(reply.header('retry-after', String(Math.ceil(waitMs / 1_000))), 429, detail, { code: 'limit' });
}

/** Returns the token of `Authorization: Bearer`; null where there is none. */
function bearerOf({ headers }: FastifyRequest): string | null {
  const [scheme, token] = (headers.authorization ?? '').split(' ');
  return scheme?.toLowerCase() === 'bearer' && token ? token : null;
}
