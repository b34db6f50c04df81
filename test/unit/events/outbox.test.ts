import { DatabaseSync } from 'node:sqlite';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { COMMAND_SCHEMA } from '../../../commands/index.ts';
import { EVENT_TYPES, SEVERITIES, UNNAMED } from '../../../domain/index.ts';
import { alertEventOf, silenceEventOf } from '../../../events/cloudevent.ts';
import { type EventFilter, followFirings, OUTBOX_SCHEMA, passes, ticketEventOf } from '../../../events/index.ts';
import { RECEIVER_SCHEMA } from '../../../notify/index.ts';
import { ALERT_SCHEMA } from '../../../rules/index.ts';
import { migrate } from '../../../store/index.ts';
import { TICKET_SCHEMA } from '../../../tickets/index.ts';
import { openState } from '../../kit/events/state.ts';
import { runs } from '../../kit/runs.ts';
import { rule, ticketOf, transition } from '../../kit/tickets/scene.ts';

/** Opens an outbox with the event of a new ticket for each of `1.0`, `2.0` … */
function stateWith(events: number) {
  const state = openState();
  for (let i = 1; i <= events; i++) state.outbox.append(opened(i));
  return state;
}

const opened = (i: number) => ticketEventOf(ticketOf(`${i}.0`, { group: `air-${i}` }));
const numbers = (events: readonly { n: number }[]) => events.map(({ n }) => n);

test('outbox - numbers events without gaps and returns them unchanged', () => {
  const state = stateWith(2);
  expect(state.outbox.append(opened(3))).toBe(3);
  expect(state.events.page({ after: 0, limit: 9 }).items.map(({ event }) => event)).toEqual([
    opened(1),
    opened(2),
    opened(3),
  ]);
});

test('outbox - a rolled back event leaves no gap', () => {
  const state = stateWith(1);
  state.db.exec('begin');
  state.outbox.append(opened(2));
  state.db.exec('rollback');
  expect(state.outbox.append(opened(3))).toBe(2);
});

test('outbox - its name follows from its first event: two nodes with the same events have the same, and others another', () => {
  const [one, same, other] = [stateWith(2), stateWith(1), openState()];
  expect(other.events.store()).toBe(UNNAMED);
  other.outbox.append(opened(2));
  expect(same.events.store()).toBe(one.events.store());
  expect(new Set([UNNAMED, one.events.store(), other.events.store()]).size).toBe(3);
});

test('outbox - the same event is not added twice', () => {
  const state = stateWith(1);
  expect(() => state.outbox.append(opened(1))).toThrow(/UNIQUE/);
});

test('outbox - counts firing alerts by rule, from a time on, also over many events', async () => {
  const state = openState();
  for (let i = 1; i <= 5_000; i++) {
    const atMs = Date.parse('2026-11-29T00:00:00Z') + i * 1_000;
    const fired = transition(`${i}.0`, 'firing', { atMs, group: `air-${i}` });
    const at = new Date(atMs).toISOString();
    const { rule: of, group, severity, value } = fired;
    const alert = { rule: of, group, severity, value, state: 'firing', since: at, updatedAt: at } as const;
    const rest = { title: 'A', titleZh: '甲', district: 'harbour', ticket: null };
    state.outbox.append(alertEventOf(fired, { ...alert, ...rest }, null)!);
    if (i % 1_000 === 0) state.outbox.append(opened(i));
  }
  const counts = await state.events.firedSince('2026-11-29T00:16:41.000Z');
  expect([...counts]).toEqual([[rule.id, 4_000]]);
});

test('outbox - who follows the alerts that fire gets each once, and of none from before', () => {
  const state = openState();
  const fire = (i: number) => {
    const atMs = Date.parse('2026-11-29T00:00:00Z') + i;
    const fired = transition(`${i}.0`, 'firing', { atMs, group: `air-${i}` });
    const at = new Date(atMs).toISOString();
    const { rule: of, group, severity, value } = fired;
    const alert = { rule: of, group, severity, value, state: 'firing', since: at, updatedAt: at } as const;
    const rest = { title: 'A', titleZh: '甲', district: 'harbour', ticket: null };
    state.outbox.append(alertEventOf(fired, { ...alert, ...rest }, null)!);
    return atMs;
  };
  fire(1);
  const firings = followFirings(state.db);
  expect(firings()).toEqual([]);
  const at = [fire(2), fire(3)];
  state.outbox.append(opened(4));
  expect(firings()).toEqual(at);
  expect(firings()).toEqual([]);
  const many = Array.from({ length: 1_100 }, (_, i) => fire(10 + i));
  expect([firings(), firings(), firings()]).toEqual([many.slice(0, 1_000), many.slice(1_000), []]);
});

