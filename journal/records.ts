/**
 * The record format of a `messages` block. Little endian:
 *
 * ```
 * record  = route:u32  receivedAt:f64  length:u32  payload route   = number of a (identity, topic) pair within the
 * block; the first record that uses a new number
 *           carries its definition between `length` and `payload`:
 * define  = identityLength:u16  topicLength:u16  identity  topic      (UTF-8)
 * ```
 *
 * A pair is written once per block, because a device sends to the same topic repeatedly.
 */

/** A (publisher, topic) pair, encoded once and kept for as long as its client lives. */
export interface Route {
  readonly identity: string;
  readonly topic: string;
  readonly definition: Uint8Array;
  /** The batch in which the pair was last defined, and its number there. Only the writer uses them. */
  batch: number;
  ref: number;
}

const RECORD_HEADER = 16;

/** Encodes a pair. Throws a RangeError for a part over 65,535 bytes, which MQTT cannot send either. */
export function createRoute(identity: string, topic: string): Route {
  const id = Buffer.from(identity, 'utf8');
  const name = Buffer.from(topic, 'utf8');
  const definition = new Uint8Array(4 + id.length + name.length);
  const view = new DataView(definition.buffer);
  view.setUint16(0, id.length, true);
  view.setUint16(2, name.length, true);
  definition.set(id, 4);
  definition.set(name, 4 + id.length);
  return { identity, topic, definition, batch: -1, ref: 0 };
}

/** Collects the messages of the next group commit in one buffer, which can be transferred to another thread. */
export class BatchWriter {
  count = 0;
  length = 0;
  #batch = 0;
  #routes = 0;
  #bytes: Buffer;
  #view: DataView;

  constructor(initialBytes = 256 * 1024) {
    this.#bytes = Buffer.allocUnsafeSlow(initialBytes);
    this.#view = new DataView(this.#bytes.buffer);
  }

  /** Appends one message; the payload is copied. */
  add(route: Route, payload: Uint8Array, receivedAt: number): void {
    const fresh = route.batch !== this.#batch;
    const needed = RECORD_HEADER + payload.length + (fresh ? route.definition.length : 0);
    if (this.length + needed > this.#bytes.length) this.#grow(needed);
    let at = this.length;
    if (fresh) {
      route.batch = this.#batch;
      route.ref = this.#routes++;
    }
    this.#view.setUint32(at, route.ref, true);
    this.#view.setFloat64(at + 4, receivedAt, true);
    this.#view.setUint32(at + 12, payload.length, true);
    at += RECORD_HEADER;
    if (fresh) {
      this.#bytes.set(route.definition, at);
      at += route.definition.length;
    }
    this.#bytes.set(payload, at);
    this.length = at + payload.length;
    this.count++;
  }

  /** Returns what was collected and starts a new batch, in the buffer `recycled` where the last commit returned one. */
  take(recycled: ArrayBuffer | null): { bytes: ArrayBuffer; length: number; count: number } {
    const taken = { bytes: this.#bytes.buffer as ArrayBuffer, length: this.length, count: this.count };
    this.#bytes = recycled === null ? Buffer.allocUnsafeSlow(256 * 1024) : Buffer.from(recycled);
    this.#view = new DataView(this.#bytes.buffer);
    this.count = 0;
    this.length = 0;
    this.#routes = 0;
    this.#batch++;
    return taken;
  }

  #grow(needed: number): void {
    const larger = Buffer.allocUnsafeSlow(Math.max(this.#bytes.length * 2, this.length + needed));
    larger.set(this.#bytes.subarray(0, this.length));
    this.#bytes = larger;
    this.#view = new DataView(larger.buffer);
  }
}

/** Resolves an (identity, topic) pair, once per block; the result is passed with every message of the pair. */
export type RouteResolver<R> = (identity: string, topic: string) => R;

/**
 * Calls `visit` for each message of a block in order, with the resolved pair, the range of the payload in the body, and
 * the time of receipt and its place: no object is allocated per message. Throws a RangeError where the body is not in
 * the record format.
 */
export function walkRecords<R>(
  body: Buffer,
  resolve: RouteResolver<R>,
  visit: (route: R, from: number, to: number, receivedAt: number, stampAt: number) => void,
): void {
  const routes: R[] = [];
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  let at = 0;
  while (at < body.length) {
    const ref = view.getUint32(at, true);
    const stampAt = at + 4;
    const receivedAt = view.getFloat64(stampAt, true);
    const length = view.getUint32(at + 12, true);
    at += RECORD_HEADER;
    if (ref === routes.length) {
      const idEnd = at + 4 + view.getUint16(at, true);
      const topicEnd = idEnd + view.getUint16(at + 2, true);
      routes.push(resolve(body.toString('utf8', at + 4, idEnd), body.toString('utf8', idEnd, topicEnd)));
      at = topicEnd;
    }
    const route = routes[ref];
    if (route === undefined || at + length > body.length) throw new RangeError(`journal record at ${at} is torn`);
    visit(route, at, at + length, receivedAt, stampAt);
    at += length;
  }
}

/** Moves the time of receipt of every message of a block by some ms. */
export function moveRecords(body: Uint8Array, byMs: number): void {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  const move = (_route: null, _from: number, _to: number, receivedAt: number, at: number) =>
    bytes.writeDoubleLE(receivedAt + byMs, at);
  walkRecords(bytes, () => null, move);
}
