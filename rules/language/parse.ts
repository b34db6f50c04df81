import { check, MOST_PROBLEMS, openSource, RULE_BOUNDS, type Source, type YamlBounds } from '../../city-model/index.ts';
import type { City, CityControl, CityFile, CityProblem, Rule } from '../../domain/index.ts';
import { buildRule } from './build.ts';
import { missingFaults } from './conditions.ts';
import { faultsOf } from './faults.ts';
import { doubtsOf } from './lint.ts';
import { type Fault, mapAt, type Raw, textAt } from './raw.ts';
import { RuleSchema } from './schema.ts';

/** A rule, or all its mistakes. */
export interface ParsedRule {
  readonly rule: Rule | null;
  readonly problems: CityProblem[];
  /** Of a rule without mistakes: why it can never decide, and what would work. It may be in force all the same. */
  readonly warnings: CityProblem[];
}

/** The rules of a folder, its mistakes, and what keeps rules from deciding. */
interface ParsedRules extends Pick<ParsedRule, 'problems' | 'warnings'> {
  readonly rules: Rule[];
}

/** Parses the files under `rules/` except `*.test.yaml`; returns their rules and all mistakes. Pure. */
export function parseRules(control: CityControl, city: City): ParsedRules {
  const problems: CityProblem[] = [];
  const warnings: CityProblem[] = [];
  const rules: Rule[] = [];
  const fileOf = new Map<string, string>();
  for (const file of control.files) {
    if (!/^rules\/.*(?<!\.test)\.ya?ml$/.test(file.path)) continue;
    const source = openSource(file);
    const parsed = parseSource(source, city, `file:${file.path}`);
    const id = textAt(rawOf(source), 'id');
    const faults = [...suffix(file), ...twice(id, fileOf)].map(([path, message]) => source.problem(path, message));
    problems.push(...parsed.problems, ...faults);
    if (id !== undefined && !fileOf.has(id)) fileOf.set(id, file.path);
    warnings.push(...parsed.warnings);
    if (parsed.rule !== null && faults.length === 0) rules.push(parsed.rule);
  }
  return { rules, problems, warnings };
}

/** Parses one text, within the bounds of a rule that came over HTTP; its mistakes name it by `path`. Pure. */
export function parseRule(
  text: string,
  city: City,
  {
    path,
    origin,
    bounds = RULE_BOUNDS,
  }: { readonly path: string; readonly origin: string; readonly bounds?: YamlBounds },
): ParsedRule {
  return parseSource(openSource({ path, text }, bounds), city, origin);
}

function parseSource(source: Source, city: City, origin: string): ParsedRule {
  const problems: CityProblem[] = [];
  const written = check(source, RuleSchema, problems);
  const raw = rawOf(source);
  // Faults are found one by one, and each costs a search for what was meant: of a hundred no more are looked for.
  for (const [path, message] of faultsIn(raw, city, written !== null)) {
    if (problems.length >= MOST_PROBLEMS) break;
    problems.push(source.problem(path, message));
  }
  if (written === null || problems.length > 0) return { rule: null, problems, warnings: [] };
  const rule = buildRule(written, { raw, text: source.text, origin }, city);
  const doubts = [...doubtsOf(rule, mapAt(raw, 'when'), city)];
  return { rule, problems, warnings: doubts.map(([path, message]) => source.problem(path, message)) };
}

function* faultsIn(raw: Raw, city: City, complete: boolean): Generator<Fault> {
  yield* faultsOf(raw, city);
  if (complete) yield* missingFaults(mapAt(raw, 'when'));
}

function rawOf({ value }: Source): Raw {
  return mapAt({ value }, 'value');
}

function* suffix({ path }: CityFile): Generator<Fault> {
  if (path.endsWith('.yml')) yield [[], 'a rule file ends in .yaml: rename it'];
}

function* twice(id: string | undefined, fileOf: ReadonlyMap<string, string>): Generator<Fault> {
  const other = id === undefined ? undefined : fileOf.get(id);
  if (other !== undefined) yield [['id'], `rule "${id}" is already in ${other}`];
}
