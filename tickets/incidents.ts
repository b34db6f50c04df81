import {
  type AlertLabels,
  districtOf,
  type Rule,
  type Service,
  type Subject,
  type Ticket,
  type Transition,
} from '../domain/index.ts';
import { calendarOf } from './calendars.ts';
import { isoOf } from './change.ts';
import { decideOpening, decideTicket, type Hold, type TicketContext, type TicketDecision } from './decide.ts';
import type { DueStore } from './due-store.ts';
import { gatheredTitles, gatherKeyOf } from './gathering.ts';
import type { Keeper, TicketCity } from './keeper.ts';
import {
  confirmationOf,
  escalationOf,
  harder,
  isOpen,
  openTicket,
  reopeningOf,
  resolutionOf,
  updateOf,
} from './lifecycle.ts';
import { type FiringAlert, inhibitorOf } from './match.ts';
import type { SilenceStore } from './silence-store.ts';
import type { TicketStore } from './store.ts';
import type { Titles } from './title.ts';
import type { StoredOpening, Wait, WaitStore } from './wait-store.ts';

/** A transition of an alert and what the engine knew when it happened. */
export interface Incident {
  readonly transition: Transition;
  readonly rule: Rule;
  readonly subject: Subject;
  readonly titles: Titles;
  readonly city: TicketCity;
}

/** What became of an incident. */
export interface IncidentOutcome {
  readonly decision: TicketDecision;
  /** The ticket of the alert as it is now; null where it has none. */
  readonly ticket: Ticket | null;
  /** Every version to be told, in order. */
  readonly news: readonly Ticket[];
}

/** A ticket that opened, or took in, alerts that had waited. */
export interface Released {
  readonly ticket: Ticket;
  readonly alerts: readonly { readonly rule: string; readonly group: string }[];
  readonly news: readonly Ticket[];
}

/** From alerts to tickets; the caller holds the transaction. */
export interface Incidents {
  apply(incident: Incident): IncidentOutcome;
  /** Tickets of alerts that waited for a silence, an inhibition or for others, where that is over. */
  release(nowMs: number, city: TicketCity): Released[];
  /** The firing alerts that a silence holds back. */
  heldBy(silence: { readonly id: string }): { readonly rule: string; readonly group: string }[];
}

interface Deps {
  readonly tickets: TicketStore;
  readonly waits: WaitStore;
  readonly due: DueStore;
  readonly silences: Pick<SilenceStore, 'of'>;
  readonly keeper: Keeper;
  /** Firing alerts of rules. */
  readonly firing: (rules: readonly string[]) => readonly FiringAlert[];
}

/** What is looked at to place a firing alert: as it fires, or when it has waited. */
interface Candidate {
  readonly opening: StoredOpening;
  readonly labels: AlertLabels;
  readonly service: Service;
  readonly city: TicketCity;
  readonly atMs: number;
}

