import crypto from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type Device, HOUR_MS, systemTimers } from '../../../domain/index.ts';
import {
  Credentials,
  hashSecret,
  newSecret,
  REGISTRY_SCHEMA,
  RegistryFollower,
  sameHash,
} from '../../../registry/index.ts';
import { openDatabase, transact } from '../../../store/index.ts';
import { testRegistry } from '../../kit/registry.ts';

const NOW = Date.UTC(2026, 0, 31, 12);
let dir: string;
let db: DatabaseSync;
let nowMs: number;
let registry: ReturnType<typeof testRegistry>;
const open = () => {
  db = openDatabase(join(dir, 'state.sqlite'), { schemas: [REGISTRY_SCHEMA] });
  return testRegistry(db, { now: () => nowMs });
};
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'lamppost-registry-'));
  nowMs = NOW;
  registry = open();
});
afterEach(() => {
  db.close();
  rmSync(dir, { recursive: true });
});

const bin = (id: string, more: Partial<Device> = {}): Device => ({
  id,
  profile: 'waste-bin',
  district: 'harbour',
  ...more,
});
const hashOf = (secret: string) => hashSecret(secret).toString('base64url');
const ids = () => registry.read.list({ limit: 1_000, after: null }).items.map(({ id }) => id);
/** The credentials of the broker. */
function letsIn(user: string, secret: string): boolean {
  const credentials = new Credentials();
  credentials.apply({ set: registry.read.credentials(), remove: [] });
  return credentials.verify(user, Buffer.from(secret)) !== null;
}
/** What is due is done, as at a tick. */
const due = () => transact(db, () => registry.records.doDue(registry.place()));
const devices = <T>(work: (records: typeof registry.records.devices) => T): T =>
  transact(db, () => work(registry.records.devices));

