import type { City } from '../../domain/index.ts';
import { DAY_MS, unknownName } from '../../domain/index.ts';
import {
  bandAt,
  durationAt,
  type Fault,
  FUNCTIONS,
  LIMITS,
  mapAt,
  type Node,
  nodesOf,
  numberAt,
  type Raw,
  shapeOf,
  textAt,
  WORDS,
} from './raw.ts';
import { WHEN_KEYS } from './schema.ts';

const LONGEST_WINDOW_MS = 7 * DAY_MS;
const LONGEST_TRAINING_MS = 60 * DAY_MS;
const DEEPEST = 4;
const MOST_CLAUSES = 16;
/** Functions whose result lies in the range of the metric. */
const VALUES: readonly string[] = ['last', 'mean', 'min', 'max', 'p50', 'p95'];
/** Functions that are defined over the readings of many devices. */
const POOLED: readonly string[] = ['mean', 'min', 'max', 'sum', 'count', 'p50', 'p95', 'stddev'];

/**
 * Yields the mistakes of a condition that its schema does not find. `pooled`: the readings of many devices share one
 * window.
 */
export function* conditionFaults(when: Raw, city: City, pooled: boolean): Generator<Fault> {
  const nodes = [...nodesOf(when)];
  const clauses = nodes.filter(({ when: one }) => !['all', 'any', 'not'].includes(shapeOf(one)));
  if (clauses.length > MOST_CLAUSES)
    yield [['when'], `a rule has at most ${MOST_CLAUSES} clauses; this has ${clauses.length}`];
  for (const node of nodes) {
    if (node.depth > DEEPEST) yield [node.path, `all, any and not are nested at most ${DEEPEST - 1} deep`];
    yield* wordFaults(node);
  }
  for (const clause of clauses) yield* clauseFaults(clause, city, pooled);
}

/** All metrics that a condition names, known or not. */
export function metricsOf(when: Raw): string[] {
  const named = [...nodesOf(when)].flatMap(({ when: one }) => [one.metric, mapAt(one, 'compare').with]);
  return [...new Set(named.filter((name) => typeof name === 'string' && name !== 'peers'))] as string[];
}

function* wordFaults({ when, path }: Node): Generator<Fault> {
  const shape = shapeOf(when);
  for (const key of Object.keys(when)) {
    if (WHEN_KEYS.includes(key) && !WORDS[shape].includes(key)) {
      yield [
        [...path, key],
        `${key} does not go with ${shape === 'threshold' ? 'this' : shape}; it takes ${WORDS[shape].join(', ')}`,
      ];
    }
  }
}

function* clauseFaults({ when, path }: Node, city: City, pooled: boolean): Generator<Fault> {
  const at = (...keys: PropertyKey[]) => [...path, ...keys];
  const shape = shapeOf(when);
  const metric = textAt(when, 'metric');
  const unknown = metric === undefined ? null : unknownName('metric', metric, city.metrics);
  if (unknown !== null) yield [at('metric'), unknown];
  yield* functionFaults(when, at);
  if (pooled) yield* pooledFaults(when, shape, at);
  if (shape === 'threshold') yield* thresholdFaults(when, city, at);
  if (shape === 'threshold' && when.compare !== undefined) yield* compareFaults(when, city, at);
  if (shape === 'jump') yield* jumpFaults(when, at);
  if (shape === 'flat') yield* windowFault(mapAt(when, 'flat'), 'for', at('flat', 'for'));
  if (shape === 'anomaly') yield* anomalyFaults(when, at);
  if (shape === 'forecast') yield* forecastFaults(when, city, at);
}

type At = (...keys: PropertyKey[]) => PropertyKey[];

function* windowFault(raw: Raw, key: string, path: PropertyKey[]): Generator<Fault> {
  const ms = durationAt(raw, key);
  if (ms !== undefined && (ms === 0 || ms > LONGEST_WINDOW_MS)) {
    yield [path, 'a window is longer than 0s and at most 7d'];
  }
}

function* functionFaults(when: Raw, at: At): Generator<Fault> {
  const named = FUNCTIONS.filter((fn) => when[fn] !== undefined);
  if (named.length > 1) yield [at(named[1]!), `use one of ${FUNCTIONS.join(', ')}; found ${named.join(', ')}`];
  for (const fn of named) if (fn !== 'last') yield* windowFault(when, fn, at(fn));
}

function* pooledFaults(when: Raw, shape: string, at: At): Generator<Fault> {
  const many = 'over all devices of a district or the city; with quorum each device is judged by itself';
  if (shape !== 'threshold' && shape !== 'absent') yield [at(shape), `${shape} cannot be used ${many}`];
  if (shape !== 'threshold') return;
  const fn = FUNCTIONS.find((name) => when[name] !== undefined) ?? 'last';
  if (!POOLED.includes(fn)) yield [at(fn), `${fn} cannot be used ${many}; use one of ${POOLED.join(', ')}`];
  if (mapAt(when, 'compare').with === 'peers') yield [at('compare', 'with'), `peers cannot be compared with ${many}`];
}