/** Makes the way from alerts to tickets. It keeps nothing in memory. */
export function createIncidents({ tickets, waits, due, silences, keeper, firing }: Deps): Incidents {
  function heldBy({ labels, city, atMs }: Candidate): Hold | null {
    const inhibitor = inhibitorOf(labels, city.inhibitions, firing);
    if (inhibitor !== null) return { reason: 'inhibited', cause: `${inhibitor.rule}/${inhibitor.group}`, dueMs: null };
    const [silence] = silences.of(labels, atMs, (id) => calendarOf(id, city));
    return silence === undefined ? null : { reason: 'silenced', cause: silence.id, dueMs: null };
  }

  function gathering({ labels, service, atMs }: Candidate): Hold | null {
    if (service.gathering === null) return null;
    const cause = gatherKeyOf(labels, service.gathering.by);
    // The first one's time counts for all, as with Alertmanager's group_wait.
    return { reason: 'gathering', cause, dueMs: waits.gatheringUntil(cause) ?? atMs + service.gathering.waitMs };
  }

  function gathered({ labels, service }: Candidate): Ticket | null {
    return service.gathering === null ? null : tickets.findGathering(gatherKeyOf(labels, service.gathering.by));
  }

  /** A harder alert of an episode whose ticket somebody resolved, or one that fires again soon. */
  function reopenable({ opening: { transition }, service, atMs }: Candidate): Ticket | null {
    const last = tickets.findLast(transition.rule, transition.group);
    if (last === null || isOpen(last.status) || last.service !== service.id) return null;
    const soon = last.resolvedAt !== null && atMs - Date.parse(last.resolvedAt) < service.reopenMs;
    return soon || transition.from === 'firing' ? last : null;
  }

  const lookingAt = (candidate: Candidate) => ({
    heldBy: () => heldBy(candidate),
    gathered: () => gathered(candidate),
    reopenable: () => reopenable(candidate),
    gathering: () => gathering(candidate),
  });

  function contextOf({
    transition,
    rule,
    subject,
    titles,
    city,
  }: Incident): TicketContext & { candidate: Candidate | null } {
    const { rule: id, group, atMs } = transition;
    const service = rule.ticket && city.services.get(rule.ticket.service);
    const opening = { transition, rule: { id: rule.id, source: rule.source }, subject, ...titles };
    const candidate =
      service === undefined
        ? null
        : {
            opening: { ...opening, resolveMs: rule.ticket!.deadlineMs },
            labels: labelsOf(transition, subject, service),
            service,
            city,
            atMs,
          };
    const open = tickets.findOpen(id, group);
    return {
      candidate,
      rule,
      service,
      open,
      waits: open === null && waits.get(id, group) !== null,
      othersFire: () => open !== null && tickets.firing(open.id) > 1,
      ...lookingAt(candidate as Candidate),
    };
  }

  /** Carries out what was decided for an alert that has a ticket, or none to have. */
  function carryOut(decision: TicketDecision, transition: Transition, city: TicketCity): Ticket[] {
    const { rule, group, severity, to } = transition;
    const state = to === 'resolved' ? ('resolved' as const) : ('firing' as const);
    if ('ticket' in decision && decision.kind !== 'join' && decision.kind !== 'reopen')
      tickets.setAlert(rule, group, { state, severity });
    switch (decision.kind) {
      case 'update':
        return keeper.change(decision.ticket, updateOf(transition), city);
      case 'escalate':
        return keeper.change(decision.ticket, escalationOf(decision.ticket, transition), city);
      case 'resolve':
        return keeper.change(decision.ticket, resolutionOf(transition), city);
      case 'confirm':
        return keeper.change(decision.ticket, confirmationOf(transition), city);
      case 'wait':
        waits.harden(rule, group, severity);
        return [];
      case 'forget':
        waits.remove(rule, group);
        return [];
      default:
        return [];
    }
  }

  /** Carries out what was decided for a firing alert without a ticket. */
  function place(decision: TicketDecision, candidate: Candidate): Ticket[] {
    const { opening, labels } = candidate;
    const { transition } = opening;
    if (decision.kind === 'open') return openFor([candidate]);
    if (decision.kind === 'join') return join(decision.ticket, [candidate]);
    if (decision.kind === 'reopen') return reopen(decision.ticket, candidate);
    if (decision.kind !== 'hold') return [];
    const { reason, cause, dueMs } = decision.hold;
    const wait = { rule: transition.rule, group: transition.group, reason, cause, sinceMs: transition.atMs, dueMs };
    waits.put({ ...wait, labels, opening });
    return [];
  }

  /** One ticket for one alert or several: it stands on the evidence of the first. */
  function openFor(candidates: readonly Candidate[]): Ticket[] {
    const [first, ...others] = candidates as [Candidate, ...Candidate[]];
    const { service, city, labels, opening, atMs } = first;
    const gatherKey = service.gathering === null ? null : gatherKeyOf(labels, service.gathering.by);
    const single = openTicket({ ...opening, service });
    const titles = others.length === 0 ? {} : gatheredTitles(service, labels, city);
    const severity = others.reduce((hardest, one) => harder(hardest, one.opening.transition.severity), single.severity);
    const alerts = candidates.map(({ opening: { transition } }) => alertOf(transition));
    const ticket = { ...single, ...titles, severity };
    return keeper.open({ ticket, atMs, resolveMs: opening.resolveMs, alerts, extras: { gatherKey } }, service, city);
  }

  /** Alerts that come later are told together, so that a storm is not a storm of news. */
  function join(ticket: Ticket, candidates: readonly Candidate[]): Ticket[] {
    const [{ service, atMs }] = candidates as [Candidate, ...Candidate[]];
    for (const { opening } of candidates) tickets.attach(ticket.id, { ...alertOf(opening.transition), told: false });
    if (!due.has(ticket.id, 'joined')) {
      const dueMs = atMs + (service.gathering?.waitMs ?? 0);
      due.add(ticket.id, [{ kind: 'joined', n: 0, atMs: dueMs, on: null, to: null }]);
    }
    return [];
  }

  function reopen(ticket: Ticket, candidate: Candidate): Ticket[] {
    const { transition } = candidate.opening;
    if (!tickets.rebind(ticket.id)) return openFor([candidate]);
    tickets.setAlert(transition.rule, transition.group, { state: 'firing', severity: transition.severity });
    return keeper.change(ticket, reopeningOf(ticket, transition), candidate.city);
  }

  function candidateOf({ opening, labels }: Wait, city: TicketCity, atMs: number): Candidate | null {
    const service = city.services.get(labels.service);
    return service === undefined ? null : { opening, labels, service, city, atMs };
  }

  /** Takes those off that wait for a cause which is over, and places each anew; a service that is gone takes them along. */
  function releaseOf(waiting: readonly Wait[], city: TicketCity, nowMs: number): Released[] {
    return waiting.flatMap((wait) => {
      waits.remove(wait.rule, wait.group);
      const candidate = candidateOf(wait, city, nowMs);
      if (candidate === null) return [];
      const ofService = { service: candidate.service, deadlineMs: candidate.opening.resolveMs };
      const news = place(decideOpening(lookingAt(candidate), ofService), candidate);
      return releasedOf([wait], news);
    });
  }

  /** All that were gathered become one ticket, but for those that something holds back by now. */
  function releaseGathered(cause: string, city: TicketCity, nowMs: number): Released[] {
    const waiting = waits.of('gathering', cause);
    const free: Candidate[] = [];
    const freed: Wait[] = [];
    for (const wait of waiting) {
      waits.remove(wait.rule, wait.group);
      const candidate = candidateOf(wait, city, nowMs);
      if (candidate === null) continue;
      const hold = heldBy(candidate);
      if (hold !== null) waits.put({ ...wait, ...hold });
      else {
        free.push(candidate);
        freed.push(wait);
      }
    }
    return free.length === 0 ? [] : releasedOf(freed, openFor(free));
  }

  function releasedOf(waiting: readonly Wait[], news: readonly Ticket[]): Released[] {
    const [{ rule, group }] = waiting as [Wait, ...Wait[]];
    const ticket = news.at(-1) ?? tickets.findOpen(rule, group);
    if (ticket === null) return [];
    return [{ ticket, alerts: waiting.map(({ rule, group }) => ({ rule, group })), news }];
  }

  function isOver({ reason, cause }: Pick<Wait, 'reason' | 'cause'>, city: TicketCity, nowMs: number): boolean {
    const [wait] = waits.of(reason, cause);
    const candidate = wait && candidateOf(wait, city, nowMs);
    if (!candidate) return true;
    const hold = heldBy(candidate);
    return hold === null || hold.cause !== cause;
  }

  return {
    apply({ transition, ...surrounding }) {
      const context = contextOf({ transition, ...surrounding });
      const decision = decideTicket(transition, context);
      const { candidate } = context;
      const moved = carryOut(decision, transition, surrounding.city);
      const news = candidate === null ? moved : [...moved, ...place(decision, candidate)];
      const ticket = news.at(-1) ?? tickets.findOpen(transition.rule, transition.group);
      return { decision, ticket, news };
    },
    heldBy: ({ id }) => waits.of('silenced', id).map(({ rule, group }) => ({ rule, group })),
    release(nowMs, city) {
      const over = waits.causes().filter((cause) => isOver(cause, city, nowMs));
      return [
        ...over.flatMap(({ reason, cause }) => releaseOf(waits.of(reason, cause), city, nowMs)),
        ...waits.gathered(nowMs).flatMap((cause) => releaseGathered(cause, city, nowMs)),
      ];
    },
  };
}

function alertOf({ rule, group, severity, atMs }: Transition) {
  return { rule, group, state: 'firing', severity, since: isoOf(atMs) } as const;
}

function labelsOf({ rule, group, severity }: Transition, subject: Subject, service: Service): AlertLabels {
  const device = subject.kind === 'device' ? subject.device : null;
  return {
    rule,
    group,
    severity,
    service: service.id,
    department: service.department,
    district: districtOf(subject),
    device: device?.id ?? null,
    profile: device?.profile ?? null,
    tags: device?.tags ?? {},
  };
}
