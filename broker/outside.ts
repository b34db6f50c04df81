import { type Clock, LamppostError, MQTT_REASONS, mayAny } from '../domain/index.ts';
import type { Credentials, Identity } from '../registry/index.ts';
import { isPostedByKeys, type TopicRefusal } from './access.ts';
import type { Account, BrokerAccounts } from './accounts.ts';
import { type Admission, type Admitted, createPublisher } from './admission.ts';
import type { Overload } from './overload.ts';
import type { Refusals } from './refusals.ts';

/** A message with the credentials that came with it. */
export interface OutsideMessage {
  /** Id of the device or key. */
  readonly device: string;
  readonly secret: string;
  readonly topic: string;
  readonly payload: Uint8Array;
}

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
  readonly credentials: Pick<Credentials, 'get' | 'check'>;
  readonly accounts: Pick<BrokerAccounts, 'of'>;
  readonly admission: Pick<Admission, 'admit'>;
  readonly overload: Overload;
  readonly refusals: Refusals;
  readonly clock: Clock;
  readonly isStopping: () => boolean;
  /** Called with a key that a bridge uses. */
  readonly used: (key: string) => void;
}

/** How soon a bridge may try again what was not taken, ms. */
const RETRY_MS = 100;

/** Admits messages that did not come over MQTT: they are checked and charged as those that did. */
export class Outside {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** See `Broker.ingest`. */
  async ingest({ device, secret, topic, payload }: OutsideMessage): Promise<'acknowledged' | 'refused'> {
    const { credentials, accounts, admission, refusals, clock } = this.#parts;
    const identity = credentials.check(device, Buffer.from(secret));
    if (identity === 'suspended') {
      refusals.note(device, 'device-suspended', 'over HTTP', null);
      throw suspendedDevice(device);
    }
    // Keys post what names its devices itself, and uplinks.
    if (typeof identity === 'string' || (identity.kind !== 'device' && !isPostedByKeys(topic))) {
      refusals.counts.refusedLogins++;
      return 'refused';
    }
    const account = accounts.of(identity);
    const nowMs = clock.now();
    const fault = this.#faultOf(account, nowMs);
    if (fault !== null) throw fault;
    account.charge(1, payload.length, nowMs);
    return new Promise((resolve, reject) => {
      admission.admit(createPublisher(identity), topic, payload, (error, why) => {
        if (why === null) return error === null ? resolve('acknowledged') : reject(error);
        reject(new LamppostError('forbidden', `${device} may not publish to ${topic}: ${MQTT_REASONS[why]}`));
      });
    });
  }

  /** See `Carrier`. */
  readonly carry: Carrier = async (key, messages) => {
    const { accounts, admission, clock, used } = this.#parts;
    const identity = this.#keyOf(key);
    used(key);
    const account = accounts.of(identity);
    const publisher = createPublisher(identity);
    const admitted: Promise<{ error: LamppostError | null; why: TopicRefusal | null }>[] = [];
    let fault: LamppostError | null = null;
    for (const { topic, payload } of messages) {
      const nowMs = clock.now();
      fault = this.#faultOf(account, nowMs);
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

  #keyOf(key: string): Extract<Identity, { kind: 'key' }> {
    const known = this.#parts.credentials.get(key);
    if (known?.identity.kind === 'key' && !known.suspended && mayAny([known.identity.key], 'uplinks.publish'))
      return known.identity;
    throw new LamppostError('forbidden', `there is no key ${key} of the role network-server`);
  }

  /** Returns why a message must be sent again later; null where it is taken. */
  #faultOf(account: Account, nowMs: number): LamppostError | null {
    const { isStopping, overload, refusals } = this.#parts;
    if (isStopping()) return new LamppostError('busy', 'the server is stopping', { retryable: true });
    const retryAfterMs = account.waitMs(nowMs);
    if (retryAfterMs > 0) {
      refusals.note(account.id, 'throttled', 'over HTTP', null);
      return new LamppostError('limit', `${account.id} sends more than it may`, { retryable: true, retryAfterMs });
    }
    if (!overload.holds(account, nowMs)) return null;
    return new LamppostError('busy', 'more comes in than the rules can follow', { retryable: true });
  }
}

function suspendedDevice(id: string): LamppostError {
  const reason = 'device-suspended';
  return new LamppostError('forbidden', `device "${id}": ${MQTT_REASONS[reason]}`, { reason });
}
