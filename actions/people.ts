import {
  actorOf,
  grantsOf,
  isoOf,
  LamppostError,
  PERSON_REFUSALS,
  type Person,
  type PersonRefusal,
  personPrincipal,
  REGISTRY_REFUSALS,
  type Requester,
  reachOf,
} from '../domain/index.ts';
import {
  emailOf,
  type PeopleStore,
  type RegistryRecords,
  type StoredPerson,
  shownPerson,
  type Way,
} from '../registry/index.ts';
import type { Done, Place } from './command.ts';

/** What a person may be called, speak and do. */
type Described = Pick<Person, 'name' | 'email' | 'language' | 'roles'>;

/** What changes people. The names are in the log: they are only added, never changed. */
export type PersonCommand =
  | ({ readonly do: 'person.add' } & Described)
  | {
      readonly do: 'person.change';
      readonly person: string;
      /** The version that was seen; absent: any. */
      readonly version?: number | undefined;
      readonly set: Partial<Described>;
    }
  | { readonly do: 'person.remove'; readonly person: string }
  /** Lets a person not sign in until they are resumed, and ends their sessions. */
  | { readonly do: 'person.suspend'; readonly person: string }
  | { readonly do: 'person.resume'; readonly person: string }
  /** `hash`: as `Passwords` makes it. Ends the person's sessions. */
  | { readonly do: 'person.password'; readonly person: string; readonly hash: string }
  /** `secret`: of the authenticator, sealed; null: none any more. Ends the person's sessions. */
  | { readonly do: 'person.totp'; readonly person: string; readonly secret: string | null }
  /** Ends the person's sessions. */
  | { readonly do: 'person.sign-out'; readonly person: string }
  /** For the audit trail: one session is ended, which is not in the log. */
  | { readonly do: 'person.end-session'; readonly person: string; readonly session: string }
  /** An OIDC provider says who signs in. */
  | ({ readonly do: 'person.vouch'; readonly issuer: string; readonly subject: string } & Described)
  /** For the audit trail: who signed in, or why somebody was not let in. */
  | {
      readonly do: 'sign-in';
      readonly how: Way;
      readonly person: string | null;
      readonly refused: PersonRefusal | null;
    };

/** What the API responds with to each command. */
export interface PersonResults {
  readonly 'person.add': Person;
  readonly 'person.change': Person;
  readonly 'person.remove': Person;
  readonly 'person.suspend': Person;
  readonly 'person.resume': Person;
  readonly 'person.password': Person;
  readonly 'person.totp': Person;
  readonly 'person.sign-out': Person;
  readonly 'person.end-session': Person;
  readonly 'person.vouch': Person;
  readonly 'sign-in': null;
}

/** Whether a command is about people. */
export function isOfPeople(command: { readonly do: string }): command is PersonCommand {
  return command.do.startsWith('person.') || command.do === 'sign-in';
}

/** Returns what a command is about, for one that was refused. */
export function personTargetOf(command: PersonCommand): string {
  return 'person' in command && command.person !== null ? `person ${command.person}` : 'person';
}

/** Returns the name of a command in the audit trail: `sign-in.password` rather than `sign-in`. */
export function personActionOf(command: PersonCommand): string {
  if (command.do === 'person.vouch') return 'sign-in.oidc';
  return command.do === 'sign-in' ? `sign-in.${command.how}` : command.do;
}

interface Known {
  readonly people: Pick<PeopleStore, 'get'>;
  readonly registry: { readonly keys: Pick<RegistryRecords['keys'], 'holderOf'> };
}

/**
 * Returns the requester with the rights of this record's place in the log. A key that the registry does not have, such
 * as that of the settings, has those that it came with. Throws `person-removed`, `person-suspended`, `key-ended`.
 */
export function actorNow(actor: Requester, { people, registry }: Known): Requester {
  if (actor.kind === 'sign-in') return actor;
  if (actor.kind === 'key') {
    const holder = registry.keys.holderOf(actor.id);
    if (holder === null) return actor;
    if (holder !== 'ended') return { kind: 'key', id: actor.id, ...holder };
    const reason = 'key-ended';
    throw new LamppostError('forbidden', `${REGISTRY_REFUSALS[reason]}: ${actor.id}`, { reason });
  }
  const person = people.get(actor.id);
  if (person === null || person.removedAt !== null) throw refused('forbidden', 'person-removed', actor.id);
  if (person.suspendedAt !== null) throw refused('forbidden', 'person-suspended', actor.id);
  return actorOf(personPrincipal(person, ''));
}

/** Does what changes people, in the caller's transaction. Throws `not-found`, and reasons of `PERSON_REFUSALS`. */
export function carryOutForPeople(command: PersonCommand, actor: Requester, place: Place, people: PeopleStore): Done {
  requireRight(command, actor);
  if (command.do === 'sign-in') {
    if (command.refused !== null) throw refused('forbidden', command.refused);
    return { value: null, changes: [], target: personTargetOf(command) };
  }
  const after = personAfter(command, place, people);
  requireFreeEmail(after, people);
  people.put(after);
  return { value: shownPerson(after), changes: [], target: `person ${after.id}` };
}

