import { districtOf, type Rule, type Severity, type Subject, type Ticket, type Transition } from '../domain/index.ts';
import { confirmationOf, fallingOf, firingOf, labelsOf, resolutionOf } from './alert-changes.ts';
import { ALONE, decideTicket, placeAlert, type TicketContext, type TicketDecision } from './decide.ts';
import { foldInto } from './folding.ts';
import { higherSeverity } from './lifecycle.ts';
import { type Candidate, createPlacement, type PlacementParts } from './placement.ts';
import type { Wait } from './waits.ts';
import { type Titles, titlesOf } from './wording.ts';
import type { TicketCity } from './writer.ts';

/** A transition of an alert, with what the engine knew when it happened. */
export interface Incident {
  readonly transition: Transition;
  readonly rule: Rule;
  readonly subject: Subject;
  readonly city: TicketCity;
}

/** The result of an incident. */
export interface IncidentOutcome {
  readonly decision: TicketDecision;
  /** The ticket of the alert now; null where it has none. */
  readonly ticket: Ticket | null;
  /** The titles of the alert. */
  readonly titles: Titles;
  /** Every new version of a ticket, in order. */
  readonly changes: readonly Ticket[];
}

/** A ticket of alerts that had waited: it opened for them, or they joined it. */
export interface Released {
  readonly ticket: Ticket;
  readonly alerts: readonly Pick<Wait, 'rule' | 'group' | 'opening'>[];
  readonly changes: readonly Ticket[];
}

/** Turns alerts into tickets. The caller holds the transaction. */
export interface Incidents {
  /** Decides what a transition does to the ticket of its alert, and does it. */
  apply(incident: Incident): IncidentOutcome;
  /** Places alerts that waited for a silence, an inhibition or for others, where that is over. */
  release(nowMs: number, city: TicketCity): Released[];
  /** Whether `release` would place any. */
  hasReleases(nowMs: number, city: TicketCity): boolean;
}