describe('devices', () => {
  test('registry - a registered device is returned with all its fields, and its secret is valid', () => {
    const device = bin('bin-1', { name: 'Quay', location: { lat: 53.5, lon: 10 }, tags: { owner: 'port' } });
    const [registered] = registry.register([device]);
    expect(registry.read.get('bin-1')).toEqual({
      ...device,
      registeredAt: '2026-01-31T12:00:00.000Z',
      ...{ version: 1, suspended: false, oldSecretUntil: null, replacedAt: null },
    });
    expect(letsIn('bin-1', registered!.secret)).toBe(true);
    expect(letsIn('bin-1', 'x')).toBe(false);
    expect(letsIn('bin-2', registered!.secret)).toBe(false);
  });

  test.each([
    ['is registered already', [bin('bin-2'), bin('bin-1'), bin('bin-3')], 'bin-1'],
    ['stands in the array twice', [bin('bin-2'), bin('bin-3'), bin('bin-2')], 'bin-2'],
  ])('registry - an array in which one id %s registers none, and names it', (_what, array, taken) => {
    registry.register([bin('bin-1')]);
    const version = registry.read.version();
    expect(() => registry.register(array)).toThrow(expect.objectContaining({ code: 'conflict', reason: 'id-taken' }));
    expect(() => registry.register(array)).toThrow(taken);
    expect(ids()).toEqual(['bin-1']);
    expect(registry.read.version(), 'no change was made').toBe(version);
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
    const rotated = registry.rotate('bin-1');
    expect(rotated).not.toBe(secret);
    db.close();
    registry = open();
    expect([letsIn('bin-1', secret), letsIn('bin-1', rotated)]).toEqual([false, true]);
    expect(() => registry.rotate('bin-9')).toThrow(expect.objectContaining({ code: 'not-found' }));
  });

  test('registry - a rotation with an overlap keeps the old secret until its time, or until it is confirmed', () => {
    const { secret } = registry.register([bin('bin-1'), bin('bin-2')])[0]!;
    const rotated = registry.rotate('bin-1', NOW + HOUR_MS);
    expect(registry.read.get('bin-1')).toMatchObject({ oldSecretUntil: '2026-01-31T13:00:00.000Z', version: 2 });
    nowMs = NOW + HOUR_MS - 1;
    due();
    expect([letsIn('bin-1', secret), letsIn('bin-1', rotated)]).toEqual([true, true]);
    nowMs++;
    due();
    expect([letsIn('bin-1', secret), letsIn('bin-1', rotated)]).toEqual([false, true]);
    expect(registry.read.get('bin-1')).toMatchObject({ oldSecretUntil: null, version: 3 });
    const again = registry.rotate('bin-1', nowMs + HOUR_MS);
    devices((records) => records.confirm('bin-1', registry.place()));
    expect([letsIn('bin-1', rotated), letsIn('bin-1', again)]).toEqual([false, true]);
  });

  test('registry - a wall clock that is set moves how long an old secret stays valid, and no longer', () => {
    const { secret } = registry.register([bin('bin-1')])[0]!;
    registry.rotate('bin-1', NOW + HOUR_MS);
    transact(db, () => registry.records.stepped(48 * HOUR_MS));
    nowMs = NOW + 48 * HOUR_MS + HOUR_MS - 1;
    due();
    expect(letsIn('bin-1', secret)).toBe(true);
    nowMs++;
    due();
    expect(letsIn('bin-1', secret)).toBe(false);
  });

  test('registry - a calibration is a part of the device, goes to the log, and ends with the hardware', () => {
    registry.register([bin('bin-1')]);
    const calibrate = (more: object = {}) =>
      devices((one) => one.calibrate('bin-1', { metric: 'fill', offset: 2, ...more }, 'person:1', registry.place()));
    const { version } = registry.read;
    const before = version();
    const { calibrations } = calibrate({ certificate: 'C-7', until: '2026-03-01T01:00:00+01:00' });
    expect(calibrations).toEqual([
      {
        ...{ id: expect.stringMatching(/^\d+-0$/) as unknown, metric: 'fill', gain: 1, offset: 2, points: null },
        ...{ from: '2026-01-31T12:00:00.000Z', until: '2026-03-01T00:00:00.000Z', certificate: 'C-7', note: null },
        ...{ by: 'person:1', at: '2026-01-31T12:00:00.000Z' },
      },
    ]);
    expect(registry.read.devicesSince(before).registered).toEqual([{ ...bin('bin-1'), calibrations }]);
    devices((one) => one.change('bin-1', undefined, { name: 'Quay' }, registry.place()));
    expect(registry.read.get('bin-1')).toMatchObject({ name: 'Quay', calibrations });
    expect(calibrate().calibrations).toHaveLength(2);
    expect(() => calibrate({ until: '2026-01-31T12:00:00Z' })).toThrow(expect.objectContaining({ code: 'invalid' }));
    const remove = (id: string) => devices((one) => one.uncalibrate('bin-1', id, registry.place()));
    expect(remove(calibrations![0]!.id).calibrations).toHaveLength(1);
    expect(() => remove(calibrations![0]!.id)).toThrow(expect.objectContaining({ code: 'not-found' }));
    devices((one) => one.replace('bin-1', undefined, { hash: hashOf('x'), change: {} }, registry.place()));
    expect(registry.read.get('bin-1')).not.toHaveProperty('calibrations');
    for (let i = 0; i < 100; i++) calibrate();
    expect(() => calibrate()).toThrow(expect.objectContaining({ code: 'limit' }));
  });

  test('registry - a suspended device is no client, and is one again after it was resumed', () => {
    const { secret } = registry.register([bin('bin-1')])[0]!;
    const suspend = (suspended: boolean) => devices((one) => one.suspend('bin-1', suspended, registry.place()));
    expect(suspend(true)).toMatchObject({ suspended: true, version: 2 });
    expect(suspend(true), 'nothing changes twice').toMatchObject({ suspended: true, version: 2 });
    expect(letsIn('bin-1', secret)).toBe(false);
    expect(suspend(false)).toMatchObject({ suspended: false, version: 3 });
    expect(letsIn('bin-1', secret)).toBe(true);
  });

  test('registry - a change is a merge patch: null removes, what is absent stays, a version that is past is refused', () => {
    registry.register([bin('bin-1', { name: 'Quay', tags: { owner: 'port', kind: 'glass' } })]);
    const change = (version: number | undefined, changes: Parameters<typeof registry.records.devices.change>[2]) =>
      devices((records) => records.change('bin-1', version, changes, registry.place()));
    expect(change(1, { district: 'old-town', name: null, tags: { kind: null, size: 'l' } })).toEqual({
      ...bin('bin-1', { district: 'old-town', tags: { owner: 'port', size: 'l' } }),
      registeredAt: '2026-01-31T12:00:00.000Z',
      ...{ version: 2, suspended: false, oldSecretUntil: null, replacedAt: null },
    });
    expect(() => change(1, { district: 'harbour' })).toThrow(
      expect.objectContaining({ code: 'precondition', reason: 'device-changed' }),
    );
    const many = Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`tag-${i}`, 'x']));
    expect(() => change(undefined, { tags: many })).toThrow(/tags: at most 50 tags/);
    expect(registry.read.get('bin-1')).toMatchObject({ tags: { owner: 'port', size: 'l' }, version: 2 });
  });

  test('registry - other hardware in the place of a device has its id, and a secret of its own', () => {
    const { secret } = registry.register([bin('bin-1')])[0]!;
    const replaced = newSecret();
    nowMs += HOUR_MS;
    const asked = { hash: hashOf(replaced), change: { tags: { serial: '2' } } };
    devices((records) => records.replace('bin-1', undefined, asked, registry.place()));
    expect([letsIn('bin-1', secret), letsIn('bin-1', replaced)]).toEqual([false, true]);
    expect(registry.read.get('bin-1')).toMatchObject({
      tags: { serial: '2' },
      replacedAt: '2026-01-31T13:00:00.000Z',
      registeredAt: '2026-01-31T12:00:00.000Z',
    });
  });

  describe('hardware of LoRaWAN devices', () => {
    const [OLD, NEW, NEWER] = ['70b3d57ed0000001', '70b3d57ed0000002', '70b3d57ed0000003'];
    const replace = (id: string, devEui: string | null | undefined, version?: number) =>
      devices((records) => records.replace(id, version, { hash: hashOf('x'), change: { devEui } }, registry.place()));
    const taken = expect.objectContaining({ code: 'conflict', reason: 'dev-eui-taken' });
    beforeEach(() => void registry.register([bin(OLD)]));

    test('registry - other hardware has the place of a device until it is replaced again, or the old one is back', () => {
      expect(replace(OLD, NEW)).toMatchObject({ id: OLD, devEui: NEW, version: 2 });
      expect(replace(OLD, undefined), 'what is absent stays').toMatchObject({ devEui: NEW });
      expect(replace(OLD, NEWER.toUpperCase())).toMatchObject({ devEui: NEWER });
      expect(replace(OLD, OLD)).not.toHaveProperty('devEui');
      expect(replace(OLD, NEW)).toMatchObject({ devEui: NEW });
      expect(replace(OLD, null)).not.toHaveProperty('devEui');
      expect(() => replace(OLD, NEW, 3)).toThrow(expect.objectContaining({ reason: 'device-changed' }));
      expect(() => replace(OLD, 'roof')).toThrow(/devEui: a DevEUI has 16 hexadecimal digits/);
    });

    test('registry - ingest learns which hardware a device has', () => {
      replace(OLD, NEW);
      expect(registry.read.devicesSince(0).registered).toEqual([bin(OLD, { devEui: NEW })]);
    });

    test('registry - hardware has one place at a time, and who wants it elsewhere reads which one', () => {
      registry.register([bin('bin-1'), bin(NEWER)]);
      replace(OLD, NEW);
      expect(() => registry.register([bin(NEW)])).toThrow(
        `${NEW} is the hardware of device "${OLD}": put other hardware there first (replace), or revoke it`,
      );
      expect(() => replace('bin-1', NEW)).toThrow(taken);
      expect(() => replace('bin-1', NEWER), 'of a device whose id it is').toThrow(taken);
      expect(() => registry.register([bin('bin-2', { devEui: NEW })])).toThrow(taken);
      const rule = { devices: ['*'], profile: 'waste-bin', most: 9 };
      expect(devices((records) => records.enrol('bin-1', NEW, rule, registry.place()))).toBe(false);
      expect(registry.read.get('bin-1'), 'nothing of it was done').not.toHaveProperty('devEui');
    });

    test('registry - hardware that was replaced, or whose device was revoked, can have another place', () => {
      registry.register([bin('bin-1')]);
      replace(OLD, NEW);
      expect(replace('bin-1', OLD), 'the repaired one').toMatchObject({ devEui: OLD });
      expect(() => replace(OLD, null), 'and not two').toThrow(taken);
      devices((records) => records.revoke(OLD, registry.place()));
      registry.register([bin(NEW)]);
      expect(ids()).toEqual([NEW, 'bin-1']);
    });

    test('registry - a device is registered with its DevEUI, as an export has it; its own id is none', () => {
      registry.register([bin('a', { devEui: NEW }), bin(NEWER, { devEui: NEWER })]);
      expect(registry.read.get('a')).toMatchObject({ devEui: NEW });
      expect(registry.read.get(NEWER)).not.toHaveProperty('devEui');
    });
  });

  test('registry - a claim code is used once, by its device, within its time', () => {
    const [one] = registry.register([bin('bin-1'), bin('bin-2')]);
    const [code, secret] = [newSecret(), newSecret()];
    const addCode = () => devices((records) => records.addClaim('bin-1', hashOf(code), NOW + HOUR_MS));
    const claim = (id: string) => devices((all) => all.claim(id, hashOf(code), hashOf(secret), registry.place()));
    const refused = expect.objectContaining({ code: 'forbidden', reason: 'wrong-claim-code' });
    expect(() => claim('bin-1')).toThrow(refused);
    addCode();
    expect(() => claim('bin-2')).toThrow(refused);
    claim('bin-1');
    expect([letsIn('bin-1', one!.secret), letsIn('bin-1', secret)]).toEqual([false, true]);
    expect(() => claim('bin-1')).toThrow(refused);
    addCode();
    nowMs = NOW + HOUR_MS;
    expect(() => claim('bin-1')).toThrow(refused);
    due();
    expect(registry.read.claimHash('bin-1')).toBeNull();
  });

  test('registry - a revoked device is removed everywhere; its id may be registered again, with another secret', () => {
    const { secret } = registry.register([bin('bin-1')])[0]!;
    registry.revoke('bin-1');
    for (const id of ['bin-1', 'bin-9'])
      expect(() => registry.revoke(id)).toThrow(expect.objectContaining({ code: 'not-found' }));
    expect([registry.read.get('bin-1'), registry.read.credentialOf('bin-1')]).toEqual([null, null]);
    expect([registry.read.count(), letsIn('bin-1', secret)]).toEqual([0, false]);
    const [again] = registry.register([bin('bin-1', { district: 'old-town' })]);
    expect(registry.read.get('bin-1')).toMatchObject({ district: 'old-town' });
    expect([letsIn('bin-1', secret), letsIn('bin-1', again!.secret)]).toEqual([false, true]);
  });

  test('registry - its pages go through all devices once, by id, and filter by profile and district', () => {
    const all = Array.from({ length: 25 }, (_, i) =>
      bin(`bin-${String(i).padStart(2, '0')}`, {
        profile: i % 2 ? 'noise' : 'waste-bin',
        district: i % 5 ? 'harbour' : 'old-town',
      }),
    );
    registry.register(all.toReversed());
    const seen: string[] = [];
    let after: string | null = null;
    do {
      const page: ReturnType<typeof registry.read.list> = registry.read.list({ limit: 7, after });
      seen.push(...page.items.map(({ id }) => id));
      after = page.next;
    } while (after !== null);
    expect(seen).toEqual(all.map(({ id }) => id));
    const some = registry.read.list({ limit: 100, after: null, profile: 'noise', district: 'old-town' });
    expect(some.items.map(({ id }) => id)).toEqual(['bin-05', 'bin-15']);
    expect(registry.read.list({ limit: 25, after: null }).next, 'a full last page has none behind it').toBeNull();
  });

  test('registry - a follower leaves the log and the broker with exactly the registered devices, whatever fails', async () => {
    const id = fc.constantFrom('a', 'b', 'c', 'd');
    const what = fc.constantFrom('register', 'revoke', 'rotate', 'suspend', 'follow', 'fail', 'restart');
    await fc.assert(
      fc.asyncProperty(fc.array(fc.record({ what, id }), { maxLength: 30 }), async (steps) => {
        for (const known of ids()) registry.revoke(known);
        const logged = new Set<string>();
        let journalled = registry.read.version();
        let fails = false;
        let credentials = new Credentials();
        const start = () => {
          credentials = new Credentials();
          credentials.apply({ set: registry.read.credentials(), remove: [] });
          const made = new RegistryFollower({
            registry: registry.read,
            async journal(control) {
              if (fails) throw new Error('the disk is full');
              for (const one of control.revoked) logged.delete(one);
              for (const one of control.registered) logged.add(one.id);
              journalled = control.version;
            },
            broker: async (change) => [...credentials.apply(change)],
            timers: { after: () => () => {} },
            journalled,
          });
          made.startedWith(registry.read.version());
          return made;
        };
        let follower = start();
        const secrets = new Map<string, string>();
        for (const { what, id } of [...steps, { what: 'follow', id: '' }]) {
          const isThere = registry.read.get(id) !== null;
          if (what === 'register' && !isThere) secrets.set(id, registry.register([bin(id)])[0]!.secret);
          if (what === 'rotate' && isThere) secrets.set(id, registry.rotate(id));
          if (what === 'suspend' && isThere) devices((all) => all.suspend(id, true, registry.place()));
          if (what === 'revoke' && isThere) registry.revoke(id);
          if (what === 'restart') follower = start();
          fails = what === 'fail';
          if (what === 'fail') await follower.follow().catch(() => {});
          if (what === 'follow') await Promise.all([follower.follow(), follower.follow()]);
        }
        expect([...logged].sort()).toEqual(ids());
        const mayConnect = registry.read.list({ limit: 10, after: null }).items.filter((one) => !one.suspended);
        const connects = ['a', 'b', 'c', 'd'].filter(
          (one) => credentials.verify(one, Buffer.from(secrets.get(one) ?? '')) !== null,
        );
        expect(connects).toEqual(mayConnect.map((one) => one.id));
        follower.stop();
      }),
      { numRuns: 40 },
    );
  });

  test('registry - a follower tries again by itself what the disk did not take', async () => {
    registry.register([bin('a')]);
    let tries = 0;
    const told = Promise.withResolvers<void>();
    const follower = new RegistryFollower({
      registry: registry.read,
      async journal() {
        if (++tries === 1) throw new Error('the disk is full');
        told.resolve();
      },
      broker: async () => [],
      timers: { after: (_ms, run) => systemTimers.after(1, run) },
      journalled: 0,
    });
    await expect(follower.follow()).rejects.toThrow('the disk is full');
    await told.promise;
    follower.stop();
  });
});

