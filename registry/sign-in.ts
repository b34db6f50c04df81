import { hash } from 'node:crypto';
import {
  type Clock,
  LamppostError,
  PERSON_REFUSALS,
  type PersonPrincipal,
  type PersonRefusal,
  personPrincipal,
} from '../domain/index.ts';
import {
  type Counters,
  countedTogether,
  createAccounts,
  type Logins,
  type Rate,
  TokenBucket,
} from '../limits/index.ts';
import type { OneTime } from './one-time.ts';
import type { Passwords } from './passwords.ts';
import type { PeopleReader, StoredPerson } from './people.ts';
import type { KeptSession, SignedIn, Way } from './signed-in.ts';
import { totpStep } from './totp.ts';

/** Where somebody signs in from. */
export interface Visitor {
  /** What the address is counted as. */
  readonly source: string;
  /** The browser, as it names itself. */
  readonly agent: string;
}

/** What somebody gives to be let in. */
export interface Given {
  readonly email: string;
  readonly password: string;
  /** Of the authenticator. */
  readonly code?: string | undefined;
}

/** Somebody tried to sign in: for the audit trail. */
export interface Attempt {
  readonly how: Way;
  readonly person: StoredPerson | null;
  /** Null: let in. */
  readonly refused: PersonRefusal | null;
}

interface Parts {
  readonly people: Pick<PeopleReader, 'get' | 'byEmail'>;
  readonly passwords: Passwords;
  readonly signedIn: SignedIn;
  readonly oneTime: Pick<OneTime, 'useLink' | 'useCode'>;
  readonly logins: Pick<Logins, 'refused' | 'succeeded'>;
  /** Counts wrong passwords and codes together with the other nodes of a cluster. */
  readonly counters: Counters;
  readonly clock: Clock;
  /** Opens the sealed secret of an authenticator. Throws `invalid` where it was sealed with another key. */
  readonly open: (sealed: string) => string;
  /** Appends to the log; resolves once that is on disk. */
  readonly note: (attempt: Attempt, visitor: Visitor) => Promise<void>;
}

/** Wrong passwords for one name from one address: past it, the next guess waits, before it costs anything. */
const WRONG = { perSecond: 0.05, burst: 5 };
/** Wrong passwords of an address for all names: others behind it mistype theirs too. */
const WRONG_OF_SOURCE = { perSecond: 0.5, burst: 50 };
/** Wrong codes of one person, by whoever knows the password: a million codes are few. */
const WRONG_CODES = { perSecond: 1 / 300, burst: 10 };
/** Refusals that are entries of the audit trail: of one address, and of all. The others are counted. */
const NOTED = { perSecond: 1 / 60, burst: 20 };
const NOTED_OF_ALL = { perSecond: 0.5, burst: 500 };

/** Who is let in, and as whom. */
export interface SignIn {
  /**
   * Lets a person in; resolves to the secret of the session. Throws `forbidden` with a reason of `PERSON_REFUSALS`,
   * later and later to those who go on, and `limit` or `busy` where too many guess.
   */
  withPassword(given: Given, visitor: Visitor): Promise<string>;
  /** Lets in whoever has a one-time link. Throws `link-used`. */
  withLink(secret: string, visitor: Visitor): Promise<string>;
  /** Makes a session of a person who is known now. */
  begin(person: StoredPerson, how: Way, visitor: Visitor): string;
  /** Throws as `withPassword` does where this is not the person's password. */
  confirm(person: StoredPerson, password: string, visitor: Visitor): Promise<void>;
  /** Returns the person of a session, with the rights of this moment; null where it has ended. */
  principalOf(secret: string): PersonPrincipal | null;
  /** Whether the session of a principal goes on. */
  isOpen(principal: PersonPrincipal): boolean;
}

