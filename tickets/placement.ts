import type { AlertLabels, GroupKey, Service, Ticket } from '../domain/index.ts';
import { alertOf, openTicket, reopeningOf, risingOf } from './alert-changes.ts';
import { calendarOf, type DueStore } from './deadlines.ts';
import type { Hold, Lookups, TicketDecision } from './decide.ts';
import { type ExplainableStore, isExplainable } from './folding.ts';
import { higherSeverity, isOpen } from './lifecycle.ts';
import { type FiringAlerts, inhibitorOf } from './match.ts';
import type { SilenceStore } from './silence-store.ts';
import type { TicketStore } from './store.ts';
import type { StoredOpening, WaitStore } from './waits.ts';
import { gatheredTitles } from './wording.ts';
import type { TicketCity, TicketWriter } from './writer.ts';

/** A firing alert without a ticket, when it fires or when its wait is over. */
export interface Candidate {
  readonly opening: StoredOpening;
  readonly labels: AlertLabels;
  readonly service: Service;
  readonly city: TicketCity;
  readonly atMs: number;
}

/** The stores that placing an alert reads and writes. */
export interface PlacementParts {
  readonly tickets: TicketStore;
  readonly waits: WaitStore;
  readonly due: DueStore;
  readonly silences: Pick<SilenceStore, 'of'>;
  readonly writer: TicketWriter;
  readonly firing: FiringAlerts;
  readonly explainable: ExplainableStore;
}

/** Gives firing alerts their tickets, as `INCIDENT_STEPS` decides. The caller holds the transaction. */
export interface Placement {
  lookups(candidate: Candidate): Lookups;
  /** Returns what inhibits or silences the alert now; null where nothing does. */
  heldBy(candidate: Candidate): Hold | null;
  /** Carries out a decision; returns every new version of a ticket. */
  place(decision: TicketDecision, candidate: Candidate): Ticket[];
  /** Opens one ticket for one or more alerts, with the evidence of the first. */
  open(candidates: readonly Candidate[]): Ticket[];
}

/** Returns the placement over its stores. */
export function createPlacement(parts: PlacementParts): Placement {
  const { tickets, waits, due, silences, writer, firing, explainable } = parts;

  function inhibition({ labels, city }: Candidate): Hold | null {
    const inhibitor = inhibitorOf(labels, city.inhibitions, firing);
    return inhibitor && { reason: 'inhibited', cause: `${inhibitor.rule}/${inhibitor.group}`, dueMs: null };
  }

  function silence({ labels, city, atMs }: Candidate): Hold | null {
    const [first] = silences.of(labels, atMs, (id) => calendarOf(id, city));
    return first === undefined ? null : { reason: 'silenced', cause: first.id, dueMs: null };
  }

  function gathering({ labels, service, atMs }: Candidate): Hold | null {
    if (service.gathering === null) return null;
    const cause = gatherKeyOf(labels, service.gathering.by);
    // The time of the first one counts for all, as with Alertmanager's group_wait.
    return { reason: 'gathering', cause, dueMs: waits.gatheringUntil(cause) ?? atMs + service.gathering.waitMs };
  }

  function gathered({ labels, service }: Candidate): Ticket | null {
    return service.gathering === null ? null : tickets.findGathering(gatherKeyOf(labels, service.gathering.by));
  }

  /** Returns the last ticket of an alert that fires again soon, or whose severity rises after a person resolved it. */
  function reopenable({ opening: { transition }, service, atMs }: Candidate): Ticket | null {
    const last = tickets.findLast(transition.rule, transition.group);
    if (last === null || isOpen(last.status) || last.service !== service.id) return null;
    const soon = last.resolvedAt !== null && atMs - Date.parse(last.resolvedAt) < service.reopenMs;
    const folded = last.foldedInto !== null && tickets.fires(last.id, transition);
    return soon || folded || transition.from === 'firing' ? last : null;
  }

  function hold({ reason, cause, dueMs }: Hold, { opening, labels, atMs: heldMs }: Candidate): Ticket[] {
    const { rule, group, atMs: sinceMs } = opening.transition;
    waits.put({ rule, group, reason, cause, sinceMs, heldMs, dueMs, labels, opening });
    return [];
  }

  function open(candidates: readonly Candidate[]): Ticket[] {
    const [first, ...others] = candidates as [Candidate, ...Candidate[]];
    const { service, city, labels, opening, atMs } = first;
    const gatherKey = service.gathering === null ? null : gatherKeyOf(labels, service.gathering.by);
    const single = openTicket({ ...opening, service });
    const titles = others.length === 0 ? {} : gatheredTitles(service, labels, city);
    const severity = others.reduce(
      (highest, one) => higherSeverity(highest, one.opening.transition.severity),
      single.severity,
    );
    const alerts = candidates.map(({ opening: { transition } }) => alertOf(transition));
    const ticket = { ...single, ...titles, severity };
    candidates.forEach(keep);
    return writer.open({ ticket, atMs, resolveMs: opening.resolveMs, alerts, extras: { gatherKey } }, service, city);
  }

  function keep({ opening, labels, city }: Candidate): void {
    const { rule, group, atMs: sinceMs } = opening.transition;
    if (isExplainable(labels, city)) explainable.put({ rule, group, sinceMs, labels, opening });
  }

  /** Alerts that join later are recorded together, so that a storm does not make thousands of events. */
  function join(ticket: Ticket, candidate: Candidate): Ticket[] {
    const { opening, service, atMs, city } = candidate;
    const { transition } = opening;
    tickets.attach(ticket.id, { ...alertOf(transition), noted: false });
    keep(candidate);
    if (!due.has(ticket.id, 'joined')) {
      const dueMs = atMs + (service.gathering?.waitMs ?? 0);
      due.add(ticket.id, [{ kind: 'joined', n: 0, atMs: dueMs, on: null, to: null }]);
    }
    const severity = higherSeverity(ticket.severity, transition.severity);
    if (severity === ticket.severity) return [];
    const joined = tickets.get(ticket.id)!;
    return writer.change(joined, { ...risingOf(joined, transition, severity), atMs }, city);
  }

  function reopen(ticket: Ticket, candidate: Candidate): Ticket[] {
    const { transition } = candidate.opening;
    if (!tickets.rebind(ticket.id)) return open([candidate]);
    tickets.setAlert(transition.rule, transition.group, { state: 'firing', severity: transition.severity });
    keep(candidate);
    const again = tickets.get(ticket.id)!;
    const { highest } = tickets.firing(ticket.id);
    return writer.change(again, { ...reopeningOf(again, transition, highest), atMs: candidate.atMs }, candidate.city);
  }

  return {
    open,
    heldBy: (candidate) => inhibition(candidate) ?? silence(candidate),
    lookups: (candidate) => ({
      inhibition: () => inhibition(candidate),
      silence: () => silence(candidate),
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

/** Returns the key that gathered alerts share: their service, and the labels that the service gathers by. */
function gatherKeyOf(labels: AlertLabels, by: readonly GroupKey[]): string {
  const parts = by.map((key) => `${key}=${labels[key] ?? ''}`);
  return [labels.service, ...parts].join('|');
}
