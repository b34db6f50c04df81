import { expect, test } from 'vitest';
import type { Calendar, Inhibition, Matchers, Service, Subject, Transition } from '../../../domain/index.ts';
import type { TicketCity } from '../../../tickets/index.ts';
import { openState } from '../../kit/events/state.ts';
import { cityWith, device, rule, transition } from '../../kit/tickets/scene.ts';

const T0 = Date.UTC(2026, 0, 1);
const at = (minutes: number) => T0 + minutes * 60_000;

/** Returns a state under a service's policy, with functions for alerts of any device and rule at a minute. */
function bench(service: Partial<Service> = {}, more: Partial<TicketCity> = {}) {
  const state = openState();
  const inForce = cityWith(service, more);
  state.at(T0, inForce);
  return {
    state,
    alert(minute: number, group: string, to: Transition['to'] = 'firing', changes: Partial<Transition> = {}) {
      const subject: Subject = {
        kind: 'device',
        device: { ...device, id: group, tags: { gateway: 'gw-1' } },
      };
      const happened = transition(`${minute}.${ordinal++}`, to, { group, atMs: at(minute), ...changes });
      return state.apply(happened, { ...rule, id: changes.rule ?? rule.id }, inForce, subject);
    },
    due: (minute: number) => state.due(at(minute)),
    silence(id: string, matchers: Matchers, from: number, until: number, calendar: string | null = null) {
      const times = { startsAt: iso(from), endsAt: iso(until), createdAt: iso(from) };
      state.service.silences.add({ id, matchers, calendar, comment: 'c', author: 'k', ...times });
    },
    tickets: () =>
      state.tickets
        .list({ limit: 99 })
        .items.map(({ group, status, alertCount }) => [group, status, alertCount])
        .reverse(),
    published: () =>
      state.events
        .page({ after: 0, limit: 500 })
        .items.filter(({ event }) => !event.type.includes('alert.'))
        .map(({ event }) => `${event.subject} ${event.type.slice('city.lamppost.'.length)}`),
    ticketOf: (group: string) => state.alerts.get(rule.id, group)?.ticket ?? null,
  };
}
let ordinal = 0;
const NIGHTS: Calendar = {
  id: 'nights',
  title: { en: 'n', zh: 'n' },
  zone: 'UTC',
  spans: [{ weekdays: [1, 2, 3, 4, 5, 6, 7], fromMin: 60, toMin: 120 }],
  holidays: [],
  workdays: [],
};
const iso = (minute: number) => new Date(at(minute)).toISOString();

test('of silences that have ended, the newest thousand are kept', () => {
  const { state, silence } = bench();
  silence('long', {}, -60, 10_000);
  for (let i = 0; i < 1_100; i++) silence(`s-${i}`, {}, i, i + 1);
  const { silences } = state.service;
  expect(silences.get('long')).not.toBeNull();
  expect([silences.get('s-98'), silences.get('s-99')?.id]).toEqual([null, 's-99']);
});

test('silence - the alert goes on, its ticket waits, and opens when the silence ends while it still fires', () => {
  const { alert, due, silence, tickets, ticketOf, state } = bench();
  silence('s-1', { device: ['a', 'b'] }, 0, 60);
  expect(alert(10, 'a')).toMatchObject({ kind: 'hold', reason: 'silenced', hold: { cause: 's-1' } });
  alert(11, 'b');
  expect(alert(12, 'c')).toMatchObject({ kind: 'open' });
  expect(state.alerts.get(rule.id, 'a')).toMatchObject({ state: 'firing', ticket: null });
  expect(alert(20, 'b', 'resolved')).toEqual({ kind: 'forget', reason: 'ended-while-waiting' });
  due(59);
  expect(tickets()).toEqual([['c', 'open', 1]]);
  due(60);
  expect(tickets()).toEqual([
    ['c', 'open', 1],
    ['a', 'open', 1],
  ]);
  expect(ticketOf('a')).toMatch(/^t-10-/);
  expect(due(61)).toBe(0);
});

