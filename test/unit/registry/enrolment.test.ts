import type { DatabaseSync } from 'node:sqlite';
import { beforeEach, expect, test } from 'vitest';
import { createRegistryReader, REGISTRY_SCHEMA, RegistryRecords } from '../../../registry/index.ts';
import { openMigrated } from '../../kit/store/new-state.ts';

const RULE = { devices: ['bin-*'], profile: 'bin', most: 2 };
const at = { seq: 5, n: 0, atMs: 1_000 };
let db: DatabaseSync;
let records: RegistryRecords;
beforeEach(() => {
  db = openMigrated(':memory:', [REGISTRY_SCHEMA]);
  records = new RegistryRecords(db);
  const gateway = { id: 'gw-1', profile: 'radio', district: 'east', location: { lat: 1, lon: 2 } };
  records.devices.register([{ ...gateway, hash: 'A'.repeat(43) }], { ...at, seq: 1 });
});

test('enrolment - a device is registered under its gateway, in its district and place, and nobody has its secret', () => {
  expect(records.devices.enrol('gw-1', 'bin-1', RULE, at)).toBe(true);
  const reader = createRegistryReader(db);
  expect(reader.get('bin-1')).toMatchObject({
    ...{ profile: 'bin', district: 'east', gateway: 'gw-1', location: { lat: 1, lon: 2 }, version: 1 },
  });
  expect(reader.version()).toBe(5);
  expect([...reader.credentialOf('bin-1')!.hash].every((byte) => byte === 0)).toBe(true);
});

test('enrolment - is bounded, and neither takes an id nor brings back what was revoked', () => {
  const enrol = (id: string, gateway = 'gw-1') => records.devices.enrol(gateway, id, RULE, at);
  expect([enrol('bin-1'), enrol('bin-1'), enrol('bin-2'), enrol('bin-3')]).toEqual([true, false, true, false]);
  records.devices.revoke('bin-2', at);
  expect([enrol('bin-2'), enrol('bin-3'), enrol('gw-1')]).toEqual([false, true, false]);
  expect(enrol('bin-4', 'nobody')).toBe(false);
  records.devices.revoke('gw-1', at);
  expect(enrol('bin-5')).toBe(false);
});
