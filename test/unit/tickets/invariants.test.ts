import fc from 'fast-check';
import { expect, test } from 'vitest';
import { INVARIANTS, impossible, type TicketFacts } from '../../../tickets/invariants.ts';
import { runs } from '../../kit/runs.ts';
import { ticketOf } from '../../kit/tickets/scene.ts';
import { createPlayer, held } from '../../kit/tickets/truth/histories.ts';

const LOW = { kind: 'alert', severity: 'low', next: 'ends', because: 'rule-changed' } as const;
/**
 * Its severity changes, then its ticket is folded, and then the cause ends under a silence of the severity that it had.
 */
const CHANGED_BEFORE_ITS_CAUSE: Parameters<ReturnType<typeof createPlayer>>[0] = [
  { ...LOW, service: 'careful', group: 'b', severity: 'high' },
  { ...LOW, service: 'careful', group: 'b', next: 'rises' },
  { ...LOW, service: 'plain', group: 'b' },
  { kind: 'silence', matchers: { severity: ['high'] }, calendar: null, minutes: 10 },
  { kind: 'time', minutes: 1 },
  { ...LOW, service: 'plain', group: 'b' },
];

test('invariants - whatever comes and goes, no alert waits for a silence that does not hold it back', () => {
  const play = createPlayer();
  fc.assert(
    fc.property(held, (steps) => {
      expect(play(steps).impossible).toEqual([]);
    }),
    { numRuns: runs(200), examples: [[[...CHANGED_BEFORE_ITS_CAUSE]]] },
  );
});

const NOTHING: TicketFacts = { alerts: [], due: [], parts: [], parent: null };
const firing = { state: 'firing', severity: 'high', bound: true } as const;
const offer = { to: 'neighbours', until: '2026-01-02T00:00:00.000Z' };
const ended = {
  status: 'resolved',
  acknowledgedAt: '2026-01-01T00:02:00.000Z',
  resolvedAt: '2026-01-01T00:02:00.000Z',
} as const;

test.each([
  ['what is offered can be taken', { status: 'in_progress', offer }, {}],
  ['an offer ends', { offer }, {}],
  ['work is under way where somebody has it', { party: 'cleaners' }, {}],
  ['only an open ticket is to be acknowledged', { status: 'assigned', acknowledgeBy: ended.resolvedAt }, {}],
  [
    'only an open ticket is late to be acknowledged',
    { status: 'assigned' },
    { due: [{ kind: 'warn', on: 'acknowledge', to: null }] },
  ],
  ['a ticket that has ended is late for nothing', ended, { due: [{ kind: 'overdue', on: 'resolve', to: null }] }],
  ['an open ticket is not about to close', {}, { due: [{ kind: 'close', on: null, to: null }] }],
  [
    'a closed ticket does not close again',
    { ...ended, status: 'closed' },
    { due: [{ kind: 'close', on: null, to: null }] },
  ],
  ['its times follow its status', { status: 'resolved' }, {}],
  ['an open ticket has its alerts, and no other has', ended, { alerts: [firing] }],
  [
    'its severity is the highest of its alerts that fire, and at least what was set',
    { severity: 'low' },
    { alerts: [firing] },
  ],
  ['a ticket without an alert keeps at least the severity that it was given', { rule: null }, {}],
  ['a whole does not end before its parts', ended, { parts: ['open'] }],
  [
    'a part is not open under a whole that has ended',
    { relation: 'part' },
    { parent: { status: 'closed', department: 'waste' } },
  ],
  [
    'an open report is of the department of what it reports',
    { relation: 'report' },
    { parent: { status: 'open', department: 'waste' } },
  ],
  ['only a closed ticket is folded into another', { foldedInto: 't-2-0' }, {}],
  ['its history leads to its status', { status: 'assigned' }, {}],
] as const)('invariants - "%s" can fail', (name, changes, facts) => {
  expect(impossible(ticketOf('1.0', changes), { ...NOTHING, ...facts })).toContain(name);
});

test('invariants - each is shown to fail, and a new ticket breaks none', () => {
  expect(impossible(ticketOf('1.0'), { ...NOTHING, alerts: [firing] })).toEqual([]);
  expect(Object.keys(INVARIANTS)).toHaveLength(17);
});

test('invariants - a report has no parts of its own: it ends with what it reports', () => {
  const alert = { kind: 'alert', service: 'offered', group: 'c', severity: 'info', because: 'rule-changed' } as const;
  const split = { kind: 'act', back: 0, action: 'split', department: null, to: 'waste', severity: 'info' } as const;
  const { impossible: found, actions } = createPlayer()([
    { ...alert, next: 'ends' },
    { kind: 'report', service: 'offered' },
    split,
    { ...alert, next: 'ends' },
  ]);
  expect(found).toEqual([]);
  expect(actions).not.toContain('split');
});
