import { formatProblems } from '../city-model/index.ts';
import { type Clock, isoOf, LamppostError, type Rule, type RuleControl } from '../domain/index.ts';
import type { RuleRecordReader } from '../ingest/index.ts';
import { parseRecord, pathOf, rulesInForce } from './in-force.ts';
import { type CityRules, type ListedRule, listRules, type RuleVersion } from './listed.ts';

/** A rule as somebody wants it to be. */
export interface RuleDraft {
  readonly text: string;
  readonly note: string;
}

/** Who changes a rule, and of which versions they think; null: of any. */
export interface RuleEditor {
  readonly by: string;
  readonly ifMatch: readonly string[] | null;
}

/** A change that is in the journal; `inForce` once the rules decide by it. */
export interface RuleChanged {
  readonly rule: ListedRule;
  readonly inForce: boolean;
}

/**
 * The rules of the files and of the API. A change is a record of the journal: it is made when it is on disk there, and
 * answered when the rules have taken it, or after `patienceMs` with `inForce: false`. Changes go one after the other.
 */
export interface RuleBook {
  /** In order of id. */
  list(): ListedRule[];
  get(id: string): ListedRule | null;
  /** The newest first; null where no rule of this id ever was. */
  history(id: string): RuleVersion[] | null;
  /** Throws `mistakes` with each of them, `conflict` where a rule of this id exists. */
  create(draft: RuleDraft, by: string): Promise<RuleChanged>;
  /** Throws `mistakes`, `not-found`, `forbidden` for a rule from a file, `precondition` where it has changed since. */
  change(id: string, draft: RuleDraft, editor: RuleEditor): Promise<RuleChanged>;
  /** Ends its alerts. Throws as `change` does. */
  remove(id: string, note: string, editor: RuleEditor): Promise<{ readonly inForce: boolean }>;
  /** The rule of this id in force, or the one that this text is; throws `mistakes`, `not-found`. */
  resolve(rule: string, by: string): Rule;
}

interface Deps {
  /** The city in force, with its folder and the rules in it. */
  readonly city: () => CityRules;
  readonly records: RuleRecordReader;
  /** Appends to the journal; answers the number of the block. */
  readonly append: (control: RuleControl) => Promise<number>;
  /** The last block that the rules have taken for good. */
  readonly taken: () => Promise<number>;
  readonly clock: Clock;
}

interface Options {
  /** The newest block of the journal at the start: changes before it are seen once the rules have taken it. */
  readonly head: number;
  readonly patienceMs?: number;
}

const LOOK_MS = 10;
const RULE_ID = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;

