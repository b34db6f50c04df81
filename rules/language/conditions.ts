import type { Band, City, Metric } from '../../domain/index.ts';
import { articled, DAY_MS, misuseOf, normalAngle, unknownName } from '../../domain/index.ts';
import {
  bandAt,
  durationAt,
  type Fault,
  FUNCTIONS,
  LIMITS,
  mapAt,
  type Node,
  namesAt,
  nodesOf,
  numberAt,
  type Raw,
  type Shape,
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
const VALUES: readonly string[] = ['last', 'mean', 'min', 'max', 'p10', 'p50', 'p90', 'p95'];
/** Functions that are defined over the readings of many devices. */
const POOLED: readonly string[] = [
  'mean',
  'min',
  'max',
  'sum',
  'count',
  'p10',
  'p50',
  'p90',
  'p95',
  'stddev',
  'faults',
];

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
  yield* faultShareFaults(when, shape, at);
  if (typeof when.equals === 'boolean' && metric !== undefined && city.metrics.has(metric)) {
    const isPresence = city.metrics.get(metric)!.kind === 'presence' && VALUES.includes(functionOf(when));
    if (!isPresence) yield [at('equals'), `${metric} is a number here: write equals: 1`];
  }
  const known = metric === undefined ? undefined : city.metrics.get(metric);
  yield* stateFaults(when, known, at);
  if (known?.kind === 'gauge') yield* gaugeFaults(when, known.id, at);
  if (known !== undefined && known.kind !== 'gauge') yield* kindFaults(when, shape, { metric: known, pooled }, at);
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

function* faultShareFaults(when: Raw, shape: Shape, at: At): Generator<Fault> {
  if (when.faults === undefined) return;
  if (shape === 'anomaly') yield [at('anomaly'), 'the share of fault codes is compared with a limit: use above'];
  if (when.compare !== undefined) yield [at('compare'), 'the share of fault codes is compared with a limit: use above'];
  if ((numberAt(when, 'above') ?? 0) >= 100) yield [at('above'), 'can never match: the share is 0 to 100 percent'];
}

/** Changes and the share of the time are of states. */
function* gaugeFaults(when: Raw, id: string, at: At): Generator<Fault> {
  const misuse = misuseOf(id, 'gauge', functionOf(when));
  if (misuse !== null) yield [at(functionOf(when)), misuse];
}

/** Functions of an angle whose value is a direction. */
const DIRECTIONS: readonly string[] = ['last', 'mean'];
const INSTEAD_OF_TEXT = 'absent: 1h (whether it comes), or make it a state whose values count';
/** What does not make sense for the numbers of a kind, and what does. */
const INSTEAD: Readonly<Record<string, Partial<Record<Shape, string>>>> = {
  counter: {
    jump: 'delta: 1h with above',
    forecast: 'anomaly with rate: 1h',
  },
  state: {
    jump: 'changes: 1h with above',
    flat: 'changes: 6h with below: 1',
    forecast: 'share: 1h with above',
  },
  text: Object.fromEntries(['jump', 'flat', 'anomaly', 'forecast'].map((shape) => [shape, INSTEAD_OF_TEXT])),
  presence: {
    jump: 'equals: true or equals: false',
    flat: 'equals: true with for: 6h',
    forecast: 'anomaly with mean: 1h',
  },
  angle: {
    jump: 'delta: 10m with outside: [-90, 90]',
    flat: 'stddev: 1h with below: 1',
    anomaly: 'mean: 1h with sector',
    forecast: 'mean: 1h with sector',
  },
};

/** Yields what of a condition makes no sense for the kind of its metric. */
function* kindFaults(
  when: Raw,
  shape: Shape,
  { metric: { id, kind }, pooled }: { readonly metric: Metric; readonly pooled: boolean },
  at: At,
): Generator<Fault> {
  const instead = INSTEAD[kind]?.[shape];
  if (instead !== undefined) {
    yield [at(shape), `${shape} makes no sense for ${id}, which is ${articled(kind)}; use ${instead}`];
    return;
  }
  if (mapAt(when, 'forecast').method === 'holt_winters') {
    yield [at('forecast', 'method'), `holt_winters takes means of numbers, and ${id} is ${articled(kind)}; use trend`];
  }
  const fn = functionOf(when);
  const misuse = shape === 'threshold' || shape === 'anomaly' ? misuseOf(id, kind, fn) : null;
  if (misuse !== null) yield [at(fn), misuse];
  if (kind === 'counter' && fn === 'sum' && pooled)
    yield [at(fn), 'each device counts by itself: use for_each: device, or a quorum'];
  if (kind === 'angle') yield* angleFaults(when, { id, fn }, at);
  if (kind === 'state') yield* lastFaults(when, shape, { id, fn }, at);
  if (kind === 'text' && shape === 'threshold' && ['first', 'last'].includes(fn))
    yield [at('metric'), `${id} is a text, which is kept and shown; use ${INSTEAD_OF_TEXT}`];
}

/** Yields what compares the newest value of a state as if it were a number. */
function* lastFaults(
  when: Raw,
  shape: Shape,
  { id, fn }: { readonly id: string; readonly fn: string },
  at: At,
): Generator<Fault> {
  const instead = `${id} is a state; use is: or is_not: with its values`;
  if (shape === 'anomaly' && fn === 'last') yield [at('anomaly'), `${instead}, or changes: 1h`];
  const other = mapAt(when, 'compare').with;
  if (other !== undefined && (other !== 'peers' || fn === 'last'))
    yield [at('compare'), 'of a state, only changes and share can be compared, with peers'];
  if (fn !== 'last' || shape !== 'threshold') return;
  for (const limit of ['above', 'below', 'outside', 'equals']) {
    if (when[limit] !== undefined) yield [at(limit), instead];
  }
}

/** Yields what is wrong with the names of values: they are of a state, and known to it. */
function* stateFaults(when: Raw, metric: Metric | undefined, at: At): Generator<Fault> {
  const fn = functionOf(when);
  for (const key of ['is', 'is_not', 'of']) {
    const names = namesAt(when, key);
    if (names === undefined) continue;
    if (key === 'of' && fn !== 'share')
      yield [at(key), 'of goes with share: how much of the time the state has a value'];
    if (key !== 'of' && fn !== 'last') yield [at(key), `${key} is about the newest value; ${fn} takes above or below`];
    if (key !== 'of' && when.clear !== undefined)
      yield [at('clear'), `${key} has no clear: it ends when the value changes`];
    if (metric === undefined) continue;
    const { id, kind, values = [] } = metric;
    if (kind !== 'state') yield [at(key), `${key} goes with a state, and ${id} is ${articled(kind)}`];
    else
      for (const [i, name] of names.entries()) {
        const unknown = unknownName(
          `value of ${id}`,
          name,
          values.map((one) => one.name),
        );
        if (unknown !== null) yield [at(key, i), unknown];
      }
  }
  if (fn === 'share' && when.of === undefined) yield [at('share'), 'share needs of: the values whose time counts'];
}

function* angleFaults(when: Raw, { id, fn }: { readonly id: string; readonly fn: string }, at: At): Generator<Fault> {
  const compare = mapAt(when, 'compare');
  if (compare.as === 'ratio') yield [at('compare', 'as'), 'directions have no ratio; use difference'];
  if (compare.with === 'peers') yield [at('compare', 'with'), 'directions have no median; use another metric'];
  if (!DIRECTIONS.includes(fn) || when.compare !== undefined) return;
  for (const limit of ['above', 'below']) {
    if (when[limit] !== undefined) yield [at(limit), `${id} is an angle; use sector: [from, to], clockwise`];
  }
}

/** The function of a condition over its readings. */
function functionOf(when: Raw): (typeof FUNCTIONS)[number] {
  return FUNCTIONS.find((fn) => when[fn] !== undefined) ?? 'last';
}

/** Whether the limit of a condition is a sector: then a band may go past north. */
function isDirection(when: Raw, city: City): boolean {
  const metric = city.metrics.get(textAt(when, 'metric') ?? '');
  return metric?.kind === 'angle' && DIRECTIONS.includes(functionOf(when)) && when.compare === undefined;
}

function* pooledFaults(when: Raw, shape: string, at: At): Generator<Fault> {
  const many = 'over all devices of a district or the city; with quorum each device is judged by itself';
  if (shape !== 'threshold' && shape !== 'absent') yield [at(shape), `${shape} cannot be used ${many}`];
  if (shape !== 'threshold') return;
  const fn = functionOf(when);
  if (!POOLED.includes(fn)) yield [at(fn), `${fn} cannot be used ${many}; use one of ${POOLED.join(', ')}`];
  if (mapAt(when, 'compare').with === 'peers') yield [at('compare', 'with'), `peers cannot be compared with ${many}`];
}

function* thresholdFaults(when: Raw, city: City, at: At): Generator<Fault> {
  if (isDirection(when, city)) {
    yield* sectorFaults(when, at);
    return;
  }
  if (when.sector !== undefined && city.metrics.has(textAt(when, 'metric') ?? ''))
    yield [at('sector'), 'a sector is about the mean or last of an angle'];
  const fn = functionOf(when);
  const bounded = VALUES.includes(fn) && when.compare === undefined;
  const known = bounded ? city.metrics.get(textAt(when, 'metric') ?? '') : undefined;
  const { min, max } = known ?? { min: Number.NEGATIVE_INFINITY, max: Number.POSITIVE_INFINITY };
  const range = `${when.metric} lies between ${min} and ${max}`;
  const [above, below, equals] = [numberAt(when, 'above'), numberAt(when, 'below'), numberAt(when, 'equals')];
  const outside = bandAt(when, 'outside');
  if (above !== undefined && above >= max) yield [at('above'), `can never match: ${range}`];
  if (below !== undefined && below <= min) yield [at('below'), `can never match: ${range}`];
  if (fn === 'share' && ((above ?? 0) >= 100 || (below ?? 1) <= 0))
    yield [at(above === undefined ? 'below' : 'above'), 'can never match: the share is 0 to 100 percent'];
  if (equals !== undefined && (equals < min || equals > max)) yield [at('equals'), `can never match: ${range}`];
  if (outside !== undefined && outside[0] > outside[1]) yield [at('outside'), 'a band is [low, high], the lower first'];
  else if (outside !== undefined && outside[0] <= min && outside[1] >= max) {
    yield [at('outside'), `can never match: ${range}`];
  }
  yield* clearFaults(when, { min, max, range }, at);
}

function* sectorFaults(when: Raw, at: At): Generator<Fault> {
  for (const key of ['sector', 'outside', 'clear']) {
    const band = bandAt(when, key);
    if (band === undefined) {
      if (when[key] !== undefined) yield [at(key), `${key} is a sector [from, to] here, clockwise`];
    } else if (band[0] === band[1]) yield [at(key), 'a sector is wider than nothing'];
    else if (band.some((degrees) => degrees < 0 || degrees > 360)) {
      yield [at(key), 'a direction lies between 0 and 360 degrees'];
    }
  }
  const [sector, outside, clear] = ['sector', 'outside', 'clear'].map((key) => bandAt(when, key));
  if (clear && sector && !holdsSector(clear, sector)) yield [at('clear'), 'clear must hold the sector'];
  if (clear && outside && !holdsSector(outside, clear)) yield [at('clear'), 'clear must lie within outside'];
  if (when.equals !== undefined && when.clear !== undefined) {
    yield [at('clear'), 'equals has no clear: it ends when the value changes'];
  }
}

/** Whether a sector holds another. */
function holdsSector([from, to]: Band, [innerFrom, innerTo]: Band): boolean {
  const [width, first, last] = [to, innerFrom, innerTo].map((degrees) => normalAngle(degrees - from));
  return first! <= last! && last! <= width!;
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
