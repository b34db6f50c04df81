import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import type { ActionLog } from '../actions/index.ts';
import type { ApiDeps } from '../api/index.ts';
import type { OnceKeys } from '../cluster/index.ts';
import { actorOf, type Clock, type LoginsFailing, personPrincipal, SIGN_IN, systemTimers } from '../domain/index.ts';
import { type Counters, Logins } from '../limits/index.ts';
import type { Sealer } from '../notify/index.ts';
import {
  type Attempt,
  createPasswords,
  createPeopleReader,
  createSignIn,
  oneTimeHere,
  oneTimeOf,
  type PeopleReader,
  SignedIn,
} from '../registry/index.ts';

/** The file of who is signed in. */
export const SIGNED_IN = 'signedin.sqlite';

interface Parts {
  /** The data folder. */
  readonly dir: string;
  /** The state file, read-only. */
  readonly state: DatabaseSync;
  readonly clock: Clock;
  /** What counts once among all nodes; null: there is one. */
  readonly once: OnceKeys | null;
  readonly actions: Pick<ActionLog, 'submit'>;
  /** Seals what has to be readable again: the secrets of authenticators. */
  readonly sealer: Sealer;
  /** Appends the event of logins that fail again and again. */
  readonly onFailing: (failing: LoginsFailing) => void;
  /** Counts what is refused together with the other nodes of a cluster. */
  readonly counters: Counters;
}

/** Opens the file of who is signed in and returns the services of people. Throws `disk`, `too-new`. */
export function openPeople(
  { dir, state, clock, once, actions, sealer, onFailing, counters }: Parts,
  { idleMs }: { readonly idleMs: number },
): Pick<PeopleReader, 'count' | 'hasAdmin'> & { readonly deps: ApiDeps['people']; readonly close: () => void } {
  const people = createPeopleReader(state);
  const passwords = createPasswords();
  const signedIn = new SignedIn(clock, { path: join(dir, SIGNED_IN), idleMs }).open();
  const oneTime = once === null ? oneTimeHere(signedIn) : oneTimeOf(once, clock);
  const logins = new Logins({
    ...{ clock, timers: systemTimers, newId: randomUUID, onFailing },
    counter: (apply) => counters.counter('people', apply),
  });

  const actorIn = ({ person, refused }: Attempt) =>
    person === null || refused !== null ? SIGN_IN : actorOf(personPrincipal(person, ''));

  const signIn = createSignIn({
    ...{ people, passwords, signedIn, oneTime, logins, counters, clock },
    open: (sealed) => sealer.open(sealed),
    async note(attempt, { source }) {
      const { how, person, refused } = attempt;
      const command = { do: 'sign-in', how, person: person?.id ?? null, refused } as const;
      await actions.submit(command, { actor: actorIn(attempt), address: source, key: null });
    },
  });
  const deps: ApiDeps['people'] = {
    get: people.get,
    list: people.list,
    change: (command, caller) => actions.submit(command, caller),
    signIn,
    sessions: {
      get: (id) => signedIn.get(id),
      list: (person, stamp) => signedIn.list(person, stamp),
      end: (person, id) => signedIn.end(person, id),
      endAll: (person) => signedIn.endAll(person),
    },
    oneTime,
    passwords,
    seal: (secret) => sealer.seal(secret),
  };
  function close(): void {
    logins.stop();
    signedIn.close();
  }
  return { deps, count: people.count, hasAdmin: people.hasAdmin, close };
}
