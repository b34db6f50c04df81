import pino from 'pino';
import { beforeEach, expect, test } from 'vitest';
import { ACTION_SCHEMA, type Command, createAuditReader, createDecider, verifyAudit } from '../../../actions/index.ts';
import { COMMAND_SCHEMA } from '../../../commands/index.ts';
import { type ActionRecord, DAY_MS, type KeyActor, type Ticket } from '../../../domain/index.ts';
import { INGEST_SCHEMAS } from '../../../ingest/index.ts';
import { RECEIVER_SCHEMA } from '../../../notify/index.ts';
import { PEOPLE_SCHEMA, REGISTRY_SCHEMA } from '../../../registry/index.ts';
import { transact } from '../../../store/index.ts';
import { createSilenceStore, createTicketReader, TICKET_SCHEMA, TicketService } from '../../../tickets/index.ts';
import { actedOn } from '../../kit/acted-on.ts';
import { openMigrated } from '../../kit/store/new-state.ts';
import * as scene from '../../kit/tickets/scene.ts';

const anna: KeyActor = { kind: 'key', id: 'anna', role: 'operator', department: null };
const AUDIT_DAYS = 30;

function openDecider() {
  const db = openMigrated(':memory:', [
    ...INGEST_SCHEMAS,
    REGISTRY_SCHEMA,
    PEOPLE_SCHEMA,
    TICKET_SCHEMA,
    COMMAND_SCHEMA,
    ACTION_SCHEMA,
    RECEIVER_SCHEMA,
  ]);
  let nowMs = 1_000;
  let agedMs = nowMs;
  let n = 0;
  const published: Ticket[] = [];
  const tickets = new TicketService({ db, clock: { now: () => nowMs }, city: () => scene.city, firing: () => [] });
  const publish = (changes: readonly Ticket[]) => void published.push(...changes);
  const log = pino({ level: 'silent' });
  const on = actedOn(db, tickets);
  const decider = createDecider({ db, on, publish, log, auditMs: AUDIT_DAYS * DAY_MS });
  const audit = createAuditReader(db);
  return {
    db,
    published,
    tickets: createTicketReader(db),
    silences: createSilenceStore(db),
    audit,
    trail: () => audit.page({ limit: 100, after: null }).items.toReversed(),
    /** Sets civil and steady time. */
    at: (ms: number, steadyMs = ms) => {
      nowMs = ms;
      agedMs = Math.min(ms, steadyMs);
    },
    decide(command: Command, { actor = anna, key = null }: Partial<Pick<ActionRecord, 'actor' | 'key'>> = {}) {
      const record = { id: `r${++n}`, actor, address: '192.0.2.1', key, command };
      return transact(db, () => decider.decide(record, { atMs: nowMs, agedMs, seq: n, item: 0, name: `${n}-0` }));
    },
  };
}

const OPEN = {
  ...{ do: 'ticket.open', service: 'air-quality', title: 'Smoke', titleZh: '烟', description: null },
  ...{ district: 'harbour', severity: 'high', location: null, address: null },
} as const satisfies Command;

let state: ReturnType<typeof openDecider>;
beforeEach(() => {
  state = openDecider();
});

const opened = () => (state.decide(OPEN).value as Ticket).id;
const act = (ticket: string, action: 'acknowledge' | 'resolve' | 'close', more: Partial<ActionRecord> = {}) =>
  state.decide({ do: 'ticket.act', ticket, action }, more);

test('actions - ids and times are those of the record', () => {
  state.at(86_400_000);
  const { value } = state.decide(OPEN);
  expect(value).toMatchObject({ id: 'o-1-0', openedAt: '1970-01-02T00:00:00.000Z', history: [{ by: 'key:anna' }] });
  const silence = { do: 'silence.add', matchers: { rule: ['r'] }, calendar: null, comment: 'c' } as const;
  const times = { startsAt: '1970-01-02T00:00:00.000Z', endsAt: '1970-01-03T00:00:00.000Z' };
  const made = state.decide({ ...silence, ...times });
  expect(made.value).toMatchObject({ id: 's-2-0', author: 'anna', createdAt: '1970-01-02T00:00:00.000Z' });
  expect(state.decide({ do: 'silence.end', silence: 's-2-0' }).value).toBe(true);
  expect(state.decide({ do: 'silence.end', silence: 's-2-0' }).value).toBe(false);
});

