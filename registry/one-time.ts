import type { OnceKeys } from '../cluster/index.ts';
import { type Clock, DAY_MS } from '../domain/index.ts';
import { hashSecret, newSecret } from './credentials.ts';
import type { SignedIn } from './signed-in.ts';

/** A link as it is shown once. */
export interface OneTimeLink {
  readonly secret: string;
  readonly untilMs: number;
}

/** What counts once: links that sign in, and the codes of authenticators (RFC 6238 §5.2). All throw `log-away`. */
export interface OneTime {
  /** Makes the link of a person, which replaces an earlier one. */
  makeLink(person: { readonly id: string; readonly stamp: number }): Promise<OneTimeLink>;
  /** Uses up a link; returns whose it was, and under which stamp; null where there is none, or it is too old. */
  useLink(secret: string): Promise<{ readonly person: string; readonly stamp: number } | null>;
  /** Accepts the code of a step; false where that one, or a later one, was accepted before. */
  useCode(person: string, step: number): Promise<boolean>;
}

export const LINK_MS = DAY_MS;

/** Returns what counts once on one machine. */
export function oneTimeHere(signedIn: SignedIn): OneTime {
  return {
    makeLink: async (person) => signedIn.makeLink(person),
    useLink: async (secret) => signedIn.useLink(secret),
    useCode: async (person, step) => signedIn.useCode(person, step),
  };
}

/**
 * Returns what counts once among all nodes of a cluster: a link that one node made signs in at any of them. It names
 * its person, so that it is found; what is kept is the SHA-256 of its secret.
 */
export function oneTimeOf(keys: OnceKeys, clock: Clock): OneTime {
  return {
    async makeLink({ id, stamp }) {
      const secret = `${newSecret()}.${id}`;
      const untilMs = clock.now() + LINK_MS;
      await keys.put(`link.${id}`, JSON.stringify({ hash: hashSecret(secret).toString('hex'), stamp, untilMs }));
      return { secret, untilMs };
    },
    async useLink(secret) {
      const person = secret.slice(secret.indexOf('.') + 1);
      if (!PERSON.test(person)) return null;
      const isIt = (value: string) => linkIn(value).hash === hashSecret(secret).toString('hex');
      const taken = await keys.take(`link.${person}`, isIt);
      if (taken === null) return null;
      const { stamp, untilMs } = linkIn(taken);
      return untilMs < clock.now() ? null : { person, stamp };
    },
    useCode: (person, step) => keys.raise(`code.${person}`, step),
  };
}

/** Ids of people are keys of NATS. */
const PERSON = /^[\w-]{1,64}$/;

const linkIn = (value: string) => JSON.parse(value) as { hash: string; stamp: number; untilMs: number };
