import { expect, test } from 'vitest';
import { resolveTicket, updateTicket } from '../../../tickets/index.ts';
import { rule, ticketOf, transition } from './scene.ts';

test('ticket - opens with the id of its transition, its deadline and the rule as it was', () => {
  const ticket = ticketOf('12.3');
  expect(ticket).toMatchObject({
    id: 't-12-3',
    status: 'open',
    department: 'environment',
    openedAt: '2026-01-01T00:12:00.000Z',
    dueAt: '2026-01-01T04:12:00.000Z',
    location: { lat: 31.2, lon: 121.5 },
    evidence: { rule: rule.source, ruleVersion: rule.version, window: { value: 91.234 } },
  });
  const note = 'opened: mean of pm25 is 91.23 (alert above 75)';
  expect(ticket.history).toEqual([{ at: ticket.openedAt, by: 'rule:pm25-unhealthy', from: null, to: 'open', note }]);
});

test('ticket - firing again moves the severity and the history, not the status or the evidence', () => {
  const before = ticketOf('1.0', { status: 'in_progress' });
  const after = updateTicket(before, transition('5.0', 'firing', { severity: 'critical', value: 120 }));
  expect(after).toMatchObject({ status: 'in_progress', severity: 'critical', updatedAt: '2026-01-01T00:05:00.000Z' });
  expect(after.evidence).toBe(before.evidence);
  expect(after.history.at(-1)).toMatchObject({
    from: 'in_progress',
    to: 'in_progress',
    note: expect.stringContaining('fired again: mean of pm25 is 120'),
  });
  expect(before.history).toHaveLength(1);
});

test('ticket - resolves from whatever open status it had', () => {
  const after = resolveTicket(ticketOf('1.0', { status: 'assigned' }), transition('9.0', 'resolved', { value: 58 }));
  expect(after).toMatchObject({ status: 'resolved', updatedAt: '2026-01-01T00:09:00.000Z' });
  expect(after.history.at(-1)).toMatchObject({ from: 'assigned', to: 'resolved', by: 'rule:pm25-unhealthy' });
});