/** Returns the service of incidents. It keeps nothing in memory. */
export function createIncidents(parts: PlacementParts): Incidents {
  const { tickets, waits, writer, explainable } = parts;
  const placement = createPlacement(parts);

  function contextOf(incident: Incident, titles: Titles): { context: TicketContext; candidate: Candidate | null } {
    const { transition, rule, subject, city } = incident;
    const { rule: id, group, atMs } = transition;
    const service = rule.ticket && city.services.get(rule.ticket.service);
    const open = tickets.findOpen(id, group);
    const known = {
      rule,
      service,
      open,
      waits: open === null && waits.get(id, group) !== null,
      othersFire: () => open !== null && tickets.firing(open.id, transition).count > 0,
      partsOpen: () => open !== null && tickets.openParts(open.id).length > 0,
      endedUnseen: () => open !== null && tickets.endedUnseen(open.id),
      reportedOtherwise: () => open !== null && tickets.hasUnmeasured(open.id),
      // The rule may name another service by now, or none.
      resolution: city.services.get(open?.service ?? '')?.resolution ?? 'auto',
    } as const;
    if (service === undefined) return { context: { ...known, ...ALONE }, candidate: null };
    const resolveMs = rule.ticket!.deadlineMs;
    const opening = { transition, rule: { id: rule.id, source: rule.source }, subject, ...titles, resolveMs };
    const candidate = { opening, labels: labelsOf(transition, subject, service), service, city, atMs };
    return { context: { ...known, ...placement.lookups(candidate) }, candidate };
  }

  /** An alert that has ended ends in every ticket that lists it. */
  function ended({ rule, group, because }: Transition): void {
    tickets.endAlert(rule, group, because !== undefined);
    explainable.remove(rule, group);
  }

  /** Looks again at open tickets once their cause fires and has a ticket of its own. */
  function explain({ opening: { transition, subject }, labels, atMs }: Candidate, city: TicketCity): Ticket[] {
    const { rule, group, severity, to } = transition;
    const silent = labels.silent === true && labels.device !== null;
    if (to !== 'firing' || (city.inhibitions.length === 0 && !silent)) return [];
    const into = tickets.findOpen(rule, group);
    if (into === null) return [];
    const cause = { rule, group, severity, district: districtOf(subject), sinceMs: transition.atMs, silent };
    return foldInto(parts, cause, into, { atMs, city });
  }

  /** Carries out a decision about the ticket that the alert has, or about its wait. */
  function carryOut(decision: TicketDecision, transition: Transition, city: TicketCity): Ticket[] {
    const { rule, group } = transition;
    // With its alerts as they are after the transition.
    const ticket = () => ('ticket' in decision ? tickets.get(decision.ticket.id)! : null)!;
    switch (decision.kind) {
      case 'update':
      case 'escalate':
        // A cause that comes late lets it wait as it is now.
        explainable.setSeverity(rule, group, transition.severity);
        return writer.change(ticket(), firingOf(ticket(), transition, severityOf(decision.ticket)), city);
      case 'calm':
        return calm(decision.ticket, transition, city);
      case 'resolve':
        return writer.change(ticket(), resolutionOf(transition), city);
      case 'confirm':
        return writer.change(ticket(), confirmationOf(decision.ticket, transition, decision.reason), city);
      case 'wait':
        return rise(transition, city);
      case 'forget':
        waits.remove(rule, group);
        return [];
      default:
        return [];
    }
  }

  /** The highest of the alerts that fire, and at least what a person set; where none fires, what it was. */
  function severityOf({ id, severity, leastSeverity }: Ticket): Severity {
    const { highest } = tickets.firing(id);
    if (highest === null) return severity;
    return leastSeverity === null ? highest : higherSeverity(highest, leastSeverity);
  }

  /** One of several alerts ended. Its severity goes with it, but where a person has to confirm that it is over. */
  function calm(ticket: Ticket, transition: Transition, city: TicketCity): Ticket[] {
    const severity = severityOf(ticket);
    if (severity === ticket.severity) return [];
    if (city.services.get(ticket.service)?.resolution === 'auto')
      return writer.change(tickets.get(ticket.id)!, fallingOf(ticket, transition, severity), city);
    writer.keepSeverity(ticket);
    return [];
  }

  /** What holds back an alert of a lower severity may not hold back a higher one. */
  function rise({ rule, group, severity, atMs }: Transition, city: TicketCity): Ticket[] {
    waits.raiseSeverity(rule, group, severity);
    const wait = waits.get(rule, group)!;
    if (wait.reason === 'gathering') return [];
    return releaseHeld([wait], city, atMs).flatMap(({ changes }) => changes);
  }

  function candidateOf({ opening, labels }: Wait, city: TicketCity, atMs: number): Candidate | null {
    const service = city.services.get(labels.service);
    return service === undefined ? null : { opening, labels, service, city, atMs };
  }

  /** Returns the previous ticket of the alert where a person reopened it during the wait; null otherwise. */
  function reopenedFor({ rule, group, opening }: Wait): Ticket | null {
    const open = tickets.findOpen(rule, group);
    if (open !== null) tickets.setAlert(rule, group, { state: 'firing', severity: opening.transition.severity });
    return open;
  }

  /**
   * Places alerts again whose cause is over; those that it still holds back stay. Alerts of a service that the city no
   * longer has are dropped.
   */
  function releaseHeld(waiting: readonly Wait[], city: TicketCity, nowMs: number): Released[] {
    return waiting.flatMap((wait) => {
      const candidate = candidateOf(wait, city, nowMs);
      if (candidate !== null && placement.heldBy(candidate)?.cause === wait.cause) return [];
      waits.remove(wait.rule, wait.group);
      if (reopenedFor(wait) !== null) return releasedOf([wait], []);
      if (candidate === null) return [];
      const ofService = { service: candidate.service, deadlineMs: candidate.opening.resolveMs };
      const decision = placeAlert(placement.lookups(candidate), ofService);
      const placed = placement.place(decision, candidate);
      return releasedOf([wait], [...placed, ...explain(candidate, city)]);
    });
  }

  /**
   * Gathered alerts become one ticket, or join one that was reopened, except those that something holds back by now.
   */
  function releaseGathered(cause: string, city: TicketCity, nowMs: number): Released[] {
    const free: { wait: Wait; candidate: Candidate }[] = [];
    const others: Released[] = [];
    for (const wait of waits.of('gathering', cause)) {
      waits.remove(wait.rule, wait.group);
      if (reopenedFor(wait) !== null) {
        others.push(...releasedOf([wait], []));
        continue;
      }
      const candidate = candidateOf(wait, city, nowMs);
      const hold = candidate && placement.heldBy(candidate);
      if (hold !== null) waits.put({ ...wait, ...hold, heldMs: nowMs });
      else if (candidate !== null) free.push({ wait, candidate });
    }
    if (free.length === 0) return others;
    const gathered = tickets.findGathering(cause);
    const candidates = free.map(({ candidate }) => candidate);
    const join = (ticket: Ticket) =>
      candidates.flatMap((one) => placement.place({ kind: 'join', reason: 'joins-others', ticket }, one));
    const changes = gathered === null ? placement.open(candidates) : join(gathered);
    const waiting = free.map(({ wait }) => wait);
    const folded = candidates.flatMap((one) => explain(one, city));
    return [...others, ...releasedOf(waiting, [...changes, ...folded])];
  }

  function releasedOf(alerts: readonly Wait[], changes: readonly Ticket[]): Released[] {
    const ticket = changes.at(-1) ?? tickets.findOpen(alerts[0]!.rule, alerts[0]!.group);
    return ticket === null ? [] : [{ ticket, alerts, changes }];
  }

  /**
   * Reports whether a cause is over. One alert stands for all: a silence or inhibition ends for all of them at once.
   */
  function isOver({ reason, cause }: Pick<Wait, 'reason' | 'cause'>, city: TicketCity, nowMs: number): boolean {
    const wait = waits.any(reason, cause);
    const candidate = wait && candidateOf(wait, city, nowMs);
    return !candidate || placement.heldBy(candidate)?.cause !== cause;
  }

  return {
    apply(incident) {
      const { transition, city } = incident;
      const titles = titlesOf(incident);
      const { context, candidate } = contextOf(incident, titles);
      const decision = decideTicket(transition, context);
      if (context.open !== null && decision.kind !== 'none') {
        // A person reopened its previous ticket while it waited.
        waits.remove(transition.rule, transition.group);
        if (transition.to === 'firing')
          tickets.setAlert(transition.rule, transition.group, { state: 'firing', severity: transition.severity });
      }
      if (transition.to === 'resolved') ended(transition);
      const moved = carryOut(decision, transition, city);
      const placed = candidate === null ? moved : [...moved, ...placement.place(decision, candidate)];
      const ticket = placed.at(-1) ?? tickets.findOpen(transition.rule, transition.group);
      const folded = candidate === null ? [] : explain(candidate, city);
      return { decision, ticket: folded.at(-1) ?? ticket, titles, changes: [...placed, ...folded] };
    },
    hasReleases: (nowMs, city) =>
      waits.gathered(nowMs).length > 0 || waits.causes().some((cause) => isOver(cause, city, nowMs)),
    release(nowMs, city) {
      const over = waits.causes().filter((cause) => isOver(cause, city, nowMs));
      return [
        ...over.flatMap(({ reason, cause }) => releaseHeld(waits.of(reason, cause), city, nowMs)),
        ...waits.gathered(nowMs).flatMap((cause) => releaseGathered(cause, city, nowMs)),
      ];
    },
  };
}
