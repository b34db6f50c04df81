/** Writes what follows from transitions, from people's actions and from the clock: rules → tickets → events. */
import type { DatabaseSync } from 'node:sqlite';
import type { Logger } from 'pino';
import { type ActionResult, createAuditReader, createDecider, type Decided } from '../../actions/index.ts';
import { districtOf, isoOf, LamppostError, type Ticket } from '../../domain/index.ts';
import {
  alertEventOf,
  clockEventOf,
  createOutbox,
  type Outbox,
  silenceEventOf,
  ticketEventOf,
} from '../../events/index.ts';
import type { Context } from '../../ingest/index.ts';
import { type AlertStore, type BlockEffects, createAlertReader, createAlertStore } from '../../rules/index.ts';
import {
  type Incident,
  type IncidentOutcome,
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

/** The number of due things that one block does; the next block does the rest. */
const MOST_DUE = 5_000;

interface ThreadParts {
  readonly db: DatabaseSync;
  readonly context: Pick<Context, 'cityAt'>;
  readonly log: Logger;
  /** How long entries of the audit trail are kept, ms. */
  readonly auditMs: number;
}

/** The time and city of the block whose effects are written: tickets know no other clock (promise 4). */
interface Moment {
  atMs: number;
  city: TicketCity | null;
}

/**
 * Returns the effects of the engine's thread over its state file: those of transitions, and those of blocks (what people
 * ask for, and what is due by then).
 */
export function createThreadEffects({ db, context, log, auditMs }: ThreadParts) {
  const moment: Moment = { atMs: 0, city: null };
  const clock = { now: () => moment.atMs };
  const tickets = new TicketService({ db, clock, city: cityNow, firing: createAlertReader(db).firing });
  const outbox = createOutbox(db);
  const effects = createEffects({ alerts: createAlertStore(db), tickets, outbox });
  const decider = createDecider({ db, tickets, publish: (changes) => void effects.publish(changes), log, auditMs });
  const trail = createAuditReader(db);
  /** Results by block, of blocks whose transaction has not been committed yet: one that is repeated replaces its own. */
  const decided = new Map<number, ActionResult[]>();

  function cityNow(): TicketCity {
    if (moment.city === null) throw new LamppostError('busy', 'the city is not read yet', { retryable: true });
    return moment.city;
  }

  function setMoment(atMs: number, seq: number): void {
    moment.atMs = atMs;
    moment.city = context.cityAt(seq)?.city ?? null;
  }

  function doDue(): void {
    const { atMs, city } = moment;
    if (city === null) return;
    for (let done = 0; done < MOST_DUE && effects.doNextDue(atMs, city); done++);
  }

  const blocks: BlockEffects = {
    isDue({ seq, receivedAt }) {
      const version = context.cityAt(seq);
      return version !== null && tickets.isDue(receivedAt, version.city);
    },
    apply({ block: { seq, receivedAt }, actions, clock: step }) {
      setMoment(receivedAt, seq);
      if (step !== null) {
        tickets.stepped(step.byMs);
        outbox.append(clockEventOf(step, seq));
      }
      doDue();
      const place = (i: number) => ({ atMs: receivedAt, name: `${seq}-${i}` });
      if (actions !== null)
        decided.set(
          seq,
          actions.items.map((record, i) => decider.decide(record, place(i))),
        );
    },
  };

  return {
    effects,
    outbox,
    tickets,
    blocks,
    /** Returns what was decided about actions since the last call; to be called after a commit only; null: nothing. */
    takeDecided(): Decided | null {
      if (decided.size === 0) return null;
      const results = [...decided.values()].flat();
      decided.clear();
      return { results, head: trail.head() };
    },
    /** Does something at a moment that is no record of the log: what citizens ask for. The caller holds the transaction. */
    at<T>(nowMs: number, work: (service: TicketService) => T): T {
      setMoment(nowMs, Number.MAX_SAFE_INTEGER);
      return work(tickets);
    },
    /** Does what is due at a moment. The caller holds the transaction. */
    due(nowMs: number): void {
      setMoment(nowMs, Number.MAX_SAFE_INTEGER);
      doDue();
    },
  };
}
