import type { Publication } from '../../domain/index.ts';

/** What one event of the outbox is over MQTT: always the same messages in the same order. */
export interface EventMessages {
  readonly n: number;
  readonly messages: readonly Publication[];
}

/** The outbox as the broker reads it: events by number, without gaps. */
export interface MqttOutbox {
  /** Returns the name of the store: the same number of another store is another event. */
  store(): string;
  /** Returns the number of the newest event, and the retained messages of Lamppost as they are after it. */
  now(): { readonly head: number; readonly retained: readonly Publication[] };
  /** Returns the number of the oldest event that is kept; 0 where there is none. */
  oldest(): number;
  /** Returns the kept events after number `after` and up to number `to`, in order. */
  between(after: number, to: number): readonly EventMessages[];
  /** Returns the number of the event of this id, and of the oldest one of a ticket; null where it is not kept. */
  numberOf(eventId: string): number | null;
  firstOf(ticket: string): number | null;
  /** Returns the number of the last event of which a file of an earlier version has copies. */
  copiedTo(): number;
}

/** Events of a page. */
const PAGE = 50;
/** Pages in memory: about 100 KB each. */
const MOST_PAGES = 16;

/** Reads the outbox in pages of fixed bounds: sessions that are behind at the same place read each of them once. */
export class Pages {
  readonly #outbox: MqttOutbox;
  readonly #pages = new Map<number, readonly EventMessages[]>();

  constructor(outbox: MqttOutbox) {
    this.#outbox = outbox;
  }

  oldest(): number {
    return this.#outbox.oldest();
  }

  /** Returns some of the events after number `after`, up to number `to`: none only where there are none. */
  after(after: number, to: number): readonly EventMessages[] {
    const from = Math.max(after, this.#outbox.oldest() - 1);
    if (from >= to) return [];
    return this.#page(Math.floor(from / PAGE)).filter(({ n }) => n > from && n <= to);
  }

  #page(number: number): readonly EventMessages[] {
    const known = this.#pages.get(number);
    if (known !== undefined) return known;
    const last = (number + 1) * PAGE;
    const read = this.#outbox.between(number * PAGE, last);
    if (read.at(-1)?.n === last) this.#keep(number, read);
    return read;
  }

  #keep(number: number, page: readonly EventMessages[]): void {
    if (this.#pages.size >= MOST_PAGES) this.#pages.delete(this.#pages.keys().next().value!);
    this.#pages.set(number, page);
  }
}

/** Runs pieces of work one in each turn of the event loop, in the order of the calls: connections come in between. */
export class Turns {
  readonly #queue: (() => void)[] = [];
  #scheduled: NodeJS.Immediate | undefined;

  add(work: () => void): void {
    this.#queue.push(work);
    this.#scheduled ??= setImmediate(() => this.#next());
  }

  stop(): void {
    clearImmediate(this.#scheduled);
    this.#queue.length = 0;
  }

  #next(): void {
    this.#scheduled = undefined;
    const work = this.#queue.shift();
    if (this.#queue.length > 0) this.#scheduled = setImmediate(() => this.#next());
    work?.();
  }
}
