import { connect, type Socket } from 'node:net';
import { encodeConnect, type LoadIdentity, PublishRing } from './packets.ts';

const ACK_BYTES = 4;
const CONNACK = 0x20;
const PUBACK = 0x40;
const PUBACK_LENGTH = 2;

/** State that the connections of one run share. */
export interface LoadShared {
  /** Messages that may still be sent by all connections together. */
  left: number;
  /** Whether a connection sends as soon as its window has room; false: the caller paces it. */
  selfPaced: boolean;
  /** Is called for every acknowledgement, with the times of sending and of its receipt, ms of `performance.now()`. */
  onAck(sentMs: number, nowMs: number): void;
  /** Is called once for a connection that ends without a call of `stop`. */
  onClosed(why: string): void;
}

/** The server, identity and messages of a connection. */
export interface LoadTarget {
  readonly host: string;
  readonly port: number;
  readonly identity: LoadIdentity;
  readonly topic: string;
  readonly window: number;
  readonly startTsMs: number;
}

/** One device on a raw socket. It sends a ring of pre-encoded packets and parses acknowledgements byte by byte. */
export class LoadConnection {
  readonly ring: PublishRing;
  /** Messages written to the socket. */
  sent = 0;
  /** Messages whose PUBACK has arrived. */
  acknowledged = 0;
  readonly #target: LoadTarget;
  readonly #shared: LoadShared;
  /** Send time of each slot, ms of `performance.now()`; 0 = free. */
  readonly #sentAt: Float64Array;
  /** The fewest packets for one write, so that there are few long writes in place of many short ones. */
  readonly #leastBatch: number;
  readonly #packet = new Uint8Array(ACK_BYTES);
  #packetAt = 0;
  #head = 0;
  #socket: Socket | undefined;
  #ready: { resolve: () => void; reject: (error: Error) => void } | undefined;
  #open = false;

  constructor(target: LoadTarget, shared: LoadShared) {
    this.#target = target;
    this.#shared = shared;
    this.ring = new PublishRing(target.topic, target.window, target.startTsMs);
    this.#sentAt = new Float64Array(target.window);
    this.#leastBatch = Math.max(1, target.window >> 3);
  }

  /** Whether the server has accepted the connection and it has not ended. */
  get open(): boolean {
    return this.#open;
  }

  /** Messages sent and not acknowledged yet. */
  get inFlight(): number {
    return this.sent - this.acknowledged;
  }

  /** Resolves when the server has accepted the CONNECT; rejects when it refuses or the socket fails. */
  start(): Promise<void> {
    const { host, port, identity, window } = this.#target;
    const buffer = Buffer.alloc(Math.min(64 * 1024, Math.max(1024, window * ACK_BYTES)));
    const callback = (length: number, bytes: Uint8Array): boolean => this.#onBytes(bytes, length);
    const socket = connect({ host, port, noDelay: true, onread: { buffer, callback } });
    this.#socket = socket;
    socket.on('error', (error) => this.#end(error.message));
    socket.on('close', () => this.#end('the server closed the connection'));
    socket.on('connect', () => socket.write(encodeConnect(identity)));
    return new Promise((resolve, reject) => {
      this.#ready = { resolve, reject };
    });
  }

  /** Sends DISCONNECT and closes. */
  stop(): void {
    this.#open = false;
    this.#ready = undefined;
    this.#socket?.end(Buffer.from([0xe0, 0x00]));
    this.#socket?.unref();
  }

  /** Sends up to `most` messages, as far as the window and `left` allow, in one write. Returns how many. */
  send(most: number, sentMs: number): number {
    if (!this.#open) return 0;
    const limit = Math.min(most, this.#shared.left, this.#target.window - this.inFlight);
    const from = this.#head;
    let count = 0;
    while (count < limit && this.#sentAt[this.#head] === 0) {
      this.ring.stamp(this.#head);
      this.#sentAt[this.#head] = sentMs;
      this.#head = this.#head + 1 === this.#target.window ? 0 : this.#head + 1;
      count += 1;
    }
    if (count > 0) this.#write(from, count);
    return count;
  }

  #write(from: number, count: number): void {
    const { bytes, slotBytes, slots } = this.ring;
    const straight = Math.min(count, slots - from);
    const socket = this.#socket!;
    this.#shared.left -= count;
    this.sent += count;
    if (straight === count) {
      socket.write(bytes.subarray(from * slotBytes, (from + count) * slotBytes));
      return;
    }
    socket.cork();
    socket.write(bytes.subarray(from * slotBytes));
    socket.write(bytes.subarray(0, (count - straight) * slotBytes));
    socket.uncork();
  }

  #onBytes(bytes: Uint8Array, length: number): boolean {
    const nowMs = performance.now();
    for (let at = 0; at < length; at++) {
      this.#packet[this.#packetAt++] = bytes[at]!;
      if (this.#packetAt === ACK_BYTES) {
        this.#packetAt = 0;
        if (!this.#onPacket(nowMs)) return false;
      }
    }
    const { selfPaced, left } = this.#shared;
    if (selfPaced && left > 0 && this.#target.window - this.inFlight >= this.#leastBatch) {
      this.send(this.#target.window, nowMs);
    }
    return true;
  }

  #onPacket(nowMs: number): boolean {
    const [type, length, high, low] = this.#packet as unknown as [number, number, number, number];
    if (!this.#open) return this.#onConnack(type, low);
    const slot = ((high << 8) | low) - 1;
    const sentMs = this.#sentAt[slot] ?? 0;
    if (type !== PUBACK || length !== PUBACK_LENGTH || sentMs === 0) {
      this.#end(`expected a PUBACK of a message in flight, received ${Buffer.from(this.#packet).toString('hex')}`);
      return false;
    }
    this.#sentAt[slot] = 0;
    this.acknowledged += 1;
    this.#shared.onAck(sentMs, nowMs);
    return true;
  }

  #onConnack(type: number, code: number): boolean {
    if (type !== CONNACK || code !== 0) {
      this.#end(`the server refused the connection (CONNACK ${code})`);
      return false;
    }
    this.#open = true;
    this.#ready?.resolve();
    this.#ready = undefined;
    return true;
  }

  #end(why: string): void {
    const wasOpen = this.#open;
    this.#open = false;
    this.#socket?.destroy();
    this.#ready?.reject(new Error(`${this.#target.identity.id}: ${why}`));
    this.#ready = undefined;
    if (wasOpen) this.#shared.onClosed(why);
  }
}
