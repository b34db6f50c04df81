import { expect, test } from 'vitest';
import type { Ticket, Transition } from '../../../domain/index.ts';
import { firingOf, resolutionOf } from '../../../tickets/alert-changes.ts';
import { createTicketReader, createTicketStore, TICKET_SCHEMA } from '../../../tickets/index.ts';
import { changed } from '../../../tickets/lifecycle.ts';
import { openMigrated } from '../../kit/store/new-state.ts';
import { ticketOf, transition } from '../../kit/tickets/scene.ts';

function openStore() {
  const db = openMigrated(':memory:', [TICKET_SCHEMA]);
  const store = createTicketStore(db);
  return { db, store, reader: createTicketReader(db), add: (ticket: Ticket) => add(store, ticket) };
}

/** Stores a ticket with its one alert, and returns it as stored. */
function add(store: ReturnType<typeof createTicketStore>, ticket: Ticket): Ticket {
  store.insert(ticket);
  const { rule, group, severity, openedAt: since } = ticket;
  store.attach(ticket.id, { rule: rule!, group: group!, state: 'firing', severity, since, noted: true });
  return store.get(ticket.id)!;
}

const fire = (ticket: Ticket, fired: Transition) => changed(ticket, firingOf(ticket, fired, fired.severity));
const resolve = (ticket: Ticket, resolved: Transition) => changed(ticket, resolutionOf(resolved));

test('store - returns a ticket as it was stored', () => {
  const { store, reader, add } = openStore();
  const ticket = ticketOf('1.0', { offer: { to: 'cleaners', until: '2026-01-02T00:00:00.000Z' }, party: 'waste' });
  const placeless = ticketOf('1.1', {
    group: 'air-8',
    location: null,
    rating: { stars: 4, comment: '', at: 'x', statement: 'c-9' },
  });
  const alert = { rule: 'pm25-unhealthy', state: 'firing', severity: 'high', since: ticket.openedAt } as const;
  expect(add(ticket)).toEqual({ ...ticket, alerts: [{ ...alert, group: 'air-7' }], alertCount: 1 });
  add(placeless);
  expect(reader.get('t-1-0')).toEqual(store.get('t-1-0'));
  expect(store.findOpen(ticket.rule!, 'air-8')).toMatchObject({ id: 't-1-1', location: null, rating: { stars: 4 } });
  expect(reader.get('t-9-9')).toBeNull();
});

test('store - keeps the whole history over updates', () => {
  const { store, reader, add } = openStore();
  const opened = add(ticketOf('1.0'));
  const updated = fire(opened, transition('2.0', 'firing', { severity: 'critical' }));
  const resolved = resolve(updated, transition('3.0', 'resolved'));
  store.update(updated);
  expect(store.findOpen(opened.rule!, opened.group!)).toEqual(updated);
  store.update(resolved);
  store.release(resolved.id);
  expect(store.findOpen(opened.rule!, opened.group!)).toBeNull();
  expect(store.findLast(opened.rule!, opened.group!)).toEqual(resolved);
  expect(reader.get('t-1-0')).toEqual(resolved);
});

test('store - refuses a second open ticket of the same alert (promise 3)', () => {
  const { store, add } = openStore();
  const first = add(ticketOf('1.0'));
  expect(() => add(ticketOf('2.0'))).toThrow(/UNIQUE/);
  store.update(resolve(first, transition('3.0', 'resolved')));
  store.release(first.id);
  add(ticketOf('4.0'));
  expect(store.rebind(first.id)).toBe(false);
  expect(store.findOpen(first.rule!, first.group!)?.id).toBe('t-4-0');
});

test('store - never edits or deletes a change', () => {
  const { db, store, add } = openStore();
  const opened = add(ticketOf('1.0'));
  expect(() => db.exec("update ticket_changes set note = ''")).toThrow('never edited');
  expect(() => db.exec('delete from ticket_changes')).toThrow('never deleted');
  const other = { ...opened, history: [{ ...opened.history[0]!, note: 'other' }] };
  store.update(other);
  expect(store.get(opened.id)).toEqual(opened);
});