/** Makes the book over the state file's records. */
export function createRuleBook(deps: Deps, { head, patienceMs = 5_000 }: Options): RuleBook {
  const { city, records, clock } = deps;
  let last = head;
  let queue: Promise<unknown> = Promise.resolve();

  async function isTaken(seq: number): Promise<boolean> {
    const deadline = clock.now() + patienceMs;
    while ((await deps.taken()) < seq) {
      if (clock.now() >= deadline) return false;
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
    return true;
  }

  /** One change at a time, each on top of the one before: else two would be given the same number. */
  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = queue.then(async () => {
      if (await isTaken(last)) return work();
      throw new LamppostError('busy', 'the rules have yet to take the change before this one', { retryable: true });
    });
    queue = mine.catch(() => {});
    return mine;
  }

  async function record(id: string, change: Pick<RuleControl, 'text' | 'version' | 'by' | 'note'>): Promise<boolean> {
    const number = (records.history(id)[0]?.number ?? 0) + 1;
    last = await deps.append({ id, number, at: isoOf(clock.now()), ...change });
    return isTaken(last);
  }

  const list = () => listRules(city(), records.present());
  const get = (id: string) => list().find((rule) => rule.id === id) ?? null;
  const fileOf = (id: string) => city().rules.find((rule) => rule.id === id);
  const recordOf = (id: string) => records.present().find((one) => one.id === id);

  function parse(text: string, by: string): Rule {
    const { rule, problems } = parseRecord({ text, by }, city().city);
    if (rule !== null) return rule;
    throw new LamppostError('mistakes', `the rule has mistakes:\n${formatProblems(problems)}`, {
      reason: 'rule-mistakes',
      problems,
    });
  }

  /** The version that is to be changed. */
  function changeable(id: string, ifMatch: RuleEditor['ifMatch']): RuleControl {
    const found = recordOf(id);
    if (found === undefined) throw new LamppostError('not-found', `there is no rule "${id}"`);
    const version = get(id)?.version ?? found.version!;
    if (ifMatch !== null && !ifMatch.includes(version)) {
      const now = `it is at version ${version} now, by ${found.by} at ${found.at}`;
      throw new LamppostError('precondition', `rule "${id}" is not at version ${ifMatch.join(', ')} any more: ${now}`, {
        reason: 'rule-changed',
      });
    }
    return found;
  }

  function refuseFile(id: string): void {
    const file = fileOf(id);
    if (file === undefined) return;
    const message = `rule "${id}" is in the city folder: edit ${pathOf(file)} there`;
    throw new LamppostError('forbidden', message, { reason: 'rule-in-file' });
  }

  async function written(rule: Rule, { text, note }: RuleDraft, by: string): Promise<RuleChanged> {
    const inForce = await record(rule.id, { text, version: rule.version, by, note });
    // Where the rules have yet to take it, the records do not have it either.
    const known = inForce ? get(rule.id) : null;
    const number = known?.number ?? (records.history(rule.id)[0]?.number ?? 0) + 1;
    return { rule: known ?? { ...rule, number, readOnly: false, inForce, problems: [] }, inForce };
  }

  return {
    list,
    get,
    history(id) {
      const versions = records.history(id).map(({ id: _, ...version }) => version);
      const file = fileOf(id);
      if (file === undefined) return versions.length === 0 ? null : versions;
      const { version, origin, source } = file;
      return [{ number: null, version, by: origin, at: null, note: '', text: source }, ...versions];
    },
    create: (draft, by) =>
      inTurn(async () => {
        const rule = parse(draft.text, by);
        const file = fileOf(rule.id);
        if (file !== undefined) {
          const message = `rule "${rule.id}" is in the city folder: edit ${pathOf(file)} there, or choose another id`;
          throw new LamppostError('conflict', message, { reason: 'rule-in-file' });
        }
        if (recordOf(rule.id) !== undefined) {
          const message = `rule "${rule.id}" exists: PUT /api/v1/rules/${rule.id} makes a new version of it`;
          throw new LamppostError('conflict', message, { reason: 'rule-exists' });
        }
        return written(rule, draft, by);
      }),
    change: (id, draft, { by, ifMatch }) =>
      inTurn(async () => {
        refuseFile(id);
        changeable(id, ifMatch);
        const rule = parse(draft.text, by);
        if (rule.id !== id) {
          const message = `the rule says id: ${rule.id}, its address ${id}; make a new rule and delete the old one to rename it`;
          throw new LamppostError('invalid', message, { reason: 'rule-id' });
        }
        return written(rule, draft, by);
      }),
    remove: (id, note, { by, ifMatch }) =>
      inTurn(async () => {
        // A rule of the API that a file took the place of can still be taken away.
        if (recordOf(id) === undefined) refuseFile(id);
        changeable(id, ifMatch);
        return { inForce: await record(id, { text: null, version: null, by, note }) };
      }),
    resolve(rule, by) {
      if (!RULE_ID.test(rule)) return parse(rule, by);
      const { control, city: current } = city();
      const found = rulesInForce({ control, city: current }, records.present()).rules.find(({ id }) => id === rule);
      if (found === undefined) throw new LamppostError('not-found', `there is no rule "${rule}" in force`);
      return found;
    },
  };
}
