import { createHash } from 'node:crypto';
import {
  type City,
  type CityControl,
  type CityProblem,
  type Condition,
  type Rule,
  WINDOW_FUNCTIONS,
} from '../../domain/index.ts';
import { check, openSource, type Source } from '../../ingest/city/index.ts';
import { type Fault, faultsOf } from './faults.ts';
import { ReadableRule, RuleSchema, type WrittenRule } from './schema.ts';

/** The rules of the files under `rules/` (all but `*.test.yaml`), and every mistake in them. Pure. */
export function parseRules(control: CityControl, city: City): { rules: Rule[]; problems: CityProblem[] } {
  const problems: CityProblem[] = [];
  const rules: Rule[] = [];
  const fileOf = new Map<string, string>();
  for (const file of control.files) {
    if (!/^rules\/.*(?<!\.test)\.ya?ml$/.test(file.path)) continue;
    const source = openSource(file);
    const before = problems.length;
    if (file.path.endsWith('.yml')) problems.push(source.problem([], 'a rule file ends in .yaml: rename it'));
    const written = check(source, RuleSchema, problems);
    const readable = ReadableRule.parse(source.value);
    const faults = [...faultsOf(readable, city), ...thresholdMissing(written), ...twice(readable.id, fileOf)];
    problems.push(...faults.map(([path, message]) => source.problem(path, message)));
    if (readable.id !== undefined && !fileOf.has(readable.id)) fileOf.set(readable.id, file.path);
    if (written !== null && problems.length === before) rules.push(ruleOf(written, source, city));
  }
  return { rules, problems };
}

function* twice(id: string | undefined, fileOf: ReadonlyMap<string, string>): Generator<Fault> {
  const other = id === undefined ? undefined : fileOf.get(id);
  if (other !== undefined) yield [['id'], `rule "${id}" is already in ${other}`];
}

/** Only asked of a rule that passed its schema: else `above: "75"` would also be said to be missing. */
function* thresholdMissing(written: WrittenRule | null): Generator<Fault> {
  if (written !== null && (written.when.above === undefined) === (written.when.below === undefined))
    yield [['when'], 'use exactly one of above, below'];
}

function ruleOf(written: WrittenRule, source: Source, city: City): Rule {
  const { id, title, where, ticket, severity } = written;
  const texts = typeof title === 'string' ? { en: title, zh: title } : title;
  const deadlineMs = ticket && (ticket.deadline ?? city.services.get(ticket.service)!.deadlineMs);
  return {
    id,
    version: versionOf(source.value),
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

/** Of the rule as it is written, keys in order: comments, layout and a service's deadline leave it as it is. */
function versionOf(value: unknown): string {
  const canonical = JSON.stringify(value, (_, part: unknown) =>
    typeof part === 'object' && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
  return createHash('sha256').update(canonical).digest('hex').slice(0, 12);
}

function conditionOf(when: WrittenRule['when']): Condition {
  const fn = WINDOW_FUNCTIONS.find((name) => when[name] !== undefined) ?? 'last';
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
