import type { City } from '../../domain/index.ts';
import type { LamppostEvent } from '../../events/index.ts';
import type { Message } from '../receiver.ts';

/** What formats say of the city. */
export type FormatCity = Pick<City, 'name' | 'timezone' | 'districts'>;

/** What a format rests on besides the event. */
export interface FormatDeps {
  /** The city in force. */
  readonly city: () => FormatCity;
  /** Where people reach this Lamppost, without a slash at the end. */
  readonly publicUrl: string;
}

/** A message that a receiver was sent of an alert. */
export interface Reference {
  readonly id: string;
  /** ISO 8601 UTC: the time of its event. */
  readonly time: string;
}

/** What a test message tells. */
export interface Ping {
  readonly id: string;
  /** The webhook that it goes to. */
  readonly webhook: string;
  /** ISO 8601 UTC. */
  readonly time: string;
}

/** An event on its way to one webhook. */
export interface Telling {
  readonly event: LamppostEvent;
  readonly webhook: string;
  /** What this webhook was sent of the same alert since it fires, the oldest first; empty where `refersBack` is false. */
  readonly earlier: readonly Reference[];
}

/** A format of a webhook's body. Pure: the same telling gives the same message. */
export interface Format {
  /** Whether its messages refer to those that were sent of the same alert before. */
  readonly refersBack: boolean;
  /** Whether the format can tell this event; `isChosen`: the webhook's filter names the event's severity. */
  accepts(telling: Omit<Telling, 'webhook'>, isChosen: boolean): boolean;
  render(telling: Telling): Message;
  ping(ping: Ping): Message;
}
