import type { ServerResponse } from 'node:http';

/** Headers of every response, errors and streams included: what browsers may do with it, which is nothing. */
export const HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy': "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'origin-agent-cluster': '?1',
  'permissions-policy': 'camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-dns-prefetch-control': 'off',
  'x-download-options': 'noopen',
  'x-frame-options': 'DENY',
  'x-permitted-cross-domain-policies': 'none',
  'x-xss-protection': '0',
};

/** What the pages of `console/` may do beyond: run their own scripts and styles, and call this API. */
export const PAGE_CSP =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/**
 * The same for the console, whose map has a worker and pictures of its own making, and whose components make style
 * elements: those with this nonce count. Where the city names tiles for its maps, their host may be asked for them, and
 * no other.
 */
export function pageCsp(nonce: string, tiles: string | null): string {
  const host = tiles === null ? '' : ` ${new URL(tiles).origin}`;
  return PAGE_CSP.replace("style-src 'self'", `style-src 'self' 'nonce-${nonce}'`)
    .replace("connect-src 'self'", `connect-src 'self'${host}`)
    .replace("img-src 'self' data:", `worker-src 'self'; img-src 'self' data: blob:${host}`);
}

/** Browsers that came by https come by nothing else for a year (RFC 6797). */
const HSTS = ['strict-transport-security', 'max-age=31536000; includeSubDomains'] as const;

/** Sets the headers of every response. A route may set others later. */
export function setHeaders(response: ServerResponse, https: boolean): void {
  for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value);
  if (https) response.setHeader(...HSTS);
}
