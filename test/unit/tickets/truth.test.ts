import { expect, test } from 'vitest';
import type { Inhibition, Service, Subject, Ticket, Transition } from '../../../domain/index.ts';
import { type ActionRequest, type TicketCity, warningsOf } from '../../../tickets/index.ts';
import { openState } from '../../kit/events/state.ts';
import { cityWith, device, rule, transition } from '../../kit/tickets/scene.ts';

const T0 = Date.UTC(2026, 0, 1);
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const iso = (minute: number) => new Date(T0 + minute * MINUTE).toISOString();
const key = (department: string | null) => ({ kind: 'key', id: 'k', role: 'operator', department }) as const;

/** Returns a state under a service's policy, with functions for alerts and people at a minute. */
function bench(service: Partial<Service> = {}, more: Partial<TicketCity> = {}) {
  const state = openState();
  const inForce = cityWith(service, more);
  state.at(T0, inForce);
  let ordinal = 0;
  const ticket = (id: string) => state.tickets.get(id)!;
  return {
    state,
    ticket,
    alert(minute: number, group: string, to: Transition['to'] = 'firing', changes: Partial<Transition> = {}) {
      const tagged = { ...device, id: group, tags: { gateway: 'gw-1' } };
      const subject: Subject = { kind: 'device', device: tagged };
      const happened = transition(`${minute}.${ordinal++}`, to, { group, atMs: T0 + minute * MINUTE, ...changes });
      return state.apply(happened, { ...rule, id: changes.rule ?? rule.id }, inForce, subject);
    },
    due: (minute: number) => state.due(T0 + minute * MINUTE),
    act(minute: number, id: string, action: ActionRequest['action'], given: Partial<ActionRequest> = {}): Ticket {
      state.at(T0 + minute * MINUTE);
      return state.effects.publish(state.service.act({ ticket: id, action, actor: key(null), ...given }));
    },
    split(minute: number, id: string, department: string): Ticket {
      state.at(T0 + minute * MINUTE);
      const split = { ticket: id, actor: key(null), department, note: 'n' };
      return state.effects.publish(state.service.split(split));
    },
    /** A citizen reports the same at the place of the device. */
    report(place: string): Ticket {
      const of = {
        place,
        origin: 'citizen',
        by: 'reporter',
        service: 'air-quality',
        title: 'S',
        titleZh: 'S',
      } as const;
      const rest = { description: null, district: 'harbour', severity: 'medium', address: null } as const;
      const near = { location: { lat: 31.2, lon: 121.5 }, same: { withinM: 50 } };
      return state.effects.publish(state.service.open({ ...of, ...rest, ...near }));
    },
    ids: () =>
      state.tickets
        .list({ limit: 99 })
        .items.map(({ id }) => id)
        .reverse(),
    lines: (id: string) => ticket(id).history.map(({ action, note }) => `${action}: ${note}`),
  };
}

const refused = (work: () => unknown) => {
  try {
    work();
  } catch (error) {
    return (error as { reason: string }).reason;
  }
  return 'allowed';
};
const gather = { gathering: { by: ['district'], waitMs: MINUTE } } as const;
const severe = (severity: Transition['severity']) => ({ severity });

test('severity - a critical alert that joins a gathered low ticket raises it, and that is an event', () => {
  const { alert, due, ids, ticket, state } = bench(gather);
  alert(0, 'a', 'firing', severe('low'));
  due(2);
  const [id] = ids();
  expect(ticket(id!).severity).toBe('low');
  alert(3, 'b', 'firing', severe('critical'));
  expect(ticket(id!)).toMatchObject({ severity: 'critical', history: [{}, { action: 'escalated' }] });
  const events = state.events.page({ after: 0, limit: 99, severity: 'critical' }).items.map(({ event }) => event.type);
  expect(events).toContain('city.lamppost.ticket.escalated');
});

test('severity - a low alert that fires again does not lower a ticket whose critical alert fires on', () => {
  const { alert, due, ids, ticket, lines } = bench(gather);
  alert(0, 'a', 'firing', severe('critical'));
  alert(0, 'b', 'firing', severe('high'));
  due(2);
  const [id] = ids();
  alert(3, 'b', 'resolved');
  alert(4, 'b', 'firing', severe('low'));
  expect(ticket(id!).severity).toBe('critical');
  // It falls with its cause, and says so.
  alert(5, 'a', 'resolved', severe('critical'));
  expect(ticket(id!).severity).toBe('low');
  expect(lines(id!).at(-1)).toBe(
    'updated: from critical to low: alert resolved: mean of pm25 is 91.23 (alert above 75)',
  );
});

