import { expect, test } from 'vitest';
import { sessionEventOf, silenceEventOf } from '../../../events/cloudevent.ts';
import { alertEventOf, type LamppostEvent, ticketEventOf } from '../../../events/index.ts';
import { passes } from '../../../notify/receiver.ts';
import { ticketOf, transition } from '../../kit/tickets/scene.ts';

const ticket = ticketEventOf(ticketOf('1.0', { party: 'cleaners' }));
const alert = alertEventOf(
  transition('1.0', 'firing'),
  { rule: 'r', group: 'g', state: 'firing', severity: 'low', district: 'harbour', ticket: null } as never,
  null,
)!;
const session = sessionEventOf({ id: 'd1', department: 'waste', fromMs: 0, toMs: 0 } as never);
const silence = silenceEventOf({ id: 's1', alerts: [] } as never, 0);

test.each<[string, Parameters<typeof passes>[0], LamppostEvent, boolean]>([
  ['nothing asked for lets all through', {}, ticket, true],
  ['also what has neither department nor severity', {}, silence, true],
  ['which passes no list of these', { severities: ['info', 'low', 'medium', 'high', 'critical'] }, silence, false],
  ['but that of its type', { types: ['city.lamppost.silence.ending'] }, silence, true],
  ['a session that lost messages is its department’s', { departments: ['waste'] }, session, true],
  ['and no other’s', { departments: ['environment'] }, session, false],
  ['an alert without a department passes no list of departments', { departments: ['environment'] }, alert, false],
  ['a contractor gets the tickets that it works on', { parties: ['cleaners'] }, ticket, true],
  ['and no others', { parties: ['neighbours'] }, ticket, false],
  ['and no alerts', { parties: ['cleaners'] }, alert, false],
  ['every list must have the event', { districts: ['harbour'], severities: ['critical'] }, ticket, false],
  ['all do', { districts: ['harbour'], severities: ['high'], departments: ['environment'] }, ticket, true],
])('filters - %s', (_, filter, event, isLetThrough) => {
  expect(passes(filter, event)).toBe(isLetThrough);
});
