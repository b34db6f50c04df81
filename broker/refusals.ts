import type { Duplex } from 'node:stream';
import { type Clock, isoOf, MQTT_REASONS, type MqttReason, type Publication } from '../domain/index.ts';
import { shown } from '../limits/index.ts';
import type { Credentials } from '../registry/index.ts';
import type { TopicRefusal } from './access.ts';
import type { Account, BrokerAccounts } from './accounts.ts';
import type { QuietLog } from './quiet-log.ts';

/** Characters of a refused topic that a device gets. */
const LONGEST_TOPIC = 512;

/** How often a device gets the notice that it is throttled, at most, ms. */
const THROTTLED_NOTICE_MS = 60_000;

interface Parts {
  readonly credentials: Pick<Credentials, 'get'>;
  readonly accounts: BrokerAccounts;
  readonly clock: Clock;
  readonly quiet: QuietLog;
  /** Returns what the address of a connection is counted as; null where it is closed. */
  readonly sourceOf: (connection: Duplex) => string | null;
  readonly publish: (publication: Publication) => void;
}

/** What is refused or ended: counted beside its user name, written to the log, and sent to the device. */
export class Refusals {
  /** Counts since the start, as in `BrokerCounts`. */
  readonly counts = { cutSlow: 0, cutOversize: 0, cutForeign: 0, refusedLogins: 0 };
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Counts a refusal beside its user name, where that is registered; `of`: the connection that it came from. */
  note(id: string | null | undefined, why: MqttReason, detail: string, of: Duplex | null): void {
    const { credentials, accounts, clock, sourceOf } = this.#parts;
    const known = credentials.get(id ?? '');
    if (known === undefined) return;
    accounts.of(known.identity).refuse(why, detail, of === null ? null : sourceOf(of), clock.now());
  }

  /** A message was refused for its topic: the device gets a notice, as long as there are few. */
  message(id: string, topic: string, why: TopicRefusal): void {
    const { quiet, accounts, clock } = this.#parts;
    quiet.warn(id, why, 'publish refused', { topic: shown(topic) });
    this.note(id, why, `PUBLISH to ${topic}`, null);
    const account = accounts.get(id);
    if (account?.mayNotify(clock.now())) this.#notify(account, { scope: 'message', topic, reason: why });
  }

  /** A connection was ended that is not MQTT, or whose TLS handshake failed. */
  foreign(source: string, why: MqttReason): void {
    this.counts.cutForeign++;
    this.turnedAway(source, why);
  }

  /** A connection was refused before it said anything. */
  turnedAway(source: string, why: MqttReason): void {
    this.#parts.quiet.warn(source, why, 'connection refused');
  }

  /** A device must wait: it gets a notice once a minute at most. */
  throttled(account: Account): void {
    if (!account.noticeDue(this.#parts.clock.now(), THROTTLED_NOTICE_MS)) return;
    this.#notify(account, { scope: 'connection', topic: `devices/${account.id}/readings`, reason: 'throttled' });
  }

  /** Notifies a device on `devices/{id}/rejections`. */
  #notify({ id }: Account, notice: { scope: 'connection' | 'message'; topic: string; reason: MqttReason }): void {
    const { credentials, clock, publish } = this.#parts;
    if (credentials.get(id)?.identity.kind !== 'device') return;
    const { topic, scope, reason } = notice;
    const refusal = { scope, reason, path: '$', detail: MQTT_REASONS[reason] };
    const receivedAt = isoOf(clock.now());
    const payload = JSON.stringify({ topic: topic.slice(0, LONGEST_TOPIC), receivedAt, refused: [refusal] });
    publish({ topic: `devices/${id}/rejections`, payload, qos: 0, retain: false });
  }
}
