import { z } from 'zod';
import { formatProblems } from '../city-model/index.ts';
import { type Clock, isoOf, LamppostError, type Rule, type RuleControl, type ShapeOf } from '../domain/index.ts';
import type { RuleRecordReader } from '../ingest/index.ts';
import { type CityRules, type ListedRule, listRules, parseRecord, pathOf, rulesInForce } from './in-force.ts';

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

/** The wanted text of a rule. */
export interface RuleDraft {
  readonly text: string;
  readonly note: string;
}

/** Who changes a rule, and which versions they expect it to have; null: any. */
export interface RuleEditor {
  readonly by: string;
  readonly ifMatch: readonly string[] | null;
}

/** A change that is in the journal; `inForce` is true once the rules decide by it. */
export interface RuleChanged {
  readonly rule: ListedRule;
  readonly inForce: boolean;
}

/**
 * The rules of the files and of the API. A change is a record of the journal. It resolves when the rules have read that
 * record, or after `patienceMs` with `inForce: false`. Changes run one after the other; `busy` is thrown where the
 * rules have not read the change before within `patienceMs`.
 */
export interface RuleRepository {
  /** In order of id. */
  list(): ListedRule[];
  get(id: string): ListedRule | null;
  /** The versions of a rule, newest first; null where no rule ever had this id. */
  history(id: string): RuleVersion[] | null;
  /** Throws `mistakes` with all problems of the text, `conflict` where a rule has this id. */
  create(draft: RuleDraft, by: string): Promise<RuleChanged>;
  /** Throws `mistakes`, `not-found`, `forbidden` for a rule from a file, `precondition` where it has changed since. */
  change(id: string, draft: RuleDraft, editor: RuleEditor): Promise<RuleChanged>;
  /** Deletes a rule and ends its alerts. Throws as `change` does. */
  remove(id: string, note: string, editor: RuleEditor): Promise<{ readonly inForce: boolean }>;
  /** Returns the rule in force with this id, or parses the text of a rule. Throws `mistakes`, `not-found`. */
  resolve(rule: string, by: string): Rule;
}

interface Deps {
  /** The city in force. */
  readonly city: () => CityRules;
  readonly records: RuleRecordReader;
  /** Appends to the journal; resolves to the number of the block. */
  readonly append: (control: RuleControl) => Promise<number>;
  /** The last block that the rules have committed. */
  readonly taken: () => Promise<number>;
  readonly clock: Clock;
}

interface Options {
  /** The newest block of the journal at the start: changes wait until the rules have read it. */
  readonly head: number;
  readonly patienceMs?: number;
}

const POLL_MS = 10;
const RULE_ID = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;

/** Returns a repository over the records of the state file. */
export function createRuleRepository(deps: Deps, options: Options): RuleRepository {
  const { city, records } = deps;
  const changes = new Changes(deps, options);
  const list = () => listRules(city(), records.present());
  const get = (id: string) => list().find((rule) => rule.id === id) ?? null;
  const fileOf = (id: string) => city().rules.find((rule) => rule.id === id);
  const recordOf = (id: string) => records.present().find((one) => one.id === id);
  const parse = (text: string, by: string) => requireRule(parseRecord({ text, by }, city().city));
  const checkVersion = (id: string, ifMatch: RuleEditor['ifMatch']) =>
    requireVersion(recordOf(id), { id, ifMatch, version: get(id)?.version });

  async function write(rule: Rule, { text, note }: RuleDraft, by: string): Promise<RuleChanged> {
    const inForce = await changes.record(rule.id, { text, version: rule.version, by, note });
    // Where the rules have not read the change yet, the records do not have it either.
    const known = inForce ? get(rule.id) : null;
    const number = known?.number ?? changes.nextNumber(rule.id);
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
      changes.inTurn(async () => {
        const rule = parse(draft.text, by);
        requireFree(rule.id, fileOf(rule.id), recordOf(rule.id));
        return write(rule, draft, by);
      }),
    change: (id, draft, { by, ifMatch }) =>
      changes.inTurn(async () => {
        refuseFile(id, fileOf(id));
        checkVersion(id, ifMatch);
        const rule = parse(draft.text, by);
        if (rule.id !== id) {
          const message = `the rule says id: ${rule.id}, its address ${id}; make a new rule and delete the old one to rename it`;
          throw new LamppostError('invalid', message, { reason: 'rule-id' });
        }
        return write(rule, draft, by);
      }),
    remove: (id, note, { by, ifMatch }) =>
      changes.inTurn(async () => {
        // A rule of the API whose id a file has taken can still be deleted.
        if (recordOf(id) === undefined) refuseFile(id, fileOf(id));
        checkVersion(id, ifMatch);
        return { inForce: await changes.record(id, { text: null, version: null, by, note }) };
      }),
    resolve(rule, by) {
      if (!RULE_ID.test(rule)) return parse(rule, by);
      const found = rulesInForce(city(), records.present()).rules.find(({ id }) => id === rule);
      if (found === undefined) throw new LamppostError('not-found', `there is no rule "${rule}" in force`);
      return found;
    },
  };
}