test('silence - when it is ended early, its tickets open at once', () => {
  const { alert, due, silence, tickets, state } = bench();
  silence('s-1', { rule: [rule.id] }, 0, 600);
  alert(10, 'a');
  state.service.silences.end('s-1', at(15));
  due(15);
  expect(tickets()).toEqual([['a', 'open', 1]]);
});

test('silence - an alert whose severity rises while it waits opens with the higher severity', () => {
  const { alert, due, silence, state } = bench();
  silence('s-1', { rule: [rule.id] }, 0, 60);
  alert(10, 'a');
  expect(alert(20, 'a', 'firing', { from: 'firing', severity: 'critical' })).toMatchObject({ reason: 'still-waiting' });
  due(60);
  expect(state.tickets.list({ limit: 9 }).items).toMatchObject([{ severity: 'critical', openedAt: iso(10) }]);
});

test('silence - an alert whose severity rises above those of the silence has its ticket at once, others go on waiting', () => {
  const { alert, due, silence, tickets, ticketOf } = bench();
  silence('s-1', { severity: ['low'] }, 0, 60);
  for (const group of ['a', 'b', 'c']) alert(10, group, 'firing', { severity: 'low' });
  due(10);
  alert(20, 'b', 'firing', { from: 'firing', severity: 'critical' });
  due(21);
  expect(tickets()).toEqual([['b', 'open', 1]]);
  expect(ticketOf('b')).not.toBeNull();
  due(60);
  expect(tickets().map(([group]) => group)).toEqual(['b', 'a', 'c']);
});

test('silence - that it holds back what another alert held back meanwhile is an event again, of that one only', () => {
  const powerOff = { source: { rule: ['power-off'] }, target: { rule: [rule.id] }, via: null, lateMs: 0 };
  const { alert, due, silence, published, state } = bench({}, { inhibitions: [{ ...powerOff, equal: ['device'] }] });
  silence('s-1', { rule: [rule.id] }, 0, 60);
  alert(1, 'z');
  alert(2, 'a');
  due(2);
  for (const minute of [10, 20]) {
    alert(minute, 'a', 'firing', { rule: 'power-off' });
    due(minute);
    alert(minute + 1, 'a', 'resolved', { rule: 'power-off', from: 'firing' });
    due(minute + 1);
  }
  expect(published().filter((one) => one.endsWith('silence.matched'))).toHaveLength(3);
  const events = state.events.page({ after: 0, limit: 500 }).items.map(({ event }) => event);
  const matched = events.filter(({ type }) => type.endsWith('.matched'));
  const groups = matched.map(({ data }) => ('alerts' in data ? data.alerts : []).map(({ group }) => group));
  expect(groups).toEqual([['z', 'a'], ['a'], ['a']]);
});

test('silence - of two, the older at the times of a calendar, each holds back in its turn, night after night', () => {
  const { alert, due, silence, published, tickets } = bench({}, { calendars: new Map([['nights', NIGHTS]]) });
  silence('s-1', { device: ['a'] }, 0, 4_000, 'nights');
  silence('s-2', { device: ['a'] }, 0, 4_000);
  alert(1, 'a');
  for (const minute of [2, 60, 120, 1_500, 1_560]) due(minute);
  const matched = published().filter((one) => one.endsWith('silence.matched'));
  expect(matched.map((one) => one.slice(9, 12))).toEqual(['s-2', 's-1', 's-2', 's-1', 's-2']);
  expect(tickets()).toEqual([]);
});

test('silence - with a calendar it is active only at the times of the calendar, every week', () => {
  const { alert, due, silence, tickets } = bench({}, { calendars: new Map([['nights', NIGHTS]]) });
  silence('s-1', { district: ['harbour'] }, 0, 3 * 1_440, 'nights');
  alert(30, 'before');
  alert(90, 'during');
  expect(tickets().map(([group]) => group)).toEqual(['before']);
  due(120);
  expect(tickets().map(([group]) => group)).toEqual(['before', 'during']);
  expect(alert(1_440 + 90, 'next-night')).toMatchObject({ reason: 'silenced' });
});