test('store - finds the open ticket of an alert by the index that keeps it single', () => {
  const { db } = openStore();
  const sql = `select ticket from ticket_alerts where rule = ? and "group" = ? and attached = 1`;
  expect(db.prepare(`explain query plan ${sql}`).all('a', 'b')[0]?.detail).toContain('ticket_alerts_one_open');
});

test('store - returns each joined alert once', () => {
  const { store, add } = openStore();
  const { id, rule, severity, openedAt: since } = add(ticketOf('1.0'));
  for (const group of ['b', 'a']) {
    store.attach(id, { rule: rule!, group, state: 'firing', severity, since, noted: false });
  }
  expect(store.firing(id)).toEqual({ count: 3, highest: 'high' });
  expect(store.takeJoined(id)).toEqual(['b', 'a']);
  expect(store.takeJoined(id)).toEqual([]);
  store.setAlert(rule!, 'a', { state: 'resolved', severity });
  expect(store.firing(id)).toEqual({ count: 2, highest: 'high' });
  expect(store.get(id)).toMatchObject({ alertCount: 3, alerts: [{}, { group: 'b' }, { state: 'resolved' }] });
});

test('reader - pages from the newest to the oldest, each ticket once, while new ones open', () => {
  const { add, reader } = openStore();
  for (let i = 1; i <= 5; i++) add(ticketOf(`${i}.0`, { group: `air-${i}` }));
  const first = reader.list({ limit: 2 });
  add(ticketOf('6.0', { group: 'air-6' }));
  const second = reader.list({ limit: 2, after: first.next });
  const third = reader.list({ limit: 2, after: second.next });
  const ids = [first, second, third].map((page) => page.items.map((t) => t.id));
  expect(ids).toEqual([['t-5-0', 't-4-0'], ['t-3-0', 't-2-0'], ['t-1-0']]);
  expect(third.next).toBeNull();
  expect(reader.list({ limit: 6 }).next).toBeNull();
});

test('reader - filters by each field, by one value or several', () => {
  const { add, reader } = openStore();
  add(ticketOf('1.0', { status: 'acknowledged' }));
  const other = { group: 'g', rule: 'r', department: 'd', district: 'x', severity: 'low', status: 'closed' } as const;
  add(ticketOf('2.0', { ...other, service: 's', origin: 'operator', party: 'p' }));
  for (const [field, value] of Object.entries({ ...other, service: 's', origin: 'operator', party: 'p' })) {
    expect(reader.list({ limit: 9, [field]: value }).items.map((t) => t.id)).toEqual(['t-2-0']);
  }
  expect(reader.list({ limit: 9, status: ['open', 'acknowledged'] }).items.map((t) => t.id)).toEqual(['t-1-0']);
  expect(reader.list({ limit: 9, status: 'closed', group: 'air-7' }).items).toEqual([]);
  expect(reader.list({ limit: 9, status: [] }).items).toEqual([]);
  expect(reader.openCount()).toBe(1);
});

test('reader - shows a department its own tickets, those it may take or has a part in, and no others', () => {
  const { add, reader } = openStore();
  add(ticketOf('1.0', { group: 'a' }));
  add(ticketOf('2.0', { group: 'b', department: 'waste' }));
  add(ticketOf('3.0', { group: 'c', party: 'waste' }));
  add(ticketOf('4.0', { group: 'd', offer: { to: 'waste', until: '2026-01-02T00:00:00.000Z' } }));
  add(ticketOf('5.0', { group: 'e', parent: 't-1-0', relation: 'part', department: 'waste' }));
  const seen = reader.list({ limit: 9, seenBy: ['waste'] }).items.map(({ id }) => id);
  expect(seen).toEqual(['t-5-0', 't-4-0', 't-3-0', 't-2-0', 't-1-0']);
  expect(reader.list({ limit: 9, seenBy: ['mayor'] }).items).toEqual([]);
});

test('reader - refuses an invalid cursor', () => {
  const { reader } = openStore();
  expect(() => reader.list({ limit: 1, after: "1' or 1" })).toThrow(expect.objectContaining({ code: 'invalid' }));
});
