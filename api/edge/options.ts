import { createTrustedProxies, type Rate, type TrustedProxies } from '../../limits/index.ts';

/** How many connections may be open. */
export interface ConnectionLimits {
  /** Of one address before it is known, and of one key after. */
  readonly perHolder: number;
  readonly total: number;
  /** Places that only connections with a key may take. */
  readonly reserve: number;
}

/** How long clients may take, ms. */
export interface Timeouts {
  /** To send a header, from the beginning of the connection or of the request. */
  readonly headersMs: number;
  /** To send a whole request. */
  readonly requestMs: number;
  /** To send or to take any byte of a body. */
  readonly stallMs: number;
  /** To end a body that was refused. */
  readonly drainMs: number;
  /** A connection may stay open between two requests. */
  readonly keepAliveMs: number;
  /** Between two looks at headers and requests that take too long. */
  readonly checkMs: number;
}

/** What strangers and keys may use of the HTTP listener. */
export interface EdgeOptions {
  /** The proxies whose X-Forwarded-For is believed. */
  readonly proxies: TrustedProxies;
  readonly connections: ConnectionLimits;
  readonly timeouts: Timeouts;
  /** Requests of one key or device; null: no limit. */
  readonly requests: Rate | null;
  /** Requests without a key, of one address; null: no limit. */
  readonly strangers: Rate | null;
  /** Wrong keys and secrets of one address. */
  readonly wrongKeys: Rate;
  /** Bytes of bodies that are received, and of responses that are not taken yet, of all. */
  readonly memory: { readonly bodies?: number; readonly responses?: number };
  /** Whether people reach the API by https. */
  readonly https: boolean;
  /** Where requests that come without TLS are sent, such as `https://lamppost.example`; null: they are served. */
  readonly redirect: string | null;
  /** Whether MQTT over WebSocket needs TLS, also where other requests that come without it are served. */
  readonly mqttNeedsTls: boolean;
  /** Where people reach the API, as browsers name it in `Origin`; null: by the name in each request. */
  readonly publicOrigin: string | null;
}

const SECOND = 1_000;

export const EDGE: EdgeOptions = {
  proxies: createTrustedProxies(''),
  connections: { perHolder: 1_000, total: 10_000, reserve: 2_000 },
  timeouts: {
    headersMs: 20 * SECOND,
    requestMs: 60 * SECOND,
    stallMs: 20 * SECOND,
    drainMs: 5 * SECOND,
    // Longer than proxies keep theirs, usually 60 s: so it is they who end a connection that they no longer use.
    keepAliveMs: 72 * SECOND,
    checkMs: 5 * SECOND,
  },
  requests: { perSecond: 200, burst: 2_000 },
  strangers: { perSecond: 200, burst: 2_000 },
  wrongKeys: { perSecond: 1, burst: 30 },
  memory: {},
  https: false,
  redirect: null,
  mqttNeedsTls: false,
  publicOrigin: null,
};
