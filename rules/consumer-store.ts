import type { DatabaseSync } from 'node:sqlite';
import type { RoomSchema } from '../store/index.ts';
import { CHECKSUM_STEP } from './checksum.ts';
import type { StateRow } from './engine/index.ts';

/** Tables of the rules' own state: their cursor, and the windows as they were at the last checkpoint. */
export const RULES_SCHEMA: RoomSchema = {
  room: 'rules',
  steps: [
    `
  create table if not exists rules_cursor (
    one integer primary key check (one = 1), seq integer not null, checkpoint integer not null
  ) strict;
  create table if not exists rules_state (
    rule text not null, grp text not null, version text not null, state blob not null, primary key (rule, grp)
  ) strict, without rowid;
`,
    CHECKSUM_STEP,
  ],
};

/** How far the rules have read the journal, in block numbers. */
export interface Progress {
  /** The last block whose effects are on disk. */
  readonly cursor: number;
  /** The block whose windows are on disk. */
  readonly checkpoint: number;
}

/** Cursor and windows of the rules in a file that has `RULES_SCHEMA`. The caller holds the transaction. */
export function createConsumerStore(db: DatabaseSync) {
  const saveCursor = db.prepare('insert or replace into rules_cursor values (1, ?, ?)');
  const saveState = db.prepare('insert or replace into rules_state values (?, ?, ?, ?)');
  const dropState = db.prepare('delete from rules_state where rule = ? and grp = ?');
  return {
    /** Null before the first commit. */
    progress(): Progress | null {
      const row = db.prepare('select * from rules_cursor').get();
      return row === undefined ? null : { cursor: Number(row.seq), checkpoint: Number(row.checkpoint) };
    },
    save: ({ cursor, checkpoint }: Progress) => void saveCursor.run(cursor, checkpoint),
    states: () =>
      db.prepare('select rule, grp as "group", version, state from rules_state').all() as unknown as StateRow[],
    saveStates(rows: readonly StateRow[]): void {
      for (const { rule, group, version, state } of rows) {
        if (state === null) dropState.run(rule, group);
        else saveState.run(rule, group, version, state);
      }
    },
  };
}
