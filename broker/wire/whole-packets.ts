const EMPTY = Buffer.alloc(0);

/**
 * Returns where the packet ends that begins at `from`; null while its length is not known. `PacketWalker` has refused
 * lengths of more than four bytes.
 */
function endOf(bytes: Buffer, from: number): number | null {
  let at = from + 1;
  let length = 0;
  for (let shift = 0; at < bytes.length; shift += 7) {
    const digit = bytes[at++]!;
    length += (digit & 127) << shift;
    if (digit < 128) return at + length;
  }
  return null;
}

/** Makes whole packets of a stream of bytes; its memory is one packet, whose size the guard bounds. */
export class WholePackets {
  #parts: Buffer[] = [];
  #held = 0;
  /** Bytes that the buffered packet needs, as far as that is known. */
  #needed = 0;

  /** Returns the packets that are whole with these bytes, one after another in one buffer; the rest waits. */
  take(chunk: Buffer): Buffer {
    let bytes = chunk;
    if (this.#held > 0) {
      this.#parts.push(chunk);
      this.#held += chunk.length;
      if (this.#held < this.#needed) return EMPTY;
      bytes = Buffer.concat(this.#parts, this.#held);
      this.#parts = [];
      this.#held = 0;
    }
    let at = 0;
    let end: number | null = 0;
    while (at < bytes.length) {
      end = endOf(bytes, at);
      if (end === null || end > bytes.length) break;
      at = end;
    }
    if (at < bytes.length) this.#keep(bytes.subarray(at), end === null ? null : end - at);
    return bytes.subarray(0, at);
  }

  #keep(rest: Buffer, length: number | null): void {
    // A copy, because a view of a few bytes would keep the whole read in memory.
    this.#parts = [Buffer.from(rest)];
    this.#held = rest.length;
    this.#needed = length ?? rest.length + 1;
  }
}

/** Calls with each of the whole packets in a buffer, until it returns false. */
export function eachPacket(bytes: Buffer, take: (packet: Buffer) => boolean): void {
  for (let at = 0; at < bytes.length; ) {
    const end = endOf(bytes, at)!;
    if (!take(bytes.subarray(at, end))) return;
    at = end;
  }
}