test('severity - what nobody has confirmed as over does not fall, alone or among others', () => {
  const { alert, due, ids, ticket } = bench({ ...gather, resolution: 'confirm' });
  alert(0, 'a', 'firing', severe('critical'));
  alert(0, 'b', 'firing', severe('low'));
  due(2);
  const [id] = ids();
  alert(3, 'a', 'resolved', severe('critical'));
  expect(ticket(id!).severity).toBe('critical');
  alert(4, 'b', 'resolved', severe('low'));
  alert(5, 'a', 'firing', severe('low'));
  alert(6, 'a', 'firing', { from: 'firing', severity: 'medium' });
  expect(ticket(id!)).toMatchObject({ status: 'open', severity: 'critical', leastSeverity: 'critical' });
});

test('severity - of a changed rule that has read nothing yet: it says so, and the alert keeps its value and title', () => {
  const { alert, lines, state } = bench();
  alert(0, 'a');
  const unread = { ...transition('0.0', 'firing').evidence.window, value: null };
  const evidence = { ...transition('0.0', 'firing').evidence, window: unread };
  alert(1, 'a', 'firing', { from: 'firing', severity: 'critical', value: null, evidence });
  expect(lines('t-0-0').at(-1)).toBe('escalated: escalated from high to critical: the rule was changed');
  expect(state.alerts.get(rule.id, 'a')).toMatchObject({
    value: 91.234,
    title: 'Fine dust above 75 at Pier 7, Harbour',
    severity: 'critical',
  });
  alert(2, 'a', 'resolved', { from: 'firing', because: 'rule-changed', value: null, evidence });
  expect(lines('t-0-0').at(-1)).toBe('resolved: the rule was changed; it no longer holds');
  expect(state.alerts.get(rule.id, 'a')).toMatchObject({ value: 91.234, state: 'resolved' });
  const [last] = state.events.page({ after: 0, limit: 99, types: ['city.lamppost.alert.resolved'] }).items;
  expect(last!.event.data).toMatchObject({ because: 'rule-changed', value: 91.234 });
});

test('severity - a person sets it, not below an alert that fires; a rise is an escalation', () => {
  const { alert, act, ticket } = bench();
  alert(0, 'a', 'firing', severe('medium'));
  const set = (severity: Transition['severity']) => act(1, 't-0-0', 'set-severity', { severity, note: 'by hand' });
  expect(set('critical')).toMatchObject({ severity: 'critical', leastSeverity: 'critical', status: 'open' });
  expect(ticket('t-0-0').history.at(-1)).toMatchObject({
    action: 'escalated',
    note: 'severity from medium to critical: by hand',
  });
  expect(set('high').history.at(-1)).toMatchObject({ action: 'updated' });
  expect(refused(() => set('low'))).toBe('alerts-fire');
  expect(refused(() => act(1, 't-0-0', 'set-severity'))).toBe('no-severity');
  alert(2, 'a', 'firing', { from: 'firing', severity: 'critical' });
  expect(ticket('t-0-0')).toMatchObject({ severity: 'critical', leastSeverity: 'high' });
});

test('ends - resolved by hand while it fires: said before, and opened again after the time of the service', () => {
  const { alert, act, due, ticket, lines, state } = bench({ recheckMs: HOUR, closeMs: 24 * HOUR });
  alert(0, 'a');
  const service = cityWith({ recheckMs: HOUR }).services.get('air-quality');
  expect(warningsOf(ticket('t-0-0'), state.tickets.firing('t-0-0'), service)).toEqual([
    {
      before: ['resolve', 'close'],
      reason: 'alerts-fire',
      detail: 'an alert of it fires: resolved now, it opens again after 60 min if that has not ended',
    },
  ]);
  act(10, 't-0-0', 'resolve');
  act(11, 't-0-0', 'close');
  due(69);
  expect(ticket('t-0-0').status).toBe('closed');
  due(70);
  expect(ticket('t-0-0')).toMatchObject({ status: 'open', reopened: 1, alerts: [{ state: 'firing' }] });
  expect(lines('t-0-0').at(-1)).toBe('reopened: it still fires: pm25-unhealthy for a');
  alert(80, 'a', 'resolved');
  expect(ticket('t-0-0').status).toBe('resolved');
  expect(warningsOf(ticket('t-0-0'), state.tickets.firing('t-0-0'), service)).toEqual([]);
});

