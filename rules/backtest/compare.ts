import type { BacktestChange, BacktestDifference } from './report.ts';
import { type Incident, type IncidentListener, spanOf } from './tally.ts';

type Side = 'now' | 'inForce';

/** Two overlapping incidents, one of each rule. One of them may have ended. */
interface Pair {
  readonly now: Incident;
  readonly inForce: Incident;
}

/**
 * Pairs the incidents of two rules while both read the same readings. Within a group, an incident is paired with the
 * first one of the other rule that overlaps it and has no pair yet. Only open incidents and the first `most` changes
 * are in memory.
 */
export class Comparison {
  readonly now: IncidentListener = {
    started: (one) => this.#started('now', one),
    ended: (one) => this.#ended('now', one),
  };
  readonly inForce: IncidentListener = {
    started: (one) => this.#started('inForce', one),
    ended: (one) => this.#ended('inForce', one),
  };
  readonly #most: number;
  readonly #open = { now: new Map<string, Incident>(), inForce: new Map<string, Incident>() };
  readonly #pairs = new Map<Incident, Pair>();
  readonly #counts = { same: 0, added: 0, gone: 0, moved: 0, regraded: 0 };
  readonly #changes: (BacktestChange & { readonly atMs: number })[] = [];

  constructor(most: number) {
    this.#most = most;
  }

  counts(): BacktestDifference['counts'] {
    return this.#counts;
  }

  /** In order of time. */
  changes(): BacktestChange[] {
    return this.#changes.toSorted((a, b) => a.atMs - b.atMs).map(({ atMs: _, ...change }) => change);
  }

  #started(side: Side, incident: Incident): void {
    this.#open[side].set(incident.group, incident);
    const other = this.#open[side === 'now' ? 'inForce' : 'now'].get(incident.group);
    if (other === undefined || this.#pairs.has(other)) return;
    const pair = side === 'now' ? { now: incident, inForce: other } : { now: other, inForce: incident };
    this.#pairs.set(incident, pair);
    this.#pairs.set(other, pair);
  }

  #ended(side: Side, incident: Incident): void {
    this.#open[side].delete(incident.group);
    const pair = this.#pairs.get(incident);
    if (pair === undefined) {
      this.#change(side === 'now' ? 'added' : 'gone', { now: null, inForce: null, [side]: incident });
      return;
    }
    this.#pairs.delete(incident);
    const other = side === 'now' ? pair.inForce : pair.now;
    // The pair is compared when the later of the two has ended.
    if (!this.#pairs.has(other)) this.#change(kindOf(pair), pair);
  }

  #change(kind: BacktestChange['kind'] | 'same', { now, inForce }: { [S in Side]: Incident | null }): void {
    this.#counts[kind]++;
    if (kind === 'same' || this.#changes.length >= this.#most) return;
    const { group, district, beginMs } = (now ?? inForce)!;
    const atMs = Math.min(beginMs, inForce?.beginMs ?? beginMs);
    this.#changes.push({ kind, group, district, now: now && spanOf(now), inForce: inForce && spanOf(inForce), atMs });
  }
}

function kindOf({ now, inForce }: Pair): 'same' | 'moved' | 'regraded' {
  if (now.beginMs !== inForce.beginMs || now.endMs !== inForce.endMs) return 'moved';
  return now.severity === inForce.severity ? 'same' : 'regraded';
}
