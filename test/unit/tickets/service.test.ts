import { expect, test } from 'vitest';
import type { Service, Ticket } from '../../../domain/index.ts';
import { type ActionRequest, FROM_NOW, type TicketCity } from '../../../tickets/index.ts';
import { openState } from '../../kit/events/state.ts';
import { city, cityWith, transition } from '../../kit/tickets/scene.ts';

const MINUTE = 60_000;
const T0 = Date.UTC(2026, 0, 1);
const HOUR = 60 * MINUTE;

const operator = (department: string | null) => ({ kind: 'key', id: 'k1', role: 'operator', department }) as const;

/** A state with one open ticket `t-0-0` of the service, opened at T0. */
function bench(service: Partial<Service> = {}, more: Partial<TicketCity> = {}) {
  const state = openState();
  const inForce = cityWith(service, more);
  state.at(T0, inForce);
  state.apply(transition('0.0', 'firing'));
  const at = (minutes: number) => state.at(T0 + minutes * MINUTE, inForce);
  const act = (action: ActionRequest['action'], given: Partial<ActionRequest> = {}): Ticket =>
    state.effects.publish(state.service.act({ ticket: 't-0-0', action, actor: operator('environment'), ...given }));
  const refused = (work: () => unknown): string => {
    try {
      work();
    } catch (error) {
      return (error as { reason: string }).reason;
    }
    return 'allowed';
  };
  const types = () =>
    state.events
      .page({ after: 0, limit: 200 })
      .items.map(({ event }) => event.type)
      .filter((type) => type.startsWith('city.lamppost.ticket.'))
      .map((type) => type.slice('city.lamppost.ticket.'.length));
  return { state, at, act, refused, types, ticket: () => state.tickets.get('t-0-0')! };
}

test('service - a ticket goes through its whole lifecycle, and each action is an entry of its history and an event', () => {
  const { at, act, types, ticket } = bench();
  at(1);
  act('acknowledge');
  at(2);
  act('assign', { to: 'cleaners', assignee: 'Li', note: 'please' });
  at(3);
  act('start', { actor: operator('cleaners') });
  at(4);
  act('resolve', { actor: operator('cleaners'), note: 'swept' });
  at(5);
  const closed = act('close');
  expect(closed).toMatchObject({
    status: 'closed',
    version: 6,
    party: 'cleaners',
    assignee: 'Li',
    acknowledgedAt: '2026-01-01T00:01:00.000Z',
    resolvedAt: '2026-01-01T00:04:00.000Z',
    closedAt: '2026-01-01T00:05:00.000Z',
  });
  expect(closed.history.map(({ by, action, from, to, note }) => [by, action, from, to, note])).toEqual([
    ['rule:pm25-unhealthy', 'opened', null, 'open', 'opened: mean of pm25 is 91.23 (alert above 75)'],
    ['key:k1', 'acknowledged', 'open', 'acknowledged', ''],
    ['key:k1', 'assigned', 'acknowledged', 'assigned', 'to cleaners: Li: please'],
    ['key:k1', 'started', 'assigned', 'in_progress', ''],
    ['key:k1', 'resolved', 'in_progress', 'resolved', 'swept'],
    ['key:k1', 'closed', 'resolved', 'closed', ''],
  ]);
  expect(types()).toEqual(['opened', 'acknowledged', 'assigned', 'started', 'resolved', 'closed']);
  expect(ticket()).toEqual(closed);
});

test('service - a version that is not the newest is refused, and nothing changes', () => {
  const { act, refused, ticket } = bench();
  act('comment', { note: 'a' });
  expect(refused(() => act('acknowledge', { version: 1 }))).toBe('ticket-changed');
  expect(ticket()).toMatchObject({ version: 2, status: 'open' });
  expect(act('acknowledge', { version: 2 }).version).toBe(3);
});

test('service - unknown tickets, parties and departments are named in the refusal', () => {
  const { act, refused } = bench();
  expect(() => act('acknowledge', { ticket: 't-9-9' })).toThrow('there is no ticket "t-9-9"');
  expect(refused(() => act('assign', { to: 'nobody' }))).toBe('unknown-party');
  expect(refused(() => act('hand-over', { to: 'environment' }))).toBe('same-department');
  expect(refused(() => act('hand-over'))).toBe('unknown-party');
  expect(() => act('assign', { to: 'nobody' })).toThrow('environment, waste, mayor, cleaners, neighbours');
});

test('service - a ticket that is handed over belongs to the other department, and the former one still sees it', () => {
  const { act, refused, state } = bench();
  act('acknowledge');
  const handed = act('hand-over', { to: 'waste', note: 'it is rubbish' });
  expect(handed).toMatchObject({
    department: 'waste',
    formerDepartments: ['environment'],
    status: 'open',
    party: null,
  });
  expect(refused(() => act('acknowledge'))).toBe('not-your-ticket');
  expect(act('acknowledge', { actor: operator('waste') }).status).toBe('acknowledged');
  expect(state.tickets.sees(['environment'], 't-0-0')).toBe(true);
});

