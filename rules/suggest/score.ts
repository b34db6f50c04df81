/** Something unusual that people marked, or a ticket that was real. */
export interface Incident {
  /** Null: of any device. */
  readonly device: string | null;
  readonly fromMs: number;
  readonly toMs: number;
}

/** An alert that would have fired. */
export interface Fired {
  readonly device: string;
  readonly atMs: number;
}

/** How alerts and incidents of a time go together. */
export interface Score {
  readonly alerts: number;
  /** Alerts within an incident. */
  readonly right: number;
  readonly incidents: number;
  /** Incidents with an alert. */
  readonly found: number;
  /** Sum of the Numenta benchmark: 1 for an incident that is found at its beginning, −1 for one that is missed. */
  readonly nabSum: number;
}

export const NO_SCORE: Score = { alerts: 0, right: 0, incidents: 0, found: 0, nabSum: 0 };

/** What a false alert costs in the standard profile of the Numenta benchmark. */
const FALSE_ALERT = 0.11;

function isWithin({ device, fromMs, toMs }: Incident, fired: Fired): boolean {
  return (device === null || device === fired.device) && fired.atMs >= fromMs && fired.atMs <= toMs;
}

/** Scores the alerts of `[fromMs, toMs)` against the incidents that begin then. */
export function scoreOf(
  alerts: readonly Fired[],
  incidents: readonly Incident[],
  fromMs = Number.NEGATIVE_INFINITY,
  toMs = Number.POSITIVE_INFINITY,
): Score {
  const fired = alerts.filter(({ atMs }) => atMs >= fromMs && atMs < toMs);
  const marked = incidents.filter((one) => one.fromMs >= fromMs && one.fromMs < toMs);
  const found = marked.map((one) => fired.filter((alert) => isWithin(one, alert)).map(({ atMs }) => atMs));
  const wrong = fired.filter((alert) => !marked.some((one) => isWithin(one, alert)));
  const gained = found.map((times, i) => (times.length === 0 ? -1 : hitScore(marked[i]!, Math.min(...times))));
  const lost = wrong.map((alert) => FALSE_ALERT * missScore(marked, alert));
  return {
    alerts: fired.length,
    right: fired.length - wrong.length,
    incidents: marked.length,
    found: found.filter((times) => times.length > 0).length,
    nabSum: [...gained, ...lost].reduce((sum, one) => sum + one, 0),
  };
}

export function added(a: Score, b: Score): Score {
  return {
    alerts: a.alerts + b.alerts,
    right: a.right + b.right,
    incidents: a.incidents + b.incidents,
    found: a.found + b.found,
    nabSum: a.nabSum + b.nabSum,
  };
}

/** Share of the alerts that were right; null without alerts. */
export const precisionOf = ({ alerts, right }: Score) => (alerts === 0 ? null : right / alerts);

/** Share of the incidents that were found; null without incidents. */
export const recallOf = ({ incidents, found }: Score) => (incidents === 0 ? null : found / incidents);

/** The harmonic mean of precision and recall; 0 where one of them is unknown. */
export function f1Of(score: Score): number {
  const [precision, recall] = [precisionOf(score) ?? 0, recallOf(score) ?? 0];
  return precision + recall === 0 ? 0 : (2 * precision * recall) / (precision + recall);
}

/**
 * The score of the Numenta benchmark (Lavin and Ahmad 2015, standard profile): 100 for finding everything at its
 * beginning without a false alert, 0 for staying silent; null without incidents. It can be far below zero.
 */
export function nabOf({ incidents, nabSum }: Score): number | null {
  return incidents === 0 ? null : (100 * (nabSum + incidents)) / (2 * incidents);
}

const sigmoid = (y: number) => 2 / (1 + Math.exp(5 * y)) - 1;

/** From 1 at the beginning of an incident to 0 at its end. */
function hitScore({ fromMs, toMs }: Incident, atMs: number): number {
  return sigmoid(-(toMs - atMs) / Math.max(1, toMs - fromMs)) / sigmoid(-1);
}

/** From 0 just after an incident to −1 a few of its lengths later; −1 where none came before. */
function missScore(incidents: readonly Incident[], { device, atMs }: Fired): number {
  let last: Incident | null = null;
  for (const one of incidents) {
    const isBefore = (one.device === null || one.device === device) && one.toMs < atMs;
    if (isBefore && (last === null || one.toMs > last.toMs)) last = one;
  }
  if (last === null) return -1;
  const lengths = (atMs - last.toMs) / Math.max(1, last.toMs - last.fromMs);
  return lengths > 3 ? -1 : sigmoid(lengths);
}
