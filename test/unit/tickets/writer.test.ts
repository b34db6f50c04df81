import { expect, test } from 'vitest';
import { openState } from '../../kit/events/state.ts';
import { cityWith, rule, ticketOf, transition } from '../../kit/tickets/scene.ts';

const HOUR = 3_600_000;
const START = Date.UTC(2026, 0, 1);
const OPERATOR = { kind: 'key', id: 'op', role: 'operator', department: null } as const;

function openWriter(policy: Parameters<typeof cityWith>[0]) {
  const state = openState();
  const city = cityWith(policy);
  state.at(START, city);
  const { title, titleZh, district, severity } = ticketOf('1.0');
  return {
    ...state,
    city,
    act: (ticket: string, action: 'resolve' | 'reopen' | 'close') =>
      state.effects.publish(state.service.act({ ticket, action, actor: OPERATOR })),
    /** A citizen makes a request at the same place as the others. */
    ask(place: string) {
      const of = {
        place,
        origin: 'citizen',
        by: 'reporter',
        service: 'air-quality',
        title,
        titleZh,
        district,
      } as const;
      const rest = { severity, description: null, location: { lat: 31.2, lon: 121.5 }, address: null };
      return state.effects.publish(state.service.open({ ...of, ...rest, same: { withinM: 50 } }));
    },
  };
}

test('writer - reports of the same cause no warnings or escalations: the ticket has them already', () => {
  const { ask, due, events } = openWriter({ acknowledgeMs: HOUR, warnPercent: 50 });
  ask('1');
  ask('2');
  expect(due(START + 9 * HOUR)).toBe(4);
  const escalated = events.page({ after: 0, limit: 99, types: 'city.lamppost.ticket.escalated' }).items;
  expect(escalated.map(({ event }) => event.subject)).toEqual(['tickets/r-1', 'tickets/r-1']);
});

test('writer - a report that was reopened alone and closes with its ticket counts as acknowledged and resolved then', () => {
  const { ask, act, tickets, at } = openWriter({});
  ask('1');
  ask('2');
  act('r-1', 'resolve');
  act('r-2', 'reopen');
  at(START + HOUR);
  act('r-1', 'close');
  const closed = '2026-01-01T01:00:00.000Z';
  const ended = { status: 'closed', acknowledgeBy: null, acknowledgedAt: closed, resolvedAt: closed, closedAt: closed };
  expect(tickets.get('r-2')).toMatchObject(ended);
});

test('writer - a change that an alert made before a later action counts from its time in the history', () => {
  const { apply, act, tickets, at, city, due } = openWriter({ closeMs: HOUR, reopenMs: 9 * HOUR });
  apply(transition('1.0', 'firing'), rule, city);
  at(START + 3 * HOUR);
  act('t-1-0', 'resolve');
  // It fired again, an hour before somebody resolved it.
  apply(transition('120.0', 'firing'), rule, city);
  expect(tickets.get('t-1-0')).toMatchObject({ status: 'open', dueAt: '2026-01-01T07:00:00.000Z', reopened: 1 });
  apply(transition('121.0', 'resolved'), rule, city);
  expect(tickets.get('t-1-0')?.resolvedAt).toBe('2026-01-01T03:00:00.000Z');
  expect(due(START + 4 * HOUR - 1)).toBe(0);
  expect(due(START + 4 * HOUR)).toBe(1);
  expect(tickets.get('t-1-0')?.status).toBe('closed');
});
