/** Writes what follows from transitions, from people's actions and from the clock: rules → tickets → events. */
import type { DatabaseSync } from 'node:sqlite';
import type { Logger } from 'pino';
import {
  type ActedOn,
  type ActionResult,
  createAuditReader,
  createAuditWriter,
  createDecider,
  type Decided,
} from '../../actions/index.ts';
import { CommandWriter } from '../../commands/index.ts';
import {
  districtOf,
  isoOf,
  LamppostError,
  type NoticesControl,
  saysSilent,
  type Ticket,
  type Transition,
} from '../../domain/index.ts';
import {
  alertEventOf,
  clockEventOf,
  commandEventOf,
  createOutbox,
  createOutboxReader,
  desiredEventOf,
  loginEventOf,
  type Outbox,
  sessionEventOf,
  silenceEventOf,
  ticketEventOf,
} from '../../events/index.ts';
import {
  type CityVersion,
  type Context,
  createDiscards,
  createHistoryProgress,
  type Imported,
} from '../../ingest/index.ts';
import { createReceiverWriter, createResultWriter } from '../../notify/index.ts';
import { createPeopleStore, createRegistryReader, RegistryRecords } from '../../registry/index.ts';
import {
  type AlertStore,
  type BlockEffects,
  Checksum,
  createAlertReader,
  createAlertStore,
  createRuleWriter,
} from '../../rules/index.ts';
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
  readonly outbox: Pick<Outbox, 'append' | 'has'>;
  /**
   * Called with the ticket of an alert of a device that begins to fire, or that has waited for its ticket until a
   * moment.
   */
  readonly onTicketed?: (ticket: Ticket, device: string, transition: Transition, untilMs: number | null) => void;
}

/** Writes effects. The same transitions over the same file give the same rows (promise 4). */
export interface Effects {
  /**
   * Decides the ticket of a transition, stores the alert and appends the events. Returns the decision with its reason.
   */
  apply(incident: Incident): TicketDecision;
  /** Appends the events of changed tickets; returns the last ticket. */
  publish(changes: readonly Ticket[]): Ticket;
  /** Does the oldest thing that is due, as at the time at which it was due; false where nothing is. */
  doNextDue(nowMs: number, city: TicketCity): boolean;
}

/** Decisions about an alert that begins to fire and has a ticket then. */
const TICKETED: ReadonlySet<TicketDecision['kind']> = new Set(['open', 'join', 'reopen', 'update']);

/** Returns the effects over their stores. They keep nothing in memory. */
export function createEffects({ alerts, tickets, outbox, onTicketed }: Parts): Effects {
  function publish(changes: readonly Ticket[]): void {
    for (const ticket of changes) outbox.append(ticketEventOf(ticket));
  }

  function ticketed(
    ticket: Ticket,
    { subject, transition }: Pick<Incident, 'subject' | 'transition'>,
    untilMs: number | null,
  ) {
    if (subject.kind === 'device') onTicketed?.(ticket, subject.device.id, transition, untilMs);
  }

  /** Publishes tickets of alerts that had waited, and links the alerts to them. */
  function release(nowMs: number, city: TicketCity): boolean {
    const released = tickets.incidents.release(nowMs, city);
    for (const { ticket, alerts: waiting, changes } of released) {
      for (const alert of waiting) alerts.link(alert, ticket.id);
      publish(changes);
      for (const { opening } of waiting) ticketed(ticket, opening, nowMs);
    }
    return released.length > 0;
  }

  /** Publishes what happened to silences. That one holds back what something else held back meanwhile is news again. */
  function announce(nowMs: number, city: TicketCity): boolean {
    const news = tickets.silenceNews(nowMs, city);
    for (const one of news) {
      const event = silenceEventOf(one, nowMs);
      const id = outbox.has(event.id) ? `${event.id}.${nowMs}` : event.id;
      if (!outbox.has(id)) outbox.append({ ...event, id });
    }
    return news.length > 0;
  }

  function doDue(atMs: number, nowMs: number, city: TicketCity): boolean {
    const changes = tickets.doNextDue(atMs, nowMs, city);
    if (changes !== null) publish(changes);
    return changes !== null || release(atMs, city) || announce(atMs, city);
  }

  return {
    apply(happened) {
      const incident = withLastValue(happened, alerts);
      const outcome = tickets.incidents.apply(incident);
      const alert = alertAfter(incident, outcome);
      const silent = incident.subject.kind === 'device' && saysSilent(incident.transition);
      alerts.apply({ ...alert, silent });
      const event = alertEventOf(incident.transition, alert, outcome.ticket?.department ?? null);
      if (event !== null) outbox.append(event);
      publish(outcome.changes);
      if (TICKETED.has(outcome.decision.kind)) ticketed(outcome.ticket!, incident, null);
      return outcome.decision;
    },
    publish(changes) {
      publish(changes);
      return changes.at(-1)!;
    },
    doNextDue(nowMs, city) {
      const atMs = Math.min(tickets.nextDueMs(city) ?? nowMs, nowMs);
      return doDue(atMs, nowMs, city) || (atMs < nowMs && doDue(nowMs, nowMs, city));
    },
  };
}

