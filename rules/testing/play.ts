import type { City, MetricTable, Rule, Severity, Transition } from '../../domain/index.ts';
import { createRuleEngine, type Explanation, type RuleEngine } from '../engine/index.ts';
import type { Scene } from './scene.ts';

/** An alert as it stands at a moment. */
export interface Standing {
  readonly state: 'inactive' | 'pending' | 'firing';
  readonly severity: Severity | null;
  /** The figure now. */
  readonly value: number | null;
  readonly ladder: Explanation | null;
}

/** From an alert's firing to its end; epoch ms, null where it fires on. */
export interface Incident {
  readonly group: string;
  readonly openedMs: number;
  resolvedMs: number | null;
  severity: Severity;
}

/** Plays a case forward, through an engine of its own: a reading is received when it is measured. */
export class Play {
  readonly incidents: Incident[] = [];
  readonly #scene: Scene;
  readonly #rule: Rule;
  readonly #engine: RuleEngine;
  readonly #metrics: MetricTable;
  readonly #last = new Map<string, Transition>();
  readonly #open = new Map<string, Incident>();
  #seq = 1;
  #next = 0;
  #arrived = 0;

  constructor(scene: Scene, rule: Rule, { calendars, timezone }: City) {
    const ids: string[] = [];
    this.#scene = scene;
    this.#rule = rule;
    this.#metrics = {
      indexOf: (id) => (ids.includes(id) ? ids.indexOf(id) : ids.push(id) - 1),
      idOf: (index) => ids[index]!,
    };
    this.#engine = createRuleEngine({ metrics: this.#metrics, gaps: false });
    const moment = { seq: 1, atMs: scene.startMs };
    this.#take(this.#engine.configure({ rules: [rule], calendars, zone: timezone }, moment));
  }

  /** Everything up to and including a moment happens. */
  until(ms: number): void {
    const { arrivals, readings } = this.#scene;
    const inOrder = arrivals.toSorted((a, b) => a.ms - b.ms);
    for (;;) {
      const arrival = inOrder[this.#arrived];
      const reading = readings[this.#next];
      const comes = arrival !== undefined && arrival.ms <= ms && (reading === undefined || arrival.ms <= reading.ts);
      if (comes) {
        this.#arrived++;
        this.#take(this.#engine.deviceChanged(arrival.device, { seq: ++this.#seq, atMs: arrival.ms }));
      } else if (reading !== undefined && reading.ts <= ms) {
        this.#next++;
        this.#read(reading);
      } else break;
    }
    this.#take(this.#engine.tick({ seq: ++this.#seq, atMs: ms }));
  }

  standing(group: string): Standing {
    const ladder = this.#engine.explain(this.#rule.id, group);
    const last = this.#last.get(group);
    const state = last === undefined || last.to === 'resolved' || last.to === 'cancelled' ? 'inactive' : last.to;
    const severity = state === 'inactive' ? null : last!.severity;
    // A quorum counts devices: of what each has, the ladder shows one.
    const clause = ladder?.clauses.find(({ verdict }) => verdict === 'true') ?? ladder?.clauses[0];
    const value = this.#rule.quorum !== null || clause === undefined ? (last?.value ?? null) : clause.value;
    return { state, severity, value, ladder };
  }

  #read({ device, metric, ts, value }: Scene['readings'][number]): void {
    const number = this.#metrics.indexOf(metric);
    const columns = { length: 1, device: [device], metric: [number], ts: [ts], value: [value] };
    this.#take(this.#engine.replay(columns, ++this.#seq));
  }

  #take(transitions: readonly Transition[]): void {
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