test('service - a ticket cannot be resolved while another department has an open part', () => {
  const { state, act, refused, ticket } = bench();
  const split = { ticket: 't-0-0', actor: operator('environment'), department: 'waste', note: 'clear the bags' };
  const part = state.effects.publish(state.service.split(split));
  expect(part).toMatchObject({
    id: 't-0-0-p1',
    parent: 't-0-0',
    relation: 'part',
    department: 'waste',
    status: 'open',
  });
  expect(ticket().history.at(-1)).toMatchObject({ action: 'split', note: 't-0-0-p1 for waste: clear the bags' });
  expect(refused(() => act('resolve'))).toBe('parts-open');
  // A department that has a part may comment, and nothing else.
  expect(act('comment', { actor: operator('waste'), note: 'on our way' }).version).toBe(3);
  expect(refused(() => act('start', { actor: operator('waste') }))).toBe('not-your-ticket');
  act('resolve', { ticket: part.id, actor: operator('waste') });
  expect(act('resolve').status).toBe('resolved');
});

test('service - an alert that resolves does not resolve a ticket with an open part of another department', () => {
  const { state, act, ticket } = bench();
  const split = { ticket: 't-0-0', actor: operator('environment'), department: 'waste', note: 'clear the bags' };
  const part = state.effects.publish(state.service.split(split));
  state.apply(transition('5.0', 'resolved', { value: 58 }));
  expect(ticket().status).toBe('open');
  expect(ticket().history.at(-1)?.note).toContain('alert resolved, parts of it are open');
  act('resolve', { ticket: part.id, actor: operator('waste') });
  expect(ticket().status).toBe('resolved');
  expect(ticket().history.at(-1)?.note).toBe('the part t-0-0-p1 (waste) was the last one, and the alerts have ended');
});

test('service - a reopened ticket gets new deadlines; not while another is open for its alert', () => {
  const { state, at, act, refused, ticket } = bench();
  at(10);
  act('resolve');
  at(60);
  expect(act('reopen')).toMatchObject({
    status: 'open',
    reopened: 1,
    resolvedAt: null,
    dueAt: '2026-01-01T05:00:00.000Z',
  });
  act('resolve');
  state.apply(transition('70.0', 'resolved'));
  state.apply(transition('80.0', 'firing'));
  expect(state.tickets.get('t-80-0')?.status).toBe('open');
  expect(refused(() => act('reopen'))).toBe('superseded');
  expect(ticket().status).toBe('resolved');
});

test('service - an alert resolves its ticket by itself, or waits for a person to confirm', () => {
  const auto = bench();
  auto.state.apply(transition('5.0', 'resolved', { value: 58 }));
  expect(auto.ticket()).toMatchObject({ status: 'resolved', alerts: [{ state: 'resolved' }] });

  const careful = bench({ resolution: 'confirm' });
  careful.state.apply(transition('5.0', 'resolved', { value: 58 }));
  expect(careful.ticket()).toMatchObject({ status: 'open', alerts: [{ state: 'resolved' }] });
  expect(careful.ticket().history.at(-1)?.note).toBe(
    'alert resolved, confirm on site: mean of pm25 is 58 (alert above 75)',
  );
  careful.state.apply(transition('6.0', 'firing'));
  expect(careful.ticket()).toMatchObject({ status: 'open', alerts: [{ state: 'firing' }], alertCount: 1 });
  expect(careful.act('resolve').status).toBe('resolved');
});

test('service - an alert that fires again soon reopens its ticket, later it opens another', () => {
  const { state, ticket } = bench({ reopenMs: HOUR });
  state.apply(transition('10.0', 'resolved'));
  state.apply(transition('69.0', 'firing'));
  expect(ticket()).toMatchObject({ status: 'open', reopened: 1 });
  state.apply(transition('80.0', 'resolved'));
  state.apply(transition('140.0', 'firing'));
  expect(ticket()).toMatchObject({ status: 'resolved', reopened: 1 });
  expect(state.tickets.get('t-140-0')?.status).toBe('open');
});

test('service - an alert whose severity rises after a person resolved its ticket reopens it', () => {
  const { state, act, ticket } = bench();
  act('resolve');
  state.apply(transition('10.0', 'firing', { from: 'firing', severity: 'critical' }));
  expect(ticket()).toMatchObject({ status: 'open', severity: 'critical', reopened: 1 });
});

const HASH = new Uint8Array([1, 2, 3]);
const request = {
  place: '1',
  origin: 'citizen',
  by: 'reporter',
  service: 'air-quality',
  title: 'Smoke',
  titleZh: '烟雾',
  description: 'it stinks',
  district: 'harbour',
  severity: 'medium',
  location: { lat: 31.2, lon: 121.5 },
  address: null,
  same: null,
  extras: { reporterHash: HASH },
} as const;

