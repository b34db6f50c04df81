import { expect, test } from 'vitest';
import type { Ticket, Transition } from '../../../domain/index.ts';
import { LIMIT_GROUP, type Subject } from '../../../domain/index.ts';
import { firingOf, resolutionOf } from '../../../tickets/alert-changes.ts';
import { openTicket } from '../../../tickets/index.ts';
import { changed, higherSeverity } from '../../../tickets/lifecycle.ts';
import { city, rule, ticketOf, transition } from '../../kit/tickets/scene.ts';

const updateTicket = (ticket: Ticket, fired: Transition) => changed(ticket, firingOf(ticket, fired, fired.severity));
const escalateTicket = (ticket: Ticket, fired: Transition) =>
  changed(ticket, firingOf(ticket, fired, higherSeverity(ticket.severity, fired.severity)));
const resolveTicket = (ticket: Ticket, fired: Transition) => changed(ticket, resolutionOf(fired));

test('ticket - opens with the id of its transition and the rule as it was', () => {
  const ticket = ticketOf('12.3');
  expect(ticket).toMatchObject({
    id: 't-12-3',
    status: 'open',
    department: 'environment',
    openedAt: '2026-01-01T00:12:00.000Z',
    location: { lat: 31.2, lon: 121.5 },
    evidence: { rule: rule.source, ruleVersion: rule.version, window: { value: 91.234 } },
  });
  const note = 'opened: mean of pm25 is 91.23 (alert above 75)';
  expect(ticket.history).toEqual([
    { at: ticket.openedAt, by: 'rule:pm25-unhealthy', action: 'opened', from: null, to: 'open', note },
  ]);
});

test('ticket - firing again changes the severity and the history, not the status or the evidence', () => {
  const before = ticketOf('1.0', { status: 'in_progress' });
  const after = updateTicket(before, transition('5.0', 'firing', { severity: 'critical', value: 120 }));
  expect(after).toMatchObject({ status: 'in_progress', severity: 'critical', updatedAt: '2026-01-01T00:05:00.000Z' });
  expect(after.evidence).toBe(before.evidence);
  expect(after.history.at(-1)).toMatchObject({
    from: 'in_progress',
    to: 'in_progress',
    note: expect.stringContaining('fired again, escalated from high to critical: mean of pm25 is 120'),
  });
  expect(before.history).toHaveLength(1);
});

test('ticket - resolves from whatever open status it had', () => {
  const after = resolveTicket(ticketOf('1.0', { status: 'assigned' }), transition('9.0', 'resolved', { value: 58 }));
  expect(after).toMatchObject({ status: 'resolved', updatedAt: '2026-01-01T00:09:00.000Z' });
  expect(after.history.at(-1)).toMatchObject({ from: 'assigned', to: 'resolved', by: 'rule:pm25-unhealthy' });
});

test('ticket - an escalation raises the severity, and never lowers it', () => {
  const raised = escalateTicket(ticketOf('1.0'), transition('5.0', 'firing', { from: 'firing', severity: 'critical' }));
  expect(raised).toMatchObject({ status: 'open', severity: 'critical' });
  expect(raised.history.at(-1)?.note).toBe('escalated from high to critical: mean of pm25 is 91.23 (alert above 75)');
  const lower = escalateTicket(raised, transition('6.0', 'firing', { from: 'firing', severity: 'low' }));
  expect(lower.severity).toBe('critical');
});

const summaries = [
  [{ fn: 'last' }, 91.234, 'pm25 is 91.23 (alert above 75)'],
  [{ fn: 'absent', metric: '*' }, 600, 'silence of the device in seconds is 600 (alert above 75)'],
  [{ fn: 'absent' }, 600, 'silence of pm25 in seconds is 600 (alert above 75)'],
  [{ fn: 'quorum' }, 12, '12 devices match (alert from 75)'],
  [{ fn: 'flat' }, null, 'flat of pm25 is – (alert above 75)'],
  [{ fn: 'p95', op: 'outside', threshold: [1.234, 9] }, 12, 'p95 of pm25 is 12 (alert outside 1.23 to 9)'],
  [{ fn: 'limit', threshold: 100 }, 101, '101 groups would fire (at most 100)'],
] as const;

test.each(summaries)('ticket - its note has the value behind it: %j', (window, value, words) => {
  const plain = transition('5.0', 'resolved', { value });
  const evidence = { ...plain.evidence, window: { ...plain.evidence.window, ...window } };
  const after = resolveTicket(ticketOf('1.0'), { ...plain, evidence });
  expect(after.history.at(-1)?.note).toBe(`alert resolved: ${words}`);
});

const opened = (subject: Subject, group: string) => {
  const service = city.services.get('air-quality')!;
  return openTicket({
    transition: transition('1.0', 'firing', { group }),
    service,
    resolveMs: 1,
    rule,
    subject,
    title: 'T',
    titleZh: 'Z',
  });
};

test('ticket - one of a district lies in it; one of the city or of a rule has no district', () => {
  const title = { en: 'Harbour', zh: '港区' };
  const district = opened({ kind: 'district', id: 'harbour', title }, 'harbour');
  expect(district).toMatchObject({ district: 'harbour', location: null });
  expect(opened({ kind: 'city', title }, 'city')).toMatchObject({ district: '', location: null });
  expect(opened({ kind: 'rule' }, LIMIT_GROUP)).toMatchObject({ district: '', department: 'environment' });
});