test('actions - a refusal changes nothing but the audit trail, and says why', () => {
  const id = opened();
  const before = JSON.stringify(state.tickets.get(id));
  const refused = act(id, 'close');
  expect(refused.error).toMatchObject({ code: 'conflict', reason: 'wrong-status' });
  expect(act('t-none', 'close').error).toMatchObject({ code: 'not-found', reason: null });
  expect(JSON.stringify(state.tickets.get(id))).toBe(before);
  expect(state.published).toHaveLength(1);
  expect(state.trail().map(({ action, target, result }) => [action, target, result])).toEqual([
    ['ticket.open', `ticket ${id}`, 'done'],
    ['ticket.close', `ticket ${id}`, 'wrong-status'],
    ['ticket.close', 'ticket t-none', 'not-found'],
  ]);
});

test('actions - a department silences, ends silences and opens tickets for itself only, and the trail has what it tried', () => {
  const times = { startsAt: '1970-01-02T00:00:00.000Z', endsAt: '1970-01-03T00:00:00.000Z' };
  const silence = (matchers: object): Command => ({
    ...{ do: 'silence.add', matchers, calendar: null, comment: 'c' },
    ...times,
  });
  const waste = { actor: { ...anna, department: 'waste' } };
  const environment = { actor: { ...anna, department: 'environment' } };
  expect(state.decide(silence({ department: ['environment'] }), environment).error).toBe(null);
  for (const command of [
    silence({ department: ['environment'], severity: ['critical'] }),
    silence({ department: ['waste', 'environment'] }),
    silence({ service: ['air-quality'] }),
    silence({ service: ['gone'] }),
    silence({ severity: ['critical'] }),
    { do: 'silence.end', silence: 's-1-0' },
    OPEN,
  ] as const)
    expect(state.decide(command, waste).error, JSON.stringify(command)).toMatchObject({
      reason: 'not-your-department',
    });
  expect(state.decide(silence({ department: ['waste'] }), waste).error).toBe(null);
  expect(state.decide(OPEN, { actor: { ...anna, scopes: ['tickets.read'] } }).error).toMatchObject({
    reason: 'not-your-role',
  });
  expect(state.silences.list({ limit: 9, after: null, nowMs: 0 }).items.map(({ id }) => id)).toEqual([
    's-9-0',
    's-1-0',
  ]);
  expect(state.trail().filter(({ result }) => result === 'not-your-department')).toHaveLength(7);
});

test('actions - somebody with several roles acts where any of them lets them', () => {
  const id = opened();
  const roles = [
    { role: 'viewer', department: null },
    { role: 'operator', department: 'waste' },
  ] as const;
  const actor = { ...anna, ...roles[0], grants: roles };
  expect(act(id, 'acknowledge', { actor }).error).toMatchObject({ reason: 'not-your-ticket' });
  const more = { ...actor, grants: [...roles, { role: 'dispatcher', department: 'environment' }] as const };
  expect(act(id, 'acknowledge', { actor: more }).error).toBe(null);
});

test('actions - a repeated Idempotency-Key gets the first result, done or refused, and does nothing again', () => {
  const id = opened();
  const first = act(id, 'acknowledge', { key: 'k1' });
  const again = act(id, 'acknowledge', { key: 'k1' });
  expect(again).toEqual({ ...first, id: again.id });
  const refused = act(id, 'close', { key: 'k2' });
  act(id, 'resolve');
  expect(act(id, 'close', { key: 'k2' }).error).toEqual(refused.error);
  expect(state.tickets.get(id)).toMatchObject({ status: 'resolved', version: 3 });
  expect(state.trail().map(({ result }) => result)).toEqual([
    'done',
    'done',
    'repeated',
    'wrong-status',
    'done',
    'repeated',
  ]);
});