test('service - a citizen’s request is a ticket, and only its reporter rates it, once, when it is closed', () => {
  const { state, act, refused } = bench();
  const { service } = state;
  const opened = state.effects.publish(service.open(request));
  expect(opened).toMatchObject({ id: 'r-1', origin: 'citizen', rule: null, evidence: null, department: 'environment' });
  const rate = (hash: Uint8Array) => () =>
    service.reporters.rate({ ticket: 'r-1', hash, stars: 4, statement: 'c-comment' });
  expect(refused(rate(HASH))).toBe('wrong-status');
  act('resolve', { ticket: 'r-1' });
  act('close', { ticket: 'r-1' });
  expect(refused(rate(new Uint8Array([1, 2, 4])))).toBe('not-the-reporter');
  expect(rate(HASH)().at(-1)).toMatchObject({
    rating: { stars: 4, comment: '', statement: 'c-comment' },
    status: 'closed',
  });
  expect(refused(rate(HASH))).toBe('already-rated');
});

test('service - reports of the same are counted, and end with the ticket', () => {
  const { state, act, ticket, types } = bench();
  const { service } = state;
  state.effects.publish(service.open({ ...request, same: { withinM: 100 } }));
  state.effects.publish(service.open({ ...request, place: '2', same: { withinM: 100 }, extras: {} }));
  expect(ticket()).toMatchObject({ reports: 2 });
  expect(state.tickets.get('r-1')).toMatchObject({ parent: 't-0-0', relation: 'report', status: 'open' });
  act('resolve');
  expect(['r-1', 'r-2'].map((id) => state.tickets.get(id)?.status)).toEqual(['resolved', 'resolved']);
  act('reopen');
  act('resolve');
  act('close');
  expect(['r-1', 'r-2'].map((id) => state.tickets.get(id)?.status)).toEqual(['closed', 'closed']);
  expect(types().filter((type) => type === 'closed')).toHaveLength(3);
});

test('service - refused actions change nothing', () => {
  const { state, act, refused } = bench();
  const before = state.dump();
  refused(() => act('close'));
  refused(() => act('assign', { to: 'nobody' }));
  refused(() => act('take', { actor: operator('neighbours') }));
  expect(state.dump()).toEqual(before);
  expect(city.departments.size).toBe(5);
});

const wanted = {
  place: '5-0',
  origin: 'operator',
  by: 'key:k1',
  service: 'air-quality',
  title: 'Smoke',
  titleZh: '烟雾',
  description: null,
  district: 'harbour',
  severity: 'low',
  location: null,
  address: null,
  same: null,
} as const;
const pole = { id: 'p-1', kind: 'pole', title: null, services: [], location: { lat: 31.2, lon: 121.5 } };

test('service - a ticket is opened by hand for a district that the city knows; an id is made of the place in the log', () => {
  const { state, refused } = bench();
  const before = state.dump();
  expect(() => state.service.open({ ...wanted, district: 'habour' })).toThrow(
    expect.objectContaining({ code: 'invalid', message: 'unknown district "habour": did you mean "harbour"?' }),
  );
  expect(refused(() => state.service.open({ ...wanted, service: 'air' }))).toBeNull();
  expect(state.dump()).toEqual(before);
  expect(state.service.open(wanted).at(-1)).toMatchObject({ id: 'o-5-0', district: 'harbour' });
});

test('service - a ticket is opened by hand about an asset that the city knows; a citizen’s lost asset is none', () => {
  const { state } = bench({}, { assets: new Map([[pole.id, pole]]) });
  expect(() => state.service.open({ ...wanted, asset: 'p-11' })).toThrow(
    expect.objectContaining({ code: 'invalid', message: 'unknown asset "p-11": did you mean "p-1"?' }),
  );
  expect(state.service.open({ ...wanted, asset: 'p-1' }).at(-1)).toMatchObject({ asset: 'p-1' });
  const lost = state.service.open({ ...request, asset: 'p-11', district: '' });
  expect(lost.at(-1)).toMatchObject({ id: 'r-1', asset: null, district: '' });
});

test('service - a comment needs a text, also a public one', () => {
  const { state, act } = bench();
  const before = state.dump();
  const fault = expect.objectContaining({ code: 'invalid', reason: null, message: 'note: a comment needs a text' });
  for (const given of [{}, { note: '' }, { note: '', public: true }])
    expect(() => act('comment', given)).toThrow(fault);
  expect(state.dump()).toEqual(before);
});

test('service - a silence that starts when it is decided has the time and place of the action', () => {
  const { state } = bench();
  const silence = { matchers: { rule: ['r'] }, calendar: null, comment: 'c', startsAt: FROM_NOW } as const;
  const made = state.service.silence({ ...silence, endsAt: '2027-01-01T00:00:00.000Z' }, operator(null), {
    ...{ atMs: T0, place: '7-2' },
  });
  const times = { startsAt: '2026-01-01T00:00:00.000Z', createdAt: '2026-01-01T00:00:00.000Z' };
  expect(made).toMatchObject({ id: 's-7-2', author: 'k1', ...times });
  expect(state.service.silences.get('s-7-2')).toEqual(made);
});
