import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { migrate } from '../../../store/index.ts';
import {
  createTicketReader,
  createTicketStore,
  resolveTicket,
  TICKET_SCHEMA,
  updateTicket,
} from '../../../tickets/index.ts';
import { ticketOf, transition } from './scene.ts';

function openStore() {
  const db = new DatabaseSync(':memory:');
  migrate(db, [TICKET_SCHEMA]);
  return { db, store: createTicketStore(db), reader: createTicketReader(db) };
}

test('store - gives a ticket back as it was put in', () => {
  const { store, reader } = openStore();
  const ticket = ticketOf('1.0');
  const placeless = ticketOf('1.1', { group: 'air-8', location: null });
  store.insert(ticket);
  store.insert(placeless);
  expect(reader.get('t-1-0')).toEqual(ticket);
  expect(store.findOpen(ticket.rule, 'air-8')).toEqual(placeless);
  expect(reader.get('t-9-9')).toBeNull();
});

test('store - keeps the whole history over updates', () => {
  const { store, reader } = openStore();
  const opened = ticketOf('1.0');
  const updated = updateTicket(opened, transition('2.0', 'firing', { severity: 'critical' }));
  const resolved = resolveTicket(updated, transition('3.0', 'resolved'));
  store.insert(opened);
  store.update(updated);
  expect(store.findOpen(opened.rule, opened.group)).toEqual(updated);
  store.update(resolved);
  expect(store.findOpen(opened.rule, opened.group)).toBeNull();
  expect(reader.get('t-1-0')).toEqual(resolved);
});

test('store - refuses a second open ticket of the same rule and group (promise 3)', () => {
  const { store } = openStore();
  store.insert(ticketOf('1.0'));
  expect(() => store.insert(ticketOf('2.0'))).toThrow(/UNIQUE/);
  store.update(resolveTicket(ticketOf('1.0'), transition('3.0', 'resolved')));
  store.insert(ticketOf('2.0'));
  expect(() => store.insert(ticketOf('4.0', { status: 'in_progress' }))).toThrow(/UNIQUE/);
});

test('store - never edits or deletes a change', () => {
  const { db, store } = openStore();
  store.insert(ticketOf('1.0'));
  expect(() => db.exec("update ticket_changes set note = ''")).toThrow('never edited');
  expect(() => db.exec('delete from ticket_changes')).toThrow('never deleted');
  const stale = updateTicket(ticketOf('1.0'), transition('2.0', 'firing'));
  store.update(stale);
  expect(() => store.update(stale)).toThrow(/UNIQUE/);
});

test('store - finds the open ticket by the index that keeps it single', () => {
  const { db } = openStore();
  const sql = `select * from tickets where rule = ? and "group" = ? and status not in ('resolved', 'closed')`;
  const plan = db.prepare(`explain query plan ${sql}`).all('a', 'b');
  expect(plan[0]?.detail).toContain('tickets_one_open');
});

test('reader - pages from the newest to the oldest, each ticket once, while new ones open', () => {
  const { store, reader } = openStore();
  for (let i = 1; i <= 5; i++) store.insert(ticketOf(`${i}.0`, { group: `air-${i}` }));
  const first = reader.list({ limit: 2 });
  store.insert(ticketOf('6.0', { group: 'air-6' }));
  const second = reader.list({ limit: 2, after: first.next });
  const third = reader.list({ limit: 2, after: second.next });
  const ids = [first, second, third].map((page) => page.items.map((t) => t.id));
  expect(ids).toEqual([['t-5-0', 't-4-0'], ['t-3-0', 't-2-0'], ['t-1-0']]);
  expect(third.next).toBeNull();
  expect(reader.list({ limit: 6 }).next).toBeNull();
});

test('reader - filters by each field, by one value or several', () => {
  const { store, reader } = openStore();
  store.insert(ticketOf('1.0', { status: 'acknowledged' }));
  const other = { group: 'g', rule: 'r', department: 'd', district: 'x', severity: 'low', status: 'closed' } as const;
  store.insert(ticketOf('2.0', other));
  for (const [field, value] of Object.entries(other)) {
    expect(reader.list({ limit: 9, [field]: value }).items.map((t) => t.id)).toEqual(['t-2-0']);
  }
  expect(reader.list({ limit: 9, status: ['open', 'acknowledged'] }).items.map((t) => t.id)).toEqual(['t-1-0']);
  expect(reader.list({ limit: 9, status: 'closed', group: 'air-7' }).items).toEqual([]);
  expect(reader.list({ limit: 9, status: [] }).items).toEqual([]);
  expect(reader.openCount()).toBe(1);
});

test('reader - refuses a cursor that it did not give', () => {
  const { reader } = openStore();
  expect(() => reader.list({ limit: 1, after: "1' or 1" })).toThrow(expect.objectContaining({ code: 'invalid' }));
});