describe('keys', () => {
  test('registry - a key is found by its secret until it is revoked', () => {
    const { secret, ...key } = registry.addKey({ name: 'screen', role: 'operator', department: 'waste' });
    expect(registry.read.keys()).toEqual([
      {
        ...key,
        ...{ version: 1, createdAt: '2026-01-31T12:00:00.000Z', createdBy: 'admin', expiresAt: null, note: '' },
        ...{ oldSecretUntil: null, lastUsedAt: null },
      },
    ]);
    const { keyOf } = registry.read;
    expect([keyOf(secret), keyOf(`${secret}x`), keyOf('')]).toEqual([key, null, null]);
    expect(letsIn(key.id, secret)).toBe(true);
    registry.revokeKey(key.id);
    expect(() => registry.revokeKey(key.id)).toThrow(expect.objectContaining({ code: 'not-found' }));
    expect([keyOf(secret), registry.read.keys(), letsIn(key.id, secret)]).toEqual([null, [], false]);
  });

  test('registry - a key ends on its day, an old secret of it at its time', () => {
    const key = registry.addKey({ name: 'screen', role: 'viewer', department: null }, NOW + 2 * HOUR_MS);
    const secret = newSecret();
    const rotation = { hash: hashOf(secret), oldUntilMs: NOW + HOUR_MS };
    transact(db, () => registry.records.keys.rotate(key.id, rotation, registry.place()));
    const valid = () => [key.secret, secret].map((one) => registry.read.keyOf(one)?.id ?? null);
    expect(valid()).toEqual([key.id, key.id]);
    nowMs = NOW + HOUR_MS;
    due();
    expect(valid()).toEqual([null, key.id]);
    const before = registry.read.version();
    nowMs = NOW + 2 * HOUR_MS;
    due();
    expect(valid()).toEqual([null, null]);
    expect(registry.read.credentialsSince(before)).toEqual({ set: [], remove: [key.id] });
  });

  test('registry - of revoked keys the newest thousand are kept', () => {
    const { keys } = registry.records;
    const key = { name: 'n', role: 'viewer', department: null, hash: hashOf('x'), expiresMs: null, note: '' } as const;
    transact(db, () => {
      for (let i = 0; i < 1_005; i++) keys.revoke(keys.add(key, 'admin', registry.place()).id, registry.place());
    });
    expect(db.prepare('select count(*) as n from registry_keys').get()!.n).toBe(1_000);
  });
});

