import { describe, expect, test } from 'vitest';
import { TICKET_STATUSES, type TicketRefusal, type TicketStatus } from '../../../domain/index.ts';
import { type Actor, refuseAction, TICKET_ACTIONS, type TicketAction } from '../../../tickets/lifecycle.ts';
import { ticketOf } from '../../kit/tickets/scene.ts';

const key = (role: 'viewer' | 'operator' | 'admin', department: string | null): Actor => ({
  kind: 'key',
  id: 'k',
  role,
  department,
});

/** All kinds of actors, by their names in the table below. */
const ACTORS = {
  admin: key('admin', null),
  city: key('operator', null),
  own: key('operator', 'environment'),
  party: key('operator', 'cleaners'),
  offered: key('operator', 'neighbours'),
  joint: key('operator', 'waste'),
  other: key('operator', 'mayor'),
  viewer: key('viewer', 'environment'),
  rule: { kind: 'rule', id: 'r' },
  clock: { kind: 'clock' },
  reporter: { kind: 'reporter' },
} as const satisfies Record<string, Actor>;
type Who = keyof typeof ACTORS;

/**
 * Who may do what, from which status, written down once more by hand. `o` open, `a` acknowledged, `g` assigned,
 * `p` in progress, `r` resolved, `c` closed; whoever is not named may not, from any status.
 */
const ALLOWED: Readonly<Record<TicketAction, Partial<Record<Who, string>>>> = {
  acknowledge: { admin: 'o', city: 'o', own: 'o', party: 'o' },
  assign: { admin: 'oagp', city: 'oagp', own: 'oagp' },
  take: { offered: 'oa' },
  decline: { admin: 'oa', city: 'oa', own: 'oa', offered: 'oa' },
  start: { admin: 'oag', city: 'oag', own: 'oag', party: 'oag' },
  resolve: { admin: 'oagp', city: 'oagp', own: 'oagp', party: 'oagp', rule: 'oagp' },
  close: { admin: 'r', city: 'r', own: 'r', clock: 'r' },
  reopen: { admin: 'rc', city: 'rc', own: 'rc', rule: 'rc' },
  comment: {
    admin: 'oagprc',
    city: 'oagprc',
    own: 'oagprc',
    party: 'oagprc',
    offered: 'oagprc',
    joint: 'oagprc',
  },
  'hand-over': { admin: 'oagp', city: 'oagp', own: 'oagp' },
  'set-severity': { admin: 'oagp', city: 'oagp', own: 'oagp' },
  split: { admin: 'oagp', city: 'oagp', own: 'oagp' },
  reply: { admin: 'oagprc', city: 'oagprc', own: 'oagprc' },
  rate: { reporter: 'c' },
  write: { reporter: 'oagprc' },
  'not-fixed': { reporter: 'rc' },
};
const LETTERS = 'oagprc';

/** Returns the reason of a refusal for an actor who is not allowed from any status. */
function expectedRefusal(action: TicketAction, who: Who): TicketRefusal {
  if (who === 'viewer') return 'not-your-role';
  if (action === 'take') return 'not-offered';
  return who === 'reporter' ? 'not-your-role' : 'not-your-ticket';
}

const rows = TICKET_ACTIONS.flatMap((action) =>
  (Object.keys(ACTORS) as Who[]).flatMap((who) => TICKET_STATUSES.map((status) => [action, who, status] as const)),
);

describe('the lifecycle, every action × actor × status', () => {
  test.each(rows)('%s by %s from %s', (action, who, status) => {
    const ticket = {
      ...ticketOf('1.0', {
        status: status as TicketStatus,
        party: 'cleaners',
        offer: { to: 'neighbours', until: '2026-01-02T00:00:00.000Z' },
      }),
      joint: ['waste'],
    };
    const from = ALLOWED[action][who];
    const letter = LETTERS[TICKET_STATUSES.indexOf(status)]!;
    const expected = from === undefined ? expectedRefusal(action, who) : from.includes(letter) ? null : 'wrong-status';
    expect(refuseAction(action, ACTORS[who], ticket)).toBe(expected);
  });
});

test('the lifecycle - nobody takes or declines what is not offered', () => {
  const ticket = ticketOf('1.0');
  expect(refuseAction('take', ACTORS.offered, ticket)).toBe('not-offered');
  expect(refuseAction('decline', ACTORS.own, ticket)).toBe('not-offered');
});
