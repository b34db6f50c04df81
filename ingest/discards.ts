import type { DatabaseSync } from 'node:sqlite';
import { isoOf } from '../domain/index.ts';
import { parseId } from './quarantine.ts';

/** Who decided that some refusals will not be fixed, when and why. */
export interface Discard {
  readonly ids: readonly string[];
  /** Id of the key. */
  readonly by: string;
  readonly note: string;
  readonly atMs: number;
  /** The earlier of civil and steady time. */
  readonly agedMs: number;
  /** Its place in the log. */
  readonly place: string;
}

/** Writes what people discard, in the order of the log. The caller holds the transaction. */
export interface Discards {
  /**
   * Marks entries of the quarantine, also such as are not in it (yet): the same log marks the same. Marks older than
   * the quarantine keeps entries are forgotten.
   */
  add(discard: Discard): void;
}

/** Returns the writer over a file that has `QUARANTINE_SCHEMA`; `keptMs` is how long refusals are kept. */
export function createDiscards(db: DatabaseSync, keptMs: number): Discards {
  const forgetMarks = db.prepare(
    'delete from quarantine_discarded where discard in (select place from quarantine_discards where at_ms < ?)',
  );
  const forget = db.prepare('delete from quarantine_discards where at_ms < ?');
  const add = db.prepare('insert into quarantine_discards values (?, ?, ?, ?)');
  const mark = db.prepare('insert or ignore into quarantine_discarded values (?, ?, ?)');
  return {
    add({ ids, by, note, atMs, agedMs, place }) {
      forgetMarks.run(agedMs - keptMs);
      forget.run(agedMs - keptMs);
      add.run(place, atMs, by, note);
      for (const [position, ordinal] of ids.map(parseId)) {
        if (Number.isSafeInteger(position) && Number.isSafeInteger(ordinal)) mark.run(position, ordinal, place);
      }
    },
  };
}

/** What an entry shows of its discard. */
export function discardedOf({ discarded_at: at, discarded_by: by, note }: Readonly<Record<string, unknown>>) {
  return at === null ? null : { at: isoOf(Number(at)), by: String(by), note: String(note) };
}
