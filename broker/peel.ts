import { isUtf8 } from 'node:buffer';

/** Takes the messages that bypass Aedes. */
export interface PublishTaker {
  /** Whether the next message may be taken; false leaves it and all after it to Aedes. */
  taking(): boolean;
  /**
   * Takes a whole message. `messageId` is 0 for QoS 0. The payload is a view of the read buffer: copy it to keep it.
   */
  publish(topic: string, payload: Uint8Array, messageId: number): void;
  /** Called once for each read that contained a taken message: the client is alive. */
  alive(): void;
}

/** First bytes of PUBLISH that are taken (3.1.1 §3.3.1): QoS 0, and QoS 1 with or without DUP; RETAIN either way. */
const TAKEN: readonly boolean[] = Array.from({ length: 256 }, (_, first) =>
  [0x30, 0x31, 0x32, 0x33, 0x3a, 0x3b].includes(first),
);
const QOS_1 = 2;

/**
 * Takes whole PUBLISH packets of QoS 0 and 1 from the front of a read; all other bytes go to Aedes, unchanged and in
 * order. An unfinished packet that may be taken is buffered until it is whole, so that Aedes never waits for its other
 * half. A packet whose first bytes went to Aedes goes to Aedes as a whole.
 */
export class Peeler {
  readonly #taker: PublishTaker;
  /** The buffered parts of an unfinished packet, and their total length. */
  #parts: Buffer[] = [];
  #held = 0;
  #topicBytes: Uint8Array = new Uint8Array(0);
  #topic: string | null = null;

  constructor(taker: PublishTaker) {
    this.#taker = taker;
  }

  /**
   * Takes messages from the next bytes; returns the bytes for Aedes, null where there are none. `before` and `after`
   * are the bytes of an unfinished packet that were read before this chunk, and with it (`PacketWalker.begun`).
   */
  take(chunk: Buffer, before: number, after: number): Buffer | null {
    let bytes = chunk;
    if (this.#held > 0) {
      this.#hold(chunk);
      if (after === this.#held) return null;
      bytes = Buffer.concat(this.#parts, this.#held);
      this.#parts = [];
      this.#held = 0;
    }
    const isAedes = bytes === chunk && before > 0;
    const from = isAedes ? 0 : this.#peel(bytes);
    const to = this.#keepUnfinished(bytes, bytes.length - after);
    return from < to ? bytes.subarray(from, to) : null;
  }

  /** Buffers an unfinished packet at `at` if it may be taken later; returns where the bytes for Aedes end. */
  #keepUnfinished(bytes: Buffer, at: number): number {
    if (at < 0 || at === bytes.length || !TAKEN[bytes[at]!] || !this.#taker.taking()) return bytes.length;
    // A copy, because a view of a few bytes would keep the whole read in memory.
    this.#hold(Buffer.from(bytes.subarray(at)));
    return at;
  }

  #hold(part: Buffer): void {
    this.#parts.push(part);
    this.#held += part.length;
  }

  /** Takes packets from the front; returns where the first packet begins that is not taken. */
  #peel(bytes: Buffer): number {
    let at = 0;
    while (at + 1 < bytes.length && TAKEN[bytes[at]!] && this.#taker.taking()) {
      const end = this.#packet(bytes, at);
      if (end === at) break;
      at = end;
    }
    if (at > 0) this.#taker.alive();
    return at;
  }

  /**
   * Takes the packet that begins at `at`; returns where it ends, or `at` where it is unfinished or not for the taker.
   */
  #packet(bytes: Buffer, at: number): number {
    const first = bytes[at]!;
    let from = at + 1;
    let length = 0;
    // §2.2.3; the walker has already refused more than four bytes.
    for (let shift = 0, more = true; more; shift += 7) {
      if (from === bytes.length) return at;
      const digit = bytes[from++]!;
      length += (digit & 127) << shift;
      more = digit > 127;
    }
    const end = from + length;
    if (end > bytes.length || length < 2) return at;
    const topicEnd = from + 2 + ((bytes[from]! << 8) | bytes[from + 1]!);
    const payload = first & QOS_1 ? topicEnd + 2 : topicEnd;
    if (payload > end) return at;
    const messageId = first & QOS_1 ? (bytes[topicEnd]! << 8) | bytes[topicEnd + 1]! : 0;
    // §2.3.1: the id 0 is not allowed
    if (first & QOS_1 && messageId === 0) return at;
    const topic = this.#topicOf(bytes, from + 2, topicEnd);
    if (topic === null) return at;
    this.#taker.publish(topic, bytes.subarray(payload, end), messageId);
    return end;
  }

  /**
   * Returns the topic, null where it is not allowed. A device repeats its topic: it is decoded only when its bytes
   * change.
   */
  #topicOf(bytes: Buffer, from: number, to: number): string | null {
    const last = this.#topicBytes;
    let same = last.length === to - from;
    for (let i = 0; same && i < last.length; i++) same = last[i] === bytes[from + i];
    if (same) return this.#topic;
    this.#topicBytes = Uint8Array.prototype.slice.call(bytes, from, to);
    const topic = bytes.toString('utf8', from, to);
    this.#topic = isUtf8(this.#topicBytes) && isTopicName(topic) ? topic : null;
    return this.#topic;
  }
}

/** §1.5.3, §4.7.1 and §4.7.3: at least one character, no wildcards, no U+0000. */
function isTopicName(topic: string): boolean {
  return topic !== '' && !/[#+]/.test(topic) && !topic.includes('\0');
}
