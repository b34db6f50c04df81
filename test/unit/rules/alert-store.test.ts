import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { ALERT_SCHEMA, type AlertChange, createAlertReader, createAlertStore } from '../../../rules/alert-store.ts';
import { migrate } from '../../../store/index.ts';

function openStore(keepResolved?: number) {
  const db = new DatabaseSync(':memory:');
  migrate(db, [ALERT_SCHEMA]);
  const store = createAlertStore(db, keepResolved === undefined ? {} : { keepResolved });
  return { store, reader: createAlertReader(db) };
}

function alert(group: string, state: AlertChange['state'], changes: Partial<AlertChange> = {}): AlertChange {
  return {
    rule: 'pm25-unhealthy',
    group,
    state,
    severity: 'high',
    since: '2026-01-01T00:00:00.000Z',
    updatedAt: '2026-01-01T00:10:00.000Z',
    value: 91.2,
    title: 'Fine dust',
    titleZh: '细颗粒物',
    district: 'harbour',
    ticket: null,
    ...changes,
  };
}

test('alerts - an alert has one row from pending to resolved', () => {
  const { store, reader } = openStore();
  store.apply(alert('air-1', 'pending'));
  store.apply(alert('air-1', 'firing', { ticket: 't-1-0' }));
  expect(reader.list({ limit: 9 }).items).toEqual([alert('air-1', 'firing', { ticket: 't-1-0' })]);
  store.apply(alert('air-1', 'resolved', { value: 58 }));
  expect(reader.list({ limit: 9 }).items).toEqual([alert('air-1', 'resolved', { value: 58 })]);
});

test('alerts - a cancelled alert is deleted, and only that one', () => {
  const { store, reader } = openStore();
  store.apply(alert('air-1', 'pending'));
  store.apply(alert('air-2', 'pending'));
  store.apply(alert('air-1', 'cancelled'));
  expect(reader.list({ limit: 9 }).items.map((a) => a.group)).toEqual(['air-2']);
});

test('alerts - keeps the newest resolved alerts and all others', () => {
  const { store, reader } = openStore(2);
  store.apply(alert('firing', 'firing'));
  store.apply(alert('pending', 'pending'));
  for (const group of ['a', 'b', 'c', 'd']) store.apply(alert(group, 'resolved'));
  expect(reader.list({ limit: 9 }).items.map((a) => a.group)).toEqual(['d', 'c', 'pending', 'firing']);
});

test('alerts - pages go from the newest change to the oldest', () => {
  const { store, reader } = openStore();
  for (const group of ['a', 'b', 'c']) store.apply(alert(group, 'firing'));
  const first = reader.list({ limit: 2 });
  const second = reader.list({ limit: 2, after: first.next });
  expect([...first.items, ...second.items].map((a) => a.group)).toEqual(['c', 'b', 'a']);
  expect(second.next).toBeNull();
});

test('alerts - each filter limits the list', () => {
  const { store, reader } = openStore();
  store.apply(alert('air-1', 'firing'));
  const other = { state: 'pending', rule: 'noise', district: 'old-town', severity: 'low' } as const;
  store.apply(alert('air-2', other.state, other));
  for (const [field, value] of Object.entries(other)) {
    expect(reader.list({ limit: 9, [field]: value }).items.map((a) => a.group)).toEqual(['air-2']);
  }
  expect(reader.list({ limit: 9, state: 'firing', rule: 'noise' }).items).toEqual([]);
});

test('alerts - a cursor that no page returned throws', () => {
  const { reader } = openStore();
  expect(() => reader.list({ limit: 1, after: 'x' })).toThrow(expect.objectContaining({ code: 'invalid' }));
});

test('alerts - firing alerts are read lazily by rule, and by group where one is given', () => {
  const { store, reader } = openStore();
  for (const group of ['a', 'b', 'c']) store.apply(alert(group, 'firing'));
  store.apply(alert('b', 'firing', { rule: 'noise' }));
  store.apply(alert('c', 'resolved'));
  const found = (rules: string[], group: string | null) =>
    [...reader.firing(rules, group)].map((one) => `${one.rule} ${one.group}`);
  expect(found(['pm25-unhealthy'], null)).toEqual(['pm25-unhealthy a', 'pm25-unhealthy b']);
  expect(found(['pm25-unhealthy', 'noise'], 'b')).toEqual(['pm25-unhealthy b', 'noise b']);
  expect(found(['pm25-unhealthy'], 'c')).toEqual([]);
  for (const one of reader.firing(['pm25-unhealthy'], null)) {
    expect(one.group).toBe('a');
    break;
  }
  store.apply(alert('a', 'resolved'));
  expect(found(['pm25-unhealthy'], null)).toEqual(['pm25-unhealthy b']);
});
