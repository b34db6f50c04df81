import type { DatabaseSync } from 'node:sqlite';
import type { DeliveryAsked, DeliveryAttempt, NotifyProgress } from '../domain/index.ts';

/**
 * SQL of what the log says of deliveries, in the state file: the notify thread of each node takes it from there. `seq`
 * is the block; `revision` that of the lease under which attempts were made, null where there are none; `bytes_to`
 * those of all records up to this one.
 */
export const RESULTS_STEP = `
  create table delivery_results (
    seq integer primary key, revision integer, bytes_to integer not null, body text not null
  ) strict;
`;

/** Bytes of records that are kept, hours of them: the notify thread needs those that it has not taken. */
const BYTES_KEPT = 64 * 2 ** 20;
/** What a record counts beside its text: so about 20,000 small ones are kept. */
const RECORD_BYTES = 3_000;

/** Writes what the log says of deliveries. The caller holds the transaction. */
export interface ResultWriter {
  /**
   * Adds a record of the log. Attempts of a lease older than the newest one are left out: who made them had lost it,
   * and somebody else went on.
   */
  add(seq: number, progress: NotifyProgress): void;
}

/** Returns the writer over a file that has `RECEIVER_SCHEMA`. */
export function createResultWriter(db: DatabaseSync): ResultWriter {
  const newest = db.prepare('select max(revision) as revision, max(bytes_to) as bytes from delivery_results');
  const add = db.prepare('insert or replace into delivery_results values (?, ?, ?, ?)');
  const oldest = db.prepare('select seq, bytes_to from delivery_results order by seq limit 1');
  const forget = db.prepare('delete from delivery_results where seq = ?');

  function prune(upTo: number): void {
    for (let first = oldest.get()!; Number(first.bytes_to) <= upTo; first = oldest.get()!) forget.run(first.seq!);
  }

  return {
    add(seq, { revision, attempts, asked }) {
      const before = newest.get()!;
      const known = before.revision === null ? null : Number(before.revision);
      const isOld = known !== null && (revision === null || revision < known);
      const taken = { attempts: isOld ? [] : attempts, asked };
      if (taken.attempts.length + asked.length === 0) return;
      const body = JSON.stringify(taken);
      const bytes = Number(before.bytes ?? 0) + Buffer.byteLength(body) + RECORD_BYTES;
      add.run(seq, isOld ? known : revision, bytes, body);
      prune(bytes - BYTES_KEPT);
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