test('silence - created, matched, ending and ended are events, each once', () => {
  const { alert, due, silence, published, state } = bench();
  silence('s-1', { device: ['a', 'b', 'c'] }, 0, 60);
  silence('s-2', { device: ['z'] }, 0, 60);
  due(1);
  const created = ['silences/s-1 silence.created', 'silences/s-2 silence.created'];
  expect(published()).toEqual(created);
  alert(10, 'a');
  alert(10, 'b');
  due(10);
  alert(11, 'c');
  due(11);
  due(44);
  const matched = ['silences/s-1 silence.matched', 'silences/s-1 silence.matched'];
  expect(published()).toEqual([...created, ...matched]);
  due(45);
  due(46);
  expect(published()).toEqual([...created, ...matched, 'silences/s-1 silence.ending']);
  alert(50, 'a', 'resolved');
  alert(50, 'b', 'resolved');
  alert(50, 'c', 'resolved');
  due(60);
  due(61);
  const ended = ['silences/s-1 silence.ended', 'silences/s-2 silence.ended'];
  expect(published()).toEqual([...created, ...matched, 'silences/s-1 silence.ending', ...ended]);
  const events = state.events.page({ after: 0, limit: 500 }).items.map(({ event }) => event);
  const ofSilences = events.filter(({ type }) => type.includes('.silence.'));
  expect(new Set(ofSilences.map(({ id }) => id)).size).toBe(ofSilences.length);
  expect(ofSilences.map(({ data }) => ('alerts' in data ? data.alerts.length : null))).toEqual([0, 0, 2, 1, 3, 0, 0]);
});

test('silence - of one with a calendar each end of a window is announced, and once', () => {
  const { alert, due, silence, published } = bench({}, { calendars: new Map([['nights', NIGHTS]]) });
  silence('s-1', { district: ['harbour'] }, 0, 3 * 1_440, 'nights');
  const endings = () => published().filter((one) => one.endsWith('silence.ending')).length;
  for (const [night, expected] of [
    [0, 1],
    [1_440, 2],
  ] as const) {
    alert(night + 90, `during-${night}`);
    due(night + 104);
    expect(endings()).toBe(expected - 1);
    due(night + 105);
    due(night + 106);
    expect(endings()).toBe(expected);
    due(night + 120);
  }
});

test('silence - an alert that comes shortly before the end is announced as well', () => {
  const { alert, due, silence, published } = bench();
  silence('s-1', { device: ['a'] }, 0, 60);
  due(50);
  alert(55, 'a');
  due(55);
  expect(published().map((one) => one.split(' ')[1])).toEqual(['silence.created', 'silence.matched', 'silence.ending']);
});

test('gathering - a storm is one ticket that lists all its alerts, with few events', () => {
  const { alert, due, tickets, published, ticketOf, state } = bench({
    gathering: { by: ['district'], waitMs: 60_000 },
  });
  expect(alert(10, 'g0')).toMatchObject({ kind: 'hold', reason: 'gathering', hold: { dueMs: at(11) } });
  for (let i = 1; i < 60; i++) alert(10 + i / 100, `g${i}`);
  due(10.9);
  expect(tickets()).toEqual([]);
  due(11);
  expect(tickets()).toEqual([['g0', 'open', 60]]);
  const ticket = state.tickets.list({ limit: 1 }).items[0]!;
  expect(ticket).toMatchObject({ title: 'Air, Harbour: several alerts', titleZh: '港区：空气（多处报警）' });
  expect(ticket.alerts).toHaveLength(50);
  expect(state.tickets.alerts(ticket.id, { limit: 99, after: null }).items).toHaveLength(60);
  expect(new Set(Array.from({ length: 60 }, (_, i) => ticketOf(`g${i}`)))).toEqual(new Set([ticket.id]));
  // Later alerts join it and are recorded together.
  for (let i = 60; i < 80; i++) expect(alert(12, `g${i}`)).toMatchObject({ kind: 'join' });
  due(13);
  expect(tickets()).toEqual([['g0', 'open', 80]]);
  expect(published().map((line) => line.split(' ')[1])).toEqual(['ticket.opened', 'ticket.updated']);
  expect(ticketOf('g79')).toBe(ticket.id);
});

