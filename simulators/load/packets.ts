import { generate } from 'mqtt-packet';

/** Length of a PUBLISH payload, bytes. */
export const PAYLOAD_BYTES = 100;

const LOW = 1_000_000;
const FRACTION_DIGITS = 10;

/** The identity of a connection. Without a secret it connects anonymously, with its id as client id. */
export interface LoadIdentity {
  readonly id: string;
  readonly secret?: string;
}

/** Returns the bytes of a CONNECT (MQTT 3.1.1, clean session): user name and client id are the device's id. */
export function encodeConnect(identity: LoadIdentity): Buffer {
  const credentials =
    identity.secret === undefined ? {} : { username: identity.id, password: Buffer.from(identity.secret, 'utf8') };
  return generate({
    cmd: 'connect',
    protocolId: 'MQTT',
    protocolVersion: 4,
    clean: true,
    keepalive: 60,
    clientId: identity.id,
    ...credentials,
  });
}

/** Returns a reading of the air-quality profile of exactly `PAYLOAD_BYTES` bytes; `tsMs` must have 13 digits. */
function examplePayload(tsMs: number): Buffer {
  const text = `{"ts":${tsMs},"metrics":{"pm25":12.3456789012,"pm10":23.4567890123,"no2":34.56789012345}}`;
  return Buffer.from(text.replace(/5\}\}$/, `${'5'.repeat(1 + PAYLOAD_BYTES - text.length)}}}`), 'ascii');
}

/**
 * The QoS 1 PUBLISH packets of one device, encoded once, one for each slot. Slot `i` always has packet id `i + 1`, so that an
 * acknowledgement names its slot. `stamp` changes in place what differs between messages: the timestamp (1 ms later with
 * each message, so that no reading is a duplicate) and digits of the first two values. A slot must not be stamped again
 * before its acknowledgement has arrived, since its bytes may still be in the socket's queue.
 */
export class PublishRing {
  readonly bytes: Buffer;
  readonly slotBytes: number;
  readonly slots: number;
  readonly #ts: number;
  readonly #fractions: readonly [number, number];
  readonly #slotHigh: Float64Array;
  #high: number;
  #low: number;

  constructor(topic: string, slots: number, startTsMs: number) {
    const payload = examplePayload(startTsMs);
    const packet = generate({ cmd: 'publish', topic, payload, qos: 1, messageId: 1, dup: false, retain: false });
    const payloadAt = packet.length - payload.length;
    this.slots = slots;
    this.slotBytes = packet.length;
    this.bytes = Buffer.alloc(slots * packet.length);
    for (let slot = 0; slot < slots; slot++) {
      packet.writeUInt16BE(slot + 1, payloadAt - 2);
      packet.copy(this.bytes, slot * packet.length);
    }
    this.#ts = payloadAt + payload.indexOf(String(startTsMs));
    this.#fractions = [payloadAt + payload.indexOf('12.') + 3, payloadAt + payload.indexOf('23.') + 3];
    this.#high = Math.floor(startTsMs / LOW);
    this.#low = startTsMs % LOW;
    this.#slotHigh = new Float64Array(slots).fill(this.#high);
  }

  /** Timestamp of the next message, epoch ms. */
  get nextTsMs(): number {
    return this.#high * LOW + this.#low;
  }

  /** Writes the next timestamp and new digits into a slot. */
  stamp(slot: number): void {
    const bytes = this.bytes;
    const base = slot * this.slotBytes;
    const [first, second] = this.#fractions;
    let rest = this.#low;
    for (let place = 0; place < 6; place++) {
      const tens = (rest / 10) | 0;
      const digit = 48 + rest - tens * 10;
      rest = tens;
      bytes[base + this.#ts + 12 - place] = digit;
      bytes[base + first + place] = digit;
      bytes[base + second + FRACTION_DIGITS - 1 - place] = digit;
    }
    if (this.#slotHigh[slot] !== this.#high) this.#stampHigh(slot, base);
    this.#low += 1;
    if (this.#low === LOW) {
      this.#low = 0;
      this.#high += 1;
    }
  }

  #stampHigh(slot: number, base: number): void {
    this.bytes.write(String(this.#high), base + this.#ts, 'ascii');
    this.#slotHigh[slot] = this.#high;
  }
}
