import crypto from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Device } from '../../../domain/index.ts';
import {
  Credentials,
  createRegistry,
  hashSecret,
  newSecret,
  type Registry,
  sameHash,
} from '../../../registry/index.ts';

const NOW = Date.UTC(2026, 0, 31, 12);
let dir: string;
let registry: Registry;
const made = () => createRegistry({ clock: { now: () => NOW } }, { path: join(dir, 'registry.sqlite') });
const open = () => made().open();
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'lamppost-registry-'));
  registry = open();
});
afterEach(() => {
  registry.close();
  rmSync(dir, { recursive: true });
});

const bin = (id: string, more: Partial<Device> = {}): Device => ({
  id,
  profile: 'waste-bin',
  district: 'harbour',
  ...more,
});
const ids = () => registry.list({ limit: 1_000, after: null }).items.map(({ id }) => id);
/** The credentials of the broker. */
function letsIn(user: string, secret: string): boolean {
  const credentials = new Credentials();
  credentials.apply({ set: registry.credentials(), remove: [] });
  return credentials.verify(user, Buffer.from(secret)) !== null;
}

describe('devices', () => {
  test('registry - it makes no file until it is opened, and may be closed more than once', () => {
    const path = join(dir, 'other.sqlite');
    const other = createRegistry({ clock: { now: () => NOW } }, { path });
    other.close();
    expect(existsSync(path)).toBe(false);
    other.open();
    expect([existsSync(path), other.count()]).toEqual([true, 0]);
    other.close();
    other.close();
  });

  test('registry - a registered device is returned with all its fields, and its secret is valid', () => {
    const device = bin('bin-1', { name: 'Quay', location: { lat: 53.5, lon: 10 }, tags: { owner: 'port' } });
    const [registered] = registry.register([device]);
    expect(registered).toEqual({ ...device, secret: expect.stringMatching(/^[\w-]{43}$/) });
    expect(registry.get('bin-1')).toEqual({ ...device, registeredAt: '2026-01-31T12:00:00.000Z' });
    expect(letsIn('bin-1', registered!.secret)).toBe(true);
    expect(letsIn('bin-1', 'x')).toBe(false);
    expect(letsIn('bin-2', registered!.secret)).toBe(false);
  });

  test.each([
    ['is registered already', [bin('bin-2'), bin('bin-1'), bin('bin-3')], 'bin-1'],
    ['stands in the array twice', [bin('bin-2'), bin('bin-3'), bin('bin-2')], 'bin-2'],
  ])('registry - an array in which one id %s registers none, and names it', (_what, devices, taken) => {
    registry.register([bin('bin-1')]);
    expect(() => registry.register(devices)).toThrow(expect.objectContaining({ code: 'conflict' }));
    expect(() => registry.register(devices)).toThrow(taken);
    expect(ids()).toEqual(['bin-1']);
    expect(registry.changesSince(1), 'no change was made').toBeNull();
  });

  test('registry - a device may not take the user name of a key, nor the one of the admin', () => {
    const key = registry.addKey({ name: 'screen', role: 'viewer', department: null });
    for (const id of [key.id, 'admin'])
      expect(() => registry.register([bin('bin-1'), bin(id)])).toThrow(expect.objectContaining({ code: 'conflict' }));
    expect(ids()).toEqual([]);
    expect(letsIn(key.id, key.secret)).toBe(true);
  });

  test('registry - after a rotation only the new secret is valid, also after the file was opened again', () => {
    const { secret } = registry.register([bin('bin-1'), bin('bin-2')])[0]!;
    const rotated = registry.rotate('bin-1')!;
    expect(rotated).not.toBe(secret);
    registry.close();
    registry = open();
    expect([letsIn('bin-1', secret), letsIn('bin-1', rotated)]).toEqual([false, true]);
    expect(registry.rotate('bin-9')).toBeNull();
  });

  test('registry - a revoked device is removed everywhere; its id may be registered again, with another secret', () => {
    const { secret } = registry.register([bin('bin-1')])[0]!;
    expect([registry.revoke('bin-1'), registry.revoke('bin-1'), registry.revoke('bin-9')]).toEqual([
      true,
      false,
      false,
    ]);
    expect([registry.get('bin-1'), registry.rotate('bin-1'), registry.credentialOf('bin-1')]).toEqual([
      null,
      null,
      null,
    ]);
    expect([registry.count(), letsIn('bin-1', secret)]).toEqual([0, false]);
    const [again] = registry.register([bin('bin-1', { district: 'old-town' })]);
    expect(registry.get('bin-1')).toMatchObject({ district: 'old-town' });
    expect([letsIn('bin-1', secret), letsIn('bin-1', again!.secret)]).toEqual([false, true]);
  });

  test('registry - its pages go through all devices once, by id, and filter by profile and district', () => {
    const devices = Array.from({ length: 25 }, (_, i) =>
      bin(`bin-${String(i).padStart(2, '0')}`, {
        profile: i % 2 ? 'noise' : 'waste-bin',
        district: i % 5 ? 'harbour' : 'old-town',
      }),
    );
    registry.register(devices.toReversed());
    const all: string[] = [];
    let after: string | null = null;
    do {
      const page = registry.list({ limit: 7, after });
      all.push(...page.items.map(({ id }) => id));
      after = page.next;
    } while (after !== null);
    expect(all).toEqual(devices.map(({ id }) => id));
    const some = registry.list({ limit: 100, after: null, profile: 'noise', district: 'old-town' });
    expect(some.items.map(({ id }) => id)).toEqual(['bin-05', 'bin-15']);
    expect(registry.list({ limit: 25, after: null }).next, 'a full last page has none behind it').toBeNull();
  });

  test('registry - a reader of its changes from any version has exactly the registered devices', () => {
    const id = fc.constantFrom('a', 'b', 'c', 'd');
    const step = fc.record({ what: fc.constantFrom('register', 'revoke', 'rotate', 'follow', 'reopen'), id });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        for (const known of ids()) registry.revoke(known);
        const followed = new Set<string>();
        let version = registry.changesSince(0)?.version ?? 0;
        for (const { what, id } of [...steps, { what: 'follow', id: '' }]) {
          if (what === 'register' && registry.get(id) === null) registry.register([bin(id)]);
          if (what === 'revoke') registry.revoke(id);
          if (what === 'rotate') registry.rotate(id);
          if (what === 'reopen') {
            registry.close();
            registry = open();
          }
          if (what !== 'follow') continue;
          const changes = registry.changesSince(version);
          if (changes === null) continue;
          expect(changes.version).toBeGreaterThan(version);
          for (const revoked of changes.revoked) followed.delete(revoked);
          for (const registered of changes.registered) followed.add(registered.id);
          version = changes.version;
        }
        expect([...followed].sort()).toEqual(ids());
      }),
      { numRuns: 40 },
    );
  });
});

