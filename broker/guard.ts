import type { Duplex } from 'node:stream';

/** Limits of one connection. */
export interface GuardLimits {
  /** Largest packet before the client is authenticated, bytes. */
  readonly maxPacketBeforeConnect: number;
  /** Largest packet after that, bytes. */
  readonly maxPacket: number;
  /** Bytes of one client that may wait for their commit; the socket is not read while more wait. */
  readonly maxInFlight: number;
}

/** Why the guard cut a connection. */
export type GuardRefusal = 'packet-too-large' | 'malformed-length';

/** What the guard asks of its surroundings. */
export interface GuardHooks {
  authenticated(): boolean;
  /** Bytes of this client that wait for their commit. */
  inFlight(): number;
  /** Whether what follows is too far behind to be given more. */
  overloaded(): boolean;
  refused(why: GuardRefusal): void;
  /**
   * Takes what it can of a read; answers what the broker gets, null for nothing. `before` and `after`: bytes of an
   * unfinished packet that had been read before, and have been now.
   */
  peel(bytes: Buffer, before: number, after: number): Buffer | null;
}

/** Walks MQTT fixed headers (3.1.1 §2.2): packet sizes are known before a byte of a body is kept. */
export class PacketWalker {
  /** Bytes of the present packet that have come; 0 between two packets. */
  begun = 0;
  /** Bytes of the present packet's body still to come. */
  #body = 0;
  #length = 0;
  #shift = 0;
  #inHeader = false;

  /** Goes on with the next bytes. Null where all is well. */
  walk(bytes: Uint8Array, maxPacket: number): GuardRefusal | null {
    let at = 0;
    while (at < bytes.length) {
      if (this.#body > 0) {
        const skip = Math.min(this.#body, bytes.length - at);
        this.#body -= skip;
        at += skip;
        this.begun = this.#body === 0 ? 0 : this.begun + skip;
      } else if (!this.#inHeader) {
        at++;
        this.begun = 1;
        this.#inHeader = true;
        this.#length = 0;
        this.#shift = 0;
      } else {
        const digit = bytes[at++]!;
        this.begun++;
        // §2.2.3: seven bits a byte, at most four bytes
        this.#length += (digit & 127) << this.#shift;
        this.#shift += 7;
        if (digit < 128) {
          this.#inHeader = false;
          this.#body = this.#length;
          if (this.#length === 0) this.begun = 0;
          if (this.#length > maxPacket) return 'packet-too-large';
        } else if (this.#shift > 21) {
          return 'malformed-length';
        }
      }
    }
    return null;
  }
}

/**
 * Stands in front of the broker: every read of the connection passes through here. It adds no stream. Returns a function to call when bytes of this client were committed or an overload is over, so that a held
 * read goes on.
 */
export function guard(connection: Duplex, limits: GuardLimits, hooks: GuardHooks): () => void {
  const walker = new PacketWalker();
  const read = connection.read.bind(connection);
  let held = false;

  connection.read = (size?: number) => {
    if (hooks.inFlight() > limits.maxInFlight || hooks.overloaded()) {
      held = true;
      return null;
    }
    const bytes = read(size) as Buffer | null;
    if (bytes === null) return null;
    const most = hooks.authenticated() ? limits.maxPacket : limits.maxPacketBeforeConnect;
    const before = walker.begun;
    const refusal = walker.walk(bytes, most);
    if (refusal === null) return hooks.peel(bytes, before, walker.begun);
    hooks.refused(refusal);
    connection.destroy();
    return null;
  };

  return () => {
    if (!held || hooks.inFlight() > limits.maxInFlight / 2 || hooks.overloaded()) return;
    held = false;
    connection.emit('readable');
  };
}