test('outbox - pruning keeps the newest events', () => {
  const { outbox, events } = stateWith(5);
  expect(outbox.prune(3)).toBe(2);
  expect([events.oldest(), events.head()]).toEqual([3, 5]);
  expect(outbox.prune(2)).toBe(1);
  expect(outbox.prune(0)).toBe(1);
  expect([events.oldest(), events.head()]).toEqual([5, 5]);
  expect(outbox.append(opened(6))).toBe(6);
});

test('outbox - pruning keeps so many bytes of events, and the numbers go on', () => {
  const { db, outbox, events } = stateWith(20);
  const bytes = (from: number) =>
    Number(db.prepare('select sum(octet_length(body)) as bytes from outbox where n >= ?').get(from)?.bytes);
  expect(outbox.prune(100, bytes(1))).toBe(0);
  expect(outbox.prune(100, bytes(11))).toBe(10);
  expect(outbox.prune(100, bytes(16) + 1)).toBe(5);
  expect([events.oldest(), events.head()]).toEqual([16, 20]);
  expect(outbox.prune(100, 0)).toBe(4);
  expect(outbox.append(opened(21))).toBe(21);
  expect(outbox.prune(100, bytes(20))).toBe(0);
  expect(outbox.prune(100, 1)).toBe(1);
});

test('outbox - an empty outbox has neither head nor oldest', () => {
  const { events } = openState();
  expect([events.oldest(), events.head(), events.page({ after: 0, limit: 9 })]).toEqual([
    0,
    0,
    { items: [], next: null },
  ]);
});

test('outbox - pages continue where the last one ended', () => {
  const { events } = stateWith(5);
  const first = events.page({ after: 0, limit: 2 });
  expect([numbers(first.items), first.next]).toEqual([[1, 2], '2']);
  const rest = events.page({ after: 2, limit: 3 });
  expect([numbers(rest.items), rest.next]).toEqual([[3, 4, 5], null]);
});

test('outbox - filters by type, department, district, severity, rule and ticket', () => {
  const state = openState();
  state.apply(transition('1.0', 'firing'));
  const other = { department: 'd', district: 'x', severity: 'low', rule: 'r' } as const;
  const opened = ticketOf('2.0', other);
  const event = ticketEventOf({ ...opened, history: [{ ...opened.history[0]!, action: 'resolved' }] });
  state.outbox.append(event);
  for (const filter of [
    ...Object.entries(other).map(([field, value]) => ({ [field]: value })),
    { ticket: 't-2-0' },
    { types: ['city.lamppost.ticket.resolved', 'city.lamppost.ticket.updated'] as const },
  ]) {
    expect(numbers(state.events.page({ after: 0, limit: 9, ...filter }).items)).toEqual([3]);
  }
  const query = { after: 0, limit: 9, ticket: 't-1-0', department: 'environment', types: EVENT_TYPES };
  expect(numbers(state.events.page(query).items)).toEqual([1, 2]);
});

test('outbox - a reader bound to a department gets all alerts, and the ticket events that its department may see', () => {
  const state = openState();
  state.apply(transition('1.0', 'firing'));
  const ticket = ticketOf('2.0', {
    party: 'cleaners',
    offer: { to: 'night-shift', until: '' },
    escalatedTo: ['mayor'],
  });
  state.outbox.append(ticketEventOf(ticket));
  const visible = (...visibleTo: readonly string[]) =>
    numbers(state.events.page({ after: 0, limit: 9, visibleTo }).items);
  expect(visible('environment')).toEqual([1, 2, 3]);
  for (const one of ['cleaners', 'night-shift', 'mayor']) expect(visible(one), one).toEqual([1, 3]);
  expect(visible('water')).toEqual([1]);
  expect(visible('water', 'mayor')).toEqual([1, 3]);
  const own = (one: string) => state.events.page({ after: 0, limit: 9, visibleTo: [one], ownAlerts: true }).items;
  expect(numbers(own('environment'))).toEqual([1, 2, 3]);
  expect(numbers(own('mayor'))).toEqual([3]);
});

const someOf = <T>(...values: readonly T[]) =>
  fc.option(fc.oneof(fc.constantFrom(...values), fc.subarray([...values], { minLength: 1 })), { nil: undefined });