test('gathering - the ticket of several alerts resolves with the last of them', () => {
  const { alert, due, tickets } = bench({ gathering: { by: ['district'], waitMs: 60_000 } });
  for (const group of ['a', 'b', 'c']) alert(10, group);
  due(11);
  expect(alert(20, 'a', 'resolved')).toMatchObject({ kind: 'calm', reason: 'others-still-fire' });
  alert(21, 'b', 'resolved');
  expect(tickets()).toEqual([['a', 'open', 3]]);
  expect(alert(22, 'b')).toMatchObject({ kind: 'update' });
  alert(23, 'b', 'resolved');
  expect(alert(24, 'c', 'resolved')).toMatchObject({ kind: 'resolve' });
  expect(tickets()).toEqual([['a', 'resolved', 3]]);
});

test('gathering - an alert that ends within the wait leaves nothing; one alone keeps its own title', () => {
  const { alert, due, tickets, state } = bench({ gathering: { by: ['rule'], waitMs: 60_000 } });
  alert(10, 'a');
  alert(10.5, 'a', 'resolved');
  alert(10.6, 'b');
  due(20);
  expect(tickets()).toEqual([['b', 'open', 1]]);
  expect(state.tickets.list({ limit: 1 }).items[0]?.title).toBe('Fine dust above 75 at Pier 7, Harbour');
});

test('gathering - alerts that are silenced meanwhile go on waiting, the others open', () => {
  const { alert, due, silence, tickets } = bench({ gathering: { by: ['district'], waitMs: 60_000 } });
  alert(10, 'a');
  alert(10, 'b');
  silence('s-1', { device: ['a'] }, 10.5, 60);
  due(11);
  expect(tickets()).toEqual([['b', 'open', 1]]);
  due(60);
  expect(tickets()).toEqual([['b', 'open', 2]]);
});

const gatewayDown: Inhibition = {
  source: { rule: ['gateway-silent'] },
  target: { rule: [rule.id] },
  equal: [],
  via: 'gateway',
  lateMs: 3_600_000,
};

test('inhibition - a gateway that is offline keeps its devices’ alerts from raising tickets until it is back', () => {
  const { alert, due, tickets } = bench({}, { inhibitions: [gatewayDown] });
  alert(10, 'gw-1', 'firing', { rule: 'gateway-silent' });
  alert(10, 'gw-2', 'firing', { rule: 'gateway-silent' });
  expect(alert(11, 'a')).toMatchObject({ reason: 'inhibited', hold: { cause: 'gateway-silent/gw-1' } });
  expect(alert(11, 'b')).toMatchObject({ reason: 'inhibited' });
  alert(12, 'b', 'resolved');
  due(30);
  expect(tickets()).toHaveLength(2);
  alert(31, 'gw-1', 'resolved', { rule: 'gateway-silent' });
  due(31);
  expect(tickets().map(([group, status]) => [group, status])).toEqual([
    ['gw-1', 'resolved'],
    ['gw-2', 'open'],
    ['a', 'open'],
  ]);
});

test('inhibition - alerts of devices wait in the gathering until their gateway is known to be down', () => {
  const { alert, due, tickets } = bench(
    { gathering: { by: ['district'], waitMs: 120_000 } },
    { inhibitions: [gatewayDown] },
  );
  alert(10, 'a');
  alert(10, 'b');
  alert(11, 'gw-1', 'firing', { rule: 'gateway-silent' });
  due(12);
  expect(tickets().map(([group]) => group)).toEqual(['gw-1']);
});

