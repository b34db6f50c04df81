import type { IncomingHttpHeaders } from 'node:http';
import { describe, expect, test } from 'vitest';
import { createCookies, isFromElsewhere, isSameOrigin } from '../../../../api/edge/cookies.ts';

const HOST = 'lamppost.city.example';
const asked = (headers: IncomingHttpHeaders, publicOrigin: string | null = null) => ({
  headers: { host: HOST, ...headers },
  publicOrigin,
});

describe('requests with a cookie', () => {
  test.each<[string, IncomingHttpHeaders, boolean]>([
    ['a page of this server', { 'sec-fetch-site': 'same-origin' }, true],
    ['another website', { 'sec-fetch-site': 'cross-site', origin: `https://${HOST}` }, false],
    ['another host of the same site', { 'sec-fetch-site': 'same-site' }, false],
    ['the address bar', { 'sec-fetch-site': 'none' }, false],
    ['a page of this server in an older browser', { origin: `https://${HOST}` }, true],
    ['another port of this host', { origin: `https://${HOST}:8443` }, false],
    ['another website in an older browser', { origin: 'https://evil.example' }, false],
    ['a host whose name begins like this one', { origin: `https://${HOST}.evil.example` }, false],
    ['a page in a sandbox', { origin: 'null' }, false],
    ['nobody who says it', {}, false],
  ])('csrf - from %s', (_who, headers, expected) => {
    expect(isSameOrigin(asked(headers))).toBe(expected);
  });

  test('csrf - behind a proxy that changes the host, the public address counts', () => {
    const headers = { host: '10.0.0.7:8080', origin: `https://${HOST}` };
    expect(isSameOrigin(asked(headers))).toBe(false);
    expect(isSameOrigin(asked(headers, `https://${HOST}`))).toBe(true);
  });

  test('csrf - whoever signs in may be no browser, but not another website', () => {
    expect(isFromElsewhere(asked({}))).toBe(false);
    expect(isFromElsewhere(asked({ 'sec-fetch-site': 'same-origin' }))).toBe(false);
    expect(isFromElsewhere(asked({ 'sec-fetch-site': 'cross-site' }))).toBe(true);
    expect(isFromElsewhere(asked({ origin: 'https://evil.example' }))).toBe(true);
  });
});

test('cookies - the session is found among others, under the name of its server only', () => {
  const headers = { cookie: 'a=1; lamppost-session=abc; __Host-lamppost-session=def; lamppost-sessions=x' };
  expect(createCookies(false).session(headers)).toBe('abc');
  expect(createCookies(true).session(headers)).toBe('def');
  expect(createCookies(true).session({ cookie: 'lamppost-session=abc' })).toBeNull();
  expect(createCookies(false).session({ cookie: 'lamppost-session=' })).toBeNull();
  expect(createCookies(false).session({})).toBeNull();
});

test('cookies - behind TLS they are Secure, and a host of their own', () => {
  const set: string[] = [];
  const reply = { header: (_name: string, value: string) => set.push(value) };
  const cookies = createCookies(true);
  cookies.setSession(reply, 'abc');
  cookies.setSession(reply, null);
  cookies.setOidc(reply, 'def');
  expect(set).toEqual([
    '__Host-lamppost-session=abc; Path=/; HttpOnly; SameSite=Strict; Secure',
    '__Host-lamppost-session=; Path=/; HttpOnly; SameSite=Strict; Secure; Max-Age=0',
    '__Secure-lamppost-oidc=def; Path=/auth/oidc; HttpOnly; SameSite=Lax; Secure; Max-Age=600',
  ]);
});
