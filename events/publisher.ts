import type { Publication, Ticket, Timers } from '../domain/index.ts';
import { diskFault } from '../store/index.ts';
import { isOpen, OPEN_STATUSES, type TicketReader } from '../tickets/index.ts';
import {
  isAlertEvent,
  isLoginEvent,
  isSessionEvent,
  isTicketEvent,
  type LamppostEvent,
  withLastChange,
} from './cloudevent.ts';
import { ticketAudienceOf } from './filter.ts';
import type { Outbox } from './outbox.ts';

interface EventPublisherDeps {
  readonly outbox: Pick<Outbox, 'pending' | 'published' | 'publishedTo'>;
  /**
   * Hands publications to the broker, in the order of the calls. Resolves to true when all of them are durable at the
   * broker; to false where the broker is gone.
   */
  readonly publish: (publications: readonly Publication[]) => Promise<boolean>;
  readonly timers: Timers;
}

const AT_ONCE = 200;
/** The most batches without a result from the broker: while its disk is full, the rest waits in the outbox. */
const MOST_UNDER_WAY = 8;
/**
 * Recording the place is a disk write for which the rules wait. Events not recorded before a crash are published
 * again.
 */
const RECORD_MS = 250;

/** Creates the publisher of events to MQTT: in order, at least once. It publishes nothing before `start()`. */
export function createEventPublisher(deps: EventPublisherDeps): EventPublisher {
  return new EventPublisher(deps);
}

class EventPublisher {
  readonly #deps: EventPublisherDeps;
  /** Numbers of the last event that was handed over, and of the last that the broker has. */
  #sent = 0;
  #taken = 0;
  #underWay = 0;
  #isStarted = false;
  #isGone = false;
  #settled: Promise<void> = Promise.resolve();
  #cancelRecord: (() => void) | null = null;
  #stopped: Promise<void> | null = null;

  constructor(deps: EventPublisherDeps) {
    this.#deps = deps;
  }

  /** Begins after the last event that was recorded as published. */
  start(): void {
    this.#sent = this.#deps.outbox.publishedTo();
    this.#taken = this.#sent;
    this.#isStarted = true;
    this.appended();
  }

  /** Called when events were added. An event does not wait until earlier ones are on the broker's disk. */
  appended(): void {
    while (this.#isStarted && !this.#isGone && this.#underWay < MOST_UNDER_WAY) {
      const events = this.#deps.outbox.pending(AT_ONCE, this.#sent);
      const last = events.at(-1);
      if (last === undefined) return;
      this.#sent = last.n;
      this.#underWay++;
      const result = this.#deps.publish(events.flatMap(({ event }) => publicationsOf(event)));
      this.#settled = Promise.all([result, this.#settled]).then(([isTaken]) => this.#settle(last.n, isTaken));
    }
  }

  /** Resolves to true when the broker has everything on its disk, to false where it is gone. */
  async drained(): Promise<boolean> {
    for (this.appended(); this.#underWay > 0; this.appended()) await this.#settled;
    return !this.#isGone;
  }

  /** Waits for what is under way and records the place. */
  stop(): Promise<void> {
    this.#stopped ??= this.drained().then(() => {
      this.#cancelRecord?.();
      this.#record();
    });
    return this.#stopped;
  }

  #settle(n: number, isTaken: boolean): void {
    this.#underWay--;
    // What the broker did not take stays in the outbox and is published after the next start.
    this.#isGone ||= !isTaken;
    if (this.#isGone) return;
    this.#taken = n;
    this.#cancelRecord ??= this.#deps.timers.after(RECORD_MS, () => this.#record());
    this.appended();
  }

  #record(): void {
    this.#cancelRecord = null;
    try {
      this.#deps.outbox.published(this.#taken);
    } catch (error) {
      // A full disk loses the record only: the events are published again.
      if (diskFault(error, 'the outbox') === null) throw error;
    }
  }
}

/**
 * Returns what the broker publishes for an event: the CloudEvent in structured JSON, QoS 1, and for a ticket its
 * retained state, which an empty payload clears when the ticket closes (MQTT 3.1.1 §3.3.1.3).
 */
export function publicationsOf(event: LamppostEvent): Publication[] {
  const payload = JSON.stringify(event);
  const once = { payload, qos: 1, retain: false } as const;
  // QoS 0, never queued: in a full queue this event would displace the next message, and cause the next such event.
  if (isSessionEvent(event)) return [{ topic: `events/sessions/${event.data.key}`, payload, qos: 0, retain: false }];
  if (isLoginEvent(event)) return [{ topic: `events/logins/${levelOf(event.data.source)}`, ...once }];
  if (isAlertEvent(event)) return [{ topic: `events/alerts/${event.data.rule}/${event.data.group}`, ...once }];
  if (!isTicketEvent(event)) return [{ topic: `events/silences/${event.data.id}`, ...once }];
  const ticket = event.data;
  const topics = ticketAudienceOf(ticket).map((party) => `events/tickets/${party}/${ticket.id}`);
  return [...topics.map((topic) => ({ topic, ...once })), ...retainedOf(ticket)];
}

/** Returns a source as one level of a topic: `2001:db8:0:1::-64`. */
const levelOf = (source: string) => source.replace('/', '-');

/**
 * Yields the retained state of every open ticket, newest first: what the broker holds once all events are published.
 */
export function* retainedTickets(reader: Pick<TicketReader, 'list'>): Generator<Publication> {
  let after: string | null = null;
  do {
    const page = reader.list({ status: OPEN_STATUSES, limit: 200, after });
    yield* page.items.flatMap(retainedOf);
    after = page.next;
  } while (after !== null);
}

/** Returns the state under the department that is responsible, and clears it under former departments. */
function retainedOf(ticket: Ticket): Publication[] {
  const { id, department, formerDepartments, status } = ticket;
  const state = isOpen(status) ? JSON.stringify(withLastChange(ticket)) : '';
  const at = (where: string, payload: string): Publication => ({
    topic: `tickets/${where}/${id}`,
    payload,
    qos: 1,
    retain: true,
  });
  const left = formerDepartments.filter((one) => one !== department);
  return [...left.map((one) => at(one, '')), at(department, state)];
}
