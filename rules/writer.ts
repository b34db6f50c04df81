import type { DatabaseSync } from 'node:sqlite';
import { formatProblems } from '../city-model/index.ts';
import { type City, type CityControl, isoOf, LamppostError, type Rule, type RuleControl } from '../domain/index.ts';
import { createRuleRecords } from '../ingest/index.ts';
import { parseRecord, pathOf } from './in-force.ts';
import { type ParsedRule, parseRules } from './language/index.ts';

/** The wanted text of a rule. */
export interface RuleDraft {
  readonly text: string;
  readonly note: string;
}

/** Who changes a rule, and at which place of the log. */
export interface RuleAuthor {
  /** Id of the key. */
  readonly by: string;
  readonly atMs: number;
  readonly seq: number;
  /** Number within the block. */
  readonly item: number;
}

/** Decides changes of rules in the order of the log. The caller holds the transaction. A refusal changes nothing. */
export interface RuleWriter {
  /** Throws `mistakes` with all problems of the text, `conflict` where a rule has this id. */
  create(draft: RuleDraft, author: RuleAuthor): RuleControl;
  /**
   * Writes a new version. Throws `mistakes`, `not-found`, `forbidden` for a rule from a file, `precondition` where it
   * is at none of the versions of `ifMatch` (null: any).
   */
  change(id: string, draft: RuleDraft, ifMatch: readonly string[] | null, author: RuleAuthor): RuleControl;
  /** Deletes a rule. Throws as `change` does. */
  remove(id: string, note: string, ifMatch: readonly string[] | null, author: RuleAuthor): RuleControl;
}

/** What a decision reads of the city: as it is at the place of the log. */
interface CityThen {
  readonly control: CityControl;
  readonly city: City;
}

/** Returns the writer over a file that has the tables of `ingest`. It keeps nothing in memory. */
export function createRuleWriter(db: DatabaseSync, cityThen: () => CityThen): RuleWriter {
  const records = createRuleRecords(db);
  const parse = (text: string, by: string) => requireRule(parseRecord({ text, by }, cityThen().city));
  const recordOf = (id: string) => {
    const newest = records.newest(id);
    return newest?.text === null ? null : newest;
  };

  function fileOf(id: string): Rule | undefined {
    const { control, city } = cityThen();
    return parseRules(control, city).rules.find((rule) => rule.id === id);
  }

  /** The version of a record under the city of this place. */
  const versionOf = ({ text, by, version }: RuleControl) =>
    parseRecord({ text: text!, by }, cityThen().city).rule?.version ?? version!;

  function checkVersion(id: string, ifMatch: readonly string[] | null): void {
    const found = recordOf(id);
    if (found === null) throw new LamppostError('not-found', `there is no rule "${id}"`);
    const version = versionOf(found);
    if (ifMatch === null || ifMatch.includes(version)) return;
    const now = `it is at version ${version} now, by ${found.by} at ${found.at}`;
    throw new LamppostError('precondition', `rule "${id}" is not at version ${ifMatch.join(', ')} any more: ${now}`, {
      reason: 'rule-changed',
    });
  }

  function write(
    id: string,
    changed: Pick<RuleControl, 'text' | 'version' | 'note'>,
    { by, atMs, seq, item }: RuleAuthor,
  ): RuleControl {
    const number = (records.newest(id)?.number ?? 0) + 1;
    const control: RuleControl = { id, number, at: isoOf(atMs), by, ...changed };
    records.put(seq, item, control);
    return control;
  }

  return {
    create({ text, note }, author) {
      const { id, version } = parse(text, author.by);
      requireFree(id, fileOf(id), recordOf(id));
      return write(id, { text, version, note }, author);
    },
    change(id, { text, note }, ifMatch, author) {
      refuseFile(id, fileOf(id));
      checkVersion(id, ifMatch);
      const rule = parse(text, author.by);
      if (rule.id !== id) {
        const message = `the rule says id: ${rule.id}, its address ${id}; make a new rule and delete the old one to rename it`;
        throw new LamppostError('invalid', message, { reason: 'rule-id' });
      }
      return write(id, { text, version: rule.version, note }, author);
    },
    remove(id, note, ifMatch, author) {
      // A rule of the API whose id a file has taken can still be deleted.
      if (recordOf(id) === null) refuseFile(id, fileOf(id));
      checkVersion(id, ifMatch);
      return write(id, { text: null, version: null, note }, author);
    },
  };
}

/** Returns the rule of a text. Throws `mistakes` with all its problems. */
export function requireRule({ rule, problems }: ParsedRule): Rule {
  if (rule !== null) return rule;
  throw new LamppostError('mistakes', `the rule has mistakes:\n${formatProblems(problems)}`, {
    reason: 'rule-mistakes',
    problems,
  });
}

function requireFree(id: string, file: Rule | undefined, record: RuleControl | null): void {
  if (file !== undefined) {
    const message = `rule "${id}" is in the city folder: edit ${pathOf(file)} there, or choose another id`;
    throw new LamppostError('conflict', message, { reason: 'rule-in-file' });
  }
  if (record !== null) {
    const message = `rule "${id}" exists: PUT /api/v1/rules/${id} makes a new version of it`;
    throw new LamppostError('conflict', message, { reason: 'rule-exists' });
  }
}

function refuseFile(id: string, file: Rule | undefined): void {
  if (file === undefined) return;
  const message = `rule "${id}" is in the city folder: edit ${pathOf(file)} there`;
  throw new LamppostError('forbidden', message, { reason: 'rule-in-file' });
}
