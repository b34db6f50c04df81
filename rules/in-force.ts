import type { City, CityControl, CityProblem, Rule, RuleControl } from '../domain/index.ts';
import { parseRule, parseRules } from './language/index.ts';

/** The rules that decide, of the city folder and of the API together. */
export interface InForce {
  readonly rules: readonly Rule[];
  /** What keeps a rule of the API out of force, by id: the city no longer has what it names, or a file has its id. */
  readonly problems: ReadonlyMap<string, readonly CityProblem[]>;
}

type Parsed = ReturnType<typeof parseRule>;

/** Parsing is pure: a change of one rule need not parse all others again. */
const parsedBy = new WeakMap<City, Map<string, Parsed>>();

/** A rule that the API made, under a city. Its places are those in its own text. */
export function parseRecord({ text, by }: { readonly text: string; readonly by: string }, city: City): Parsed {
  const known = parsedBy.get(city) ?? new Map<string, Parsed>();
  parsedBy.set(city, known);
  const key = `${by} ${text}`;
  const parsed = known.get(key) ?? parseRule(text, city, { path: 'rule', origin: `api:${by}` });
  known.set(key, parsed);
  return parsed;
}

/** The rules in force under a city. Pure: files first; a rule of the API that does not fit is left out, and comes back when it fits again. */
export function rulesInForce(
  { control, city }: { readonly control: CityControl; readonly city: City },
  records: readonly RuleControl[],
): InForce {
  const rules = [...parseRules(control, city).rules];
  const files = new Map(rules.map((rule) => [rule.id, rule]));
  const problems = new Map<string, readonly CityProblem[]>();
  for (const { id, text, by } of records) {
    const file = files.get(id);
    if (file !== undefined) {
      const message = `rule "${id}" is also in ${pathOf(file)}, which wins; delete one of the two`;
      problems.set(id, [{ file: pathOf(file), line: 1, column: 1, message }]);
      continue;
    }
    const parsed = parseRecord({ text: text!, by }, city);
    if (parsed.rule === null) problems.set(id, parsed.problems);
    else rules.push(parsed.rule);
  }
  return { rules, problems };
}

/** Where a rule of the city folder stands, relative to the folder. */
export function pathOf({ origin }: Pick<Rule, 'origin'>): string {
  return origin.replace(/^file:/, '');
}

/** Whether a rule is in a file of the city folder: the API reads it only. */
export function isFromFile({ origin }: Pick<Rule, 'origin'>): boolean {
  return origin.startsWith('file:');
}
