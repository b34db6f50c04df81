import { z } from 'zod';
import { LamppostError, type Rule, type RuleControl, type ShapeOf } from '../domain/index.ts';
import type { RuleRecordReader } from '../ingest/index.ts';
import { type CityRules, type ListedRule, listedRecord, listRules, parseRecord, rulesInForce } from './in-force.ts';
import { parseRule } from './language/index.ts';
import { type RuleDraft, requireRule } from './writer.ts';

/** One version of a rule, as its history shows it. */
export const RuleVersionSchema = z
  .object({
    number: z.int().nullable().describe('Null for the one version of a rule from a file, which has no history here'),
    version: z.string().nullable().describe('Hash of the rule; null where the change deleted it'),
    by: z.string(),
    at: z.iso.datetime().nullable().describe('Null for a file'),
    note: z.string(),
    text: z.string().nullable().describe('Null: this change deleted it'),
  })
  .meta({ id: 'RuleVersion' });
export type RuleVersion = ShapeOf<typeof RuleVersionSchema>;

/**
 * The rules of the files and of the API. A change is an action: the engine decides it in the order of the log, and it
 * resolves once the rules decide by it. `Caller` is who asks for it.
 */
export interface RuleRepository<Caller> {
  /** In order of id. */
  list(): ListedRule[];
  get(id: string): ListedRule | null;
  /** The versions of a rule, newest first; null where no rule ever had this id. */
  history(id: string): RuleVersion[] | null;
  /** Throws `mistakes` with all problems of the text, `conflict` where a rule has this id. */
  create(draft: RuleDraft, caller: Caller): Promise<ListedRule>;
  /** Throws `mistakes`, `not-found`, `forbidden` for a rule from a file, `precondition` where it has changed since. */
  change(id: string, draft: RuleDraft, ifMatch: IfMatch, caller: Caller): Promise<ListedRule>;
  /** Deletes a rule and ends its alerts. Throws as `change` does. */
  remove(id: string, note: string, ifMatch: IfMatch, caller: Caller): Promise<void>;
  /** Returns every mistake of a text, and why it could never decide; nothing is stored. */
  check(text: string): RuleCheck;
  /** Returns the rule in force with this id, or parses the text of a rule. Throws `mistakes`, `not-found`. */
  resolve(rule: string, by: string): Rule;
}

/** What is wrong with a text, with line and column. */
export type RuleCheck = Pick<ListedRule, 'problems' | 'warnings'>;

/** The versions of a rule that a change is meant for; null: any. */
type IfMatch = readonly string[] | null;

/** Appends a change to the log; resolves to the version that the engine made of it. */
export interface RuleActions<Caller> {
  create(draft: RuleDraft, caller: Caller): Promise<RuleControl>;
  change(id: string, draft: RuleDraft, ifMatch: IfMatch, caller: Caller): Promise<RuleControl>;
  remove(id: string, note: string, ifMatch: IfMatch, caller: Caller): Promise<RuleControl>;
}

interface Deps<Caller> {
  /** The city in force. */
  readonly city: () => CityRules;
  readonly records: RuleRecordReader;
  readonly write: RuleActions<Caller>;
}

const RULE_ID = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;

/** Returns a repository over the records of the state file. */
export function createRuleRepository<Caller>({ city, records, write }: Deps<Caller>): RuleRepository<Caller> {
  const list = () => listRules(city(), records.present());
  const get = (id: string) => list().find((rule) => rule.id === id) ?? null;
  const parse = (text: string, by: string) => requireRule(parseRecord({ text, by }, city().city));
  /** Every mistake with its place, before anything is in the log. */
  const refuseMistakes = ({ text }: RuleDraft) => void parse(text, '');

  /** The rule as it is listed, or, where it has changed again since, as the change made it. */
  function changed(control: RuleControl): ListedRule {
    const now = get(control.id);
    return now?.number === control.number ? now : listedRecord(control, city().city);
  }

  return {
    list,
    get,
    history(id) {
      const versions = records.history(id).map(({ id: _, ...version }) => version);
      const file = city().rules.find((rule) => rule.id === id);
      if (file === undefined) return versions.length === 0 ? null : versions;
      const { version, origin, source } = file;
      return [{ number: null, version, by: origin, at: null, note: '', text: source }, ...versions];
    },
    async create(draft, caller) {
      refuseMistakes(draft);
      return changed(await write.create(draft, caller));
    },
    async change(id, draft, ifMatch, caller) {
      refuseMistakes(draft);
      return changed(await write.change(id, draft, ifMatch, caller));
    },
    async remove(id, note, ifMatch, caller) {
      await write.remove(id, note, ifMatch, caller);
    },
    check(text) {
      // Not memoized: each keystroke is another text.
      const { problems, warnings } = parseRule(text, city().city, { path: 'rule', origin: 'api:' });
      return { problems, warnings };
    },
    resolve(rule, by) {
      if (!RULE_ID.test(rule)) return parse(rule, by);
      const found = rulesInForce(city(), records.present()).rules.find(({ id }) => id === rule);
      if (found === undefined) throw new LamppostError('not-found', `there is no rule "${rule}" in force`);
      return found;
    },
  };
}
