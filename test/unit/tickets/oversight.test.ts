import { expect, test } from 'vitest';
import type { Ticket } from '../../../domain/index.ts';
import {
  createOversight,
  createPublicTickets,
  createTicketStore,
  type Oversight,
  TICKET_SCHEMA,
} from '../../../tickets/index.ts';
import { createWeeks } from '../../../tickets/oversight.ts';
import { openMigrated } from '../../kit/store/new-state.ts';
import { ticketOf } from '../../kit/tickets/scene.ts';

type Query = Parameters<Oversight['read']>[0];

const MINUTE = 60_000;
const START = Date.parse('2026-03-23T00:00:00Z');
const iso = (minutes: number) => new Date(START + minutes * MINUTE).toISOString();

/** Returns a city's tickets with the clock this many minutes after the start. */
function openOversight(nowMinutes: number) {
  const db = openMigrated(':memory:', [TICKET_SCHEMA]);
  const store = createTicketStore(db);
  let n = 0;
  const oversight = createOversight(db, { now: () => START + nowMinutes * MINUTE });
  return {
    db,
    publicTickets: createPublicTickets(db),
    read: (query: Partial<Query> = {}) => oversight.read({ by: [], timezone: 'UTC', ...query }),
    readEach: oversight.readEach,
    /** A ticket opened at a minute, and what happened to it by whom: `[minute, by, status]`. */
    add(openedAt: number, steps: readonly (readonly [number, string, Ticket['status']])[], more: Partial<Ticket> = {}) {
      const opened = { at: iso(openedAt), by: 'rule:x', action: 'opened', from: null, to: 'open', note: '' } as const;
      let from: Ticket['status'] = 'open';
      const history: Ticket['history'][number][] = [opened];
      for (const [at, by, to] of steps) {
        history.push({ at: iso(at), by, action: 'updated', from, to, note: '' });
        from = to;
      }
      const resolved = steps.findLast(([, , to]) => to === 'resolved');
      const isDone = from === 'resolved' || from === 'closed';
      const ticket = ticketOf(`${++n}.0`, { group: `g${n}`, openedAt: iso(openedAt), dueAt: iso(openedAt + 60) });
      const moved = { status: from, version: history.length, history, resolvedAt: isDone ? iso(resolved![0]) : null };
      store.insert({ ...ticket, ...moved, ...more });
      return ticket.id;
    },
  };
}

test('oversight - adds up what is open, overdue, resolved, late, reopened and rated', async () => {
  const { add, read } = openOversight(200);
  add(
    0,
    [
      [10, 'key:a', 'acknowledged'],
      [50, 'key:a', 'resolved'],
    ],
    { rating: { stars: 4, comment: '', at: iso(60), statement: null } },
  );
  add(
    0,
    [
      [20, 'key:a', 'in_progress'],
      [90, 'key:a', 'resolved'],
      [95, 'clock', 'closed'],
    ],
    {
      rating: { stars: 5, comment: '', at: iso(96), statement: null },
      reopened: 2,
    },
  );
  add(0, [[30, 'key:a', 'assigned']]);
  add(190, []);
  expect(await read()).toEqual([
    {
      opened: 4,
      open: 2,
      overdue: 1,
      resolved: 2,
      late: 1,
      reopened: 1,
      reports: 0,
      acknowledge: { count: 3, medianSeconds: 1_200, p90Seconds: 1_800 },
      resolve: { count: 2, medianSeconds: 3_000, p90Seconds: 5_400 },
      ratings: { count: 2, mean: 4.5 },
    },
  ]);
});

test('oversight - an alert that ends by itself was not acknowledged', async () => {
  const { add, read } = openOversight(200);
  add(0, [[10, 'rule:x', 'resolved']]);
  expect(await read()).toMatchObject([
    { acknowledge: { count: 0, medianSeconds: null, p90Seconds: null }, resolve: { count: 1, medianSeconds: 600 } },
  ]);
});

test('oversight - a person who signed in acknowledges as a key does', async () => {
  const { add, read } = openOversight(200);
  add(0, [[5, 'person:u-1', 'acknowledged']]);
  expect(await read()).toMatchObject([{ acknowledge: { count: 1, medianSeconds: 300 } }]);
});

test('oversight - a reopened ticket counts its first acknowledgement and its last resolution', async () => {
  const { add, read } = openOversight(200);
  add(
    0,
    [
      [5, 'key:a', 'acknowledged'],
      [10, 'key:a', 'resolved'],
      [20, 'key:b', 'open'],
      [40, 'key:a', 'acknowledged'],
    ],
    {
      reopened: 1,
    },
  );
  expect(await read()).toMatchObject([
    { open: 1, resolved: 0, reopened: 1, acknowledge: { medianSeconds: 300 }, resolve: { count: 0 } },
  ]);
});

test('oversight - another report of the same counts as a report and with its rating, not as work', async () => {
  const { add, read } = openOversight(200);
  const parent = add(0, []);
  const rating = { stars: 2, comment: '', at: iso(9), statement: null };
  add(1, [], { origin: 'citizen', parent, relation: 'report', rating });
  expect(await read()).toMatchObject([{ opened: 1, open: 1, reports: 1, ratings: { count: 1, mean: 2 } }]);
});

