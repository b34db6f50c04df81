import { FAULT_GROUP, isoOf, SEVERITIES, type Severity, type Transition } from '../../domain/index.ts';
import type { BacktestIncident, BacktestSpan, BacktestTicket, BacktestTotals } from './report.ts';

/** An incident while the backtest runs. Times in epoch ms; the end is infinity until it ends. */
export interface Incident {
  readonly group: string;
  readonly district: string;
  beginMs: number;
  endMs: number;
  severity: Severity;
  /** Whether it was firing already at the start of the requested time. */
  before: boolean;
  readonly value: number | null;
  readonly ticket: BacktestTicket | null;
}

/** What a tally looks up for a transition: the district of its group, and the ticket that its firing opens. */
export interface TallyContext {
  districtOf(group: string): string;
  ticketOf(transition: Transition): BacktestTicket | null;
}

/** Is called for each incident when it starts to count and when it ends. */
export interface IncidentListener {
  started(incident: Incident): void;
  ended(incident: Incident): void;
}

/**
 * Counts the incidents of one rule and keeps the first `most` of them. Nothing counts before `startCounting`: that is
 * the warm-up.
 */
export class Tally {
  /** The error inside the rule; null: none. */
  fault: string | null = null;
  readonly #context: TallyContext;
  readonly #most: number;
  readonly #listener: IncidentListener | null;
  readonly #open = new Map<string, Incident>();
  readonly #pending = new Set<string>();
  readonly #groups = new Set<string>();
  readonly #districts = new Map<string, number>();
  readonly #listed: Incident[] = [];
  #counting = false;
  #incidents = 0;
  #tickets = 0;
  #before = 0;
  #cancelled = 0;
  #firingMs = 0;

  constructor(context: TallyContext, most: number, listener: IncidentListener | null) {
    this.#context = context;
    this.#most = most;
    this.#listener = listener;
  }

  get incidents(): number {
    return this.#incidents;
  }

  add(transition: Transition): void {
    const { group, to, from, atMs, severity, evidence } = transition;
    if (group === FAULT_GROUP) {
      if (to === 'firing') this.fault = evidence.detail ?? 'unknown';
      return;
    }
    if (from === 'pending') this.#pending.delete(group);
    if (to === 'pending') this.#pending.add(group);
    if (to === 'cancelled' && this.#counting) this.#cancelled++;
    if (to === 'resolved') this.#end(group, atMs);
    if (to !== 'firing') return;
    const open = this.#open.get(group);
    if (open === undefined) this.#begin(transition);
    else if (SEVERITIES.indexOf(severity) > SEVERITIES.indexOf(open.severity)) open.severity = severity;
  }

  /** Starts the requested time. What is firing counts from here on. */
  startCounting(atMs: number): void {
    this.#counting = true;
    for (const incident of this.#open.values()) {
      incident.beginMs = atMs;
      incident.before = true;
      this.#count(incident);
    }
  }

  /** Ends the requested time. What is still firing stays without an end. */
  finish(atMs: number): void {
    for (const incident of this.#open.values()) {
      this.#firingMs += atMs - incident.beginMs;
      this.#listener?.ended(incident);
    }
  }

  totals(): BacktestTotals {
    const districts = [...this.#districts].sort(([a], [b]) => (a < b ? -1 : 1));
    return {
      incidents: this.#incidents,
      tickets: this.#tickets,
      before: this.#before,
      firing: this.#open.size,
      cancelled: this.#cancelled,
      pending: this.#pending.size,
      groups: this.#groups.size,
      firingMs: this.#firingMs,
      districts: districts.map(([district, incidents]) => ({ district, incidents })),
    };
  }

  listed(): BacktestIncident[] {
    return this.#listed.map((incident) => {
      const { group, district, before, value, ticket } = incident;
      return { group, district, ...spanOf(incident), before, value, ticket };
    });
  }

  #begin(transition: Transition): void {
    const { group, atMs, severity, value } = transition;
    const incident: Incident = {
      group,
      district: this.#context.districtOf(group),
      beginMs: atMs,
      endMs: Number.POSITIVE_INFINITY,
      severity,
      before: false,
      value,
      ticket: this.#context.ticketOf(transition),
    };
    this.#open.set(group, incident);
    if (this.#counting) this.#count(incident);
  }

  #count(incident: Incident): void {
    const { group, district, before, ticket } = incident;
    this.#incidents++;
    if (before) this.#before++;
    else if (ticket !== null) this.#tickets++;
    this.#groups.add(group);
    this.#districts.set(district, (this.#districts.get(district) ?? 0) + 1);
    if (this.#listed.length < this.#most) this.#listed.push(incident);
    this.#listener?.started(incident);
  }

  #end(group: string, atMs: number): void {
    const incident = this.#open.get(group);
    if (incident === undefined) return;
    this.#open.delete(group);
    incident.endMs = atMs;
    if (!this.#counting) return;
    this.#firingMs += atMs - incident.beginMs;
    this.#listener?.ended(incident);
  }
}

/** Returns the part of an incident that the comparison of two rules shows. */
export function spanOf({ beginMs, endMs, severity }: Incident): BacktestSpan {
  return { firedAt: isoOf(beginMs), resolvedAt: isoOf(Number.isFinite(endMs) ? endMs : null), severity };
}
