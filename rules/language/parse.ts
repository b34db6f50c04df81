import { createHash } from 'node:crypto';
import type { City, CityControl, CityProblem, Condition, Rule } from '../../domain/index.ts';
import { check, openSource, type Source, suggest } from '../../ingest/city/index.ts';
import { RuleSchema, type WrittenRule } from './schema.ts';

const LONGEST_WINDOW_MS = 7 * 86_400_000;
const WINDOWS = ['mean', 'min', 'max'] as const;

type Fault = readonly [path: readonly PropertyKey[], message: string];

/** The rules of the files under `rules/`, and every mistake in them. Pure. */
export function parseRules(control: CityControl, city: City): { rules: Rule[]; problems: CityProblem[] } {
  const problems: CityProblem[] = [];
  const rules = new Map<string, Rule>();
  for (const file of control.files) {
    if (!/^rules\/.*(?<!\.test)\.yaml$/.test(file.path)) continue;
    const source = openSource(file);
    const written = check(source, RuleSchema, problems);
    if (written === null) continue;
    const faults = [...faultsOf(written, city), ...(rules.has(written.id) ? [twice(written.id)] : [])];
    problems.push(...faults.map(([path, message]) => source.problem(path, message)));
    if (faults.length === 0) rules.set(written.id, ruleOf(written, source, city));
  }
  return { rules: [...rules.values()], problems };
}

const twice = (id: string): Fault => [['id'], `rule "${id}" is written twice`];

function* faultsOf({ where, when, ticket }: WrittenRule, city: City): Generator<Fault> {
  yield* unknown(['where', 'profile'], 'profile', where.profile, city.profiles);
  yield* unknown(['where', 'district'], 'district', where.district, city.districts);
  yield* unknown(['ticket', 'service'], 'service', ticket && [ticket.service], city.services);
  yield* metricFaults(when.metric, where.profile, city);
  yield* conditionFaults(when);
}

function* unknown(
  path: readonly string[],
  what: string,
  names: readonly string[] | undefined,
  known: ReadonlyMap<string, unknown>,
): Generator<Fault> {
  for (const name of names ?? []) {
    if (!known.has(name)) yield [path, `unknown ${what} "${name}"${suggest(name, known.keys())}`];
  }
}

function* metricFaults(metric: string, profiles: readonly string[] | undefined, city: City): Generator<Fault> {
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

function* conditionFaults(when: WrittenRule['when']): Generator<Fault> {
  const functions = [...WINDOWS, 'last' as const].filter((fn) => when[fn] !== undefined);
  if (functions.length > 1) yield [['when', functions[1]!], `one of last, mean, min and max; found ${functions.join(', ')}`];
  for (const fn of WINDOWS) {
    const ms = when[fn];
    if (ms !== undefined && (ms === 0 || ms > LONGEST_WINDOW_MS)) yield [['when', fn], 'a window is longer than 0s and at most 7d'];
  }
  const { above, below, clear } = when;
  if ((above === undefined) === (below === undefined)) {
    yield [['when'], 'needs exactly one of above and below'];
    return;
  }
  if (clear === undefined) return;
  if (above !== undefined && clear > above) yield [['when', 'clear'], `clear must be at or under above (${above})`];
  if (below !== undefined && clear < below) yield [['when', 'clear'], `clear must be at or over below (${below})`];
}

function ruleOf(written: WrittenRule, source: Source, city: City): Rule {
  const { id, title, where, ticket, severity } = written;
  const texts = typeof title === 'string' ? { en: title, zh: title } : title;
  const deadlineMs = ticket && (ticket.deadline ?? city.services.get(ticket.service)!.deadlineMs);
  return {
    id,
    version: createHash('sha256').update(JSON.stringify(source.value)).digest('hex').slice(0, 12),
    title: texts.en,
    titleZh: texts.zh,
    forEach: 'device',
    where: Object.fromEntries(Object.entries(where).filter(([, value]) => value !== undefined)),
    when: conditionOf(written.when),
    forMs: written.for,
    keepFiringForMs: written.keep_firing_for,
    severity,
    ...(ticket === undefined ? {} : { ticket: { service: ticket.service, deadlineMs: deadlineMs! } }),
    source: source.text,
  };
}

function conditionOf(when: WrittenRule['when']): Condition {
  const fn = WINDOWS.find((name) => when[name] !== undefined) ?? 'last';
  const op = when.above === undefined ? 'below' : 'above';
  const threshold = (when.above ?? when.below)!;
  return {
    metric: when.metric,
    fn,
    windowMs: fn === 'last' ? 0 : when[fn]!,
    op,
    threshold,
    clear: when.clear ?? threshold,
  };
}