test('actions - an Idempotency-Key is of one person and one action, for a day', () => {
  const id = opened();
  act(id, 'acknowledge', { key: 'k' });
  expect(act(id, 'resolve', { key: 'k' }).error).toMatchObject({ code: 'mistakes' });
  expect(act(id, 'resolve', { key: 'k', actor: { ...anna, id: 'bo' } }).error).toBe(null);
  state.at(2 * DAY_MS);
  expect(act(id, 'close', { key: 'k' }).error).toBe(null);
  expect(state.tickets.get(id)!.status).toBe('closed');
});

test('actions - an error in a decision undoes it alone, and the next one is decided', () => {
  const id = opened();
  state.db.exec(`create trigger fails before insert on ticket_changes when new.action = 'acknowledged'
    begin select raise(abort, 'a bug'); end`);
  expect(act(id, 'acknowledge').error).toMatchObject({ code: null });
  expect(act(id, 'resolve').error).toBe(null);
  expect(state.tickets.get(id)).toMatchObject({ status: 'resolved', version: 2 });
  expect(state.trail()[1]).toMatchObject({ result: 'failed' });
});

test('audit - every entry says who, from where, what and when; filters and pages', () => {
  state.at(5_000);
  const id = opened();
  act(id, 'acknowledge', { actor: { ...anna, id: 'bo', role: 'admin', department: 'waste' } });
  state.decide({ do: 'note', action: 'POST /api/v1/keys', target: '/api/v1/keys' });
  expect(state.trail()[0]).toMatchObject({
    ...{ n: 1, at: '1970-01-01T00:00:05.000Z', place: '1-0', actor: 'anna', role: 'operator', department: null },
    ...{ address: '192.0.2.1', action: 'ticket.open', target: `ticket ${id}`, result: 'done', detail: '' },
  });
  expect(state.audit.page({ limit: 9, after: null, actor: 'bo' }).items).toMatchObject([{ department: 'waste' }]);
  expect(state.audit.page({ limit: 9, after: null, result: 'requested' }).items).toMatchObject([{ n: 3 }]);
  const page = state.audit.page({ limit: 2, after: null });
  expect([page.items.map(({ n }) => n), page.next]).toEqual([[3, 2], '2']);
  expect(state.audit.page({ limit: 2, after: page.next }).items.map(({ n }) => n)).toEqual([1]);
});

const COLUMNS = ['at_ms', 'place', 'actor', 'role', 'department', 'address', 'action', 'target', 'result', 'detail'];

test.each([...COLUMNS, 'hash'])('audit - a changed %s of any entry is found, and the entry is named', (column) => {
  const id = opened();
  for (let i = 0; i < 6; i++) act(id, 'close');
  expect(verifyAudit(state.audit, [])).toBe(null);
  for (const n of [1, 4, 7]) {
    const before = state.db.prepare(`select "${column}" as v from audit where n = ?`).get(n)!.v!;
    const other = column === 'hash' ? Buffer.alloc(32) : column === 'at_ms' ? 1 : 'another';
    state.db.prepare(`update audit set "${column}" = ? where n = ?`).run(other, n);
    expect(verifyAudit(state.audit, [])).toMatchObject({ n });
    state.db.prepare(`update audit set "${column}" = ? where n = ?`).run(before, n);
  }
});

test('audit - entries that were taken out or cut off are found: by their neighbours, and by what the log says', () => {
  const id = opened();
  for (let i = 0; i < 4; i++) act(id, 'close');
  const head = state.audit.head()!;
  state.db.exec('delete from audit where n = 5');
  expect(verifyAudit(state.audit, [])).toBe(null);
  expect(verifyAudit(state.audit, [head])).toEqual({ n: 5, why: expect.stringContaining('up to 5') });
  state.db.exec('delete from audit where n = 3');
  expect(verifyAudit(state.audit, [])).toEqual({ n: 4, why: expect.stringContaining('3 to 3 are missing') });
});

test('audit - a trail that was written anew as a whole does not fit what the log says', () => {
  const other = openDecider();
  const id = opened();
  act(id, 'close');
  const { n, hash } = state.audit.head()!;
  other.decide(OPEN, { actor: { ...anna, id: 'eve' } });
  other.decide({ do: 'ticket.act', ticket: id, action: 'close' });
  expect(verifyAudit(other.audit, [])).toBe(null);
  expect(verifyAudit(other.audit, [{ n, hash }])).toEqual({ n, why: 'the log has another hash for it' });
});