describe('secrets', () => {
  test('registry - its files hold the SHA-256 of a secret, never the secret', () => {
    const registered = registry.register([bin('bin-1'), bin('bin-2')]);
    const key = registry.addKey({ name: 'screen', role: 'viewer', department: null });
    const rotated = registry.rotate('bin-1', NOW + HOUR_MS);
    const files = readdirSync(dir).map((name) => readFileSync(join(dir, name)));
    const holds = (bytes: string | Buffer) => files.some((file) => file.includes(bytes));
    for (const secret of [...registered.map((one) => one.secret), key.secret, rotated]) {
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

  test('credentials - every login costs one hash and two comparisons in constant time, whether or not the name is known', () => {
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
      const sizes = compare.mock.calls.map(([a, b]) => [a.byteLength, b.byteLength]);
      expect(sizes).toEqual([...logins, ...logins].map(() => [32, 32]));
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

  test('credentials - while a secret is replaced both are right; connections end when one of them ends, not before', () => {
    const credentials = new Credentials();
    const of = (secret: string, old: string | null, suspended = false) => ({
      identity: { kind: 'device' as const, id: 'a', profile: 'waste-bin' },
      hash: hashSecret(secret),
      oldHash: old === null ? null : hashSecret(old),
      suspended,
    });
    const ended = (...change: Parameters<typeof of>) => [...credentials.apply({ set: [of(...change)], remove: [] })];
    const right = () => ['1', '2', '3'].filter((one) => credentials.verify('a', Buffer.from(one)) !== null);
    expect([ended('1', null), right()]).toEqual([[], ['1']]);
    expect([ended('2', '1'), right()]).toEqual([[], ['1', '2']]);
    expect([ended('2', null), right()]).toEqual([['a'], ['2']]);
    expect([ended('3', null), right()]).toEqual([['a'], ['3']]);
    expect([ended('3', null, true), right()]).toEqual([['a'], []]);
    expect(credentials.check('a', Buffer.from('3'))).toBe('suspended');
    expect(credentials.check('a', Buffer.from('1')), 'who does not know the secret learns nothing').toBe(
      'wrong-credentials',
    );
  });
});
