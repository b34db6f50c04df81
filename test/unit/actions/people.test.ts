import pino from 'pino';
import { beforeEach, expect, test } from 'vitest';
import {
  ACTION_SCHEMA,
  type Command,
  createAuditReader,
  createDecider,
  type PersonCommand,
} from '../../../actions/index.ts';
import { COMMAND_SCHEMA } from '../../../commands/index.ts';
import { DAY_MS, type Grant, type Person, type Requester, SIGN_IN } from '../../../domain/index.ts';
import { INGEST_SCHEMAS } from '../../../ingest/index.ts';
import { RECEIVER_SCHEMA } from '../../../notify/index.ts';
import { createPeopleStore, PEOPLE_SCHEMA, REGISTRY_SCHEMA } from '../../../registry/index.ts';
import { transact } from '../../../store/index.ts';
import { TICKET_SCHEMA, TicketService } from '../../../tickets/index.ts';
import { actedOn } from '../../kit/acted-on.ts';
import { openMigrated } from '../../kit/store/new-state.ts';
import * as scene from '../../kit/tickets/scene.ts';

const admin: Requester = { kind: 'key', id: 'admin', role: 'admin', department: null };
const VIEWER: readonly Grant[] = [{ role: 'viewer', department: null }];

function openPeople() {
  const db = openMigrated(':memory:', [
    ...INGEST_SCHEMAS,
    RECEIVER_SCHEMA,
    REGISTRY_SCHEMA,
    TICKET_SCHEMA,
    COMMAND_SCHEMA,
    PEOPLE_SCHEMA,
    ACTION_SCHEMA,
  ]);
  const tickets = new TicketService({ db, clock: { now: () => 0 }, city: () => scene.city, firing: () => [] });
  const people = createPeopleStore(db);
  const log = pino({ level: 'silent' });
  const decider = createDecider({ db, on: actedOn(db, tickets), publish() {}, log, auditMs: DAY_MS });
  let n = 0;
  return {
    people,
    audit: () => createAuditReader(db).page({ limit: 100, after: null }).items.toReversed(),
    decide(command: Command, actor: Requester = admin) {
      const record = { id: `r${++n}`, actor, address: null, key: null, command };
      return transact(db, () =>
        decider.decide(record, { atMs: n * 1_000, agedMs: n * 1_000, seq: n, item: 0, name: `${n}-0` }),
      );
    },
  };
}

let state: ReturnType<typeof openPeople>;
beforeEach(() => {
  state = openPeople();
});

const adding = (email: string, roles = VIEWER): PersonCommand => ({
  do: 'person.add',
  ...{ name: 'N', email, language: 'zh', roles },
});
const added = (email: string, roles = VIEWER) => (state.decide(adding(email, roles)).value as Person).id;
const asPerson = (id: string): Requester => ({ kind: 'person', id, role: 'viewer', department: null });
const reasonOf = ({ error }: ReturnType<typeof state.decide>) => error?.reason ?? error?.code ?? 'done';

test('people - id, time and version come from the record, and no result has a secret', () => {
  const id = added('Mei@City.example');
  const { value } = state.decide({ do: 'person.password', person: id, hash: 'scrypt$…' });
  expect(value).toEqual({
    ...{ id: 'p-1-0', version: 1, name: 'N', email: 'mei@city.example', language: 'zh', roles: VIEWER },
    ...{ hasPassword: true, hasTotp: false, issuer: null, addedAt: '1970-01-01T00:00:01.000Z' },
    ...{ suspendedAt: null, removedAt: null },
  });
  expect(state.people.get(id)).toMatchObject({ password: 'scrypt$…', stamp: 2 });
});

test('people - one address is one person, until that one is removed', () => {
  const id = added('mei@city.example');
  const other = added('wei@city.example');
  expect(reasonOf(state.decide(adding('MEI@city.example')))).toBe('email-taken');
  const change = { do: 'person.change', person: other, set: { email: 'mei@City.example' } } as const;
  expect(reasonOf(state.decide(change))).toBe('email-taken');
  state.decide({ do: 'person.remove', person: id });
  expect(reasonOf(state.decide(change))).toBe('done');
  expect(state.people.get(id)).toMatchObject({ email: 'mei@city.example', password: null });
  expect(reasonOf(state.decide({ do: 'person.change', person: id, set: {} }))).toBe('not-found');
});

test('people - only an admin changes people, and each person their own secrets', () => {
  const [mei, wei] = [added('mei@city.example'), added('wei@city.example')];
  const boss = added('boss@city.example', [{ role: 'admin', department: null }]);
  const password = (person: string): PersonCommand => ({ do: 'person.password', person, hash: 'h' });
  const promote: PersonCommand = {
    do: 'person.change',
    person: mei,
    set: { roles: [{ role: 'admin', department: null }] },
  };
  expect(reasonOf(state.decide(password(mei), asPerson(mei)))).toBe('done');
  expect(reasonOf(state.decide(password(wei), asPerson(mei)))).toBe('not-an-admin');
  expect(reasonOf(state.decide(promote, asPerson(mei)))).toBe('not-an-admin');
  expect(reasonOf(state.decide({ do: 'person.sign-out', person: mei }, SIGN_IN))).toBe('not-an-admin');
  expect(reasonOf(state.decide(adding('x@city.example'), SIGN_IN))).toBe('not-an-admin');
  expect(reasonOf(state.decide(promote, asPerson(boss)))).toBe('done');
  expect(reasonOf(state.decide(adding('x@city.example'), asPerson(mei)))).toBe('done');
});

