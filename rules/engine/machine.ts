import type { Transition } from '../../domain/index.ts';
import { type Instance, MISSED, SINCE } from './instance.ts';
import { figureOf } from './window.ts';

/**
 * The states of an alert, as Prometheus knows them: inactive → pending → firing → resolved. Each function moves the
 * instance and gives the transition's `to`, or null where nothing happened. Times are engine time.
 */
type Moved = Transition['to'] | null;

/**
 * Whether the condition matches now. It starts strictly beyond the threshold; once matching, it holds until the
 * figure is at or back past `clear` (above: figure <= clear, below: figure >= clear).
 */
export function matchesNow({ data, rule, matching }: Instance): boolean {
  const figure = figureOf(data, rule);
  const limit = matching ? rule.clear : rule.threshold;
  return rule.above ? figure > limit : figure < limit;
}

/** A reading was evaluated. */
export function onEvaluated(instance: Instance, matches: boolean, atMs: number): Moved {
  instance.matching = matches;
  if (instance.phase === 'inactive') return matches ? begin(instance, atMs) : null;
  if (instance.phase === 'pending') return matches ? onTime(instance, atMs) : leave(instance);
  if (!matches) return miss(instance, atMs);
  instance.data[MISSED] = Number.NaN;
  return null;
}

/** Time passed: `for` or `keep_firing_for` may have come due. */
export function onTime(instance: Instance, atMs: number): Moved {
  const { rule, data, phase } = instance;
  if (phase === 'pending' && atMs - data[SINCE]! >= rule.forMs) return fire(instance);
  // A comparison with NaN is false: an alert that matches has missed nothing.
  if (phase === 'firing' && atMs - data[MISSED]! >= rule.keepFiringForMs) return leave(instance);
  return null;
}

/** The alert ends: back to inactive. */
export function leave(instance: Instance): Moved {
  const { phase } = instance;
  instance.phase = 'inactive';
  instance.matching = false;
  instance.data[MISSED] = Number.NaN;
  if (phase === 'inactive') return null;
  return phase === 'pending' ? 'cancelled' : 'resolved';
}

/** Whether a tick can move it. */
export function awaitsTime({ phase, data }: Instance): boolean {
  return phase === 'pending' || (phase === 'firing' && !Number.isNaN(data[MISSED]!));
}

function begin(instance: Instance, atMs: number): Moved {
  instance.data[SINCE] = atMs;
  instance.phase = 'pending';
  return instance.rule.forMs > 0 ? 'pending' : fire(instance);
}

function fire(instance: Instance): Moved {
  instance.phase = 'firing';
  return 'firing';
}

function miss(instance: Instance, atMs: number): Moved {
  if (Number.isNaN(instance.data[MISSED]!)) instance.data[MISSED] = atMs;
  return onTime(instance, atMs);
}