describe('keys', () => {
  test('registry - a key is found by its secret until it is revoked', () => {
    const { secret, ...key } = registry.addKey({ name: 'screen', role: 'operator', department: 'waste' });
    expect(key).toMatchObject({ name: 'screen', role: 'operator', department: 'waste' });
    expect(registry.keys()).toEqual([key]);
    expect([registry.keyOf(secret), registry.keyOf(`${secret}x`), registry.keyOf('')]).toEqual([key, null, null]);
    expect(letsIn(key.id, secret)).toBe(true);
    expect([registry.revokeKey(key.id), registry.revokeKey(key.id)]).toEqual([true, false]);
    expect([registry.keyOf(secret), registry.keys(), letsIn(key.id, secret)]).toEqual([null, [], false]);
  });
});

describe('secrets', () => {
  test('registry - its files hold the SHA-256 of a secret, never the secret', () => {
    const devices = registry.register([bin('bin-1'), bin('bin-2')]);
    const key = registry.addKey({ name: 'screen', role: 'viewer', department: null });
    const rotated = registry.rotate('bin-1')!;
    const files = readdirSync(dir).map((name) => readFileSync(join(dir, name)));
    const holds = (bytes: string | Buffer) => files.some((file) => file.includes(bytes));
    for (const secret of [...devices.map((one) => one.secret), key.secret, rotated]) {
      expect(holds(hashSecret(secret)), 'the hash').toBe(true);
      expect(holds(secret), 'the secret').toBe(false);
      expect(holds(Buffer.from(secret, 'base64url')), 'its bytes').toBe(false);
    }
  });

  test('secrets - each is 256 bits, and no two are alike', () => {
    const secrets = Array.from({ length: 1_000 }, newSecret);
    expect(new Set(secrets).size).toBe(1_000);
    for (const secret of secrets) expect(Buffer.from(secret, 'base64url')).toHaveLength(32);
  });

  test('secrets - the hash is SHA-256 (FIPS 180-4, example of one block)', () => {
    expect(hashSecret('abc').toString('hex')).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
  });

  test('secrets - hashes are equal only where every bit is equal, and a shorter one differs', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), fc.nat({ max: 255 }), (bytes, bit) => {
        const [a, b] = [Buffer.from(bytes), Buffer.from(bytes)];
        expect(sameHash(a, b)).toBe(true);
        b[bit >> 3]! ^= 1 << (bit & 7);
        expect(sameHash(a, b)).toBe(false);
        expect(sameHash(a, a.subarray(0, 31))).toBe(false);
      }),
    );
  });

  test('credentials - every login costs one hash and one comparison in constant time, whether or not the name is known', () => {
    const credentials = new Credentials();
    credentials.apply({
      set: [{ identity: { kind: 'device', id: 'a', profile: 'waste-bin' }, hash: hashSecret('1') }],
      remove: [],
    });
    const compare = vi.spyOn(crypto, 'timingSafeEqual');
    const hash = vi.spyOn(crypto, 'createHash');
    syncBuiltinESMExports();
    try {
      const logins = [
        ['a', '1'],
        ['a', '2'],
        ['a', ''],
        ['b', '1'],
      ] as const;
      const found = logins.map(([user, secret]) => credentials.verify(user, Buffer.from(secret)));
      expect(found).toEqual([{ kind: 'device', id: 'a', profile: 'waste-bin' }, null, null, null]);
      expect(compare.mock.calls.map(([a, b]) => [a.byteLength, b.byteLength])).toEqual(logins.map(() => [32, 32]));
      expect(hash).toHaveBeenCalledTimes(logins.length);
    } finally {
      compare.mockRestore();
      hash.mockRestore();
      syncBuiltinESMExports();
    }
  });

  test('credentials - the placeholder hash of unknown names is no valid credential', () => {
    for (const secret of [Buffer.alloc(32), Buffer.alloc(0), Buffer.from('0'.repeat(64))])
      expect(new Credentials().verify('nobody', secret)).toBeNull();
  });

  test('credentials - a change returns exactly the user names whose old secret is no longer valid', () => {
    const credentials = new Credentials();
    const of = (id: string, secret: string) => ({
      identity: { kind: 'device' as const, id, profile: 'waste-bin' },
      hash: hashSecret(secret),
    });
    expect([...credentials.apply({ set: [of('a', '1'), of('b', '1')], remove: [] })]).toEqual([]);
    expect([...credentials.apply({ set: [of('a', '1'), of('b', '2')], remove: ['c'] })].sort()).toEqual(['b', 'c']);
    expect(credentials.verify('b', Buffer.from('1'))).toBeNull();
    expect(credentials.verify('b', Buffer.from('2'))).toEqual({ kind: 'device', id: 'b', profile: 'waste-bin' });
    expect(credentials.size).toBe(2);
  });
});
