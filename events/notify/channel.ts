import type { NumberedEvent } from '../reader.ts';
import type { Answer } from './ladder.ts';
import type { DueDelivery } from './queue.ts';
import type { Receiver } from './receiver.ts';

/** One way to tell a receiver; each kind of receiver has its own. */
export interface Channel {
  /** Makes deliveries of an event that is next in the outbox, where the receiver wants it; in the transaction that moves its cursor. */
  take(receiver: Receiver, event: NumberedEvent): void;
  /** Deliveries that may be under way at once. */
  width(receiver: Receiver): number;
  /** One attempt. Whatever happens is an answer; only an aborted signal is thrown. */
  send(receiver: Receiver, delivery: DueDelivery, signal: AbortSignal): Promise<Answer>;
}

/** The channel of each kind. */
export type Channels = Readonly<Record<Receiver['kind'], Channel>>;
