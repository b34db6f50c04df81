import { chmodSync, mkdirSync, mkdtempSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { adviceOn, type ListedKey, type ListedPerson, readConfig, type Seen } from '../../../app/index.ts';
import { certificate } from '../../kit/broker/certificate.ts';

const NOW = Date.parse('2026-11-29T12:00:00Z');
const DAY = 86_400_000;
const NOTHING: Seen = { clock: null, ntp: true, keys: null, people: null };

function folder(): string {
  const dir = mkdtempSync(join(tmpdir(), 'lamppost-doctor-'));
  for (const name of ['data', 'backups', 'backups/lamppost-1']) mkdirSync(join(dir, name), { mode: 0o700 });
  writeFileSync(join(dir, 'backups/lamppost-1/manifest.json'), '{}');
  utimesSync(join(dir, 'backups/lamppost-1/manifest.json'), NOW / 1_000, NOW / 1_000 - 3_600);
  const { cert, key } = certificate('localhost');
  writeFileSync(join(dir, 'cert.pem'), cert);
  writeFileSync(join(dir, 'key.pem'), key, { mode: 0o600 });
  return dir;
}

const settingsOf = (dir: string, more: Readonly<Record<string, string>> = {}) => ({
  LAMPPOST_DATA: join(dir, 'data'),
  LAMPPOST_BACKUP_DIR: join(dir, 'backups'),
  MQTT_HOST: '127.0.0.1',
  HTTP_HOST: '127.0.0.1',
  ...more,
});
const adviceIn = (settings: Record<string, string>, seen: Seen = NOTHING) =>
  adviceOn(readConfig(settings), seen, NOW)
    // How full the disk of this test is, is not its matter.
    .filter(({ about }) => about !== 'disk')
    .map(({ about, problem, todo }) => `${about}: ${problem}; ${todo}`);
/** Data and backups are on one disk here. */
const ONE_DISK = expect.stringMatching(/^backups: .* is on the disk of /);

test('doctor - a good deployment has nothing but what the test itself lacks', () => {
  expect(adviceIn(settingsOf(folder()))).toEqual([ONE_DISK]);
});

test('doctor - a listener without TLS that others reach', () => {
  const dir = folder();
  const open = { MQTT_HOST: '0.0.0.0', HTTP_HOST: '192.0.2.7' };
  expect(adviceIn(settingsOf(dir, open))).toEqual([
    expect.stringMatching(/^listeners: MQTT listens without TLS on 0\.0\.0\.0:1883.*MQTTS_PORT/),
    expect.stringMatching(/^listeners: HTTP listens without TLS on 192\.0\.2\.7:8080.*HTTPS_PORT/),
    ONE_DISK,
  ]);
  const tls = { HTTPS_PORT: '8443', TLS_CERT: join(dir, 'cert.pem'), TLS_KEY: join(dir, 'key.pem') };
  const redirect = { HTTP_REDIRECT: 'true', LAMPPOST_PUBLIC_URL: 'https://lamppost.example' };
  expect(adviceIn(settingsOf(dir, { HTTP_HOST: '0.0.0.0', ...tls, ...redirect }))).toEqual([ONE_DISK]);
  const closed = { MQTT_HOST: '0.0.0.0', MQTT_PORT: 'off', MQTTS_PORT: '8883' };
  expect(adviceIn(settingsOf(dir, { ...closed, ...tls }))).toEqual([ONE_DISK]);
});

test('doctor - keys that never expire, are not used, or are bound', () => {
  const key = (id: string, more: Partial<ListedKey>): ListedKey => ({
    ...{ id, name: id, role: 'viewer', department: null },
    ...{ createdAt: new Date(NOW - DAY).toISOString(), expiresAt: '2027-01-01T00:00:00Z', lastUsedAt: null },
    ...more,
  });
  const at = (daysAgo: number) => new Date(NOW - daysAgo * DAY).toISOString();
  const keys = [
    key('good', { lastUsedAt: at(1) }),
    key('new', {}),
    key('endless', { expiresAt: null }),
    key('unused', { lastUsedAt: at(91) }),
    key('never', { createdAt: at(100) }),
    key('boss', { role: 'admin' }),
    key('half', { role: 'admin', department: 'waste' }),
    // A server that does not say when keys expire, or were used.
    { id: 'before', name: 'before', role: 'viewer', department: null } as const,
  ];
  const settings = settingsOf(folder(), { LAMPPOST_ADMIN_KEY: 'x'.repeat(32) });
  expect(adviceIn(settings, { ...NOTHING, keys })).toEqual([
    expect.stringMatching(
      /^keys: the admin key of the settings is in use, beside boss \(boss\); set LAMPPOST_ADMIN_KEY=off/,
    ),
    expect.stringMatching(/^keys: these keys never expire: endless \(endless\); /),
    expect.stringMatching(/^keys: these keys were not used for 90 days: unused \(unused\), never \(never\); revoke/),
    expect.stringMatching(/^keys: roles of the whole city in a department.*: half \(half\); /),
    ONE_DISK,
  ]);
});

test('doctor - the admin key of the settings, until it is off', () => {
  const admin: ListedPerson = {
    ...{ email: 'mei@city.example', roles: [{ role: 'admin', department: null }] },
    ...{ hasPassword: true, issuer: null, suspendedAt: null },
  };
  const adviceBeside = (people: readonly ListedPerson[], key = 'x'.repeat(32)) =>
    adviceIn(settingsOf(folder(), { LAMPPOST_ADMIN_KEY: key }), { ...NOTHING, keys: [], people });
  const inUse = 'in use, beside mei@city.example; set LAMPPOST_ADMIN_KEY=off';
  expect(adviceBeside([admin])).toEqual([expect.stringContaining(inUse), ONE_DISK]);
  expect(adviceBeside([{ ...admin, hasPassword: false, issuer: 'https://login.example' }])[0]).toContain(inUse);
  for (const other of [
    { roles: [{ role: 'viewer', department: null }] },
    { roles: [{ role: 'admin', department: 'waste' }] },
    { hasPassword: false },
    { suspendedAt: '2026-11-01T00:00:00Z' },
  ] satisfies Partial<ListedPerson>[])
    expect(adviceBeside([{ ...admin, ...other }]), JSON.stringify(other)).toEqual([
      expect.stringMatching(
        /^keys: only the admin key of the settings administers .*; add a person \(lamppost user add/,
      ),
      ONE_DISK,
    ]);
  expect(adviceBeside([admin], 'off')).toEqual([ONE_DISK]);
});

test.skipIf(process.platform === 'win32')('doctor - files that others may use', () => {
  const dir = folder();
  chmodSync(join(dir, 'data'), 0o755);
  chmodSync(join(dir, 'key.pem'), 0o640);
  const tls = { MQTTS_PORT: '8883', TLS_CERT: join(dir, 'cert.pem'), TLS_KEY: join(dir, 'key.pem') };
  expect(adviceIn(settingsOf(dir, tls))).toEqual([
    `files: others may use ${join(dir, 'data')}; chmod go= ${join(dir, 'data')}`,
    `files: others may use ${join(dir, 'key.pem')}; chmod go= ${join(dir, 'key.pem')}`,
    ONE_DISK,
  ]);
});

test.skipIf(process.platform === 'win32')(
  'doctor - secrets and backups that others may read, a city that all may change',
  () => {
    const dir = folder();
    const path = (name: string) => join(dir, name);
    mkdirSync(path('bridges'), { mode: 0o700 });
    mkdirSync(path('city/rules'), { recursive: true, mode: 0o755 });
    for (const name of ['nats.creds', 'nats.key']) writeFileSync(path(name), '', { mode: 0o600 });
    writeFileSync(path('city/rules/a.yaml'), '', { mode: 0o644 });
    const settings = settingsOf(dir, {
      ...{ LAMPPOST_CITY: path('city'), LAMPPOST_BRIDGE_SECRETS: path('bridges'), LAMPPOST_LOG: 'nats://127.0.0.1' },
      ...{ LAMPPOST_ADMIN_KEY: 'x'.repeat(32), LAMPPOST_SECRETS_KEY: 'x'.repeat(32) },
      ...{ NATS_CREDENTIALS: path('nats.creds'), NATS_KEY: path('nats.key') },
    });
    expect(adviceIn(settings)).toEqual([ONE_DISK]);
    const secret = ['backups/lamppost-1', 'nats.creds', 'nats.key', 'bridges'].map(path);
    for (const one of secret) chmodSync(one, 0o750);
    chmodSync(path('city/rules/a.yaml'), 0o666);
    expect(adviceIn(settings)).toEqual([
      ...secret.map((one) => `files: others may use ${one}; chmod go= ${one}`),
      `files: everybody on this machine may change ${path('city')}; chmod -R o-w ${path('city')}`,
      ONE_DISK,
    ]);
  },
);

test('doctor - a clock that differs or follows no time server, and backups that are old or missing', () => {
  const dir = folder();
  const clock = { serverMs: NOW - 60_000, hereMs: NOW };
  expect(adviceIn(settingsOf(dir), { ...NOTHING, clock })[0]).toMatch(/^clock: the server's time is -60 s from/);
  const near = { serverMs: NOW - 900, hereMs: NOW };
  expect(adviceIn(settingsOf(dir), { ...NOTHING, clock: near, ntp: true })).toEqual([ONE_DISK]);
  expect(adviceIn(settingsOf(dir), { ...NOTHING, ntp: false })).toEqual([
    expect.stringMatching(/^clock: the clock of this machine follows no time server; start one of chrony/),
    ONE_DISK,
  ]);
  expect(adviceIn(settingsOf(dir), { ...NOTHING, ntp: null })[0]).toMatch(/^clock: this machine does not say whether/);
  utimesSync(join(dir, 'backups/lamppost-1/manifest.json'), NOW / 1_000, (NOW - 2 * DAY) / 1_000);
  expect(adviceIn(settingsOf(dir))[0]).toMatch(/^backups: the newest backup in .*: of 2026-11-27T12:00:00.000Z; run/);
  const { LAMPPOST_BACKUP_DIR: _, ...without } = settingsOf(dir);
  expect(adviceIn(without)).toEqual([expect.stringMatching(/^backups: there are no backups; set LAMPPOST_BACKUP_DIR/)]);
});
