import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createAccounts, createGate, createTrustedProxies, sourceOf, TokenBucket } from '../../../limits/index.ts';

const T0 = 1_700_000_000_000;

test('limits - a bucket starts full, gives its burst, then its rate', () => {
  const bucket = new TokenBucket({ perSecond: 10, burst: 3 });
  expect([1, 2, 3, 4].map(() => bucket.take(1, T0))).toEqual([true, true, true, false]);
  expect(bucket.waitMs(T0)).toBe(100);
  expect(bucket.take(1, T0 + 99)).toBe(false);
  expect(bucket.take(1, T0 + 100)).toBe(true);
  expect(bucket.isFull(T0 + 399)).toBe(false);
  expect(bucket.isFull(T0 + 400)).toBe(true);
});

test('limits - what was used already is charged below zero and waited for', () => {
  const bucket = new TokenBucket({ perSecond: 100, burst: 100 });
  bucket.charge(350, T0);
  expect(bucket.waitMs(T0)).toBe(2_510);
  expect(bucket.take(1, T0 + 2_509)).toBe(false);
  expect(bucket.take(1, T0 + 2_510)).toBe(true);
});

test('limits - a clock that goes back refills nothing and does not stop the bucket', () => {
  const bucket = new TokenBucket({ perSecond: 1, burst: 1 });
  expect(bucket.take(1, T0)).toBe(true);
  expect(bucket.take(1, T0 - 60_000)).toBe(false);
  expect(bucket.take(1, T0 - 59_000)).toBe(true);
});

test('limits - over any time a bucket gives no more than its burst and what the rate adds', () => {
  const step = fc.record({ after: fc.nat(5_000), amount: fc.integer({ min: 1, max: 20 }) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 50 }), fc.integer({ min: 1, max: 50 }), (steps, perSecond) => {
      const bucket = new TokenBucket({ perSecond, burst: 20 });
      let [now, given] = [T0, 0];
      for (const { after, amount } of steps) {
        now += after;
        const wait = bucket.waitMs(now, amount);
        const taken = bucket.take(amount, now);
        expect(taken).toBe(wait === 0);
        if (taken) given += amount;
      }
      expect(given).toBeLessThanOrEqual(20 + ((now - T0) * perSecond) / 1_000 + 1e-6);
    }),
  );
});

test('limits - each holder has an account of its own', () => {
  const accounts = createAccounts({ perSecond: 1, burst: 2 });
  expect([1, 2, 3].map(() => accounts.take('a', 1, T0))).toEqual([0, 0, 1_000]);
  expect(accounts.take('b', 1, T0)).toBe(0);
  expect([accounts.left('a', T0), accounts.left('b', T0), accounts.left('c', T0)]).toEqual([0, 1, 2]);
  accounts.charge('c', 5, T0);
  expect(accounts.waitMs('c', T0)).toBe(4_000);
});

test('limits - of more holders than are kept the one that was used longest ago is forgotten', () => {
  const accounts = createAccounts({ perSecond: 1, burst: 1 }, { most: 2 });
  for (const who of ['a', 'b', 'a', 'c']) accounts.take(who, 1, T0);
  expect([accounts.left('a', T0), accounts.left('b', T0), accounts.left('c', T0)]).toEqual([0, 1, 0]);
});

test('limits - a holder may not open more than its share', () => {
  const gate = createGate({ perHolder: 2, total: 10 });
  const leave = gate.enter('a')!;
  gate.enter('a');
  expect(gate.enter('a')).toBeNull();
  expect(gate.enter('b')).not.toBeNull();
  leave();
  leave();
  expect([gate.count('a'), gate.size]).toEqual([1, 2]);
  expect(gate.enter('a')).not.toBeNull();
});

test('limits - where all places are taken, whoever has the most gives way to a newcomer', () => {
  const gate = createGate({ perHolder: 4, total: 6 });
  const ended: string[] = [];
  for (const who of ['a1', 'a2', 'a3', 'a4', 'b1', 'b2']) gate.enter(who[0]!, () => ended.push(who));
  expect(gate.enter('c')).not.toBeNull();
  expect(gate.enter('c')).not.toBeNull();
  // Three of a and one more of c would only change who has the most.
  expect(gate.enter('c')).toBeNull();
  expect(ended).toEqual(['a4', 'a3']);
  expect([gate.count('a'), gate.count('b'), gate.count('c'), gate.size]).toEqual([2, 2, 2, 6]);
});

test('limits - places that cannot give way are kept, and the newcomer is refused', () => {
  const gate = createGate({ perHolder: 4, total: 4 });
  for (let i = 0; i < 4; i++) gate.enter('a');
  expect(gate.enter('b')).toBeNull();
});

test.each([
  ['192.0.2.7', '192.0.2.7'],
  ['::ffff:192.0.2.7', '192.0.2.7'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:0DB8:0001:0002::9', '2001:db8:1:2::/64'],
  ['2001:db8::1', '2001:db8:0:0::/64'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64'],
  ['::1', '0:0:0:0::/64'],
  ['64:ff9b::192.0.2.33', '64:ff9b:0:0::/64'],
  ['', ''],
])('limits - %s is counted as %s', (address, source) => expect(sourceOf(address)).toBe(source));

test('limits - trusted proxies are addresses and CIDRs of both families', () => {
  const { trusts } = createTrustedProxies('10.0.0.0/8, 192.0.2.1,fd00::/8 ,');
  expect(['10.255.0.1', '::ffff:10.1.1.1', '192.0.2.1', 'fd12::1'].every(trusts)).toBe(true);
  expect(['11.0.0.1', '192.0.2.2', 'fe80::1', '', 'localhost'].some(trusts)).toBe(false);
  expect(createTrustedProxies('').trusts('127.0.0.1')).toBe(false);
});

test.each(['10.0.0.0/33', 'proxy.example', '10.0.0.0/', 'fd00::/129', '1.2.3.4/8/8'])(
  'limits - %s is refused as a proxy, with what would be right',
  (entry) => {
    expect(() => createTrustedProxies(entry)).toThrow(/is neither an IP address nor a CIDR such as 10\.0\.0\.0\/8/);
  },
);