test('audit - entries expire by the time of the log; the rest of the trail still fits', () => {
  const id = opened();
  act(id, 'close');
  state.at((AUDIT_DAYS + 1) * DAY_MS);
  act(id, 'close');
  act(id, 'close');
  expect(state.trail().map(({ n }) => n)).toEqual([3, 4]);
  expect(verifyAudit(state.audit, [])).toBe(null);
});

test('actions - a clock that is far ahead forgets no entry of the audit trail, and no repeated request', () => {
  const id = opened();
  const first = act(id, 'acknowledge', { key: 'k' });
  state.at(70 * 365 * DAY_MS, 2_000);
  act(id, 'resolve');
  state.at(3_000);
  expect(act(id, 'acknowledge', { key: 'k' })).toMatchObject({ value: first.value, error: null });
  expect(state.trail().map(({ action, result }) => [action, result])).toEqual([
    ['ticket.open', 'done'],
    ['ticket.acknowledge', 'done'],
    ['ticket.resolve', 'done'],
    ['ticket.acknowledge', 'repeated'],
  ]);
});

const REQUEST = {
  ...{ do: 'citizen.request', service: 'air-quality', title: 'Smoke', titleZh: '烟', district: 'harbour' },
  ...{ location: { lat: 31.2, lon: 121.5 }, statement: 'c-1', token: '0a', sameWithinM: 100 },
} as const satisfies Command;
const rate = (ticket: string, token: string) =>
  state.decide({ do: 'citizen.rate', ticket, token, stars: 4, statement: 'c-2' });

test('actions - what a citizen asks for is a ticket of its record’s place, once for each statement', () => {
  const first = state.decide(REQUEST);
  expect(first.value).toMatchObject({
    ...{ id: 'r-1-0', origin: 'citizen', statement: 'c-1', description: null, address: null, severity: 'medium' },
    history: [{ by: 'reporter' }],
  });
  expect(state.decide(REQUEST)).toMatchObject({ value: first.value, error: null });
  expect(state.published).toHaveLength(1);
  const near = state.decide({ ...REQUEST, statement: 'c-3', token: '0b' });
  expect(near.value).toMatchObject({ id: 'r-3-0', parent: 'r-1-0', relation: 'report' });
  expect(state.decide({ ...REQUEST, statement: 'c-4', token: '0c', sameWithinM: 0 }).value).toMatchObject({
    ...{ id: 'r-4-0', parent: null },
  });
  expect(state.decide({ ...REQUEST, service: 'none', statement: 'c-5' }).error).toMatchObject({ code: 'not-found' });
  expect(state.trail().map(({ action, target, result }) => [action, target, result])).toEqual([
    ['citizen.request', 'ticket r-1-0', 'done'],
    ['citizen.request', 'ticket r-1-0', 'done'],
    ['citizen.request', 'ticket r-3-0', 'done'],
    ['citizen.request', 'ticket r-4-0', 'done'],
    ['citizen.request', 'service none', 'not-found'],
  ]);
});

test('actions - a rating is decided again at its place in the log', () => {
  const { id } = state.decide(REQUEST).value as Ticket;
  expect(rate(id, '0a').error).toMatchObject({ reason: 'wrong-status' });
  act(id, 'resolve');
  act(id, 'close');
  expect(rate(id, '0b').error).toMatchObject({ reason: 'not-the-reporter' });
  expect(rate(id, '0a').value).toMatchObject({ rating: { stars: 4, comment: '', statement: 'c-2' } });
  expect(rate(id, '0a').error).toMatchObject({ reason: 'already-rated' });
  expect(state.published.at(-1)!.history.at(-1)).toMatchObject({ action: 'rated', by: 'reporter', note: '4 of 5' });
});

test('actions - one that a newer Lamppost wrote is not refused, which would be decided: it stops the engine', () => {
  const newer = { do: 'ticket.praise', ticket: 't-1-0' } as unknown as Command;
  expect(() => state.decide(newer)).toThrow(expect.objectContaining({ code: 'too-new' }));
  expect(state.trail()).toEqual([]);
});
