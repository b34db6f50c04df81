import { type Clock, LamppostError, mayAny } from '../domain/index.ts';
import type { Credentials, Identity } from '../registry/index.ts';
import type { TopicRefusal } from './access.ts';
import type { Account, BrokerAccounts } from './accounts.ts';
import { type Admission, type Admitted, createPublisher } from './admission.ts';

/**
 * Admits messages of a key that a bridge took from another broker, in their order, without its secret. Throws
 * `forbidden` where there is no such key, or it may not publish.
 */
export type Carrier = (
  key: string,
  messages: readonly { readonly topic: string; readonly payload: Uint8Array }[],
) => Promise<Carried>;

/** What became of messages: those from the first on that are settled, and what stopped the others. */
export interface Carried {
  /** Null: on disk. Else why it was dropped. */
  readonly settled: readonly (TopicRefusal | null)[];
  /** Null: all are settled. */
  readonly fault: { readonly message: string; readonly retryAfterMs: number } | null;
}

interface Parts {
  readonly credentials: Pick<Credentials, 'get'>;
  readonly accounts: Pick<BrokerAccounts, 'of'>;
  readonly admission: Pick<Admission, 'admit'>;
  readonly clock: Clock;
  /** Called with a key that is in use. */
  readonly used: (key: string) => void;
  /** Returns why a message must be sent again later; null where it is taken. */
  readonly faultOf: (account: Account, nowMs: number) => LamppostError | null;
}

/** How soon a bridge may try again what was not taken, ms. */
const RETRY_MS = 100;

/** Returns how bridges pass on their messages. */
export function createCarrier({ credentials, accounts, admission, clock, used, faultOf }: Parts): Carrier {
  function keyOf(key: string): Extract<Identity, { kind: 'key' }> {
    const known = credentials.get(key);
    if (known?.identity.kind === 'key' && !known.suspended && mayAny([known.identity.key], 'uplinks.publish'))
      return known.identity;
    throw new LamppostError('forbidden', `there is no key ${key} of the role network-server`);
  }

  return async (key, messages) => {
    const identity = keyOf(key);
    used(key);
    const account = accounts.of(identity);
    const publisher = createPublisher(identity);
    const admitted: Promise<{ error: LamppostError | null; why: TopicRefusal | null }>[] = [];
    let fault: LamppostError | null = null;
    for (const { topic, payload } of messages) {
      const nowMs = clock.now();
      fault = faultOf(account, nowMs);
      if (fault !== null) break;
      account.charge(1, payload.length, nowMs);
      const admit = (done: Admitted) => admission.admit(publisher, topic, payload, done);
      admitted.push(new Promise((resolve) => admit((error, why) => resolve({ error, why }))));
    }
    const outcomes = await Promise.all(admitted);
    const failed = outcomes.findIndex(({ error }) => error !== null);
    const settled = outcomes.slice(0, failed < 0 ? outcomes.length : failed).map(({ why }) => why);
    fault = outcomes[failed]?.error ?? fault;
    if (fault === null) return { settled, fault };
    return { settled, fault: { message: fault.message, retryAfterMs: Math.max(fault.retryAfterMs, RETRY_MS) } };
  };
}