test('ends - resolved by hand, it stays so where the alert ends within the time', () => {
  const { alert, act, due, ticket } = bench({ recheckMs: HOUR });
  alert(0, 'a');
  act(10, 't-0-0', 'resolve');
  alert(20, 'a', 'resolved');
  due(500);
  expect(ticket('t-0-0')).toMatchObject({ status: 'resolved', alerts: [{ state: 'resolved' }] });
});

test('ends - nobody is said to have had no objection while an alert fires', () => {
  const { alert, act, due, ticket, lines } = bench({ closeMs: HOUR });
  alert(0, 'a');
  act(10, 't-0-0', 'resolve');
  due(70);
  expect(ticket('t-0-0').status).toBe('resolved');
  expect(lines('t-0-0').at(-1)).toBe('reminded: not closed, it still fires: pm25-unhealthy for a');
  alert(100, 'a', 'resolved');
  due(129);
  expect(ticket('t-0-0').status).toBe('resolved');
  due(130);
  expect(lines('t-0-0').at(-1)).toBe('closed: nobody objected');
});

test('ends - resolved by hand while two alerts fire, which both end: reopened it shows them as resolved, and ends', () => {
  const { alert, act, due, ids, ticket } = bench(gather);
  alert(0, 'a');
  alert(0, 'b');
  due(2);
  const [id] = ids();
  act(3, id!, 'resolve');
  alert(4, 'a', 'resolved');
  alert(5, 'b', 'resolved');
  expect(act(6, id!, 'reopen').alerts.map(({ state }) => state)).toEqual(['resolved', 'resolved']);
  alert(7, 'a');
  expect(ticket(id!).alerts.map(({ state }) => state)).toEqual(['firing', 'resolved']);
  alert(8, 'a', 'resolved');
  expect(ticket(id!).status).toBe('resolved');
});

test('ends - an alert counts in one ticket: one that is reopened has it, and no longer one that ended later', () => {
  const { alert, act, due, ticket, ids } = bench({ closeMs: HOUR });
  alert(0, 'a');
  alert(1, 'a', 'resolved');
  alert(2, 'a', 'firing', { severity: 'critical' });
  const [first, second] = ids() as [string, string];
  act(3, second, 'resolve');
  const reopened = act(4, first, 'reopen');
  expect(reopened).toMatchObject({ severity: 'critical', alerts: [{ state: 'firing', severity: 'critical' }] });
  expect(ticket(second).alerts).toMatchObject([{ state: 'resolved' }]);
  due(63);
  expect(ticket(second).status).toBe('closed');
  alert(70, 'a', 'resolved');
  expect(ticket(first).status).toBe('resolved');
});

test('ends - its department is reminded while it is open, once where a stop missed several, and not after its end', () => {
  const { alert, act, due, lines } = bench({ remindMs: HOUR });
  alert(0, 'a');
  due(60);
  expect(lines('t-0-0').at(-1)).toBe(
    `reminded: open since ${iso(0)}, nobody has acknowledged it; to be resolved by ${iso(240)}`,
  );
  act(61, 't-0-0', 'acknowledge');
  expect(due(60 * 5.5)).toBe(2);
  expect(lines('t-0-0').filter((line) => line.includes('it is not resolved'))).toHaveLength(1);
  due(60 * 6);
  act(361, 't-0-0', 'resolve');
  expect(due(10_000)).toBe(0);
});

