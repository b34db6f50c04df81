import { expect, test } from 'vitest';
import { UNNAMED } from '../../../domain/index.ts';
import {
  placeOf,
  publicationsOf,
  resumeAt,
  retainedTickets,
  sessionEventOf,
  sseOf,
  ticketEventOf,
} from '../../../events/index.ts';
import { openState } from '../../kit/events/state.ts';
import { device, rule, ticketOf, transition } from '../../kit/tickets/scene.ts';

function eventsAfter(...ids: readonly [string, 'pending' | 'firing' | 'resolved'][]) {
  const state = openState();
  for (const [id, to] of ids) state.apply(transition(id, to));
  return state.events.page({ after: 0, limit: 100 }).items;
}

test('event - an alert is a CloudEvent with a stable id, its department and its evidence', () => {
  const { event } = eventsAfter(['11.0', 'firing'])[0]!;
  const { data, ...envelope } = event;
  expect(envelope).toEqual({
    specversion: '1.0',
    id: '11.0-alert',
    source: '/lamppost',
    type: 'city.lamppost.alert.firing',
    subject: 'alerts/pm25-unhealthy/air-7',
    time: '2026-01-01T00:11:00.000Z',
    datacontenttype: 'application/json',
    dataschema: 'urn:lamppost:schema:1:city.lamppost.alert.firing',
  });
  const evidence = transition('11.0', 'firing').evidence;
  expect(data).toMatchObject({
    rule: rule.id,
    group: device.id,
    ticket: 't-11-0',
    department: 'environment',
    evidence,
  });
});

test('event - a ticket is a CloudEvent with the ticket as it is, and the change alone of its history', () => {
  const ticket = ticketOf('11.0');
  const event = ticketEventOf(ticket);
  expect(event).toMatchObject({ id: 't-11-0.1', type: 'city.lamppost.ticket.opened', subject: 'tickets/t-11-0' });
  expect(event.data).toEqual({ ...ticket, history: ticket.history.slice(-1) });
});

test('event - messages that a session lost are a CloudEvent without district and rule, the same one when it is reported again', () => {
  const drop = {
    id: '0f1e',
    session: 'key-7/archive',
    user: 'key-7',
    department: 'waste',
    reason: 'queue-full',
    messages: 12,
    fromMs: Date.parse('2026-05-01T10:00:00Z'),
    toMs: Date.parse('2026-05-01T10:00:30Z'),
  } as const;
  const event = sessionEventOf(drop);
  expect(event).toEqual({
    specversion: '1.0',
    id: '0f1e.session',
    source: '/lamppost',
    type: 'city.lamppost.session.dropped',
    subject: 'sessions/key-7/archive',
    time: '2026-05-01T10:00:30.000Z',
    datacontenttype: 'application/json',
    dataschema: 'urn:lamppost:schema:1:city.lamppost.session.dropped',
    data: {
      session: 'key-7/archive',
      key: 'key-7',
      department: 'waste',
      reason: 'queue-full',
      messages: 12,
      from: '2026-05-01T10:00:00.000Z',
      to: '2026-05-01T10:00:30.000Z',
    },
  });
  expect(sessionEventOf(drop)).toEqual(event);
  const { outbox, events } = openState();
  expect(outbox.has(event.id)).toBe(false);
  outbox.append(event);
  expect(outbox.has(event.id)).toBe(true);
  expect(
    events.page({ after: 0, limit: 1, types: 'city.lamppost.session.dropped', department: 'waste' }).items,
  ).toEqual([{ n: 1, event }]);
  // In a full queue it would displace the next message.
  expect(publicationsOf(event)).toEqual([
    { topic: 'events/sessions/key-7', payload: JSON.stringify(event), qos: 0, retain: false },
  ]);
});

test('publications - an alert goes to the topic of its rule and group', () => {
  const { event } = eventsAfter(['11.0', 'firing'])[0]!;
  expect(publicationsOf(event)).toEqual([
    { topic: 'events/alerts/pm25-unhealthy/air-7', payload: JSON.stringify(event), qos: 1, retain: false },
  ]);
});

