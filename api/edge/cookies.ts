import type { IncomingHttpHeaders } from 'node:http';

/** A cookie of ours. With https its name says that no other host and no page without TLS can have set it. */
interface Cookie {
  readonly name: string;
  readonly path: string;
  readonly sameSite: 'Strict' | 'Lax';
}

/** The secret of a session. `Strict`: no request that another website causes carries it. */
const SESSION: Cookie = { name: 'lamppost-session', path: '/', sameSite: 'Strict' };
/** What a sign-in at an OIDC provider has to come back with. The provider is another website: `Lax`. */
const OIDC: Cookie = { name: 'lamppost-oidc', path: '/auth/oidc', sameSite: 'Lax' };

/** What takes the header: a reply of Fastify. */
interface Reply {
  header(name: string, value: string): unknown;
}

/** Cookies of one server. */
export interface Cookies {
  session(headers: IncomingHttpHeaders): string | null;
  /** Null: the browser forgets it. It ends with the browser, or when the server ends the session. */
  setSession(reply: Reply, secret: string | null): void;
  oidc(headers: IncomingHttpHeaders): string | null;
  setOidc(reply: Reply, value: string | null): void;
}

/** How long a sign-in at a provider may take, seconds. */
const OIDC_SECONDS = 600;

/** Returns the cookies of a server. `https`: whether people reach it by https. */
export function createCookies(https: boolean): Cookies {
  const prefix = { [SESSION.name]: https ? '__Host-' : '', [OIDC.name]: https ? '__Secure-' : '' };
  const nameOf = ({ name }: Cookie) => `${prefix[name]}${name}`;

  function set(reply: Reply, cookie: Cookie, value: string | null, seconds?: number): void {
    const age = value === null ? ['Max-Age=0'] : seconds === undefined ? [] : [`Max-Age=${seconds}`];
    const secure = https ? ['Secure'] : [];
    const parts = [`Path=${cookie.path}`, 'HttpOnly', `SameSite=${cookie.sameSite}`, ...secure, ...age];
    reply.header('set-cookie', [`${nameOf(cookie)}=${value ?? ''}`, ...parts].join('; '));
  }

  return {
    session: (headers) => cookieIn(headers, nameOf(SESSION)),
    setSession: (reply, secret) => set(reply, SESSION, secret),
    oidc: (headers) => cookieIn(headers, nameOf(OIDC)),
    setOidc: (reply, value) => set(reply, OIDC, value, OIDC_SECONDS),
  };
}

/** Returns the value of a cookie (RFC 6265 §5.4); null where the request has none of this name. */
function cookieIn({ cookie = '' }: IncomingHttpHeaders, name: string): string | null {
  for (const pair of cookie.split(';')) {
    const at = pair.indexOf('=');
    if (pair.slice(0, at).trim() === name) return pair.slice(at + 1).trim() || null;
  }
  return null;
}

/** What an origin is compared with. */
interface Asked {
  readonly headers: IncomingHttpHeaders;
  /** The origin of `LAMPPOST_PUBLIC_URL`; null where it is not set. */
  readonly publicOrigin: string | null;
}

/**
 * Whether a browser says that a page of this server sent the request. Browsers write `Sec-Fetch-Site` and `Origin`
 * themselves, and scripts of other websites cannot change them, so that no token in the page is needed. The first comes
 * by https and from this machine only; without it, the origin of a request that changes something is compared.
 */
export function isSameOrigin({ headers, publicOrigin }: Asked): boolean {
  const site = headers['sec-fetch-site'];
  if (site !== undefined) return site === 'same-origin';
  const { origin, host } = headers;
  if (origin === undefined || !URL.canParse(origin)) return false;
  return origin === publicOrigin || new URL(origin).host === host;
}

/** Whether a browser says that another website sent the request. Programs that are no browsers say nothing. */
export function isFromElsewhere(asked: Asked): boolean {
  const { origin, 'sec-fetch-site': site } = asked.headers;
  return (site !== undefined || origin !== undefined) && !isSameOrigin(asked);
}
