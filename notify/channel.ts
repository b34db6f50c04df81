import type { NumberedEvent } from '../events/index.ts';
import type { Answer } from './ladder.ts';
import type { DueDelivery } from './queue.ts';
import type { EmailReceiver, Receiver, WebhookReceiver } from './receiver.ts';

/** One way to tell a receiver; each kind of receiver has its own. */
export interface Channel<R extends Receiver = Receiver> {
  /** Makes deliveries of an event that is next in the outbox, where the receiver wants it; in the transaction that moves its cursor. Answers whether it did. */
  take(receiver: R, event: NumberedEvent): boolean;
  /** Deliveries that may be under way at once. */
  width(receiver: R): number;
  /** One attempt. Whatever happens is an answer; only an aborted signal is thrown. */
  send(receiver: R, delivery: DueDelivery, signal: AbortSignal): Promise<Answer>;
}

/** The channel of each kind. */
export interface Channels {
  readonly webhook: Channel<WebhookReceiver>;
  readonly email: Channel<EmailReceiver>;
}

/** The channel of a receiver. */
export function channelOf(channels: Channels, { kind }: Receiver): Channel {
  return channels[kind] as Channel;
}