/** What each person may do to themselves. */
const OWN: ReadonlySet<PersonCommand['do']> = new Set(['person.password', 'person.totp', 'person.sign-out']);
/** What the sign-in does for whoever has not signed in yet. */
const OF_SIGN_IN: ReadonlySet<PersonCommand['do']> = new Set(['sign-in', 'person.vouch']);

function requireRight(command: PersonCommand, actor: Requester): void {
  const isOwn = 'person' in command && actor.kind === 'person' && actor.id === command.person;
  if (command.do === 'sign-in' && isOwn) return;
  if (OF_SIGN_IN.has(command.do) ? actor.kind === 'sign-in' : mayChangePeople(actor)) return;
  if (isOwn && OWN.has(command.do)) return;
  throw refused('forbidden', 'not-an-admin', `yours is the role ${actor.role}`);
}

const mayChangePeople = (actor: Requester) =>
  actor.kind !== 'sign-in' && reachOf(grantsOf(actor), 'users.write') === 'city';

type Change = Exclude<PersonCommand, { readonly do: 'sign-in' }>;

/** Returns the person after a command. */
function personAfter(command: Change, place: Place, people: PeopleStore): StoredPerson {
  switch (command.do) {
    case 'person.add':
      return newPerson(command, place);
    case 'person.vouch':
      return vouched(command, place, people);
    case 'person.change': {
      const before = current(command.person, people);
      if (command.version !== undefined && command.version !== before.version)
        throw refused('precondition', 'person-changed', `it is at version ${before.version}`);
      return changed(before, command.set);
    }
    case 'person.remove': {
      const gone = { removedAt: isoOf(place.atMs), password: null, totp: null };
      return ended(changed(current(command.person, people), {}), gone);
    }
    case 'person.suspend': {
      const before = current(command.person, people);
      return before.suspendedAt === null ? ended(changed(before, {}), { suspendedAt: isoOf(place.atMs) }) : before;
    }
    case 'person.resume': {
      const before = current(command.person, people);
      return before.suspendedAt === null ? before : { ...changed(before, {}), suspendedAt: null };
    }
    case 'person.end-session':
      return current(command.person, people);
    case 'person.password':
      return ended(localPerson(command.person, people), { password: command.hash });
    case 'person.totp':
      return ended(localPerson(command.person, people), { totp: command.secret });
    case 'person.sign-out':
      return ended(current(command.person, people));
  }
}

function newPerson({ name, email, language, roles }: Described, place: Place): StoredPerson {
  const described = { name, email: emailOf(email), language, roles };
  const id = `p-${place.name}`;
  const nothing = { password: null, totp: null, issuer: null, subject: null, suspendedAt: null, removedAt: null };
  return { id, version: 1, ...described, ...nothing, stamp: 1, addedAt: isoOf(place.atMs) };
}

/** Whoever was removed here is not added again by a provider that still knows them. */
function vouched(command: Extract<Change, { do: 'person.vouch' }>, place: Place, people: PeopleStore): StoredPerson {
  const { issuer, subject, name, email, language, roles } = command;
  const before = people.bySubject(issuer, subject);
  if (before === null) return { ...newPerson({ name, email, language, roles }, place), issuer, subject };
  if (before.removedAt !== null) throw refused('forbidden', 'person-removed', before.id);
  if (before.suspendedAt !== null) throw refused('forbidden', 'person-suspended', before.id);
  // The language is the person's own choice once it is known.
  const set = { name, email: emailOf(email), roles };
  const same = Object.entries(set).every(([key, value]) => {
    return JSON.stringify(before[key as keyof typeof set]) === JSON.stringify(value);
  });
  return same ? before : changed(before, set);
}

function current(id: string, people: PeopleStore): StoredPerson {
  const person = people.get(id);
  if (person === null || person.removedAt !== null) throw new LamppostError('not-found', `there is no person "${id}"`);
  return person;
}

/** Returns a person who signs in here. Throws `conflict` for one who does so at a provider. */
function localPerson(id: string, people: PeopleStore): StoredPerson {
  const person = current(id, people);
  if (person.issuer === null) return person;
  throw new LamppostError('conflict', `${person.email} signs in at ${person.issuer}, and has no password here`);
}

function changed(before: StoredPerson, set: Partial<Described>): StoredPerson {
  const email = set.email === undefined ? before.email : emailOf(set.email);
  return { ...before, ...set, email, version: before.version + 1 };
}

/** Returns a person whose sessions have all ended. */
function ended(before: StoredPerson, set: Partial<StoredPerson> = {}): StoredPerson {
  return { ...before, ...set, stamp: before.stamp + 1 };
}

function requireFreeEmail({ id, email, removedAt }: StoredPerson, people: PeopleStore): void {
  const other = removedAt === null ? people.byEmail(email) : null;
  if (other !== null && other.id !== id) throw refused('conflict', 'email-taken', email);
}

function refused(code: 'forbidden' | 'conflict' | 'precondition', reason: PersonRefusal, detail?: string) {
  const text = PERSON_REFUSALS[reason];
  return new LamppostError(code, detail === undefined ? text : `${text}: ${detail}`, { reason });
}
