import type { LamppostEvent } from '../../cloudevent.ts';
import type { Message } from '../receiver.ts';

/** What a test message tells. */
export interface Ping {
  readonly id: string;
  /** The webhook that it goes to. */
  readonly webhook: string;
  /** ISO 8601 UTC. */
  readonly time: string;
}

/** A format of a webhook's body. Pure: the same event gives the same message. */
export interface Format {
  /** Whether the format can tell this event. */
  accepts(event: LamppostEvent): boolean;
  render(event: LamppostEvent): Message;
  ping(ping: Ping): Message;
}
