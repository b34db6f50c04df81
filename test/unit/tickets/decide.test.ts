import { expect, test } from 'vitest';
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

test('decision - every reason has its case', () => {
  expect(new Set(cases.map((c) => c[5]))).toEqual(new Set(Object.keys(TICKET_REASONS)));
});
