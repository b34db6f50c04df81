import type { MqttClient } from 'mqtt';
import type { BridgeSubscription } from '../domain/index.ts';

/** A command that waits for a network server. */
export interface WaitingDownlink {
  readonly id: string;
  readonly topic: string;
  readonly payload: string;
}

/** Commands for network servers, as bridges see them. */
export interface DownlinkQueue {
  /** Returns what waits for the network server of a key, the oldest first, at most so many. */
  waiting(key: string, limit: number): readonly WaitingDownlink[];
  /** Network servers have these commands. */
  delivered(ids: readonly string[]): void;
}

const MOST_IN_FLIGHT = 100;

/**
 * Publishes commands to the other broker, each once over a connection. What it has acknowledged is `sent`; what it has
 * not, the next connection publishes again.
 */
export class Downlinks {
  readonly #queue: DownlinkQueue;
  readonly #key: string;
  readonly #topicThere: (topic: string) => string;
  readonly #failed: (why: string) => void;
  /** Published over this connection, whether acknowledged or not: what is noted as sent comes a moment later. */
  readonly #published = new Set<string>();
  #client: MqttClient | null = null;
  #inFlight = 0;
  sent = 0;

  constructor(
    queue: DownlinkQueue,
    { key, subscribe }: { readonly key: string; readonly subscribe: readonly BridgeSubscription[] },
    failed: (why: string) => void,
  ) {
    this.#queue = queue;
    this.#key = key;
    this.#topicThere = (topic) => topicThere(subscribe, topic);
    this.#failed = failed;
  }

  /** There is a connection, or none any more. */
  connected(client: MqttClient | null): void {
    this.#client = client;
    this.#published.clear();
    this.#inFlight = 0;
    this.wake();
  }

  /** Publishes what waits. */
  wake(): void {
    const client = this.#client;
    if (client === null || this.#inFlight >= MOST_IN_FLIGHT) return;
    const waiting = this.#queue.waiting(this.#key, 2 * MOST_IN_FLIGHT);
    const ids = new Set(waiting.map(({ id }) => id));
    for (const id of this.#published) if (!ids.has(id)) this.#published.delete(id);
    for (const one of waiting) {
      if (this.#inFlight >= MOST_IN_FLIGHT) return;
      if (!this.#published.has(one.id)) this.#publish(client, one);
    }
  }

  #publish(client: MqttClient, { id, topic, payload }: WaitingDownlink): void {
    this.#published.add(id);
    this.#inFlight++;
    client.publish(this.#topicThere(topic), payload, { qos: 1 }, (error) => {
      if (this.#client !== client) return;
      this.#inFlight--;
      if (error) this.#failed(`a command was not taken: ${error.message}`);
      else {
        this.sent++;
        this.#queue.delivered([id]);
      }
      this.wake();
    });
  }
}

/** Undoes what the subscriptions change in the topics that come from there. */
function topicThere(subscribe: readonly BridgeSubscription[], topic: string): string {
  const of = subscribe.find(({ add, format }) => format === null && topic.startsWith(add));
  return of === undefined ? topic : of.remove + topic.slice(of.add.length);
}
