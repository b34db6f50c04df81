import { expect, test } from 'vitest';
import { EVENT_TYPES, FAULT_GROUP, HISTORY_ACTIONS, type Ticket, type Transition } from '../../../domain/index.ts';
import { silenceEventOf } from '../../../events/cloudevent.ts';
import { EVENT_SCHEMAS, JSON_SCHEMAS, type LamppostEvent, ticketEventOf } from '../../../events/index.ts';
import { openState } from '../../kit/events/state.ts';
import { schemaChecker } from '../../kit/json-schema.ts';
import { rule, ticketOf, transition } from '../../kit/tickets/scene.ts';

const check = schemaChecker();
const T0 = Date.UTC(2026, 0, 1);
const at = new Date(T0).toISOString();

/** A ticket with every optional field. */
const WORKED_ON: Partial<Ticket> = {
  description: 'it smells',
  formerDepartments: ['roads'],
  address: 'Pier 7',
  party: 'cleaners',
  assignee: 'Li',
  offer: { to: 'night-shift', until: at },
  escalatedTo: ['mayor'],
  parent: 't-1-0',
  relation: 'part',
  acknowledgedAt: at,
  resolvedAt: at,
  closedAt: at,
  rating: { stars: 5, comment: '', at, statement: 'c-1' },
};
const SILENCE = {
  id: 's-1',
  matchers: { rule: ['a'], district: ['b'], tags: { street: 'c' } },
  startsAt: at,
  endsAt: at,
  calendar: 'nights',
  comment: 'works',
  author: 'k1',
  createdAt: at,
};

/** Returns events of every kind, with evidence of every shape. */
function events(): LamppostEvent[] {
  const state = openState();
  const happened = (id: string, to: Transition['to'], changes: Partial<Transition> = {}) =>
    state.apply(transition(id, to, changes), { ...rule, id: changes.rule ?? rule.id });
  happened('1.0', 'pending');
  happened('2.0', 'firing');
  happened('3.0', 'firing', { from: 'firing', severity: 'critical' });
  happened('4.0', 'firing');
  happened('5.0', 'resolved', { value: null });
  const { evidence } = transition('6.0', 'firing');
  const clauses = [{ path: 'when.all[0]', kind: 'absent', metric: '*', verdict: 'unknown', value: null }] as const;
  const window = { ...evidence.window, fn: 'quorum', op: 'outside', threshold: [1, 2] } as const;
  happened('6.0', 'firing', { evidence: { ...evidence, window, clauses, devices: ['a', 'b'] } });
  const fault = { ...evidence, detail: 'it broke', window: { ...evidence.window, fn: 'fault', value: null } } as const;
  happened('7.0', 'firing', { group: FAULT_GROUP, evidence: fault, value: null });
  state.outbox.append(ticketEventOf(ticketOf('8.0', WORKED_ON)));
  const alerts = [{ rule: 'a', group: 'g' }];
  for (const kind of ['created', 'matched', 'ending', 'ended'] as const)
    state.outbox.append(silenceEventOf({ kind, id: `s-1.${kind}`, silence: SILENCE, alerts }, T0));
  return state.events.page({ after: 0, limit: 100 }).items.map(({ event }) => event);
}

/** Yields a value with one of its fields left out, for each field at any depth. */
function* withoutOne(value: unknown, path = '$'): Generator<{ path: string; value: unknown }> {
  if (typeof value !== 'object' || value === null) return;
  for (const key of Object.keys(value)) {
    const own = value as Record<string, unknown>;
    const { [key]: gone, ...rest } = own;
    if (!Array.isArray(value)) yield { path: `${path}.${key}`, value: rest };
    for (const { path: inner, value: changed } of withoutOne(gone, `${path}.${key}`)) {
      yield {
        path: inner,
        value: Array.isArray(value) ? value.with(Number(key), changed) : { ...own, [key]: changed },
      };
    }
  }
}

test('schemas - every type of event has a schema, and every event of the pipeline matches it', () => {
  expect(Object.keys(EVENT_SCHEMAS)).toEqual([...EVENT_TYPES]);
  for (const event of events()) {
    expect(EVENT_SCHEMAS[event.type].safeParse(event).error, event.type).toBeUndefined();
    expect(check(JSON_SCHEMAS.event!, event), event.type).toEqual([]);
  }
});

test.each(HISTORY_ACTIONS)('schemas - a ticket that was %s', (action) => {
  const { history, ...ticket } = ticketOf('9.0');
  const event = ticketEventOf({ ...ticket, history: history.map((change) => ({ ...change, action })) });
  expect(event.type).toBe(`city.lamppost.ticket.${action}`);
  expect(check(JSON_SCHEMAS.event!, event)).toEqual([]);
});

test('schemas - dataschema names the schema of the data', () => {
  for (const { type, dataschema, data } of events()) {
    expect(JSON_SCHEMAS[type]).toMatchObject({ $id: dataschema });
    expect(check(JSON_SCHEMAS[type]!, data), type).toEqual([]);
  }
});

test('schemas - an event without one of its required fields is refused', () => {
  const optional = /\.(clauses|devices|detail|tags|tags\.street|matchers\.\w+)$/;
  for (const event of events()) {
    for (const { path, value } of withoutOne(event)) {
      const faults = check(JSON_SCHEMAS.event!, value);
      if (optional.test(path)) expect(faults, `${event.type} without ${path}`).toEqual([]);
      else expect(faults, `${event.type} without ${path}`).not.toEqual([]);
    }
  }
});

test('schemas - a resolved alert does not match the schema of a firing one', () => {
  const [firing] = events();
  expect(check(JSON_SCHEMAS['city.lamppost.alert.firing']!, firing!.data)).toEqual([]);
  expect(check(JSON_SCHEMAS['city.lamppost.alert.resolved']!, firing!.data)).not.toEqual([]);
});

test('schemas - fields may be added at any depth', () => {
  const more = (value: unknown): unknown => {
    if (typeof value !== 'object' || value === null) return value;
    if (Array.isArray(value)) return value.map(more);
    return { ...Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, more(inner)])), later: 'x' };
  };
  for (const event of events()) expect(check(JSON_SCHEMAS.event!, more(event)), event.type).toEqual([]);
});
