/** Writes what follows from transitions, from people's actions and from the clock: rules → tickets → events. */
import type { DatabaseSync } from 'node:sqlite';
import { type Clock, districtOf, isoOf, LamppostError, type Ticket } from '../../domain/index.ts';
import { alertEventOf, createOutbox, type Outbox, silenceEventOf, ticketEventOf } from '../../events/index.ts';
import type { Context } from '../../ingest/index.ts';
import { type AlertStore, createAlertReader, createAlertStore } from '../../rules/index.ts';
import { diskFault, transact } from '../../store/index.ts';
import {
  type ActionRequest,
  type Incident,
  type IncidentOutcome,
  type Rating,
  type Request,
  type Silence,
  type Split,
  type TicketCity,
  type TicketDecision,
  TicketService,
} from '../../tickets/index.ts';

/** The stores that effects are written to, in the transaction that the caller holds. */
interface Parts {
  readonly alerts: AlertStore;
  readonly tickets: TicketService;
  readonly outbox: Pick<Outbox, 'append'>;
}

/** Writes effects. The same transitions over the same file give the same rows (promise 4). */
export interface Effects {
  /**
   * Decides the ticket of a transition, stores the alert and appends the events. Returns the decision with its reason.
   */
  apply(incident: Incident): TicketDecision;
  /** Appends the events of changed tickets; returns the last ticket. */
  publish(changes: readonly Ticket[]): Ticket;
  /** Does one thing that is due; false where nothing is. */
  doNextDue(nowMs: number, city: TicketCity): boolean;
}

/** Returns the effects over their stores. They keep nothing in memory. */
export function createEffects({ alerts, tickets, outbox }: Parts): Effects {
  function publish(changes: readonly Ticket[]): void {
    for (const ticket of changes) outbox.append(ticketEventOf(ticket));
  }

  /** Publishes tickets of alerts that had waited, and links the alerts to them. */
  function release(nowMs: number, city: TicketCity): boolean {
    const released = tickets.incidents.release(nowMs, city);
    for (const { ticket, alerts: waiting, changes } of released) {
      for (const alert of waiting) alerts.link(alert, ticket.id);
      publish(changes);
    }
    return released.length > 0;
  }

  /** Publishes silences that end soon while they hold a ticket back. */
  function announceEnds(nowMs: number): boolean {
    const ending = tickets.endingSilences(nowMs);
    for (const silence of ending) if (silence.alerts.length > 0) outbox.append(silenceEventOf(silence, nowMs));
    return ending.length > 0;
  }

  return {
    apply(incident) {
      const outcome = tickets.incidents.apply(incident);
      const alert = alertAfter(incident, outcome);
      alerts.apply(alert);
      const event = alertEventOf(incident.transition, alert, outcome.ticket?.department ?? null);
      if (event !== null) outbox.append(event);
      publish(outcome.changes);
      return outcome.decision;
    },
    publish(changes) {
      publish(changes);
      return changes.at(-1)!;
    },
    doNextDue(nowMs, city) {
      const changes = tickets.doNextDue(nowMs, city);
      if (changes !== null) publish(changes);
      return changes !== null || release(nowMs, city) || announceEnds(nowMs);
    },
  };
}

function alertAfter({ transition, subject }: Incident, { titles, ticket }: IncidentOutcome) {
  return {
    rule: transition.rule,
    group: transition.group,
    state: transition.to,
    severity: transition.severity,
    since: isoOf(transition.sinceMs),
    updatedAt: isoOf(transition.atMs),
    value: transition.value,
    ...titles,
    district: districtOf(subject),
    ticket: ticket?.id ?? null,
  };
}

/** The number of due things that one call does; the next call does the rest. */
const MOST_DUE = 5_000;

interface ThreadParts {
  readonly db: DatabaseSync;
  readonly context: Pick<Context, 'cityAt'>;
  readonly clock: Clock;
  /** Called after a commit that added events. */
  readonly onEvents: () => void;
}

/**
 * Returns the effects of the engine's thread over its state file, and the functions that the thread offers for people.
 */
export function createThreadEffects({ db, context, clock, onEvents }: ThreadParts) {
  const tickets = new TicketService({ db, clock, city, firing: createAlertReader(db).firing });
  const outbox = createOutbox(db);
  const effects = createEffects({ alerts: createAlertStore(db), tickets, outbox });

  function city(): TicketCity {
    const version = context.cityAt(Number.MAX_SAFE_INTEGER);
    if (version === null) throw new LamppostError('busy', 'the city is not read yet', { retryable: true });
    return version.city;
  }

  /** Commits one transaction. Throws `disk` where the disk refuses it. */
  function write<T>(work: () => T): T {
    try {
      return transact(db, work);
    } catch (error) {
      throw diskFault(error, 'the state could not be written') ?? error;
    }
  }

  /** Commits one action, its history and its events in one transaction. */
  function commit(work: () => Ticket[]): Ticket {
    const ticket = write(() => effects.publish(work()));
    onEvents();
    return ticket;
  }

  return {
    effects,
    outbox,
    /**
     * Functions for the API. What they return is on disk. They throw `not-found`, `disk` and refusals of
     * `TICKET_REFUSALS`.
     */
    functions: {
      act: (request: ActionRequest) => commit(() => tickets.act(request)),
      openTicket: (request: Request) => commit(() => tickets.open(request)),
      splitTicket: (split: Split) => commit(() => tickets.split(split)),
      rateTicket: (rating: Rating) => commit(() => tickets.rate(rating)),
      addSilence: (silence: Silence) => write(() => tickets.silences.add(silence)),
      endSilence: (id: string, atMs: number) => write(() => tickets.silences.end(id, atMs)),
      /** Does what is due at a moment, each thing in a transaction of its own; returns how many. */
      due(nowMs: number): number {
        if (context.cityAt(Number.MAX_SAFE_INTEGER) === null) return 0;
        let done = 0;
        while (done < MOST_DUE && write(() => effects.doNextDue(nowMs, city()))) done++;
        if (done > 0) onEvents();
        return done;
      },
    },
  };
}