test('publications - an open ticket is published and retained', () => {
  const { event } = eventsAfter(['11.0', 'firing'])[1]!;
  expect(publicationsOf(event)).toEqual([
    { topic: 'events/tickets/environment/t-11-0', payload: JSON.stringify(event), qos: 1, retain: false },
    { topic: 'tickets/environment/t-11-0', payload: JSON.stringify(event.data), qos: 1, retain: true },
  ]);
});

test('publications - a resolved ticket is published and its retained state cleared', () => {
  const { event } = eventsAfter(['11.0', 'firing'], ['12.0', 'resolved']).at(-1)!;
  expect(publicationsOf(event)).toEqual([
    { topic: 'events/tickets/environment/t-11-0', payload: JSON.stringify(event), qos: 1, retain: false },
    { topic: 'tickets/environment/t-11-0', payload: '', qos: 1, retain: true },
  ]);
});

test('publications - a start retains every open ticket and no other, over many pages', () => {
  const state = openState();
  for (let i = 1; i <= 450; i++) state.apply(transition(`${i}.0`, 'firing', { group: `air-${i}` }));
  state.apply(transition('451.0', 'resolved', { group: 'air-3' }));
  const publications = [...retainedTickets(state.tickets)];
  const expected = Array.from({ length: 450 }, (_, i) => `tickets/environment/t-${450 - i}-0`);
  expect(publications.map((p) => p.topic)).toEqual(expected.filter((topic) => !topic.endsWith('/t-3-0')));
  expect(publications[0]).toMatchObject({ qos: 1, retain: true });
  expect(JSON.parse(publications[0]!.payload)).toEqual(state.tickets.get('t-450-0'));
});

test('server-sent event - has the place, the type and the event, the event on one line', () => {
  const event = ticketEventOf(ticketOf('1.0', { title: 'two\nlines' }));
  const text = sseOf({ n: 7, event }, '0a1b');
  const [id, type, data, ...rest] = text.split('\n');
  expect([id, type, ...rest]).toEqual(['id: 7-0a1b', 'event: city.lamppost.ticket.opened', '', '']);
  expect(JSON.parse(data!.slice('data: '.length))).toEqual(event);
});

test.each([
  ['7-0a1b', 7, null],
  ['7', 7, null],
  ['4', 4, null],
  ['9-0a1b', 9, null],
  ['3-0a1b', 4, 'too-old'],
  ['10-0a1b', 4, 'ahead'],
  ['7-0a1c', 4, 'other-store'],
  ['0-00000000', 4, 'too-old'],
  ['6-00000000', 6, null],
  ['7-', 4, 'not-an-id'],
  ['-1', 4, 'not-an-id'],
  ['', 4, 'not-an-id'],
  ['7 or 1=1', 4, 'not-an-id'],
])('server-sent event - a reader at %s resumes after %i of 5 to 9 (reset: %s)', (id, after, reset) => {
  expect(resumeAt(id, { oldest: 5, head: 9, store: '0a1b', isShared: false })).toEqual({ after, reset });
});

test('server-sent event - a reader can resume at a place of an empty outbox', () => {
  const kept = { oldest: 0, head: 0, store: '0a1b', isShared: false };
  expect(resumeAt(placeOf(0, '0a1b'), kept)).toEqual({ after: 0, reset: null });
  expect(resumeAt(placeOf(3, '0a1b'), kept)).toEqual({ after: 0, reset: 'ahead' });
});

test.each([
  ['10-0a1b', '0a1b', 10, null],
  ['10-0a1b', UNNAMED, 10, null],
  ['10-0a1c', '0a1b', 4, 'other-store'],
  ['10', '0a1b', 4, 'ahead'],
])(
  'server-sent event - at a node of a cluster that is behind, a reader at %s of %s resumes after %i',
  (id, store, after, reset) => {
    expect(resumeAt(id, { oldest: 5, head: 9, store, isShared: true })).toEqual({ after, reset });
  },
);
