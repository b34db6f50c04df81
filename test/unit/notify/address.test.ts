import type { lookup } from 'node:dns';
import { expect, test } from 'vitest';
import {
  guardedLookup,
  isPrivateAddress,
  literalOf,
  PrivateAddressError,
  refusePrivate,
} from '../../../notify/address.ts';

test.each([
  ['127.0.0.1', true],
  ['127.255.255.254', true],
  ['0.0.0.0', true],
  ['10.1.2.3', true],
  ['172.16.0.1', true],
  ['172.32.0.1', false],
  ['192.168.1.1', true],
  ['169.254.169.254', true],
  ['100.64.0.1', true],
  ['100.128.0.1', false],
  ['198.18.0.1', true],
  ['224.0.0.1', true],
  ['255.255.255.255', true],
  ['8.8.8.8', false],
  ['1.1.1.1', false],
  ['::', true],
  ['::1', true],
  ['0:0:0:0:0:0:0:1', true],
  ['fe80::1', true],
  ['fe80::1%eth0', true],
  ['fc00::1', true],
  ['fd12:3456::1', true],
  ['fec0::1', true],
  ['ff02::1', true],
  ['::ffff:127.0.0.1', true],
  ['::ffff:7f00:1', true],
  ['0:0:0:0:0:ffff:10.0.0.1', true],
  ['::ffff:8.8.8.8', false],
  ['::127.0.0.1', true],
  ['64:ff9b::7f00:1', true],
  ['2001::1', true],
  ['2002:7f00:1::', true],
  ['2001:db8::1', true],
  ['2606:4700:4700::1111', false],
  ['2a00:1450:4001::8a', false],
])('addresses - %s is private: %s', (address, isPrivate) => {
  expect(isPrivateAddress(address)).toBe(isPrivate);
});

test.each([
  ['http://127.0.0.1/', '127.0.0.1'],
  ['http://127.1/', '127.0.0.1'],
  ['http://2130706433/', '127.0.0.1'],
  ['http://0x7f.0.0.1/', '127.0.0.1'],
  ['http://[::1]:80/', '::1'],
  ['http://[::ffff:127.0.0.1]/', '::ffff:7f00:1'],
  ['https://city.example/', null],
])('addresses - the literal address in %s is %s', (url, literal) => {
  expect(literalOf(new URL(url))).toBe(literal);
});

test.each(['http://127.0.0.1/', 'http://[::1]/', 'http://10.0.0.8:9/', 'https://0x7f.1/'])(
  'addresses - %s is refused with a remedy, unless private ones are allowed',
  (url) => {
    expect(() => refusePrivate(url, false)).toThrow(/private address.*WEBHOOK_ALLOW_PRIVATE/);
    expect(() => refusePrivate(url, true)).not.toThrow();
  },
);

const resolvesTo = (...addresses: string[]) =>
  guardedLookup(((_name: string, _options: object, callback: (error: null, found: object[]) => void) =>
    callback(
      null,
      addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
    )) as typeof lookup);

const lookUp = (look: ReturnType<typeof guardedLookup>, all: boolean) =>
  new Promise((resolve) => look('name.example', { all }, (error, found) => resolve(error ?? found)));

test('addresses - the lookup of a name returns its public addresses only', async () => {
  const look = resolvesTo('10.0.0.1', '8.8.8.8', '::1', '2606:4700::1');
  expect(await lookUp(look, true)).toMatchObject([{ address: '8.8.8.8' }, { address: '2606:4700::1' }]);
  expect(await lookUp(look, false)).toBe('8.8.8.8');
});

test('addresses - a name with only private addresses is refused, and the error lists them', async () => {
  const error = await lookUp(resolvesTo('127.0.0.1', '::1'), true);
  expect(error).toBeInstanceOf(PrivateAddressError);
  expect((error as Error).message).toBe('name.example resolves to 127.0.0.1, ::1');
});