test('offers - a ticket goes from one party to the next in line, and then to its department', () => {
  const offers = [
    { to: 'neighbours', forMs: 30 * 60_000 },
    { to: 'cleaners', forMs: 60 * 60_000 },
  ];
  const { alert, due, state, published } = bench({ offers });
  alert(0, 'a');
  const ticket = () => state.tickets.list({ limit: 1 }).items[0]!;
  expect(ticket().offer).toEqual({ to: 'neighbours', until: iso(30) });
  due(30);
  expect(ticket().offer).toEqual({ to: 'cleaners', until: iso(90) });
  due(90);
  expect(ticket()).toMatchObject({ offer: null, party: null, status: 'open', department: 'environment' });
  expect(published().map((line) => line.split('.').at(-1))).toEqual([
    'opened',
    'offered',
    'declined',
    'offered',
    'declined',
  ]);
  expect(ticket().history.at(-1)?.note).toBe('not taken by cleaners in time');
});

test('offers - a party that takes it has it; one that declines passes it on at once; the department may withdraw it', () => {
  const offers = [
    { to: 'neighbours', forMs: 30 * 60_000 },
    { to: 'cleaners', forMs: 60 * 60_000 },
  ];
  const { alert, due, state } = bench({ offers });
  alert(0, 'a');
  const id = state.tickets.list({ limit: 1 }).items[0]!.id;
  const act = (action: 'take' | 'decline', department: string) => {
    const actor = { kind: 'key', id: 'k', role: 'operator', department } as const;
    return state.effects.publish(state.service.act({ ticket: id, action, actor }));
  };
  expect(act('decline', 'neighbours')).toMatchObject({ offer: { to: 'cleaners' } });
  expect(act('take', 'cleaners')).toMatchObject({ offer: null, party: 'cleaners', status: 'assigned' });
  due(500);
  expect(state.tickets.get(id)).toMatchObject({ party: 'cleaners', status: 'assigned' });

  alert(600, 'b');
  const other = state.tickets.list({ limit: 1 }).items[0]!.id;
  const actor = { kind: 'key', id: 'k', role: 'operator', department: 'environment' } as const;
  const withdrawn = state.service.act({ ticket: other, action: 'decline', actor });
  expect(withdrawn.at(-1)).toMatchObject({ offer: null, status: 'open' });
});

const policy: Partial<Service> = {
  acknowledgeMs: 30 * 60_000,
  deadlineMs: 4 * 3_600_000,
  warnPercent: 80,
  escalation: [
    { on: 'acknowledge', afterMs: 0, to: 'mayor' },
    { on: 'resolve', afterMs: 3_600_000, to: 'mayor' },
  ],
};

test('deadlines - each warning, overdue notice and escalation comes once, at its time', () => {
  const { alert, due, state } = bench(policy);
  alert(0, 'a');
  const ticket = () => state.tickets.list({ limit: 1 }).items[0]!;
  expect(ticket()).toMatchObject({ acknowledgeBy: iso(30), dueAt: iso(240) });
  const notes: string[] = [];
  for (let minute = 0; minute <= 400; minute++) {
    due(minute);
    const { history } = ticket();
    for (const { action, note } of history.slice(notes.length + 1)) notes.push(`${minute} ${action}: ${note}`);
  }
  expect(notes).toEqual([
    `24 warned: to be acknowledged by ${iso(30)}`,
    `30 escalated: not acknowledged by ${iso(30)}: environment is notified`,
    `30 escalated: not acknowledged by ${iso(30)}: mayor is notified`,
    `192 warned: to be resolved by ${iso(240)}`,
    `240 escalated: not resolved by ${iso(240)}: environment is notified`,
    `300 escalated: not resolved by ${iso(240)}: mayor is notified`,
  ]);
  expect(ticket().escalatedTo).toEqual(['environment', 'mayor']);
});

