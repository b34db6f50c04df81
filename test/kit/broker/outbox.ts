import type { EventMessages, MqttOutbox } from '../../../broker/index.ts';
import type { Publication } from '../../../domain/index.ts';

/** An outbox in memory; each event is any messages. */
export class MemoryOutbox implements MqttOutbox {
  name = 'one';
  /** The number up to which a file of an earlier version has copies. */
  copied = 0;
  /** How often it was read. */
  reads = 0;
  #events: EventMessages[];
  #head: number;

  constructor(events: readonly EventMessages[] = []) {
    this.#events = [...events];
    this.#head = events.at(-1)?.n ?? 0;
  }

  /** Adds one event with these messages; returns its number. */
  append(...messages: Publication[]): number {
    this.#events.push({ n: ++this.#head, messages });
    return this.#head;
  }

  /** Deletes all but the newest events. */
  prune(keep: number): void {
    this.#events = this.#events.slice(-keep);
  }

  /** Returns another one with the same events, or those up to number `to`. */
  copy(to = Number.POSITIVE_INFINITY): MemoryOutbox {
    return Object.assign(new MemoryOutbox(this.#events.filter(({ n }) => n <= to)), { name: this.name });
  }

  store(): string {
    return this.name;
  }

  now() {
    const byTopic = new Map<string, Publication>();
    for (const { messages } of this.#events)
      for (const message of messages) if (message.retain) byTopic.set(message.topic, message);
    return { head: this.#head, retained: [...byTopic.values()] };
  }

  oldest(): number {
    return this.#events[0]?.n ?? 0;
  }

  between(after: number, to: number): readonly EventMessages[] {
    this.reads++;
    const first = this.#events[0]?.n ?? 0;
    return this.#events.slice(Math.max(0, after + 1 - first), Math.max(0, to + 1 - first));
  }

  numberOf(eventId: string): number | null {
    return this.#events.find(({ messages }) => messages.some(({ payload }) => idOf(payload) === eventId))?.n ?? null;
  }

  firstOf(ticket: string): number | null {
    return this.#events.find(({ messages }) => messages.some(({ topic }) => topic.endsWith(`/${ticket}`)))?.n ?? null;
  }

  copiedTo(): number {
    return this.copied;
  }
}

function idOf(payload: string): unknown {
  return payload.startsWith('{') ? (JSON.parse(payload) as { id: unknown }).id : null;
}
