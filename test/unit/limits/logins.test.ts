import { beforeEach, expect, test } from 'vitest';
import type { LoginsFailing } from '../../../domain/index.ts';
import { Logins } from '../../../limits/index.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

let nowMs: number;
let waiting: { atMs: number; run: () => void }[];
let events: LoginsFailing[];
let logins: Logins;
let closed: number;

beforeEach(() => {
  nowMs = 0;
  waiting = [];
  events = [];
  closed = 0;
  const after = (ms: number, run: () => void) => {
    const one = { atMs: nowMs + ms, run };
    waiting.push(one);
    return () => {
      waiting = waiting.filter((other) => other !== one);
    };
  };
  let id = 0;
  const deps = { clock: { now: () => nowMs }, timers: { after }, newId: () => `e${++id}`, counter: () => () => {} };
  logins = new Logins({ ...deps, onFailing: (event) => events.push(event) });
});

/** Fails a login; returns after how many ms it gets its response, null where its connection is closed instead. */
function fail(source: string, user: string, isKnown = true): number | null {
  const before = waiting.length;
  const wasClosed = closed;
  logins.refused(
    { source, user, isKnown },
    () => {},
    () => closed++,
  );
  if (closed > wasClosed) return null;
  return waiting.length === before ? 0 : waiting.at(-1)!.atMs - nowMs;
}

/** Lets all delayed responses leave. */
function settle(): void {
  for (const { run } of waiting.splice(0)) run();
}

test('logins - three mistakes are free; then the response comes later and later, five seconds at most', () => {
  const delays = Array.from({ length: 10 }, () => fail('203.0.113.7', 'bin-1'));
  expect(delays).toEqual([0, 0, 0, 250, 500, 1_000, 2_000, 4_000, 5_000, 5_000]);
});

test('logins - another address and another name are not slowed down by it', () => {
  for (let i = 0; i < 50; i++) fail('203.0.113.7', 'bin-1');
  expect(fail('203.0.113.8', 'bin-1')).toBe(0);
  expect(fail('203.0.113.7', 'bin-2')).toBe(0);
});

test('logins - a right secret, and ten minutes without a mistake, forget the mistakes', () => {
  for (let i = 0; i < 10; i++) fail('203.0.113.7', 'bin-1');
  logins.succeeded('203.0.113.7', 'bin-1');
  expect(fail('203.0.113.7', 'bin-1')).toBe(0);
  for (let i = 0; i < 10; i++) fail('203.0.113.7', 'bin-1');
  nowMs += 10 * MINUTE - 1;
  expect(fail('203.0.113.7', 'bin-1')).toBe(5_000);
  nowMs += 10 * MINUTE;
  expect(fail('203.0.113.7', 'bin-1')).toBe(0);
});

test('logins - many names from one address count for the address', () => {
  const delays = Array.from({ length: 1_000 }, (_, i) => {
    settle();
    return fail('203.0.113.7', `guess-${i}`, false);
  });
  expect(delays.slice(0, 100)).toEqual(Array(100).fill(0));
  expect([delays[100], delays[200], delays[999]]).toEqual([250, 500, 5_000]);
});

test('logins - an address has 64 delayed responses, all have 512; beyond it connections end without one', () => {
  const flood = (source: string) => Array.from({ length: 67 + 1 }, () => fail(source, 'bin-1'));
  expect(flood('203.0.113.1').filter((delay) => delay === null)).toHaveLength(1);
  for (let i = 2; i <= 8; i++) flood(`203.0.113.${i}`);
  for (let i = 0; i < 3; i++) expect(fail('203.0.113.9', 'bin-1')).toBe(0);
  expect(fail('203.0.113.9', 'bin-1')).toBeNull();
  settle();
  expect(fail('203.0.113.9', 'bin-1')).toBe(500);
  expect(fail('203.0.113.1', 'bin-1')).toBe(5_000);
});

test('logins - at the stop no response is waited for', () => {
  for (let i = 0; i < 20; i++) fail('203.0.113.7', 'bin-1');
  expect(waiting).toHaveLength(17);
  logins.stop();
  expect(waiting).toEqual([]);
});

test('logins - twenty failures of a known name are an event, at most one an hour', () => {
  for (let i = 0; i < 19; i++) fail('203.0.113.7', 'bin-1');
  expect(events).toEqual([]);
  nowMs = 1_000;
  for (let i = 0; i < 100; i++) fail('203.0.113.7', 'bin-1');
  expect(events).toEqual([{ id: 'e1', source: '203.0.113.7', user: 'bin-1', failures: 20, fromMs: 0, toMs: 1_000 }]);
  for (nowMs = 2_000; nowMs < HOUR + 1_000; nowMs += MINUTE) fail('203.0.113.7', 'bin-1');
  expect(events).toHaveLength(1);
  fail('203.0.113.7', 'bin-1');
  expect(events).toHaveLength(2);
});

test('logins - a right secret between them makes no more events', () => {
  for (let i = 0; i < 200; i++) {
    if (i % 25 === 0) logins.succeeded('203.0.113.7', 'bin-1');
    fail('203.0.113.7', 'bin-1');
  }
  expect(events.filter(({ user }) => user !== null)).toHaveLength(1);
});

test('logins - names of nobody are an event of their address only', () => {
  for (let i = 0; i < 199; i++) fail('203.0.113.7', 'nobody', false);
  expect(events).toEqual([]);
  for (let i = 0; i < 199; i++) fail('203.0.113.7', `nobody-${i}`, false);
  expect(events).toMatchObject([{ source: '203.0.113.7', user: null, failures: 200 }]);
});

test('logins - attackers from everywhere make sixty events an hour, and their memory is bounded', () => {
  for (let i = 0; i < 20 * 200; i++) fail(`203.0.113.${i % 200}`, 'bin-1');
  expect(events).toHaveLength(60);
  for (let i = 0; i < 30_000; i++) fail(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`, 'x'.repeat(8_192), false);
  expect(events).toHaveLength(60);
});
