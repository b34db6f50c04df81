import { expect, test } from 'vitest';
import { FAULT_GROUP, LIMIT_GROUP, type Subject } from '../../../domain/index.ts';
import { publicationsOf } from '../../../events/index.ts';
import { openState } from '../../kit/events/state.ts';
import { city, rule, transition } from '../../kit/tickets/scene.ts';

const published = (state: ReturnType<typeof openState>) =>
  state.events.page({ after: 0, limit: 100 }).items.map(({ event }) => event.type.slice('city.lamppost.'.length));
const harbour: Subject = { kind: 'district', id: 'harbour', title: { en: 'Harbour', zh: '港区' } };

test('pipeline - an escalation raises the severity of the ticket, makes its own event, and the alert fires again', () => {
  const state = openState();
  state.apply(transition('1.0', 'firing', { severity: 'medium' }));
  state.apply(transition('2.0', 'firing', { from: 'firing', severity: 'critical', value: 300 }));
  expect(state.tickets.list({ limit: 9 }).items).toMatchObject([
    {
      id: 't-1-0',
      severity: 'critical',
      history: [{ to: 'open' }, { note: expect.stringContaining('from medium to critical') }],
    },
  ]);
  expect(state.alerts.get(rule.id, 'air-7')).toMatchObject({ state: 'firing', severity: 'critical', value: 300 });
  expect(published(state)).toEqual(['alert.firing', 'ticket.opened', 'alert.firing', 'ticket.escalated']);
  const escalated = state.events.page({ after: 3, limit: 1 }).items[0]!.event;
  expect(publicationsOf(escalated).map(({ topic }) => topic)).toEqual([
    'events/tickets/environment/t-1-0',
    'tickets/environment/t-1-0',
  ]);
});

test('pipeline - an alert of a district lies in it, one of the city in none', () => {
  const state = openState();
  state.apply(transition('1.0', 'firing', { group: 'harbour' }), rule, city, harbour);
  state.apply(transition('2.0', 'firing', { group: 'city' }), rule, city, {
    kind: 'city',
    title: { en: 'C', zh: '市' },
  });
  expect(state.alerts.get(rule.id, 'harbour')).toMatchObject({
    district: 'harbour',
    title: 'Fine dust above 75 at Harbour, Harbour',
  });
  expect(state.alerts.get(rule.id, 'city')).toMatchObject({ district: '', title: 'Fine dust above 75 at C, C' });
  expect(state.tickets.get('t-2-0')).toMatchObject({ district: '', location: null });
  const { event } = state.events.page({ after: 0, limit: 1 }).items[0]!;
  expect(publicationsOf(event)[0]!.topic).toBe('events/alerts/pm25-unhealthy/harbour');
});

test('pipeline - an alert without a value has null, not zero', () => {
  const state = openState();
  state.apply(transition('1.0', 'firing', { value: null }), { ...rule, title: '{{value}}' });
  expect(state.alerts.get(rule.id, 'air-7')).toMatchObject({ value: null, title: '–' });
});

test("pipeline - the limit alarm is one ticket of the rule's service, the fault alarm an alert and an event", () => {
  const state = openState();
  state.apply(transition('1.0', 'firing', { group: LIMIT_GROUP, value: 101 }), rule, city, { kind: 'rule' });
  state.apply(transition('2.0', 'firing', { group: FAULT_GROUP, value: null }), rule, city, { kind: 'rule' });
  expect(state.tickets.list({ limit: 9 }).items).toMatchObject([
    { group: LIMIT_GROUP, service: 'air-quality', title: 'Rule pm25-unhealthy: more than 100 groups would fire' },
  ]);
  expect(state.alerts.get(rule.id, FAULT_GROUP)).toMatchObject({ state: 'firing', ticket: null, value: null });
  expect(published(state)).toEqual(['alert.firing', 'ticket.opened', 'alert.firing']);
  state.apply(transition('3.0', 'resolved', { group: LIMIT_GROUP, value: 90 }), rule, city, { kind: 'rule' });
  expect(state.tickets.openCount()).toBe(0);
});
