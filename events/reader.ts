import type { DatabaseSync, SQLOutputValue } from 'node:sqlite';
import type { Page } from '../domain/index.ts';
import type { LamppostEvent } from './cloudevent.ts';
import { conditionsFor, type EventFilter } from './filter.ts';

/** An event and its number in the outbox: the position that readers resume after. */
export interface NumberedEvent {
  readonly n: number;
  readonly event: LamppostEvent;
}

/** Which events, in the order of their numbers. */
export interface EventQuery extends EventFilter {
  /** Number of the last event that the reader has; 0 from the oldest. */
  readonly after: number;
  readonly limit: number;
}

/** The reading side of the outbox, for any connection to the file. */
export interface OutboxReader {
  /**
   * The oldest matching events after `after`. At the end `next` is null; a reader that waits for more resumes after the
   * `head()` it asked for *before* the page, so that events which do not match are not searched again.
   */
  page(query: EventQuery): Page<NumberedEvent>;
  /** Number of the newest event; 0 when there is none. */
  head(): number;
  /** Number of the oldest event that is kept; 0 when there is none. A reader whose `after + 1` is older has missed events. */
  oldest(): number;
  /** Name of the store that gave the numbers: the same number of another store is another event. */
  store(): string;
}

/** Makes the reading side over a file that has `OUTBOX_SCHEMA`. */
export function createOutboxReader(db: DatabaseSync): OutboxReader {
  const head = db.prepare('select coalesce(max(n), 0) as n from outbox');
  const oldest = db.prepare('select coalesce(min(n), 0) as n from outbox');
  const store = db.prepare('select name from outbox_store');
  return {
    page({ after, limit, ...filter }) {
      const wanted = conditionsFor(filter);
      const sql = `select n, body from outbox where n > ?${wanted.sql} order by n limit ?`;
      const rows = db.prepare(sql).all(after, ...wanted.params, limit + 1);
      const items = rows.slice(0, limit).map(numberedOf);
      return { items, next: rows.length > limit ? String(items.at(-1)?.n) : null };
    },
    head: () => Number(head.get()?.n),
    oldest: () => Number(oldest.get()?.n),
    store: () => String(store.get()?.name),
  };
}

/** The event of a row of `n` and `body`. */
export function numberedOf(row: Readonly<Record<string, SQLOutputValue>>): NumberedEvent {
  return { n: Number(row.n), event: JSON.parse(String(row.body)) as LamppostEvent };
}
