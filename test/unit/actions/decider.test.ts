import { DatabaseSync } from 'node:sqlite';
import pino from 'pino';
import { beforeEach, expect, test } from 'vitest';
import { ACTION_SCHEMA, type Command, createAuditReader, createDecider, verifyAudit } from '../../../actions/index.ts';
import { type ActionRecord, DAY_MS, type KeyActor, type Ticket } from '../../../domain/index.ts';
import { migrate, transact } from '../../../store/index.ts';
import { createSilenceStore, createTicketReader, TICKET_SCHEMA, TicketService } from '../../../tickets/index.ts';
import * as scene from '../../kit/tickets/scene.ts';

const anna: KeyActor = { kind: 'key', id: 'anna', role: 'operator', department: null };
const AUDIT_DAYS = 30;

function openDecider() {
  const db = new DatabaseSync(':memory:');
  migrate(db, [TICKET_SCHEMA, ACTION_SCHEMA]);
  let nowMs = 1_000;
  let n = 0;
  const published: Ticket[] = [];
  const tickets = new TicketService({ db, clock: { now: () => nowMs }, city: () => scene.city, firing: () => [] });
  const publish = (changes: readonly Ticket[]) => void published.push(...changes);
  const log = pino({ level: 'silent' });
  const decider = createDecider({ db, tickets, publish, log, auditMs: AUDIT_DAYS * DAY_MS });
  const audit = createAuditReader(db);
  return {
    db,
    published,
    tickets: createTicketReader(db),
    silences: createSilenceStore(db),
    audit,
    trail: () => audit.page({ limit: 100, after: null }).items.toReversed(),
    at: (ms: number) => {
      nowMs = ms;
    },
    decide(command: Command, { actor = anna, key = null }: Partial<Pick<ActionRecord, 'actor' | 'key'>> = {}) {
      const record = { id: `r${++n}`, actor, address: '192.0.2.1', key, command };
      return transact(db, () => decider.decide(record, { atMs: nowMs, name: `${n}-0` }));
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