test('parts - the whole ends with its last part where its alerts have ended, else its department is notified', () => {
  const made = bench();
  const { alert, act, split, ticket, lines } = made;
  alert(0, 'a');
  const first = split(1, 't-0-0', 'waste');
  const second = split(1, 't-0-0', 'mayor');
  act(2, first.id, 'resolve');
  expect(lines('t-0-0').at(-1)).toBe('updated: the part t-0-0-p1 (waste) is done, 1 more to go');
  act(3, second.id, 'resolve');
  expect(lines('t-0-0').at(-1)).toBe('updated: the part t-0-0-p2 (mayor) is done, it was the last one');
  expect(ticket('t-0-0').status).toBe('open');
  act(4, first.id, 'reopen');
  expect(lines('t-0-0').at(-1)).toBe('updated: the part t-0-0-p1 (waste) is open again');
  alert(5, 'a', 'resolved');
  expect(ticket('t-0-0').status).toBe('open');
  act(6, first.id, 'resolve');
  expect(ticket('t-0-0').status).toBe('resolved');
  // A part is not reopened under a whole that has ended.
  expect(refused(() => act(7, first.id, 'reopen'))).toBe('whole-ended');
  act(8, 't-0-0', 'reopen');
  expect(act(9, first.id, 'reopen').status).toBe('open');
});

test('parts - a whole under way whose rule is gone does not end with its last part: a person ends it', () => {
  const { alert, act, split, ticket, lines } = bench();
  for (const group of ['a', 'b']) alert(0, group);
  for (const id of ['t-0-0', 't-0-1']) {
    const part = split(1, id, 'waste');
    if (id === 't-0-0') act(2, id, 'start');
    alert(3, id === 't-0-0' ? 'a' : 'b', 'resolved', { because: 'rule-removed' });
    act(4, part.id, 'resolve');
  }
  expect(ticket('t-0-0').status).toBe('in_progress');
  expect(lines('t-0-0').at(-1)).toBe('updated: the part t-0-0-p1 (waste) is done, it was the last one');
  // Nobody worked on this one but its part.
  expect(ticket('t-0-1').status).toBe('resolved');
});

test('ends - of several alerts one ended with its rule: the last one does not end the work under way', () => {
  const { alert, due, act, ids, ticket, lines } = bench(gather);
  for (const group of ['a', 'b']) alert(0, group);
  due(2);
  const [id] = ids();
  act(3, id!, 'start');
  alert(4, 'a', 'resolved', { because: 'device-revoked' });
  alert(5, 'b', 'resolved');
  expect(ticket(id!).status).toBe('in_progress');
  expect(lines(id!).at(-1)).toContain('work is under way');
  // What fires again and ends was seen to end.
  alert(6, 'a');
  alert(7, 'a', 'resolved');
  expect(ticket(id!).status).toBe('resolved');
});

test('parts - they and reports follow a hand-over: reports go along, departments with a part are notified', () => {
  const { alert, act, split, report, ticket, lines, state } = bench();
  alert(0, 'a');
  const part = split(1, 't-0-0', 'waste');
  report('1');
  expect(refused(() => act(2, 'r-1', 'hand-over', { to: 'mayor' }))).toBe('goes-along');
  act(2, 't-0-0', 'hand-over', { to: 'mayor' });
  expect(ticket('r-1')).toMatchObject({ department: 'mayor', formerDepartments: ['environment'], status: 'open' });
  expect(lines('r-1').at(-1)).toBe('handed-over: from environment to mayor with t-0-0');
  expect(ticket(part.id).department).toBe('waste');
  expect(lines(part.id).at(-1)).toBe('updated: t-0-0 was handed over from environment to mayor');
  expect(state.tickets.sees(['mayor'], part.id)).toBe(true);
});

const offers = {
  offers: [
    { to: 'neighbours', forMs: 30 * MINUTE },
    { to: 'environment', forMs: 30 * MINUTE },
  ],
};

test('commands - each alert of a device that has its ticket runs them: opened, fired again, reopened, but not risen', () => {
  const { alert, due, act, state } = bench({ resolution: 'confirm', reopenMs: HOUR });
  alert(0, 'a', 'firing', severe('low'));
  alert(1, 'a', 'firing', { from: 'firing', severity: 'high' });
  alert(2, 'a', 'resolved');
  alert(3, 'a');
  alert(4, 'a', 'resolved');
  act(5, 't-0-0', 'resolve');
  alert(6, 'a');
  due(7);
  expect(state.ticketed).toEqual(['a 0.0: t-0-0', 'a 3.3: t-0-0', 'a 6.5: t-0-0']);
});