test('deadlines - what was acknowledged or resolved in time causes no notice', () => {
  const { alert, due, state } = bench(policy);
  alert(0, 'a');
  const { id } = state.tickets.list({ limit: 1 }).items[0]!;
  const act = (action: 'acknowledge' | 'resolve') => {
    const actor = { kind: 'key', id: 'k', role: 'operator', department: null } as const;
    state.effects.publish(state.service.act({ ticket: id, action, actor }));
  };
  state.at(at(10));
  act('acknowledge');
  due(100);
  state.at(at(150));
  act('resolve');
  due(10_000);
  expect(state.tickets.get(id)?.history.map(({ action }) => action)).toEqual(['opened', 'acknowledged', 'resolved']);
});

test('deadlines - what came due during a stop is done once afterwards, at the time at which it was due', () => {
  const { alert, due, state } = bench(policy);
  alert(0, 'a');
  due(10_000);
  due(10_001);
  const history = state.tickets.list({ limit: 1 }).items[0]!.history;
  expect(history).toHaveLength(7);
  expect(history.at(-1)).toMatchObject({ at: iso(300), action: 'escalated' });
});

test('deadlines - what came due of several tickets and a silence during a stop is done in the order in which it was due', () => {
  const { alert, due, silence, state } = bench(policy);
  silence('s-1', { device: ['c'] }, 0, 45);
  alert(0, 'a');
  alert(7, 'c');
  due(7);
  alert(20, 'b');
  const before = state.events.page({ after: 0, limit: 500 }).items.at(-1)!.n;
  due(10_000);
  const after = state.events.page({ after: before, limit: 500 }).items.map(({ event }) => event);
  // A ticket that waited is opened as at the time of its alert.
  const times = after.filter(({ type }) => !type.endsWith('.opened')).map(({ time }) => Date.parse(time));
  expect(times).toEqual(times.toSorted((one, other) => one - other));
  const changed = after.filter(({ type }) => type.includes('.ticket.')).map(({ subject }) => subject);
  // Each comes between two of the other.
  const turns = changed.filter((subject, i) => subject !== changed[i - 1]).length;
  expect(new Set(changed).size).toBe(3);
  expect(turns).toBeGreaterThan(6);
});

test('silence - whose calendar went off during a stop lets go as at that time, also where it is on again afterwards', () => {
  const { alert, due, silence, published, state } = bench(policy, { calendars: new Map([['nights', NIGHTS]]) });
  silence('s-1', { district: ['harbour'] }, 0, 10 * 1_440, 'nights');
  alert(90, 'a');
  due(91);
  const before = published().length;
  due(2 * 1_440 + 90);
  expect(state.tickets.list({ limit: 1 }).items[0]).toMatchObject({ dueAt: iso(120 + 240) });
  expect(published()[before]).toBe('silences/s-1 silence.ending');
  const warned = state.events.page({ after: 0, limit: 500 }).items.find(({ event }) => event.type.endsWith('.ending'));
  expect(warned?.event.time).toBe(iso(105));
});

test('silence - one that is ended by hand, or by another calendar, lets go then, and nobody is warned of it', () => {
  const { alert, due, silence, published, state } = bench(policy, { calendars: new Map([['nights', NIGHTS]]) });
  silence('s-1', { device: ['a'] }, 0, 10 * 1_440);
  silence('s-2', { device: ['b'] }, 0, 10 * 1_440, 'nights');
  alert(70, 'a');
  alert(70, 'b');
  due(71);
  state.service.silences.end('s-1', at(80));
  due(84);
  const shorter = { ...NIGHTS, spans: [{ ...NIGHTS.spans[0]!, toMin: 75 }] };
  state.at(at(85), cityWith(policy, { calendars: new Map([['nights', shorter]]) }));
  state.service.cityChanged();
  due(86);
  const dueAt = state.tickets.list({ limit: 2 }).items.map((ticket) => [ticket.group, ticket.dueAt]);
  expect(Object.fromEntries(dueAt)).toEqual({ a: iso(80 + 240), b: iso(86 + 240) });
  expect(published().filter((one) => one.endsWith('silence.ending'))).toEqual([]);
});

