import type { DatabaseSync } from 'node:sqlite';
import type { DeliveryAttempt, DeliveryAsked, NotifyProgress } from '../domain/index.ts';

/**
 * SQL of what the log says of deliveries, in the state file: the notify thread of each node takes it from there. `seq` is
 * the block; `revision` that of the lease under which attempts were made, null where there are none.
 */
export const RESULTS_STEP = `
  create table delivery_results (seq integer primary key, revision integer, body text not null) strict;
`;

/** Records that are kept: hours, of which the notify thread needs those that it has not taken. */
const KEPT = 20_000;

/** Writes what the log says of deliveries. The caller holds the transaction. */
export interface ResultWriter {
  /**
   * Adds a record of the log. Attempts of a lease older than the newest one are left out: who made them had lost it, and
   * somebody else went on.
   */
  add(seq: number, progress: NotifyProgress): void;
}

/** Returns the writer over a file that has `RECEIVER_SCHEMA`. */
export function createResultWriter(db: DatabaseSync): ResultWriter {
  const newest = db.prepare('select max(revision) as revision from delivery_results');
  const add = db.prepare('insert or replace into delivery_results values (?, ?, ?)');
  const forget = db.prepare('delete from delivery_results where seq < ?');
  const oldest = db.prepare('select seq from delivery_results order by seq desc limit 1 offset ?');
  return {
    add(seq, { revision, attempts, asked }) {
      const known = newest.get()?.revision ?? null;
      const isOld = known !== null && (revision === null || revision < Number(known));
      const taken = { attempts: isOld ? [] : attempts, asked };
      if (taken.attempts.length + asked.length === 0) return;
      add.run(seq, isOld ? Number(known) : revision, JSON.stringify(taken));
      const from = oldest.get(KEPT - 1)?.seq ?? null;
      if (from !== null) forget.run(from);
    },
  };
}

/** What the log says of deliveries in one block. */
export interface DeliveryResults {
  readonly seq: number;
  readonly attempts: readonly DeliveryAttempt[];
  readonly asked: readonly DeliveryAsked[];
}

/** Reads what the log says of deliveries, over any connection to the state file. */
export interface ResultReader {
  /** Returns the oldest records after a block. */
  after(seq: number): DeliveryResults[];
}

const PAGE = 50;

/** Creates the reader over a file that has `RECEIVER_SCHEMA`. */
export function createResultReader(db: DatabaseSync): ResultReader {
  const page = db.prepare('select seq, body from delivery_results where seq > ? order by seq limit ?');
  return {
    after: (after) =>
      page.all(after, PAGE).map(({ seq, body }) => ({
        seq: Number(seq),
        ...(JSON.parse(String(body)) as Omit<DeliveryResults, 'seq'>),
      })),
  };
}
