import type { DatabaseSync, SQLOutputValue } from 'node:sqlite';
import type { RuleControl } from '../domain/index.ts';

/** Every version of the API's rules, by the block that brought it; nothing is ever deleted (ADR 11). */
export interface RuleRecords {
  /** Returns the rules that exist at a block, in order of id. */
  at(seq: number): RuleControl[];
  /** Whether a block changed a rule. */
  changedIn(seq: number): boolean;
  /** Returns the newest version of a rule, which may be its deletion; null where no rule ever had this id. */
  newest(id: string): RuleControl | null;
  /** Writes a change; `item` is its number within the block. The caller holds the transaction. */
  put(seq: number, item: number, control: RuleControl): void;
}

/** Returns the records of a file that has `CONTEXT_SCHEMA`, for the one that writes them. */
export function createRuleRecords(db: DatabaseSync): RuleRecords {
  const at = db.prepare('select body from context_rules where seq <= ? order by seq, item');
  const changed = db.prepare('select 1 from context_rules where seq = ? limit 1');
  const newest = db.prepare('select body from context_rules where id = ? order by seq desc, item desc limit 1');
  const put = db.prepare('insert or replace into context_rules values (?, ?, ?, ?)');
  return {
    at: (seq) => present(at.all(seq).map(controlOf)),
    changedIn: (seq) => changed.get(seq) !== undefined,
    newest(id) {
      const row = newest.get(id);
      return row === undefined ? null : controlOf(row);
    },
    put: (seq, item, control) => void put.run(seq, item, control.id, JSON.stringify(control)),
  };
}

/** The API's rules, read over any connection to the state file. */
export interface RuleRecordReader {
  /** Returns the rules that exist now, in order of id. */
  present(): RuleControl[];
  /** Returns every version of a rule, the newest first; a deletion is a version too. */
  history(id: string): RuleControl[];
}

/** Creates the reader of rule records over a state file. */
export function createRuleRecordReader(db: DatabaseSync): RuleRecordReader {
  const all = db.prepare('select body from context_rules order by seq, item');
  const history = db.prepare('select body from context_rules where id = ? order by seq desc, item desc');
  return {
    present: () => present(all.all().map(controlOf)),
    history: (id) => history.all(id).map(controlOf),
  };
}

function controlOf({ body }: Readonly<Record<string, SQLOutputValue>>): RuleControl {
  return JSON.parse(String(body)) as RuleControl;
}

/** Of versions in their order, the newest of each rule that was not deleted. */
function present(versions: readonly RuleControl[]): RuleControl[] {
  const newest = new Map(versions.map((version) => [version.id, version]));
  return [...newest.values()].filter(({ text }) => text !== null).sort((a, b) => (a.id < b.id ? -1 : 1));
}