test('deadlines - a resolved ticket closes by itself where its service says so, unless it was reopened', () => {
  const { alert, due, tickets } = bench({ closeMs: 86_400_000, reopenMs: 86_400_000 });
  alert(0, 'a');
  alert(10, 'a', 'resolved');
  due(10 + 1_439);
  expect(tickets()).toEqual([['a', 'resolved', 1]]);
  alert(10 + 1_439.5, 'a');
  due(10 + 1_440);
  expect(tickets()).toEqual([['a', 'open', 1]]);
  alert(1_500, 'a', 'resolved');
  due(1_500 + 1_440);
  expect(tickets()).toEqual([['a', 'closed', 1]]);
});

/** An operator of the city acts on the newest ticket, or `back` tickets before it. */
function acting({ state }: ReturnType<typeof bench>) {
  return (id: string, action: 'resolve' | 'reopen') => {
    const actor = { kind: 'key', id: 'k', role: 'operator', department: null } as const;
    return state.effects.publish(state.service.act({ ticket: id, action, actor }));
  };
}

test('reopening - an alert that waited for a silence has the ticket that a person reopened meanwhile', () => {
  const made = bench();
  const { alert, due, silence, tickets, state, ticketOf } = made;
  const act = acting(made);
  alert(1, 'a');
  const { id } = state.tickets.list({ limit: 1 }).items[0]!;
  alert(2, 'a', 'resolved');
  silence('s-1', { device: ['a'] }, 3, 60);
  expect(alert(10, 'a')).toMatchObject({ reason: 'silenced' });
  state.at(at(20));
  act(id, 'reopen');
  due(60);
  expect(tickets()).toEqual([['a', 'open', 1]]);
  expect(state.tickets.get(id)?.alerts).toMatchObject([{ state: 'firing' }]);
  expect(ticketOf('a')).toBe(id);
  expect(alert(70, 'a', 'resolved')).toMatchObject({ kind: 'resolve' });
  expect(due(80)).toBe(0);
});

test('reopening - an alert that resolves while its wait and its reopened ticket stand leaves no wait behind', () => {
  const made = bench();
  const { alert, due, silence, tickets, state } = made;
  const act = acting(made);
  alert(1, 'a');
  const { id } = state.tickets.list({ limit: 1 }).items[0]!;
  alert(2, 'a', 'resolved');
  silence('s-1', { device: ['a'] }, 3, 60);
  alert(10, 'a');
  state.at(at(20));
  act(id, 'reopen');
  expect(alert(30, 'a', 'resolved')).toMatchObject({ kind: 'resolve' });
  due(60);
  expect(tickets()).toEqual([['a', 'resolved', 1]]);
});

test('reopening - gathered alerts join a ticket of others like them that a person reopened', () => {
  const made = bench({ gathering: { by: ['district'], waitMs: 60_000 } });
  const { alert, due, tickets, state, ticketOf } = made;
  const act = acting(made);
  alert(1, 'a');
  due(2);
  const { id } = state.tickets.list({ limit: 1 }).items[0]!;
  alert(3, 'a', 'resolved');
  for (const group of ['a', 'b', 'c']) expect(alert(10, group)).toMatchObject({ reason: 'gathering' });
  state.at(at(10.5));
  act(id, 'reopen');
  due(11);
  due(13);
  expect(tickets()).toEqual([['a', 'open', 3]]);
  expect(['a', 'b', 'c'].map(ticketOf)).toEqual([id, id, id]);
  expect(due(20)).toBe(0);
});

test('reopening - is refused while another ticket gathers alerts like those of this one', () => {
  const made = bench({ gathering: { by: ['district'], waitMs: 60_000 } });
  const { alert, due, state } = made;
  const act = acting(made);
  alert(1, 'a');
  due(2);
  const { id } = state.tickets.list({ limit: 1 }).items[0]!;
  alert(3, 'a', 'resolved');
  alert(10, 'b');
  due(11);
  expect(() => act(id, 'reopen')).toThrow(expect.objectContaining({ code: 'conflict', reason: 'superseded' }));
});