test('commands - what is gathered, joins, or waited for a silence runs them once it has its ticket', () => {
  const { alert, due, state } = bench(gather);
  alert(0, 'a');
  alert(0, 'b');
  expect(state.ticketed).toEqual([]);
  due(1);
  alert(2, 'c');
  expect(state.ticketed.sort()).toEqual(['a 0.0: t-0-0', 'b 0.1: t-0-0', 'c 2.2: t-0-0']);
  const silent = bench();
  silent.state.service.silences.add({
    ...{ id: 's', startsAt: iso(0), endsAt: iso(10), calendar: null, comment: 'c', author: 'k', createdAt: iso(0) },
    matchers: { rule: [rule.id] },
  });
  silent.alert(1, 'a');
  silent.due(9);
  expect(silent.state.ticketed).toEqual([]);
  silent.due(10);
  expect(silent.state.ticketed).toEqual(['a 1.0: t-1-0']);
});

test('offers - work under way is not offered on, and what is offered can be taken', () => {
  const { alert, act, due, ticket } = bench(offers);
  alert(0, 'a');
  expect(ticket('t-0-0').offer?.to).toBe('neighbours');
  expect(act(1, 't-0-0', 'start', { actor: key('environment') })).toMatchObject({ status: 'in_progress', offer: null });
  due(500);
  expect(ticket('t-0-0')).toMatchObject({ status: 'in_progress', offer: null });

  alert(600, 'b');
  act(601, 't-600-1', 'acknowledge', { actor: key('environment') });
  due(630);
  expect(ticket('t-600-1').offer?.to).toBe('environment');
  // Also by the department that is responsible, where its service offers it the ticket.
  expect(act(631, 't-600-1', 'take', { actor: key('environment') })).toMatchObject({
    status: 'assigned',
    party: 'environment',
  });
});

test('deadlines - a reopened ticket has its own time to resolve again, and a new department time to acknowledge', () => {
  const { alert, act, due, ticket, lines } = bench({ acknowledgeMs: 30 * MINUTE });
  alert(0, 'a');
  expect(ticket('t-0-0')).toMatchObject({ acknowledgeBy: iso(30), dueAt: iso(240) });
  act(10, 't-0-0', 'acknowledge');
  const handed = act(20, 't-0-0', 'hand-over', { to: 'waste' });
  expect(handed).toMatchObject({ acknowledgeBy: iso(50), dueAt: iso(240) });
  due(50);
  expect(lines('t-0-0').at(-1)).toBe(`escalated: not acknowledged by ${iso(50)}: waste is notified`);
  act(60, 't-0-0', 'resolve');
  expect(act(100, 't-0-0', 'reopen')).toMatchObject({ acknowledgeBy: iso(130), dueAt: iso(340) });
});

test.each([
  ['rule-changed', 'the rule was changed; it no longer holds: mean of pm25 is 20 (alert above 75)'],
  ['rule-removed', 'the rule is gone'],
  ['rule-left', 'the rule no longer applies to it'],
  ['device-revoked', 'the device was revoked'],
] as const)('rules change - %s: the end says so, and work under way stays', (because, note) => {
  const { alert, act, ticket, lines } = bench();
  alert(0, 'a');
  alert(1, 'a', 'resolved', { because, value: 20 });
  expect(lines('t-0-0').at(-1)).toBe(`resolved: ${note}`);
  alert(10, 'b');
  const { id } = act(11, 't-10-2', 'assign', { to: 'cleaners', assignee: 'Li' });
  alert(12, 'b', 'resolved', { because, value: 20 });
  expect(ticket(id)).toMatchObject({ status: 'assigned', party: 'cleaners', assignee: 'Li', dueAt: iso(250) });
  expect(lines(id).at(-1)).toMatch(/^updated: .*, work is under way/);
});

const inhibition: Inhibition = {
  source: { rule: ['gateway-silent'] },
  target: { rule: [rule.id] },
  equal: [],
  via: 'gateway',
  lateMs: 5 * MINUTE,
};

