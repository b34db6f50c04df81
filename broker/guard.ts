import type { Duplex } from 'node:stream';
import type { MqttReason } from '../domain/index.ts';

/** Limits of one connection. */
export interface GuardLimits {
  /** Largest packet before the client is authenticated, bytes. */
  readonly maxPacketBeforeConnect: number;
  /** Largest packet after that, bytes. */
  readonly maxPacket: number;
  /** Bytes of one client that may wait for their commit; the socket is not read while more wait. */
  readonly maxInFlight: number;
}

/** Packets of one client in one turn of the event loop: a read may have a hundred thousand of two bytes. */
const PACKETS_A_TURN = 4_096;

/** Why the guard cut a connection. */
export type GuardRefusal = Extract<MqttReason, 'packet-too-large' | 'malformed-length'>;

/** Callbacks of the guard. */
export interface GuardHooks {
  authenticated(): boolean;
  /** Bytes of this client that wait for their commit. */
  inFlight(): number;
  /** Whether the connection must not be read now: its client sent more than it may, or an overload holds it. */
  holds(): boolean;
  /** Counts what was read: packets that are complete, and bytes. */
  spent(packets: number, bytes: number): void;
  refused(why: GuardRefusal): void;
  /**
   * Takes what it can of a read; returns the rest for the broker, null where nothing is left. `before` and `after`:
   * bytes of an unfinished packet that were read before this read, and with it.
   */
  peel(bytes: Buffer, before: number, after: number): Buffer | null;
}

/** Walks MQTT fixed headers (3.1.1 §2.2): the size of a packet is known before any byte of its body is buffered. */
export class PacketWalker {
  /** Received bytes of the current packet; 0 between two packets. */
  begun = 0;
  /** Number of packets whose header is complete. */
  packets = 0;
  /** Bytes of the current packet's body that are still missing. */
  #body = 0;
  #length = 0;
  #shift = 0;
  #inHeader = false;

  /** After `walk`: how many of its bytes were walked. */
  walked = 0;

  /**
   * Continues with the next bytes, at most until the end of `mostPackets` packets. Returns why the connection must end;
   * null where it need not.
   */
  walk(bytes: Uint8Array, maxPacket: number, mostPackets = Number.POSITIVE_INFINITY): GuardRefusal | null {
    const last = this.packets + mostPackets;
    let at = 0;
    while (at < bytes.length) {
      if (this.packets >= last && this.begun === 0) break;
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
          this.packets++;
          this.#body = this.#length;
          if (this.#length === 0) this.begun = 0;
          if (this.#length > maxPacket) return 'packet-too-large';
        } else if (this.#shift > 21) {
          return 'malformed-length';
        }
      }
    }
    this.walked = at;
    return null;
  }
}

/**
 * Wraps the `read` of a connection, without a stream of its own, and enforces the limits before the broker gets the
 * bytes. Returns a function to call when bytes of this client were committed or it may be read again: it resumes a held
 * read.
 */
export function guard(connection: Duplex, limits: GuardLimits, hooks: GuardHooks): () => void {
  const walker = new PacketWalker();
  const read = connection.read.bind(connection);
  let held = false;
  /** Whether the rest of a read waits for the next turn of the event loop. */
  let resting = false;

  function resume(): void {
    if (!held || resting || hooks.inFlight() > limits.maxInFlight / 2 || hooks.holds()) return;
    held = false;
    connection.emit('readable');
  }

  /** Gives back the bytes after the packets of this turn: others have a turn first. */
  function rest(bytes: Buffer): Buffer {
    connection.unshift(bytes.subarray(walker.walked));
    held = true;
    resting = true;
    setImmediate(() => {
      resting = false;
      resume();
    });
    return bytes.subarray(0, walker.walked);
  }

  connection.read = (size?: number) => {
    if (resting || hooks.inFlight() > limits.maxInFlight || hooks.holds()) {
      held = true;
      return null;
    }
    const bytes = read(size) as Buffer | null;
    if (bytes === null) return null;
    const most = hooks.authenticated() ? limits.maxPacket : limits.maxPacketBeforeConnect;
    const { begun, packets } = walker;
    const refusal = walker.walk(bytes, most, PACKETS_A_TURN);
    const taken = refusal !== null || walker.walked === bytes.length ? bytes : rest(bytes);
    hooks.spent(walker.packets - packets, taken.length);
    if (refusal === null) return hooks.peel(taken, begun, walker.begun);
    hooks.refused(refusal);
    connection.destroy();
    return null;
  };

  return resume;
}