/** Returns the sign-in. */
export function createSignIn(parts: Parts): SignIn {
  const { people, passwords, signedIn, oneTime, logins, clock, open, note } = parts;
  const together = (name: string, rate: Rate) =>
    countedTogether(createAccounts(rate), (apply) => parts.counters.counter(name, apply), clock);
  const wrong = together('password', WRONG);
  const wrongOfSource = together('password-of-source', WRONG_OF_SOURCE);
  const wrongCodes = together('code', WRONG_CODES);
  const noted = createAccounts(NOTED);
  const notedOfAll = new TokenBucket(NOTED_OF_ALL);

  /** Notes a refusal, waits as long as this guesser has to, and throws it. */
  async function refuse(attempt: Attempt & { readonly refused: PersonRefusal }, visitor: Visitor): Promise<never> {
    const { source } = visitor;
    const nowMs = clock.now();
    wrongOfSource.charge(source, 1, nowMs);
    if (noted.take(source, 1, nowMs) === 0 && notedOfAll.take(1, nowMs)) await note(attempt, visitor);
    const user = attempt.person === null ? 'unknown person' : `person:${attempt.person.id}`;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    logins.refused({ source, user, isKnown: attempt.person !== null }, resolve, () => reject(tooMany(5_000)));
    await promise;
    throw refusal(attempt.refused);
  }

  async function verify(email: string, person: StoredPerson | null, password: string, visitor: Visitor): Promise<void> {
    const { source } = visitor;
    const guesses = `${source} ${hash('sha1', email.toLowerCase())}`;
    const mayGuess = () => {
      const nowMs = clock.now();
      const waitMs = Math.max(wrong.waitMs(guesses, nowMs), wrongOfSource.waitMs(source, nowMs));
      if (waitMs > 0) throw tooMany(waitMs);
    };
    mayGuess();
    // Unknown names, and people without a password, take as long as wrong passwords. Those that waited are asked again.
    if (await passwords.verify(source, password, person?.password ?? null, mayGuess)) return;
    wrong.charge(guesses, 1, clock.now());
    await refuse({ how: 'password', person, refused: 'wrong-password' }, visitor);
  }

  async function verifyCode(person: StoredPerson, code: string | undefined, visitor: Visitor): Promise<void> {
    if (person.totp === null) return;
    if (code === undefined) throw refusal('code-needed');
    const nowMs = clock.now();
    const waitMs = wrongCodes.waitMs(person.id, nowMs);
    if (waitMs > 0) throw tooMany(waitMs);
    const step = totpStep(open(person.totp), code, nowMs);
    if (step === null || !(await oneTime.useCode(person.id, step))) {
      wrongCodes.charge(person.id, 1, nowMs);
      return refuse({ how: 'password', person, refused: 'wrong-code' }, visitor);
    }
  }

  /** What cannot be noted is not done (promise 7). */
  async function letIn(person: StoredPerson, how: Way, visitor: Visitor): Promise<string> {
    await note({ how, person, refused: null }, visitor);
    return begin(person, how, visitor);
  }

  function begin(person: StoredPerson, how: Way, { source, agent }: Visitor): string {
    return signedIn.begin(person, { how, address: source, agent }).secret;
  }

  function currentOf({ person: id, stamp }: Pick<KeptSession, 'person' | 'stamp'>): StoredPerson | null {
    const person = people.get(id);
    const isOut = person === null || person.removedAt !== null || person.suspendedAt !== null;
    return isOut || person.stamp !== stamp ? null : person;
  }

  return {
    async withPassword({ email, password, code }, visitor) {
      const person = people.byEmail(email);
      await verify(email, person, password, visitor);
      // Only who knows the password learns it.
      if (person!.suspendedAt !== null)
        return refuse({ how: 'password', person, refused: 'person-suspended' }, visitor);
      await verifyCode(person!, code, visitor);
      logins.succeeded(visitor.source, `person:${person!.id}`);
      return letIn(person!, 'password', visitor);
    },
    async withLink(secret, visitor) {
      const link = await oneTime.useLink(secret);
      const person = link === null ? null : currentOf(link);
      if (person === null) return refuse({ how: 'link', person: null, refused: 'link-used' }, visitor);
      return letIn(person, 'link', visitor);
    },
    begin,
    confirm: (person, password, visitor) => verify(person.email, person, password, visitor),
    principalOf(secret) {
      const session = signedIn.use(secret);
      const person = session === null ? null : currentOf(session);
      return person === null ? null : personPrincipal(person, session!.id);
    },
    isOpen({ person: id, session }) {
      const open = signedIn.get(session);
      return open !== null && open.person === id && currentOf(open) !== null;
    },
  };
}

function refusal(reason: PersonRefusal): LamppostError {
  return new LamppostError('forbidden', PERSON_REFUSALS[reason], { reason });
}

function tooMany(waitMs: number): LamppostError {
  const seconds = Math.ceil(waitMs / 1_000);
  const detail = `too many wrong passwords or codes; try again in ${seconds} s`;
  return new LamppostError('limit', detail, { retryable: true, retryAfterMs: waitMs });
}
