import type { MqttReason } from '../domain/index.ts';
import type { Five } from './five/index.ts';
import {
  type Connect,
  eachPacket,
  type Level,
  readPacket,
  UnknownLevel,
  Violation,
  WholePackets,
} from './wire/index.ts';

/** Why the edge ends a connection. */
export type EdgeRefusal = Extract<MqttReason, 'protocol-version' | 'protocol-error' | 'too-many-filters'>;

/** Callbacks of the edge. */
export interface EdgeHooks {
  /** Returns the translation for a client of MQTT 5. */
  five(connect: Connect): Five;
  /**
   * The client broke the protocol, or speaks a version that Lamppost does not: the connection must end. `reasonCode` is
   * that of MQTT 5.
   */
  violated(why: EdgeRefusal, fault: Pick<Violation, 'message' | 'reasonCode' | 'isConnect5'>): void;
}

/**
 * Reads the packets of one connection that go to Aedes, whole and strictly: what breaks the protocol ends the
 * connection (MQTT 3.1.1 §4.8), and Aedes never gets it. Packets of MQTT 5 are translated.
 */
export class Edge {
  /** The translation; null where the client speaks an older version. */
  five: Five | null = null;
  readonly #hooks: EdgeHooks;
  readonly #whole = new WholePackets();
  #level: Level | null = null;
  #ended = false;

  constructor(hooks: EdgeHooks) {
    this.#hooks = hooks;
  }

  /** Returns the packets for Aedes that are whole with these bytes; null where there are none. */
  take(chunk: Buffer): Buffer | null {
    if (this.#ended || this.five?.parting) return null;
    const bytes = this.#whole.take(chunk);
    const translated: Buffer[] = [];
    let good = 0;
    eachPacket(bytes, (packet) => {
      const passed = this.#pass(packet);
      if (passed === null) return false;
      good += packet.length;
      if (this.five !== null) translated.push(passed);
      return !this.#ended;
    });
    const packets = this.five === null ? bytes.subarray(0, good) : Buffer.concat(translated);
    return packets.length === 0 ? null : packets;
  }

  /** Returns what Aedes gets of a packet; null where it is wrong. Nothing is read after DISCONNECT. */
  #pass(bytes: Buffer): Buffer | null {
    try {
      const packet = readPacket(bytes, this.#level ?? 4);
      if (packet.cmd === 'connect') this.#begin(packet);
      this.#ended = packet.cmd === 'disconnect';
      return this.five === null ? bytes : this.five.read(packet);
    } catch (error) {
      this.#ended = true;
      if (error instanceof UnknownLevel) this.#violated('protocol-version', new Violation(error.message));
      else if (error instanceof Violation) this.#violated(error.why, error);
      else throw error;
      return null;
    }
  }

  #begin(packet: Connect): void {
    // MQTT-3.1.0-2
    if (this.#level !== null) throw new Violation('a second CONNECT', SECOND_CONNECT);
    this.#level = packet.level;
    if (packet.level === 5) this.five = this.#hooks.five(packet);
  }

  /** The packets before it are taken first. */
  #violated(why: EdgeRefusal, fault: Violation): void {
    setImmediate(() => this.#hooks.violated(why, fault));
  }
}

/** Protocol error (5 §3.1). */
const SECOND_CONNECT = 0x82;
