import type { City, CityControl, CityProblem, Rule, RuleControl } from '../domain/index.ts';
import { type ParsedRule, parseRule, parseRules } from './language/index.ts';

/** The rules in force, of the city folder and of the API together. */
export interface InForce {
  readonly rules: readonly Rule[];
  /** Why a rule of the API is not in force, by id: the city no longer has what it names, or a file has its id. */
  readonly problems: ReadonlyMap<string, readonly CityProblem[]>;
  /** Why rules of the folder can never decide. */
  readonly warnings: readonly CityProblem[];
}

/** Parsing is pure: when one rule changes, the others need not be parsed again. */
const parsedBy = new WeakMap<City, Map<string, ParsedRule>>();

/** Parses a rule of the API under a city. Lines and columns of its problems are those of its own text. */
export function parseRecord({ text, by }: { readonly text: string; readonly by: string }, city: City): ParsedRule {
  const known = parsedBy.get(city) ?? new Map<string, ParsedRule>();
  parsedBy.set(city, known);
  const key = `${by} ${text}`;
  const parsed = known.get(key) ?? parseRule(text, city, { path: 'rule', origin: `api:${by}` });
  known.set(key, parsed);
  return parsed;
}

/**
 * Returns the rules in force under a city. Pure. A rule of the API that the city does not allow is left out, until it
 * is allowed again.
 */
export function rulesInForce(
  { control, city }: { readonly control: CityControl; readonly city: City },
  records: readonly RuleControl[],
): InForce {
  const { rules, warnings } = parseRules(control, city);
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
  return { rules, problems, warnings };
}

/** The file of a rule, relative to the city folder. */
export function pathOf({ origin }: Pick<Rule, 'origin'>): string {
  return origin.replace(/^file:/, '');
}

/** A city in force, its folder, and the rules of its files. */
export interface CityRules {
  readonly control: CityControl;
  readonly city: City;
  readonly rules: readonly Rule[];
}

/** A rule as the API lists it; the fields of `Rule` are missing where its text has problems. */
export type ListedRule = Partial<Rule> &
  Pick<Rule, 'id' | 'version' | 'origin' | 'source'> & {
    /** Counts the changes of the rule over the API; null for a rule from a file. */
    readonly number: number | null;
    readonly readOnly: boolean;
    readonly inForce: boolean;
    /** Why it, or a rule of the API with the same id, is not in force. */
    readonly problems: readonly CityProblem[];
    /** Why it can never decide though it is in force, and what would work. */
    readonly warnings: readonly CityProblem[];
  };

/** Lists the rules of the files and of the API, in order of id; of two with the same id, that of the file. */
export function listRules({ control, city, rules }: CityRules, records: readonly RuleControl[]): ListedRule[] {
  const { problems, warnings } = rulesInForce({ control, city }, records);
  const files = new Set(rules.map(({ id }) => id));
  const doubts = Map.groupBy(warnings, ({ file }) => file);
  return [
    ...rules.map((rule) => listedFile(rule, problems.get(rule.id) ?? [], doubts.get(pathOf(rule)) ?? [])),
    ...records.filter(({ id }) => !files.has(id)).map((one) => listedRecord(one, city)),
  ].sort((a, b) => (a.id < b.id ? -1 : 1));
}

function listedFile(rule: Rule, problems: readonly CityProblem[], warnings: readonly CityProblem[]): ListedRule {
  return { ...rule, number: null, readOnly: rule.origin.startsWith('file:'), inForce: true, problems, warnings };
}

/** Returns a version that was made over the API as the API lists it, under a city. */
export function listedRecord({ id, number, version, text, by }: RuleControl, city: City): ListedRule {
  const { rule, problems, warnings } = parseRecord({ text: text!, by }, city);
  const written = { id, version: version!, origin: `api:${by}`, source: text! };
  return { ...(rule ?? written), number, readOnly: false, inForce: rule !== null, problems, warnings };
}