/**
 * Returns an incident whose alert has its value of before where it changes without one: a changed rule has read nothing
 * yet. The evidence stays as it is.
 */
function withLastValue(incident: Incident, alerts: Pick<AlertStore, 'valueOf'>): Incident {
  const { transition } = incident;
  const { from, to, because, value: read } = transition;
  // A condition that ends by itself may have no value any more: of an emptied bin nothing is forecast.
  const isChanged = from === 'firing' && (to === 'firing' || because !== undefined);
  if (!isChanged || read !== null) return incident;
  const value = alerts.valueOf(transition.rule, transition.group);
  return value === null ? incident : { ...incident, transition: { ...transition, value } };
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
/** The most events that the outbox keeps, and bytes of them. */
const EVENTS_KEPT = 100_000;
const EVENT_BYTES_KEPT = 256 * 2 ** 20;
/** Old events go when so many were added: by their numbers, so that the same log keeps the same ones. */
const PRUNE_EVENTS = 256;

interface ThreadParts {
  readonly db: DatabaseSync;
  readonly context: Pick<Context, 'cityAt'>;
  readonly log: Logger;
  /** How long entries of the audit trail are kept, ms. */
  readonly auditMs: number;
  /** How long refused messages are kept, ms. */
  readonly quarantineMs: number;
  /** The most events that the outbox keeps. */
  readonly eventsKept?: number;
}

/** The time and city of the block whose effects are written: tickets know no other clock (promise 4). */
interface Moment {
  atMs: number;
  seq: number;
  city: CityVersion | null;
  imported: Imported | null;
}

/**
 * Returns the effects of the engine's thread over its state file: those of transitions, and those of blocks (what
 * people ask for, and what is due by then).
 */
export function createThreadEffects(parts: ThreadParts) {
  const { db, context, log, auditMs, quarantineMs, eventsKept = EVENTS_KEPT } = parts;
  const moment: Moment = { atMs: 0, seq: 0, city: null, imported: null };
  const clock = { now: () => moment.atMs };
  const tickets = new TicketService({ db, clock, city: () => cityNow().city, firing: createAlertReader(db).firing });
  const registry = new RegistryRecords(db);
  const registryNow = createRegistryReader(db);
  let registryVersion = registryNow.version();
  const checksum = new Checksum(db);
  const outbox = pruned(createOutbox(db), eventsKept, checksum);
  const commands = new CommandWriter({
    db,
    profileOf: (device) => registryNow.get(device)?.profile ?? null,
    devEuiOf: (device) => registryNow.get(device)?.devEui,
    city: () => cityNow().city,
    onCommand: (command) => void outbox.append(commandEventOf(command)),
    onResent: (command) => void outbox.append(commandEventOf(command, true)),
    onDesired: (state, place) => void outbox.append(desiredEventOf(state, place)),
  });
  /** Unless it waited: at the place of its transition, before anything else of that block is decided. */
  function onTicketed(ticket: Ticket, device: string, { id, atMs, rule }: Transition, untilMs: number | null): void {
    if (untilMs === null) setMoment(atMs, Number(id.split('.')[0]));
    const by = `rule:${rule}`;
    const refusal = commands.sendAutomatically(device, ticket, { by, atMs: untilMs ?? atMs, name: id });
    if (refusal !== null) effects.publish(tickets.remark(ticket.id, by, refusal));
  }
  const effects = createEffects({ alerts: createAlertStore(db), tickets, outbox, onTicketed });
  const on: ActedOn = {
    commands,
    ...{ tickets, registry, people: createPeopleStore(db) },
    rules: createRuleWriter(db, cityNow),
    discards: createDiscards(db, quarantineMs),
    imported: () => moment.imported!.report,
    receivers: createReceiverWriter(db, createOutboxReader(db).head),
    reload,
  };
  const decider = createDecider({ db, on, publish: (changes) => void effects.publish(changes), log, auditMs });
  const trail = createAuditReader(db);
  const deliveries = createResultWriter(db);
  const history = createHistoryProgress(db);
  const audit = createAuditWriter(db);
  /**
   * Results by block, of blocks whose transaction has not been committed yet: one that is repeated replaces its own.
   */
  const decided = new Map<number, ActionResult[]>();

  function cityNow(): CityVersion {
    if (moment.city === null) throw new LamppostError('busy', 'the city is not read yet', { retryable: true });
    return moment.city;
  }

  /** A folder with mistakes was never in force. */
  function reload(version: string): boolean {
    if (moment.city?.control.version !== version)
      throw new LamppostError('city', 'the city folder has mistakes; the city before it stays in force');
    return context.cityAt(moment.seq - 1)?.control.version !== version;
  }

  function noted(result: ActionResult): ActionResult {
    checksum.add(JSON.stringify(result));
    return result;
  }

  function setMoment(atMs: number, seq: number): void {
    moment.atMs = atMs;
    moment.seq = seq;
    moment.city = context.cityAt(seq);
  }

  /** A gateway's profile registers a device that it published for; what was refused till then can be replayed. */
  function enrol(gateway: string, device: string, at: { seq: number; n: number; atMs: number }): void {
    const rule = cityNow().city.profiles.get(registryNow.get(gateway)?.profile ?? '')?.enrol;
    if (rule === undefined || !registry.devices.enrol(gateway, device, rule, at)) return;
    const who = { actor: `gateway:${gateway}`, role: 'none', department: null, address: null } as const;
    const what = {
      action: 'device.enrol',
      target: `device ${device}`,
      result: 'done',
      detail: `profile ${rule.profile}`,
    };
    audit.add({ atMs: at.atMs, place: `${at.seq}-${at.n}`, ...who, ...what });
  }

  function doDue(): void {
    const { atMs, city } = moment;
    if (city === null) return;
    for (let done = 0; done < MOST_DUE && effects.doNextDue(atMs, city.city); done++);
  }

  /** A notice that is sent again, after a crash for example, adds no event. */
  function publishNotices({ drops, logins }: NoticesControl): void {
    for (const event of [...drops.map(sessionEventOf), ...logins.map(loginEventOf)])
      if (!outbox.has(event.id)) outbox.append(event);
  }

  const blocks: BlockEffects = {
    isDue({ seq, receivedAt }) {
      const version = context.cityAt(seq);
      if (registry.isDue(receivedAt) || commands.isDue(receivedAt)) return true;
      return version !== null && tickets.isDue(receivedAt, version.city);
    },
    apply({ block: { seq, receivedAt, steadyAt }, actions, city, clock: step, notices, progress, imported, said }) {
      setMoment(receivedAt, seq);
      moment.imported = imported;
      if (city !== null) tickets.cityChanged();
      if (step !== null) {
        tickets.stepped(step.byMs);
        registry.stepped(step.byMs);
        outbox.append(clockEventOf(step, seq));
      }
      if (notices !== null) {
        publishNotices(notices);
        for (const { user } of notices.drops) commands.dropped(user);
        commands.delivered(notices.delivered ?? [], receivedAt);
      }
      if (progress?.duty === 'notify') deliveries.add(seq, progress);
      if (progress?.duty === 'history') history.take(progress);
      for (const [n, one] of said.entries()) {
        if ('enrol' in one) enrol(one.device, one.enrol, { seq, n, atMs: receivedAt });
        else commands.said(one, receivedAt);
      }
      registry.doDue({ seq, n: 0, atMs: receivedAt });
      commands.doDue(receivedAt);
      doDue();
      const agedMs = Math.min(receivedAt, steadyAt);
      const place = (item: number) => ({ atMs: receivedAt, agedMs, seq, item, name: `${seq}-${item}` });
      if (actions !== null)
        decided.set(
          seq,
          actions.items.map((record, i) => noted(decider.decide(record, place(i)))),
        );
    },
  };

  return {
    effects,
    outbox,
    tickets,
    blocks,
    checksum,
    /** Returns what was decided about actions since the last call; to be called after a commit only; null: nothing. */
    takeDecided(): Decided | null {
      if (decided.size === 0) return null;
      const results = [...decided.values()].flat();
      decided.clear();
      return { results, head: trail.head() };
    },
    /** Whether devices or keys have changed since the last call; to be called after a commit only. */
    takeRegistryChanged(): boolean {
      const before = registryVersion;
      registryVersion = registryNow.version();
      return registryVersion !== before;
    },
  };
}

/** The outbox, which keeps the newest events, and adds each to the checksum. */
function pruned(outbox: Outbox, kept: number, checksum: Pick<Checksum, 'add'>): Pick<Outbox, 'append' | 'has'> {
  return {
    has: outbox.has,
    append(event) {
      const n = outbox.append(event);
      if (n % PRUNE_EVENTS === 0) outbox.prune(kept, EVENT_BYTES_KEPT);
      checksum.add(`${n} ${JSON.stringify(event)}`);
      return n;
    },
  };
}
