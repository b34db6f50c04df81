import { expect, test } from 'vitest';
import { FAULT_GROUP, LIMIT_GROUP } from '../../../domain/index.ts';
import { decideTicket, TICKET_REASONS, type TicketContext } from '../../../tickets/index.ts';
import { city, rule, ticketOf, transition } from './scene.ts';

const service = city.services.get('air-quality');
const { ticket: _, ...alertOnly } = rule;
const open = ticketOf('1.0');

const cases = [
  ['a firing alert opens a ticket', 'firing', null, { rule, service }, 'open', 'incident-began'],
  ['a firing alert updates the open ticket', 'firing', open, { rule, service }, 'update', 'already-open'],
  [
    'a firing alert updates the open ticket of a rule that raises none any more',
    'firing',
    open,
    { rule: alertOnly, service: undefined },
    'update',
    'already-open',
  ],
  ['a resolved alert resolves the open ticket', 'resolved', open, { rule, service }, 'resolve', 'alert-resolved'],
  ['a resolved alert without an open ticket does nothing', 'resolved', null, { rule, service }, 'none', 'nothing-open'],
  ['a pending alert does nothing', 'pending', null, { rule, service }, 'none', 'not-firing-yet'],
  ['a cancelled alert does nothing', 'cancelled', open, { rule, service }, 'none', 'never-fired'],
  [
    'a rule without a ticket only alerts',
    'firing',
    null,
    { rule: alertOnly, service: undefined },
    'none',
    'rule-raises-no-ticket',
  ],
  [
    'a service that the city lacks opens nothing',
    'firing',
    null,
    { rule, service: undefined },
    'none',
    'unknown-service',
  ],
] as const;

test.each(cases)('decision - %s', (_title, to, ticket, context, kind, reason) => {
  expect(decideTicket(transition('2.0', to), ticket, context as TicketContext)).toMatchObject({ kind, reason });
});

test('decision - a firing alert that fires harder escalates the open ticket, and opens one where none is open any more', () => {
  const harder = transition('2.0', 'firing', { from: 'firing', severity: 'critical' });
  expect(decideTicket(harder, open, { rule, service })).toMatchObject({ kind: 'escalate', reason: 'alert-escalated' });
  expect(decideTicket(harder, null, { rule, service })).toMatchObject({ kind: 'open', reason: 'incident-began' });
});

test("decision - the limit alarm is a ticket for the rule's service, the fault alarm is none", () => {
  const limit = transition('2.0', 'firing', { group: LIMIT_GROUP });
  expect(decideTicket(limit, null, { rule, service })).toMatchObject({ kind: 'open', service: { id: 'air-quality' } });
  const fault = transition('2.0', 'firing', { group: FAULT_GROUP });
  expect(decideTicket(fault, null, { rule, service })).toEqual({ kind: 'none', reason: 'rule-fault' });
});

test('decision - every reason has its case', () => {
  const reasons = [...cases.map((c) => c[5]), 'alert-escalated', 'rule-fault'];
  expect(new Set(reasons)).toEqual(new Set(Object.keys(TICKET_REASONS)));
});