function* thresholdFaults(when: Raw, city: City, at: At): Generator<Fault> {
  const fn = FUNCTIONS.find((name) => when[name] !== undefined) ?? 'last';
  const bounded = VALUES.includes(fn) && when.compare === undefined;
  const known = bounded ? city.metrics.get(textAt(when, 'metric') ?? '') : undefined;
  const { min, max } = known ?? { min: Number.NEGATIVE_INFINITY, max: Number.POSITIVE_INFINITY };
  const range = `${when.metric} lies between ${min} and ${max}`;
  const [above, below, equals] = [numberAt(when, 'above'), numberAt(when, 'below'), numberAt(when, 'equals')];
  const outside = bandAt(when, 'outside');
  if (above !== undefined && above >= max) yield [at('above'), `can never match: ${range}`];
  if (below !== undefined && below <= min) yield [at('below'), `can never match: ${range}`];
  if (equals !== undefined && (equals < min || equals > max)) yield [at('equals'), `can never match: ${range}`];
  if (outside !== undefined && outside[0] > outside[1]) yield [at('outside'), 'a band is [low, high], the lower first'];
  else if (outside !== undefined && outside[0] <= min && outside[1] >= max) {
    yield [at('outside'), `can never match: ${range}`];
  }
  yield* clearFaults(when, { min, max, range }, at);
}

function* clearFaults(
  when: Raw,
  { min, max, range }: { min: number; max: number; range: string },
  at: At,
): Generator<Fault> {
  const clear = numberAt(when, 'clear');
  const [above, below, outside] = [numberAt(when, 'above'), numberAt(when, 'below'), bandAt(when, 'outside')];
  const band = bandAt(when, 'clear');
  if (when.clear === undefined) return;
  if (when.equals !== undefined) yield [at('clear'), 'equals has no clear: it ends when the value changes'];
  if (when.outside !== undefined && clear !== undefined)
    yield [at('clear'), 'for outside, clear is a band [low, high]'];
  if (when.outside === undefined && band !== undefined)
    yield [at('clear'), 'clear is a number here; a band goes with outside'];
  if (outside && band && (band[0] < outside[0] || band[1] > outside[1] || band[0] > band[1])) {
    yield [at('clear'), `clear must be a band within outside ([${outside[0]}, ${outside[1]}])`];
  }
  if (clear === undefined) return;
  if (above !== undefined && clear > above) yield [at('clear'), `clear must be at or under above (${above})`];
  if (below !== undefined && clear < below) yield [at('clear'), `clear must be at or over below (${below})`];
  if (clear < min || clear > max) yield [at('clear'), `can never clear: ${range}`];
}

function* compareFaults(when: Raw, city: City, at: At): Generator<Fault> {
  const other = textAt(mapAt(when, 'compare'), 'with');
  if (other === undefined || other === 'peers') return;
  const unknown = unknownName('metric', other, [...city.metrics.keys(), 'peers']);
  if (unknown !== null) yield [at('compare', 'with'), unknown];
  else if (other === when.metric)
    yield [at('compare', 'with'), 'a metric cannot be compared with itself; write peers for other devices'];
}

function* jumpFaults(when: Raw, at: At): Generator<Fault> {
  const jump = mapAt(when, 'jump');
  const [by, clear] = [numberAt(jump, 'by'), numberAt(jump, 'clear')];
  yield* windowFault(jump, 'within', at('jump', 'within'));
  if (by !== undefined && clear !== undefined && clear > by)
    yield [at('jump', 'clear'), `clear must be at or under by (${by})`];
}

function* anomalyFaults(when: Raw, at: At): Generator<Fault> {
  const anomaly = mapAt(when, 'anomaly');
  const train = durationAt(anomaly, 'train');
  const least = anomaly.season === '1w' ? 14 * DAY_MS : 2 * DAY_MS;
  if (train !== undefined && (train < least || train > LONGEST_TRAINING_MS)) {
    yield [at('anomaly', 'train'), 'training takes at least two seasons and at most 60d'];
  }
}

function* forecastFaults(when: Raw, city: City, at: At): Generator<Fault> {
  const forecast = mapAt(when, 'forecast');
  yield* windowFault(forecast, 'over', at('forecast', 'over'));
  yield* windowFault(forecast, 'within', at('forecast', 'within'));
  for (const key of ['over', 'reset']) {
    if (forecast.method === 'holt_winters' && forecast[key] !== undefined) {
      yield [at('forecast', key), `${key} goes with method: trend`];
    }
  }
  if (forecast.method !== 'holt_winters' && forecast.season !== undefined) {
    yield [at('forecast', 'season'), 'season goes with method: holt_winters'];
  }
  yield* thresholdFaults(when, city, at);
}

/**
 * Yields what a rule lacks that has passed its schema; before that, `above: "75"` would also be reported as missing.
 */
export function* missingFaults(when: Raw): Generator<Fault> {
  for (const { when: one, path } of nodesOf(when)) {
    const shape = shapeOf(one);
    const needsMetric = !['all', 'any', 'not', 'absent'].includes(shape);
    if (needsMetric && one.metric === undefined) yield [[...path, 'metric'], 'metric: is missing'];
    const known: readonly string[] = shape === 'forecast' ? ['above', 'below'] : LIMITS;
    const limits = known.filter((limit) => one[limit] !== undefined);
    if ((shape === 'threshold' || shape === 'forecast') && limits.length !== 1) {
      yield [path, `use exactly one of ${known.join(', ')}`];
    }
  }
}
