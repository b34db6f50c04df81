import type { StatementSync } from 'node:sqlite';
import type { Publication } from '../../domain/index.ts';
import { isDownlinkFilter } from '../commands.ts';
import type { SessionsFile } from './file.ts';
import { FilterTree, matchesFilter } from './filters.ts';
import { type Packet, payloadOf } from './session.ts';

/** A retained message; it may carry further fields of its packet. */
export type RetainedPacket = Pick<Packet, 'cmd' | 'topic' | 'payload' | 'qos'> & { readonly retain: boolean };

/** Topics that are visited without a pause. */
const PASS = 1_000;

/**
 * Retained messages, in memory. `resting` returns the payload of a topic after a restart: such a topic has a row in the
 * file, written once and not at every change; null for the others, which the outbox states after a start. `waiting`:
 * what a topic has for a new subscription beside them, and `waitingDownlinks` what wildcards of network servers have.
 */
export class RetainedMessages {
  readonly #file: SessionsFile;
  readonly #resting: (topic: string) => Buffer | null;
  readonly #waiting: (topic: string) => readonly Publication[];
  readonly #waitingDownlinks: () => readonly Publication[];
  readonly #put: StatementSync;
  readonly #delete: StatementSync;
  readonly #byTopic = new Map<string, RetainedPacket>();

  constructor(
    file: SessionsFile,
    resting: (topic: string) => Buffer | null,
    waiting: (topic: string) => readonly Publication[] = () => [],
    waitingDownlinks: () => readonly Publication[] = () => [],
  ) {
    this.#file = file;
    this.#resting = resting;
    this.#waiting = waiting;
    this.#waitingDownlinks = waitingDownlinks;
    this.#put = file.db.prepare('insert or replace into retained values (?, ?, ?)');
    this.#delete = file.db.prepare('delete from retained where topic = ?');
    for (const row of file.db.prepare('select * from retained').iterate()) {
      const [topic, qos] = [String(row.topic), Number(row.qos) as 0 | 1 | 2];
      this.#byTopic.set(topic, { cmd: 'publish', topic, payload: payloadOf(row.payload), qos, retain: true });
    }
  }

  get size(): number {
    return this.#byTopic.size;
  }

  /** Stores the message as the last of its topic; an empty payload deletes it (MQTT 3.1.1 §3.3.1.3). */
  store(packet: RetainedPacket): void {
    const { topic, payload, qos } = packet;
    const resting = this.#resting(topic);
    const isKnown = this.#byTopic.has(topic);
    if (payload.length > 0) this.#byTopic.set(topic, { ...packet });
    else this.#byTopic.delete(topic);
    if (resting === null) return;
    if (payload.length === 0) this.#file.write(this.#delete, topic);
    else if (!isKnown) this.#file.write(this.#put, topic, resting, qos);
  }

  /** Returns the payload of a topic as text; null where there is none. */
  payload(topic: string): string | null {
    return this.#byTopic.get(topic)?.payload.toString() ?? null;
  }

  /**
   * Yields the messages that match any of the filters, each once: in one pass over the topics, however many filters
   * there are, with a pause for other work after some of them.
   */
  async *matchingAny(filters: readonly string[]): AsyncGenerator<RetainedPacket> {
    const wild = filters.filter(isWild);
    const plain = new Set(filters.filter((filter) => !isWild(filter)));
    if (wild.length === 0) {
      for (const topic of plain) yield* this.matching(topic);
      return;
    }
    const tree = new FilterTree();
    for (const topic of wild) tree.add('', { topic, qos: 0 });
    for (const message of wild.some(isDownlinkFilter) ? this.#waitingDownlinks() : [])
      if (tree.match(message.topic).length > 0) yield waitingPacket(message);
    let visited = 0;
    for (const [topic, packet] of this.#byTopic) {
      if (++visited % PASS === 0) await new Promise((resolve) => setImmediate(resolve));
      if (plain.has(topic) || tree.match(topic).length > 0) yield packet;
    }
  }

  /** Yields the messages whose topic matches a filter. */
  *matching(filter: string): Generator<RetainedPacket> {
    if (!isWild(filter)) {
      const one = this.#byTopic.get(filter);
      if (one !== undefined) yield one;
      for (const message of this.#waiting(filter)) yield waitingPacket(message);
      return;
    }
    for (const message of isDownlinkFilter(filter) ? this.#waitingDownlinks() : [])
      if (matchesFilter(filter, message.topic)) yield waitingPacket(message);
    for (const [topic, packet] of this.#byTopic) if (matchesFilter(filter, topic)) yield packet;
  }
}

function waitingPacket({ topic, payload, qos }: Publication): RetainedPacket {
  return { cmd: 'publish', topic, payload: Buffer.from(payload), qos, retain: true };
}

function isWild(filter: string): boolean {
  return /[#+]/.test(filter);
}
