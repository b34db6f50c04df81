import {
  type AlertLabels,
  districtOf,
  isoOf,
  type Service,
  type Subject,
  type Ticket,
  type Transition,
} from '../domain/index.ts';
import { calendarOf } from './calendars.ts';

import type { Hold, TicketContext, TicketDecision } from './decide.ts';
import type { DueStore } from './due-store.ts';
import { gatheredTitles, gatherKeyOf } from './gathering.ts';
import type { Keeper, TicketCity } from './keeper.ts';
import { harder, isOpen, openTicket, reopeningOf } from './lifecycle.ts';
import { type FiringAlerts, inhibitorOf } from './match.ts';
import type { SilenceStore } from './silence-store.ts';
import type { TicketStore } from './store.ts';
import type { StoredOpening, WaitStore } from './wait-store.ts';

/** A firing alert without a ticket, as it fires or when it has waited. */
export interface Candidate {
  readonly opening: StoredOpening;
  readonly labels: AlertLabels;
  readonly service: Service;
  readonly city: TicketCity;
  readonly atMs: number;
}

/** What placing an alert looks at and writes to. */
export interface PlacementDeps {
  readonly tickets: TicketStore;
  readonly waits: WaitStore;
  readonly due: DueStore;
  readonly silences: Pick<SilenceStore, 'of'>;
  readonly keeper: Keeper;
  readonly firing: FiringAlerts;
}

/** Finds firing alerts their tickets: a new one, one of others like it, the one of before, or none yet. The caller holds the transaction. */
export interface Placement {
  /** What inhibits or silences it now. */
  heldBy(candidate: Candidate): Hold | null;
  /** The looks that a decision takes, each only where it counts. */
  looks(candidate: Candidate): Pick<TicketContext, 'heldBy' | 'gathered' | 'reopenable' | 'gathering'>;
  /** Carries out what was decided for it; answers every version of a ticket to be told. */
  place(decision: TicketDecision, candidate: Candidate): Ticket[];
  /** One ticket for one alert or several: it stands on the evidence of the first. */
  open(candidates: readonly Candidate[]): Ticket[];
}

/** Makes it. */
export function createPlacement({ tickets, waits, due, silences, keeper, firing }: PlacementDeps): Placement {
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

  function hold({ reason, cause, dueMs }: Hold, { opening, labels }: Candidate): Ticket[] {
    const { rule, group, atMs: sinceMs } = opening.transition;
    waits.put({ rule, group, reason, cause, sinceMs, dueMs, labels, opening });
    return [];
  }

  function open(candidates: readonly Candidate[]): Ticket[] {
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
  function join(ticket: Ticket, { opening, service, atMs }: Candidate): Ticket[] {
    tickets.attach(ticket.id, { ...alertOf(opening.transition), told: false });
    if (!due.has(ticket.id, 'joined')) {
      const dueMs = atMs + (service.gathering?.waitMs ?? 0);
      due.add(ticket.id, [{ kind: 'joined', n: 0, atMs: dueMs, on: null, to: null }]);
    }
    return [];
  }

  function reopen(ticket: Ticket, candidate: Candidate): Ticket[] {
    const { transition } = candidate.opening;
    if (!tickets.rebind(ticket.id)) return open([candidate]);
    tickets.setAlert(transition.rule, transition.group, { state: 'firing', severity: transition.severity });
    return keeper.change(ticket, reopeningOf(ticket, transition), candidate.city);
  }

  return {
    heldBy,
    open,
    looks: (candidate) => ({
      heldBy: () => heldBy(candidate),
      gathered: () => gathered(candidate),
      reopenable: () => reopenable(candidate),
      gathering: () => gathering(candidate),
    }),
    place(decision, candidate) {
      switch (decision.kind) {
        case 'open':
          return open([candidate]);
        case 'join':
          return join(decision.ticket, candidate);
        case 'reopen':
          return reopen(decision.ticket, candidate);
        case 'hold':
          return hold(decision.hold, candidate);
        default:
          return [];
      }
    },
  };
}

function alertOf({ rule, group, severity, atMs }: Transition) {
  return { rule, group, state: 'firing', severity, since: isoOf(atMs) } as const;
}

/** What silences and inhibitions look at. */
export function labelsOf({ rule, group, severity }: Transition, subject: Subject, service: Service): AlertLabels {
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
