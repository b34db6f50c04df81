import type { DatabaseSync, SQLOutputValue } from 'node:sqlite';
import type { RuleControl } from '../domain/index.ts';

/** SQL of every version of the rules that the API made, by the block that brought it; nothing is ever taken out. */
export const RULE_RECORDS_SCHEMA = `
  create table if not exists context_rules (seq integer primary key, id text not null, body text not null) strict;
  create index if not exists context_rules_by_id on context_rules (id, seq);
`;

/** The API's rules over time, on the side that learns them from the journal. */
export interface RuleRecords {
  /** Takes a change in; call the answer to write it, inside a transaction. */
  learn(seq: number, control: RuleControl): () => void;
  /** The rules that were there at a block, in order of id. */
  at(seq: number): RuleControl[];
  /** What a `rule` block changed, for those who meet it again; null where it was none. */
  in(seq: number): RuleControl | null;
}

/** Reads the records back from the state file and goes on from there. */
export function createRuleRecords(db: DatabaseSync): RuleRecords {
  const records = db.prepare('select seq, body from context_rules order by seq').all().map(recordOf);
  const save = db.prepare('insert or replace into context_rules values (?, ?, ?)');
  return {
    learn(seq, control) {
      records.push({ seq, control });
      return () => void save.run(seq, control.id, JSON.stringify(control));
    },
    at(seq) {
      const newest = new Map<string, RuleControl>();
      for (const record of records) {
        if (record.seq > seq) break;
        newest.set(record.control.id, record.control);
      }
      return present(newest.values());
    },
    in: (seq) => records.findLast((record) => record.seq === seq)?.control ?? null,
  };
}

/** The API's rules as any connection to the state file sees them. */
export interface RuleRecordReader {
  /** The rules that are there, in order of id. */
  present(): RuleControl[];
  /** Every version of a rule, the newest first; a deletion is one. */
  history(id: string): RuleControl[];
}

/** Makes the reading side over a file that has `RULE_RECORDS_SCHEMA`. */
export function createRuleRecordReader(db: DatabaseSync): RuleRecordReader {
  const newest = db.prepare(`
    select seq, body from context_rules as one
    where seq = (select max(seq) from context_rules where id = one.id)`);
  const history = db.prepare('select seq, body from context_rules where id = ? order by seq desc');
  const controls = (rows: Record<string, SQLOutputValue>[]) => rows.map((row) => recordOf(row).control);
  return {
    present: () => present(controls(newest.all())),
    history: (id) => controls(history.all(id)),
  };
}

function recordOf(row: Record<string, SQLOutputValue>): { seq: number; control: RuleControl } {
  return { seq: Number(row.seq), control: JSON.parse(String(row.body)) as RuleControl };
}

function present(newest: Iterable<RuleControl>): RuleControl[] {
  return [...newest].filter(({ text }) => text !== null).sort((a, b) => (a.id < b.id ? -1 : 1));
}
