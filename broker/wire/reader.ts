import { isUtf8 } from 'node:buffer';

/** Reason codes of MQTT 5 for what breaks the protocol (§2.4). */
const MALFORMED_PACKET = 0x81;
export const QUOTA_EXCEEDED = 0x97;
export const PROTOCOL_ERROR = 0x82;
const FILTER_INVALID = 0x8f;

/** A packet that breaks the protocol: the connection must end (3.1.1 §4.8, 5 §4.13). The message says what is wrong. */
export class Violation extends Error {
  override readonly name = 'Violation';
  /** Reason code of MQTT 5. */
  readonly reasonCode: number;
  /** Whether it is a CONNECT of MQTT 5, whose client can be sent a reason. */
  isConnect5 = false;

  readonly why: 'protocol-error' | 'too-many-filters';

  constructor(message: string, reasonCode = MALFORMED_PACKET, why: Violation['why'] = 'protocol-error') {
    super(message);
    this.reasonCode = reasonCode;
    this.why = why;
  }
}

/** Reads the fields of one packet in order. Throws `Violation` where a field does not fit into what is left. */
export class PacketReader {
  readonly #bytes: Buffer;
  readonly #end: number;
  #at: number;

  constructor(bytes: Buffer, from = 0, end = bytes.length) {
    this.#bytes = bytes;
    this.#at = from;
    this.#end = end;
  }

  /** Number of bytes that are left. */
  get left(): number {
    return this.#end - this.#at;
  }

  u8(what: string): number {
    return this.#bytes[this.#skip(1, what)]!;
  }

  u16(what: string): number {
    return this.#bytes.readUInt16BE(this.#skip(2, what));
  }

  u32(what: string): number {
    return this.#bytes.readUInt32BE(this.#skip(4, what));
  }

  /** A variable byte integer (5 §1.5.5). */
  varint(what: string): number {
    let value = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      const digit = this.u8(what);
      value += (digit & 127) << shift;
      if (digit < 128) return value;
    }
    throw new Violation(`${what} is longer than four bytes`);
  }

  /** Bytes with their length before them. It is a view. */
  binary(what: string): Buffer {
    const length = this.u16(what);
    const from = this.#skip(length, what);
    return this.#bytes.subarray(from, from + length);
  }

  /** A text with its length before it: UTF-8 without U+0000 (3.1.1 §1.5.3, 5 §1.5.4). */
  text(what: string): string {
    const bytes = this.binary(what);
    if (!isUtf8(bytes)) throw new Violation(`${what} is not UTF-8`);
    if (bytes.includes(0)) throw new Violation(`${what} has the character U+0000`);
    return bytes.toString();
  }

  /** Returns a reader of the next bytes, and goes on after them. */
  part(length: number, what: string): PacketReader {
    const from = this.#skip(length, what);
    return new PacketReader(this.#bytes, from, from + length);
  }

  /** All that is left, as a view. */
  rest(): Buffer {
    const from = this.#at;
    this.#at = this.#end;
    return this.#bytes.subarray(from, this.#end);
  }

  /** Throws where anything is left. */
  ends(what: string): void {
    if (this.left > 0) throw new Violation(`${what} has ${this.left} bytes too many`);
  }

  #skip(length: number, what: string): number {
    if (length > this.left) throw new Violation(`${what} is longer than its packet`);
    const from = this.#at;
    this.#at += length;
    return from;
  }
}

/** Returns a topic name (3.1.1 §4.7.1, §4.7.3). */
export function topicName(topic: string, what: string): string {
  if (topic === '') throw new Violation(`${what} is empty`);
  if (/[#+]/.test(topic)) throw new Violation(`${what} has a wildcard`);
  return topic;
}

/** Returns a topic filter: a wildcard is a whole level, `#` the last one (3.1.1 §4.7.1). */
export function topicFilter(filter: string, what: string): string {
  if (filter === '') throw new Violation(`${what} is empty`);
  if (!/[#+]/.test(filter)) return filter;
  const levels = filter.split('/');
  for (const [i, level] of levels.entries()) {
    if (!/[#+]/.test(level) || level === '+') continue;
    if (level !== '#' || i < levels.length - 1) {
      // 5 §4.8.2: in the name of a group it is not the form of the filter that is wrong.
      const isName = i === 1 && levels[0] === '$share';
      throw new Violation(`${what} has a wildcard that is not a whole level`, isName ? FILTER_INVALID : undefined);
    }
  }
  return filter;
}