test('oversight - groups by any of department, service, district and week, newest week first', async () => {
  const { add, read } = openOversight(0);
  add(0, [], { department: 'waste', district: 'a' });
  add(7 * 1_440, [], { department: 'waste', district: 'b' });
  add(0, [], { department: 'air', district: 'b' });
  const counted = async (...by: Query['by']) =>
    (await read({ by })).map((line) => [...by.map((key) => line[key]), line.opened].join(' '));
  expect(await counted('department')).toEqual(['air 1', 'waste 2']);
  expect(await counted('department', 'service')).toEqual(['air air-quality 1', 'waste air-quality 2']);
  expect(await counted('week', 'district')).toEqual(['2026-W14 b 1', '2026-W13 a 1', '2026-W13 b 1']);
});

test('oversight - takes tickets opened in [from, to), and those of one department', async () => {
  const { add, read } = openOversight(0);
  for (const minute of [0, 10, 20]) add(minute, []);
  add(10, [], { department: 'waste' });
  const opened = async (query: Partial<Query>) => (await read(query))[0]?.opened;
  expect(await opened({ fromMs: START + 10 * MINUTE })).toBe(3);
  expect(await opened({ toMs: START + 10 * MINUTE })).toBe(1);
  expect(await opened({ fromMs: START + 10 * MINUTE, toMs: START + 20 * MINUTE, departments: ['waste'] })).toBe(1);
  expect(await read({ fromMs: START + 21 * MINUTE })).toEqual([]);
});

test('oversight - counts each ticket once over many pages, also where thousands opened at the same moment', async () => {
  const { db, add, read } = openOversight(0);
  db.exec('begin');
  for (let i = 0; i < 2_500; i++) add(i < 2_200 ? 7 : i, []);
  db.exec('commit');
  expect(await read()).toMatchObject([{ opened: 2_500 }]);
});

test('oversight - weeks begin on Monday in the time zone of the city, also when clocks change, and belong to the year of their Thursday', () => {
  const week = createWeeks('Europe/Berlin');
  expect(week(Date.parse('2026-03-22T22:59:59Z'))).toBe('2026-W12');
  expect(week(Date.parse('2026-03-22T23:00:00Z'))).toBe('2026-W13');
  expect(week(Date.parse('2026-03-29T21:59:59Z'))).toBe('2026-W13');
  expect(week(Date.parse('2026-03-29T22:00:00Z'))).toBe('2026-W14');
  expect(week(Date.parse('2026-12-31T12:00:00Z'))).toBe('2026-W53');
  expect(week(Date.parse('2027-01-03T12:00:00Z'))).toBe('2026-W53');
  expect(week(Date.parse('2027-01-03T23:00:00Z'))).toBe('2027-W01');
  expect(week(Date.parse('2024-12-30T12:00:00Z'))).toBe('2025-W01');
});

const published = { services: ['air-quality'], resolvedSinceMs: START, coordinateDecimals: 2, before: null, limit: 9 };

test('public tickets - show no text or names of people, and places only as exact as allowed', () => {
  const { add, publicTickets } = openOversight(0);
  add(0, [], {
    origin: 'citizen',
    title: 'secret title',
    description: 'secret words',
    address: 'secret street',
    assignee: 'secret name',
    location: { lat: 31.23456, lon: 121.98765 },
  });
  const [ticket] = publicTickets(published).tickets;
  expect(ticket).toEqual({
    id: 't-1-0',
    service: 'air-quality',
    department: 'environment',
    district: 'harbour',
    status: 'open',
    severity: 'high',
    origin: 'citizen',
    openedAt: iso(0),
    dueAt: iso(60),
    acknowledgedAt: null,
    resolvedAt: null,
    location: { lat: 31.23, lon: 121.99 },
  });
});

test('public tickets - are open or were resolved lately, are of public services, and have no reports of the same', () => {
  const { add, publicTickets } = openOversight(0);
  const open = add(0, []);
  add(0, [[-5, 'key:a', 'resolved']]);
  const lately = add(0, [
    [5, 'key:a', 'resolved'],
    [6, 'clock', 'closed'],
  ]);
  add(0, [], { service: 'guards' });
  add(0, [], { parent: open, relation: 'report' });
  const part = add(0, [], { parent: open, relation: 'part', location: null });
  expect(publicTickets(published)).toMatchObject({ tickets: [{ id: part }, { id: lately }, { id: open }], next: null });
  const first = publicTickets({ ...published, limit: 1 });
  expect(first.tickets.map(({ id, location }) => [id, location])).toEqual([[part, null]]);
  const second = publicTickets({ ...published, limit: 2, before: first.next });
  expect(second.tickets.map(({ id }) => id)).toEqual([lately, open]);
  expect(publicTickets({ ...published, limit: 2, before: second.next })).toEqual({ tickets: [], next: null });
});

test('oversight - one reading gives several groupings, of one service and district where they are named', async () => {
  const { add, read, readEach } = openOversight(0);
  for (const [service, district, n] of [
    ['waste', 'east', 700],
    ['waste', 'west', 2],
    ['noise', 'east', 1],
  ] as const)
    for (let i = 0; i < n; i++) add(i, [], { service, district });
  const query = { timezone: 'UTC' };
  const [all, byDistrict] = await readEach(query, [[], ['district']]);
  expect(all).toMatchObject([{ opened: 703 }]);
  expect(byDistrict).toEqual(await read({ by: ['district'] }));
  const [waste] = await readEach({ ...query, service: 'waste' }, [['district']]);
  expect(waste!.map(({ district, opened }) => [district, opened])).toEqual([
    ['east', 700],
    ['west', 2],
  ]);
  expect(await read({ service: 'waste', district: 'west', by: [] })).toMatchObject([{ opened: 2 }]);
  expect(await read({ service: 'noise', district: 'west', by: [] })).toEqual([]);
});