/** Appends changes to the journal, one after the other: two at once would get the same number. */
class Changes {
  readonly #deps: Deps;
  readonly #patienceMs: number;
  #last: number;
  #queue: Promise<unknown> = Promise.resolve();

  constructor(deps: Deps, { head, patienceMs = 5_000 }: Options) {
    this.#deps = deps;
    this.#patienceMs = patienceMs;
    this.#last = head;
  }

  inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#queue.then(async () => {
      if (await this.#isTaken(this.#last)) return work();
      throw new LamppostError('busy', 'the rules have not read the change before this one yet', { retryable: true });
    });
    this.#queue = mine.catch(() => {});
    return mine;
  }

  nextNumber(id: string): number {
    return (this.#deps.records.history(id)[0]?.number ?? 0) + 1;
  }

  /** Resolves to whether the rules have read the change in time. */
  async record(id: string, change: Pick<RuleControl, 'text' | 'version' | 'by' | 'note'>): Promise<boolean> {
    const { append, clock } = this.#deps;
    this.#last = await append({ id, number: this.nextNumber(id), at: isoOf(clock.now()), ...change });
    return this.#isTaken(this.#last);
  }

  async #isTaken(seq: number): Promise<boolean> {
    const { taken, clock } = this.#deps;
    const deadline = clock.now() + this.#patienceMs;
    while ((await taken()) < seq) {
      if (clock.now() >= deadline) return false;
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    return true;
  }
}

function requireRule({ rule, problems }: ReturnType<typeof parseRecord>): Rule {
  if (rule !== null) return rule;
  throw new LamppostError('mistakes', `the rule has mistakes:\n${formatProblems(problems)}`, {
    reason: 'rule-mistakes',
    problems,
  });
}

function requireFree(id: string, file: Rule | undefined, record: RuleControl | undefined): void {
  if (file !== undefined) {
    const message = `rule "${id}" is in the city folder: edit ${pathOf(file)} there, or choose another id`;
    throw new LamppostError('conflict', message, { reason: 'rule-in-file' });
  }
  if (record !== undefined) {
    const message = `rule "${id}" exists: PUT /api/v1/rules/${id} makes a new version of it`;
    throw new LamppostError('conflict', message, { reason: 'rule-exists' });
  }
}

function refuseFile(id: string, file: Rule | undefined): void {
  if (file === undefined) return;
  const message = `rule "${id}" is in the city folder: edit ${pathOf(file)} there`;
  throw new LamppostError('forbidden', message, { reason: 'rule-in-file' });
}

function requireVersion(
  found: RuleControl | undefined,
  {
    id,
    ifMatch,
    version = found?.version ?? '',
  }: { id: string; ifMatch: RuleEditor['ifMatch']; version?: string | undefined },
): void {
  if (found === undefined) throw new LamppostError('not-found', `there is no rule "${id}"`);
  if (ifMatch === null || ifMatch.includes(version)) return;
  const now = `it is at version ${version} now, by ${found.by} at ${found.at}`;
  throw new LamppostError('precondition', `rule "${id}" is not at version ${ifMatch.join(', ')} any more: ${now}`, {
    reason: 'rule-changed',
  });
}
