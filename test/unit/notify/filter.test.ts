import { expect, test } from 'vitest';
import type { SessionDrop } from '../../../domain/index.ts';
import { sessionEventOf, silenceEventOf } from '../../../events/cloudevent.ts';
import { type AlertAfter, alertEventOf, type LamppostEvent, ticketEventOf } from '../../../events/index.ts';
import { passes } from '../../../notify/receiver.ts';
import type { Silence } from '../../../tickets/index.ts';
import { ticketOf, transition } from '../../kit/tickets/scene.ts';

const ticket = ticketEventOf(ticketOf('1.0', { party: 'cleaners' }));
const alert = alertEventOf(
  transition('1.0', 'firing'),
  { rule: 'r', group: 'g', state: 'firing', severity: 'low', district: 'harbour', ticket: null } as AlertAfter,
  null,
)!;
const session = sessionEventOf({ id: 'd1', department: 'waste', fromMs: 0, toMs: 0 } as SessionDrop);
const silence = silenceEventOf({ kind: 'ending', id: 's1.ending', silence: { id: 's1' } as Silence, alerts: [] }, 0);

test.each<[string, Parameters<typeof passes>[0], LamppostEvent, boolean]>([
  ['an empty filter passes all events', {}, ticket, true],
  ['also those without department and severity', {}, silence, true],
  ['which match no list of these', { severities: ['info', 'low', 'medium', 'high', 'critical'] }, silence, false],
  ['but a list with their type', { types: ['city.lamppost.silence.ending'] }, silence, true],
  ['a session event matches its department', { departments: ['waste'] }, session, true],
  ['and no other department', { departments: ['environment'] }, session, false],
  ['an alert without a department matches no list of departments', { departments: ['environment'] }, alert, false],
  ['a contractor gets the tickets that it works on', { parties: ['cleaners'] }, ticket, true],
  ['and no others', { parties: ['neighbours'] }, ticket, false],
  ['and no alerts', { parties: ['cleaners'] }, alert, false],
  ['an event must match every list', { districts: ['harbour'], severities: ['critical'] }, ticket, false],
  [
    'and passes where it does',
    { districts: ['harbour'], severities: ['high'], departments: ['environment'] },
    ticket,
    true,
  ],
])('filters - %s', (_, filter, event, isLetThrough) => {
  expect(passes(filter, event)).toBe(isLetThrough);
});
