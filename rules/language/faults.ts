import { type City, WINDOW_FUNCTIONS } from '../../domain/index.ts';
import { suggest } from '../../ingest/city/index.ts';
import type { ReadableRule } from './schema.ts';

const LONGEST_WINDOW_MS = 7 * 86_400_000;
const PLACEHOLDERS = ['device.name', 'device.id', 'district', 'value'];

/** A mistake at a path of the rule. */
export type Fault = readonly [path: readonly PropertyKey[], message: string];
type When = ReadableRule['when'];

/** Every mistake of a rule that its schema cannot see: names the city does not know, and conditions that cannot work. */
export function* faultsOf({ title, where, when, ticket }: ReadableRule, city: City): Generator<Fault> {
  yield* titleFaults(title);
  yield* unknown(['where', 'profile'], 'profile', where.profile, city.profiles);
  yield* unknown(['where', 'district'], 'district', where.district, city.districts);
  yield* unknown(['ticket', 'service'], 'service', ticket.service === undefined ? [] : [ticket.service], city.services);
  yield* metricFaults(when.metric, where.profile, city);
  yield* windowFaults(when);
  yield* thresholdFaults(when, city);
}

function* titleFaults(title: ReadableRule['title']): Generator<Fault> {
  const texts = typeof title === 'string' ? { '': title } : (title ?? {});
  for (const [language, text] of Object.entries(texts)) {
    for (const [, name] of text.matchAll(/\{\{\s*(.*?)\s*\}\}/g)) {
      if (PLACEHOLDERS.includes(name!)) continue;
      yield [['title', language], `unknown placeholder {{${name}}}${suggest(name!, PLACEHOLDERS)}`];
    }
  }
}

function* unknown(
  path: readonly string[],
  what: string,
  names: readonly string[] | undefined,
  known: ReadonlyMap<string, unknown>,
): Generator<Fault> {
  for (const [i, name] of (names ?? []).entries()) {
    if (!known.has(name)) yield [[...path, i], `unknown ${what} "${name}"${suggest(name, known.keys())}`];
  }
}

function* metricFaults(
  metric: string | undefined,
  profiles: readonly string[] | undefined,
  city: City,
): Generator<Fault> {
  if (metric === undefined) return;
  const path = ['when', 'metric'];
  if (!city.metrics.has(metric)) {
    yield [path, `unknown metric "${metric}"${suggest(metric, city.metrics.keys())}`];
    return;
  }
  const named = (profiles ?? [...city.profiles.keys()]).flatMap((id) => city.profiles.get(id) ?? []);
  const measured = new Set(named.flatMap((profile) => profile.metrics));
  if (named.length > 0 && !measured.has(metric)) {
    yield [path, `no profile of this rule measures "${metric}"; they measure ${[...measured].join(', ')}`];
  }
}

function* windowFaults(when: When): Generator<Fault> {
  const named = (['last', ...WINDOW_FUNCTIONS] as const).filter((fn) => when[fn] !== undefined);
  if (named.length > 1) yield [['when', named[1]!], `use one of last, mean, min, max; found ${named.join(', ')}`];
  for (const fn of WINDOW_FUNCTIONS) {
    const ms = when[fn];
    if (ms !== undefined && (ms === 0 || ms > LONGEST_WINDOW_MS))
      yield [['when', fn], 'a window is longer than 0s and at most 7d'];
  }
}

function* thresholdFaults({ metric, above, below, clear }: When, city: City): Generator<Fault> {
  const { min, max } = city.metrics.get(metric ?? '') ?? { min: -Infinity, max: Infinity };
  const range = `${metric} lies between ${min} and ${max}`;
  if (above !== undefined && above >= max) yield [['when', 'above'], `can never match: ${range}`];
  if (below !== undefined && below <= min) yield [['when', 'below'], `can never match: ${range}`];
  if (clear === undefined) return;
  if (above !== undefined && clear > above) yield [['when', 'clear'], `clear must be at or under above (${above})`];
  if (below !== undefined && clear < below) yield [['when', 'clear'], `clear must be at or over below (${below})`];
  if (clear < min || clear > max) yield [['when', 'clear'], `can never clear: ${range}`];
}