const filters = fc.record({
  types: someOf(...EVENT_TYPES),
  department: someOf('environment', 'water'),
  district: someOf('harbour', 'x'),
  severity: someOf(...SEVERITIES),
  rule: someOf('pm25-unhealthy', 'r'),
  ticket: someOf('t-1-0', 't-2-0'),
  visibleTo: fc.option(fc.subarray(['environment', 'water', 'cleaners', 'lights']), { nil: undefined }),
  ownAlerts: fc.option(fc.boolean(), { nil: undefined }),
});

test('outbox - a filter in memory and in SQL select the same events', () => {
  const state = openState();
  const { ticket: _, ...alertOnly } = rule;
  state.apply(transition('1.0', 'firing'));
  state.apply(transition('2.0', 'firing', { group: 'air-8', severity: 'low' }));
  state.apply(transition('3.0', 'firing', { rule: 'r', severity: 'info' }), { ...alertOnly, id: 'r' });
  state.apply(transition('4.0', 'resolved'));
  const water = { department: 'water', party: 'cleaners', district: 'x', severity: 'critical', rule: null } as const;
  state.outbox.append(ticketEventOf(ticketOf('5.0', water)));
  const silence = { startsAt: '', endsAt: '', calendar: null, comment: '', author: 'a', createdAt: '' };
  const change = { kind: 'ending', id: 's-1.ending', alerts: [] } as const;
  state.outbox.append(silenceEventOf({ ...change, silence: { id: 's-1', matchers: {}, ...silence } }, 0));
  const all = state.events.page({ after: 0, limit: 99 }).items;
  expect(new Set(all.map(({ event }) => event.type))).toEqual(
    new Set([
      'city.lamppost.alert.firing',
      'city.lamppost.alert.resolved',
      'city.lamppost.silence.ending',
      'city.lamppost.ticket.opened',
      'city.lamppost.ticket.resolved',
    ]),
  );
  fc.assert(
    fc.property(filters, (filter: EventFilter) => {
      const found = state.events.page({ after: 0, limit: 99, ...filter }).items;
      expect(numbers(all.filter(({ event }) => passes(event, filter)))).toEqual(numbers(found));
    }),
    { numRuns: runs(300) },
  );
});

test('outbox - a file keeps its store name', () => {
  const state = openState();
  const store = state.events.store();
  expect(store).toMatch(/^[0-9a-f]{8}$/);
  migrate(state.db, [ALERT_SCHEMA, TICKET_SCHEMA, COMMAND_SCHEMA, OUTBOX_SCHEMA, RECEIVER_SCHEMA]);
  expect(state.events.store()).toBe(store);
});

test('outbox - stored ticket events of before say what was done as `action`, and quoted text stays as it was', () => {
  const db = new DatabaseSync(':memory:');
  migrate(db, [{ ...OUTBOX_SCHEMA, steps: OUTBOX_SCHEMA.steps.slice(0, 2) }]);
  const note = 'somebody wrote {"deed":"opened"}';
  const body = JSON.stringify({ data: { history: [{ deed: 'opened', note }] } });
  db.prepare(
    "insert into outbox values (1, 'a', 'city.lamppost.ticket.opened', 's', 't', null, 'd', 'low', 'r', null, ?, null)",
  ).run(body);
  migrate(db, [OUTBOX_SCHEMA]);
  const stored = JSON.parse(String(db.prepare('select body from outbox').get()!.body));
  expect(stored).toEqual({ data: { history: [{ action: 'opened', note }] } });
});

test('outbox - a page within bounds looks at so many events, and its next leads on; all pages are all events, once each', () => {
  const state = stateWith(30);
  const pagesOf = (query: object, within: { events: number; characters: number }) => {
    const pages: number[][] = [];
    let after: string | null = '0';
    while (after !== null) {
      const page: ReturnType<typeof state.events.page> = state.events.page({
        ...query,
        after: Number(after),
        limit: 9,
        within,
      });
      pages.push(numbers(page.items));
      after = page.next;
    }
    return pages;
  };
  const all = Array.from({ length: 30 }, (_, i) => i + 1);
  const few = pagesOf({}, { events: 7, characters: 1e9 });
  expect(few.map(({ length }) => length)).toEqual([7, 7, 7, 7, 2]);
  expect(few.flat()).toEqual(all);
  const short = pagesOf({}, { events: 100, characters: 1 });
  expect(short.map(({ length }) => length)).toEqual(all.map(() => 1));
  expect(short.flat()).toEqual(all);
  expect(pagesOf({ ticket: 'none' }, { events: 7, characters: 1e9 })).toEqual([[], [], [], [], []]);
  state.outbox.prune(5);
  expect(pagesOf({}, { events: 2, characters: 1e9 }), 'what was deleted is not searched').toHaveLength(3);
});