test('causes - tickets of devices that fell silent before their gateway are folded into its ticket, with history', () => {
  const { alert, due, ids, ticket, lines, state } = bench({}, { inhibitions: [inhibition] });
  for (const [i, group] of ['a', 'b', 'c'].entries()) alert(i / 20, group);
  const children = ids();
  alert(8 / 60, 'gw-1', 'firing', { rule: 'gateway-silent' });
  const [gateway] = ids().slice(-1);
  const open = state.tickets.list({ limit: 9, status: 'open' }).items.map(({ id }) => id);
  expect(open).toEqual([gateway]);
  expect(lines(gateway!).at(-1)).toBe(`linked: it explains ${children.join(', ')}`);
  expect(ticket(children[0]!)).toMatchObject({ status: 'closed', foldedInto: gateway });
  expect(lines(children[0]!).at(-1)).toBe(`folded: folded into ${gateway}: gateway-silent fires for gw-1`);
  // One comes back with the gateway, another one does not: its own ticket opens again.
  alert(20, 'a', 'resolved');
  alert(20, 'b', 'resolved');
  alert(21, 'gw-1', 'resolved', { rule: 'gateway-silent' });
  due(21);
  expect(ticket(gateway!).status).toBe('resolved');
  expect(children.map((id) => ticket(id).status)).toEqual(['closed', 'closed', 'open']);
  expect(ticket(children[2]!)).toMatchObject({ foldedInto: null, reopened: 1, alerts: [{ state: 'firing' }] });
  alert(30, 'c', 'resolved');
  expect(ticket(children[2]!).status).toBe('resolved');
  expect(state.db.prepare('select count(*) as n from ticket_openings').get()).toEqual({ n: 0 });
});

/** Returns a state without inhibitions in which the devices a to c are registered under gw-1, and gw-1 under gw-0. */
function gateways(service: Partial<Service> = {}) {
  const one = bench(service);
  const evidenceOf = (fn: 'absent' | 'mean') => {
    const { evidence } = transition('0.0', 'firing');
    return { ...evidence, window: { ...evidence.window, fn } };
  };
  return {
    ...one,
    falls(minute: number, group: string, given: { to?: Transition['to']; fn?: 'absent' | 'mean'; rule?: string } = {}) {
      const { to = 'firing', fn = 'absent', rule: id = `silent-${group}` } = given;
      const gateway = { a: 'gw-1', b: 'gw-1', c: 'gw-1', 'gw-1': 'gw-0' }[group];
      const subject: Subject = { kind: 'device', device: { ...device, id: group, ...(gateway ? { gateway } : {}) } };
      const changes = { group, rule: id, evidence: evidenceOf(fn), atMs: T0 + minute * MINUTE };
      return one.state.apply(transition(`${minute}.${group}`, to, changes), { ...rule, id }, undefined, subject);
    },
    open: () =>
      one.state.tickets
        .list({ limit: 9, status: 'open' })
        .items.map(({ rule: id }) => id)
        .toSorted(),
  };
}

test.each([['before'], ['after']])(
  'gateways - whoever falls silent %s the gateway is explained by it, and no city has to say so',
  (order) => {
    const { falls, due, open } = gateways();
    if (order === 'after') falls(10, 'gw-1');
    for (const group of ['a', 'b']) falls(order === 'after' ? 11 : 9, group);
    if (order === 'before') falls(10, 'gw-1');
    expect(open()).toEqual(['silent-gw-1']);
    // The gateway is back, and one of its devices is not.
    falls(20, 'a', { to: 'resolved' });
    falls(20, 'gw-1', { to: 'resolved' });
    due(20);
    expect(open()).toEqual(['silent-b']);
  },
);

test('gateways - a whole chain is explained by its beginning', () => {
  const { falls, open } = gateways();
  falls(10, 'a');
  falls(11, 'gw-1');
  falls(12, 'gw-0');
  falls(13, 'b');
  expect(open()).toEqual(['silent-gw-0']);
});

test('gateways - explain silence only, by their own silence only, and not what is long before it', () => {
  const { falls, open } = gateways();
  falls(0, 'c');
  falls(70, 'gw-1', { fn: 'mean', rule: 'battery' });
  falls(71, 'a');
  falls(72, 'gw-1');
  falls(73, 'b', { fn: 'mean', rule: 'full' });
  expect(open()).toEqual(['battery', 'full', 'silent-c', 'silent-gw-1']);
});

test('causes - a ticket that somebody works on, one of long ago and one of another gateway are not folded', () => {
  const { alert, act, ticket, ids } = bench({}, { inhibitions: [inhibition] });
  alert(0, 'old');
  alert(10, 'worked');
  act(10, ids()[1]!, 'acknowledge');
  alert(11, 'gw-2', 'firing', { rule: 'gateway-silent' });
  alert(12, 'gw-1', 'firing', { rule: 'gateway-silent' });
  expect(ids().map((id) => ticket(id).status)).toEqual(['open', 'acknowledged', 'open', 'open']);
});
