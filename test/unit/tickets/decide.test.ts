import { expect, test } from 'vitest';
import { END_CAUSES, type EndCause, FAULT_GROUP, LIMIT_GROUP } from '../../../domain/index.ts';
import { ALONE, type Hold, INCIDENT_STEPS } from '../../../tickets/decide.ts';
import { decideTicket, TICKET_REASONS, type TicketContext } from '../../../tickets/index.ts';
import { city, rule, ticketOf, transition } from '../../kit/tickets/scene.ts';

const service = city.services.get('air-quality');
const { ticket: _, ...alertOnly } = rule;
const open = ticketOf('1.0');
const hold = (reason: Hold['reason']): Hold => ({ reason, cause: 'x', dueMs: null });

/** A context in which an alert of the rule has no ticket and nothing holds it. */
const context = (given: Partial<TicketContext> = {}): TicketContext => ({
  rule,
  service,
  open: null,
  waits: false,
  othersFire: () => false,
  partsOpen: () => false,
  endedUnseen: () => false,
  reportedOtherwise: () => false,
  resolution: 'auto',
  ...ALONE,
  ...given,
});

const cases = [
  ['a firing alert opens a ticket', 'firing', {}, 'open', 'incident-began'],
  ['a firing alert updates the open ticket', 'firing', { open }, 'update', 'already-open'],
  [
    'a firing alert updates the open ticket of a rule that raises none any more',
    'firing',
    { open, rule: alertOnly, service: undefined },
    'update',
    'already-open',
  ],
  ['an inhibited alert waits', 'firing', { inhibition: () => hold('inhibited') }, 'hold', 'inhibited'],
  ['a silenced alert waits', 'firing', { silence: () => hold('silenced') }, 'hold', 'silenced'],
  ['an alert that waits goes on waiting', 'firing', { waits: true }, 'wait', 'still-waiting'],
  ['an alert that is gathered waits for others', 'firing', { gathering: () => hold('gathering') }, 'hold', 'gathering'],
  ['an alert joins the ticket of others like it', 'firing', { gathered: () => open }, 'join', 'joins-others'],
  ['an alert that fires again soon reopens', 'firing', { reopenable: () => open }, 'reopen', 'fires-again-soon'],
  [
    'a silenced alert reopens nothing',
    'firing',
    { silence: () => hold('silenced'), reopenable: () => open },
    'hold',
    'silenced',
  ],
  ['a resolved alert resolves the open ticket', 'resolved', { open }, 'resolve', 'alert-resolved'],
  [
    'a resolved alert leaves the ticket of others open',
    'resolved',
    { open, othersFire: () => true },
    'calm',
    'others-still-fire',
  ],
  [
    'a resolved alert of a careful service waits for somebody to look',
    'resolved',
    { open, resolution: 'confirm' },
    'confirm',
    'confirm-on-site',
  ],
  [
    'a resolved alert of a rule that raises no ticket any more waits for somebody to look where its ticket says so',
    'resolved',
    { open, rule: alertOnly, service: undefined, resolution: 'confirm' },
    'confirm',
    'confirm-on-site',
  ],
  [
    'a resolved alert leaves the ticket open of which other departments have a part',
    'resolved',
    { open, partsOpen: () => true },
    'confirm',
    'parts-open',
  ],
  [
    'a resolved alert leaves the ticket open where a citizen reported what no sensor measures',
    'resolved',
    { open, reportedOtherwise: () => true },
    'confirm',
    'reported-otherwise',
  ],
  ['a resolved alert that waited is forgotten', 'resolved', { waits: true }, 'forget', 'ended-while-waiting'],
  ['a resolved alert without an open ticket does nothing', 'resolved', {}, 'none', 'nothing-open'],
  ['a pending alert does nothing', 'pending', {}, 'none', 'not-firing-yet'],
  ['a cancelled alert does nothing', 'cancelled', { open }, 'none', 'never-fired'],
  [
    'a rule without a ticket only alerts',
    'firing',
    { rule: alertOnly, service: undefined },
    'none',
    'rule-raises-no-ticket',
  ],
  ['a service that the city lacks opens nothing', 'firing', { service: undefined }, 'none', 'unknown-service'],
] as const;

test.each(cases)('decision - %s', (_title, to, given, kind, reason) => {
  expect(decideTicket(transition('2.0', to), context(given as Partial<TicketContext>))).toMatchObject({ kind, reason });
});

test('decision - a rise in severity of a firing alert escalates the open ticket, and opens one where none is open', () => {
  const escalated = transition('2.0', 'firing', { from: 'firing', severity: 'critical' });
  expect(decideTicket(escalated, context({ open }))).toMatchObject({ kind: 'escalate', reason: 'alert-escalated' });
  expect(decideTicket(escalated, context())).toMatchObject({ kind: 'open', reason: 'incident-began' });
});

test.each(Object.keys(END_CAUSES) as EndCause[])(
  'decision - an alert that ended by %s throws no work away',
  (because) => {
    const ended = transition('2.0', 'resolved', { because });
    expect(decideTicket(ended, context({ open }))).toMatchObject({ kind: 'resolve' });
    for (const under of [{ status: 'acknowledged' }, { party: 'cleaners' }, { reports: 1 }] as const) {
      const worked = { ...open, ...under };
      expect(decideTicket(ended, context({ open: worked }))).toMatchObject({
        kind: 'confirm',
        reason: 'work-under-way',
      });
    }
  },
);

test('decision - the last alert ends no ticket under way of which another ended with its rule', () => {
  const ended = transition('2.0', 'resolved');
  const worked = { ...open, status: 'in_progress' } as const;
  const after = (given: Partial<TicketContext>) => decideTicket(ended, context({ endedUnseen: () => true, ...given }));
  expect(after({ open: worked })).toMatchObject({ kind: 'confirm', reason: 'work-under-way' });
  expect(after({ open })).toMatchObject({ kind: 'resolve' });
});

test("decision - the limit alarm is a ticket for the rule's service, the fault alarm opens none", () => {
  const limit = transition('2.0', 'firing', { group: LIMIT_GROUP });
  expect(decideTicket(limit, context())).toMatchObject({ kind: 'open', service: { id: 'air-quality' } });
  const fault = transition('2.0', 'firing', { group: FAULT_GROUP });
  expect(decideTicket(fault, context())).toEqual({ kind: 'none', reason: 'rule-fault' });
});

test('decision - every reason has its case', () => {
  const reasons = [...cases.map((c) => c[4]), 'alert-escalated', 'rule-fault', 'work-under-way'];
  expect(new Set(reasons)).toEqual(new Set(Object.keys(TICKET_REASONS)));
});

test('placement - a firing alert without a ticket goes through these steps, in this order', () => {
  expect(INCIDENT_STEPS.map(({ name }) => name)).toEqual(['inhibit', 'silence', 'join', 'reopen', 'gather', 'open']);
});
