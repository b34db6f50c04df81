import type { MqttClient } from 'mqtt';
import { generate } from 'mqtt-packet';

/** A message that is not settled. */
export interface Taken {
  readonly client: MqttClient;
  /** Null: QoS 0. */
  readonly messageId: number | null;
  /** At the other broker, and here. */
  readonly from: string;
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly atMs: number;
  /** Why it is dropped; null: it is not. */
  readonly refused: string | null;
}

/** Messages of one commit. */
const MOST_OF_BATCH = 1_000;
const BYTES_OF_BATCH = 1024 * 1024;
/** What may wait for commits before the other broker is no longer read from. */
const MOST_BYTES = 4 * 1024 * 1024;
/** Memory of a waiting message beside its payload. */
const MESSAGE_BYTES = 256;

/** The messages of a bridge that wait for their commits, in their order. */
export class Waiting {
  readonly #taken: Taken[] = [];
  #bytes = 0;
  /** Reads on once there is room. */
  #resume: (() => void)[] = [];

  get length(): number {
    return this.#taken.length;
  }

  get oldest(): Taken | undefined {
    return this.#taken[0];
  }

  /** Adds a message; calls `goOn` when the next one may be read. */
  add(taken: Taken, goOn: () => void): void {
    this.#taken.push(taken);
    this.#bytes += taken.payload.length + MESSAGE_BYTES;
    if (this.#bytes <= MOST_BYTES) goOn();
    else this.#resume.push(goOn);
  }

  /** Returns the first ones, as many as one commit takes. */
  batch(): Taken[] {
    let bytes = 0;
    const end = this.#taken.findIndex(({ payload }, i) => {
      bytes += payload.length;
      return i >= MOST_OF_BATCH || (i > 0 && bytes > BYTES_OF_BATCH);
    });
    return this.#taken.slice(0, end < 0 ? this.#taken.length : end);
  }

  /** The first ones are settled, or come again. */
  drop(count = this.#taken.length): void {
    for (const { payload } of this.#taken.splice(0, count)) this.#bytes -= payload.length + MESSAGE_BYTES;
    if (this.#bytes <= MOST_BYTES) this.readOn();
  }

  /** Lets everybody read on: also who waits for nothing any more, since its connection is over. */
  readOn(): void {
    for (const goOn of this.#resume.splice(0)) goOn();
  }
}

/** PUBACK of the messages that came over the connection that is open, in their order and in one write. */
export function acknowledge(batch: readonly Taken[], open: MqttClient | null): void {
  const mine = batch.filter(({ client, messageId }) => client === open && messageId !== null);
  if (open === null || mine.length === 0 || open.stream.destroyed) return;
  const { protocolVersion } = open.options;
  const acks = mine.map(({ messageId }) => generate({ cmd: 'puback', messageId: messageId! }, { protocolVersion }));
  open.stream.write(Buffer.concat(acks));
}
