import type { City, MetricTable, Rule, Severity, Transition } from '../../domain/index.ts';
import { createRuleEngine, type Explanation, type RuleEngine } from '../engine/index.ts';
import { createMetricTable } from '../reach.ts';
import type { Case } from './case.ts';

/** The state of an alert at one moment. */
export interface Standing {
  readonly state: 'inactive' | 'pending' | 'firing';
  readonly severity: Severity | null;
  /** The value now. */
  readonly value: number | null;
  readonly explanation: Explanation | null;
}

/** From an alert's firing to its end, epoch ms; the end is null while it fires. */
export interface Incident {
  readonly group: string;
  readonly openedMs: number;
  resolvedMs: number | null;
  severity: Severity;
}

/** Plays a case through an engine of its own. A reading is received when it is measured. */
export class Play {
  readonly incidents: Incident[] = [];
  readonly #case: Case;
  readonly #rule: Rule;
  readonly #engine: RuleEngine;
  readonly #metrics: MetricTable = createMetricTable();
  readonly #last = new Map<string, Transition>();
  readonly #open = new Map<string, Incident>();
  #seq = 1;
  #next = 0;
  #arrived = 0;

  constructor(one: Case, rule: Rule, { calendars, timezone }: City) {
    this.#case = one;
    this.#rule = rule;
    this.#engine = createRuleEngine({ metrics: this.#metrics, gaps: false });
    const moment = { seq: 1, atMs: one.startMs };
    this.#record(this.#engine.configure({ rules: [rule], calendars, zone: timezone }, moment));
  }

  /** Plays everything up to and including a moment. */
  until(ms: number): void {
    const { arrivals, readings } = this.#case;
    const inOrder = arrivals.toSorted((a, b) => a.ms - b.ms);
    for (;;) {
      const arrival = inOrder[this.#arrived];
      const reading = readings[this.#next];
      const arrives = arrival !== undefined && arrival.ms <= ms && (reading === undefined || arrival.ms <= reading.ts);
      if (arrives) {
        this.#arrived++;
        this.#record(this.#engine.deviceChanged(arrival.device, { seq: ++this.#seq, atMs: arrival.ms }));
      } else if (reading !== undefined && reading.ts <= ms) {
        this.#next++;
        this.#read(reading);
      } else break;
    }
    this.#record(this.#engine.tick({ seq: ++this.#seq, atMs: ms }));
  }

  standing(group: string): Standing {
    const explanation = this.#engine.explain(this.#rule.id, group);
    const last = this.#last.get(group);
    const state = last === undefined || last.to === 'resolved' || last.to === 'cancelled' ? 'inactive' : last.to;
    const severity = state === 'inactive' ? null : last!.severity;
    // The value of a quorum counts devices; the explanation shows the value of one device only.
    const clause = explanation?.clauses.find(({ verdict }) => verdict === 'true') ?? explanation?.clauses[0];
    const value = this.#rule.quorum !== null || clause === undefined ? (last?.value ?? null) : clause.value;
    return { state, severity, value, explanation };
  }

  #read({ device, metric, ts, value, isSuspect }: Case['readings'][number]): void {
    const number = this.#metrics.indexOf(metric);
    const suspect = isSuspect ? new Set([0]) : null;
    const columns = { length: 1, device: [device], metric: [number], ts: [ts], value: [value], suspect };
    this.#record(this.#engine.replay(columns, ++this.#seq));
  }

  #record(transitions: readonly Transition[]): void {
    for (const transition of transitions) {
      const { group, from, to, atMs, severity } = transition;
      this.#last.set(group, transition);
      const open = this.#open.get(group);
      if (to === 'firing' && from === 'firing' && open !== undefined) open.severity = severity;
      else if (to === 'firing') this.#begin({ group, openedMs: atMs, resolvedMs: null, severity });
      else if (to === 'resolved' && open !== undefined) {
        open.resolvedMs = atMs;
        this.#open.delete(group);
      }
    }
  }

  #begin(incident: Incident): void {
    this.incidents.push(incident);
    this.#open.set(incident.group, incident);
  }
}