test('people - rights count as they stand at the place in the log', () => {
  const boss = added('boss@city.example', [{ role: 'admin', department: null }]);
  const asBoss: Requester = { kind: 'person', id: boss, role: 'admin', department: null };
  state.decide({ do: 'person.change', person: boss, set: { roles: VIEWER } });
  expect(reasonOf(state.decide(adding('x@city.example'), asBoss))).toBe('not-an-admin');
  state.decide({ do: 'person.remove', person: boss });
  expect(reasonOf(state.decide({ do: 'person.sign-out', person: boss }, asBoss))).toBe('person-removed');
});

test('people - a key that was revoked can do nothing, also by what is on its way already; its rights are those of now', () => {
  const made = { name: 'boss', role: 'admin', department: null, hash: 'h', expiresMs: null, note: '' } as const;
  const { id } = state.decide({ do: 'key.add', ...made }).value as { id: string };
  const asKey: Requester = { kind: 'key', id, role: 'admin', department: null };
  expect(reasonOf(state.decide(adding('x@city.example'), asKey))).toBe('done');
  // What the request came with does not count.
  expect(reasonOf(state.decide(adding('y@city.example'), { ...asKey, role: 'viewer' }))).toBe('done');
  state.decide({ do: 'key.revoke', key: id });
  expect(reasonOf(state.decide(adding('z@city.example'), asKey))).toBe('key-ended');
  expect(state.audit().at(-1)).toMatchObject({ result: 'key-ended' });
});

test('people - whoever is suspended can do nothing, also by what is on its way already; and is as before afterwards', () => {
  const boss = added('boss@city.example', [{ role: 'admin', department: null }]);
  const asBoss: Requester = { kind: 'person', id: boss, role: 'admin', department: null };
  state.decide({ do: 'person.password', person: boss, hash: 'h' });
  expect(reasonOf(state.decide({ do: 'person.suspend', person: boss }, asPerson(boss)))).toBe('done');
  const suspended = state.people.get(boss);
  expect(suspended).toMatchObject({ version: 2, stamp: 3, password: 'h', suspendedAt: '1970-01-01T00:00:03.000Z' });
  expect(state.people.hasAdmin()).toBe(false);
  expect(reasonOf(state.decide(adding('x@city.example'), asBoss))).toBe('person-suspended');
  // A second time changes nothing.
  expect(state.decide({ do: 'person.suspend', person: boss }).value).toMatchObject({ version: 2 });
  expect(state.people.get(boss)).toEqual(suspended);
  expect(state.decide({ do: 'person.resume', person: boss }).value).toMatchObject({ version: 3, suspendedAt: null });
  expect(reasonOf(state.decide(adding('x@city.example'), asBoss))).toBe('done');
  const mei = added('mei@city.example');
  expect(reasonOf(state.decide({ do: 'person.suspend', person: boss }, asPerson(mei)))).toBe('not-an-admin');
  expect(reasonOf(state.decide({ do: 'person.end-session', person: boss, session: 's' }, asPerson(mei)))).toBe(
    'not-an-admin',
  );
  expect(reasonOf(state.decide({ do: 'person.suspend', person: 'p-9' }))).toBe('not-found');
});

test('people - a change is refused where the person has changed since', () => {
  const id = added('mei@city.example');
  const change = (version: number) => state.decide({ do: 'person.change', person: id, version, set: { name: 'M' } });
  expect([reasonOf(change(1)), reasonOf(change(1)), reasonOf(change(2))]).toEqual(['done', 'person-changed', 'done']);
});

test('people - a provider adds whom it vouches for, keeps them up to date, and brings nobody back', () => {
  const vouch = (name: string, subject = 's1'): PersonCommand => ({
    ...{ do: 'person.vouch', issuer: 'https://login.example', subject, name },
    ...{ email: 'mei@city.example', language: 'zh', roles: VIEWER },
  });
  const { id } = state.decide(vouch('Mei'), SIGN_IN).value as Person;
  expect(state.decide(vouch('Mei'), SIGN_IN).value).toMatchObject({ id, version: 1 });
  expect(state.decide(vouch('Chen Mei'), SIGN_IN).value).toMatchObject({ id, version: 2, name: 'Chen Mei' });
  expect(reasonOf(state.decide(vouch('Other', 's2'), SIGN_IN))).toBe('email-taken');
  expect(reasonOf(state.decide(vouch('Mei')))).toBe('not-an-admin');
  expect(reasonOf(state.decide({ do: 'person.password', person: id, hash: 'h' }))).toBe('conflict');
  state.decide({ do: 'person.suspend', person: id });
  expect(reasonOf(state.decide(vouch('Chen Mei'), SIGN_IN))).toBe('person-suspended');
  state.decide({ do: 'person.remove', person: id });
  expect(reasonOf(state.decide(vouch('Mei'), SIGN_IN))).toBe('person-removed');
  expect(state.audit().at(-1)).toMatchObject({ actor: 'sign-in', action: 'sign-in.oidc', result: 'person-removed' });
});

test('people - the trail says who was let in and who was not', () => {
  const id = added('mei@city.example');
  state.decide({ do: 'sign-in', how: 'password', person: id, refused: 'wrong-password' }, SIGN_IN);
  state.decide({ do: 'sign-in', how: 'password', person: id, refused: null }, asPerson(id));
  expect(
    state.audit().map(({ actor, role, action, target, result }) => [actor, role, action, target, result].join(' ')),
  ).toEqual([
    `admin admin person.add person ${id} done`,
    `sign-in none sign-in.password person ${id} wrong-password`,
    `person:${id} viewer sign-in.password person ${id} done`,
  ]);
});
