import type { StatementSync } from 'node:sqlite';
import type { SessionsFile } from './file.ts';
import { FilterTree, matchesFilter } from './filters.ts';
import { type Packet, payloadOf } from './session.ts';

/** A retained message; it may carry further fields of its packet. */
export type RetainedPacket = Pick<Packet, 'cmd' | 'topic' | 'payload' | 'qos'> & { readonly retain: boolean };

/** Topics that are visited without a pause. */
const PASS = 1_000;

interface Retained {
  readonly packet: RetainedPacket;
  /** The payload in the file. */
  readonly onFile: Buffer | string;
}

/**
 * Retained messages, in memory and in the file. `resting` returns the payload of a topic after a restart where it
 * differs from the last one: its row is then written once, not at every change.
 */
export class RetainedMessages {
  readonly #file: SessionsFile;
  readonly #resting: (topic: string) => Buffer | null;
  readonly #put: StatementSync;
  readonly #delete: StatementSync;
  readonly #byTopic = new Map<string, Retained>();

  constructor(file: SessionsFile, resting: (topic: string) => Buffer | null) {
    this.#file = file;
    this.#resting = resting;
    this.#put = file.db.prepare('insert or replace into retained values (?, ?, ?)');
    this.#delete = file.db.prepare('delete from retained where topic = ?');
    for (const { topic, payload, qos } of file.db.prepare('select * from retained').iterate()) {
      const onFile = payloadOf(payload);
      const packet = {
        cmd: 'publish',
        topic: String(topic),
        payload: onFile,
        qos: Number(qos) as 0 | 1 | 2,
        retain: true,
      } as const;
      this.#byTopic.set(packet.topic, { packet, onFile });
    }
  }

  get size(): number {
    return this.#byTopic.size;
  }

  /** Stores the message as the last of its topic; an empty payload deletes it (MQTT 3.1.1 §3.3.1.3). */
  store(packet: RetainedPacket): void {
    const { topic, payload, qos } = packet;
    const known = this.#byTopic.get(topic);
    if (payload.length === 0) {
      if (this.#byTopic.delete(topic)) this.#file.write(this.#delete, topic);
      return;
    }
    const onFile = this.#resting(topic) ?? payload;
    this.#byTopic.set(topic, { packet: { ...packet }, onFile });
    if (known === undefined || !same(known.onFile, onFile)) this.#file.write(this.#put, topic, onFile, qos);
  }

  /** Returns the payload of a topic as text; null where there is none. */
  payload(topic: string): string | null {
    return this.#byTopic.get(topic)?.packet.payload.toString() ?? null;
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
    let visited = 0;
    for (const [topic, { packet }] of this.#byTopic) {
      if (++visited % PASS === 0) await new Promise((resolve) => setImmediate(resolve));
      if (plain.has(topic) || tree.match(topic).length > 0) yield packet;
    }
  }

  /** Yields the messages whose topic matches a filter. */
  *matching(filter: string): Generator<RetainedPacket> {
    if (!isWild(filter)) {
      const one = this.#byTopic.get(filter);
      if (one !== undefined) yield one.packet;
      return;
    }
    for (const [topic, { packet }] of this.#byTopic) if (matchesFilter(filter, topic)) yield packet;
  }
}

function isWild(filter: string): boolean {
  return /[#+]/.test(filter);
}

function same(a: Buffer | string, b: Buffer | string): boolean {
  return a === b || (typeof a !== 'string' && typeof b !== 'string' && a.equals(b));
}
