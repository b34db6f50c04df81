import type { City, CityControl, CityProblem, Rule, RuleControl } from '../domain/index.ts';
import { isFromFile, parseRecord, rulesInForce } from './in-force.ts';

/** A city in force, its folder, and the rules of its files. */
export interface CityRules {
  readonly control: CityControl;
  readonly city: City;
  readonly rules: readonly Rule[];
}

/** A rule as the API lists it: what it says, where it parses, and where it comes from. */
export type ListedRule = Partial<Rule> & {
  readonly id: string;
  /** Hash of what it says. */
  readonly version: string;
  /** Which change of the API made it; null for a rule from a file. */
  readonly number: number | null;
  /** `file:<path>` or `api:<key id>`. */
  readonly origin: string;
  readonly readOnly: boolean;
  readonly inForce: boolean;
  /** What keeps it, or a rule of the API with the same id, out of force. */
  readonly problems: readonly CityProblem[];
  readonly source: string;
};

/** One version of a rule, as its history shows it. */
export interface RuleVersion {
  /** Null for the one version of a rule from a file: the history of a file is kept where the file is. */
  readonly number: number | null;
  readonly version: string | null;
  readonly by: string;
  /** ISO 8601 UTC; null for a file. */
  readonly at: string | null;
  readonly note: string;
  /** Null where this change deleted the rule. */
  readonly text: string | null;
}

/** The rules of the files and of the API, in order of id; of two with one id, the file's. */
export function listRules({ control, city, rules }: CityRules, records: readonly RuleControl[]): ListedRule[] {
  const { problems } = rulesInForce({ control, city }, records);
  const files = new Set(rules.map(({ id }) => id));
  return [
    ...rules.map((rule) => listedFile(rule, problems.get(rule.id) ?? [])),
    ...records.filter(({ id }) => !files.has(id)).map((one) => listedRecord(one, city)),
  ].sort((a, b) => (a.id < b.id ? -1 : 1));
}

function listedFile(rule: Rule, problems: readonly CityProblem[]): ListedRule {
  return { ...rule, number: null, readOnly: isFromFile(rule), inForce: true, problems };
}

function listedRecord({ id, number, version, text, by }: RuleControl, city: City): ListedRule {
  const { rule, problems } = parseRecord({ text: text!, by }, city);
  const origin = `api:${by}`;
  const said = { id, version: version!, origin, source: text! };
  return { ...(rule ?? said), number, readOnly: false, inForce: rule !== null, problems };
}
