import type { DatabaseSync, SQLOutputValue } from 'node:sqlite';
import type { EventType, Page, Severity } from '../domain/index.ts';
import { conditionsOf, type Filter } from '../tickets/index.ts';
import type { LamppostEvent } from './cloudevent.ts';

/** An event and its number in the outbox: the position that readers resume after. */
export interface NumberedEvent {
  readonly n: number;
  readonly event: LamppostEvent;
}

/** Which events, in the order of their numbers; absent filters match all. */
export interface EventQuery {
  /** Number of the last event that the reader has; 0 from the oldest. */
  readonly after: number;
  readonly limit: number;
  readonly types?: Filter<EventType>;
  readonly department?: Filter<string>;
  readonly district?: Filter<string>;
  readonly severity?: Filter<Severity>;
  readonly rule?: Filter<string>;
  readonly ticket?: Filter<string>;
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
}

/** Makes the reading side over a file that has `OUTBOX_SCHEMA`. */
export function createOutboxReader(db: DatabaseSync): OutboxReader {
  const head = db.prepare('select coalesce(max(n), 0) as n from outbox');
  const oldest = db.prepare('select coalesce(min(n), 0) as n from outbox');
  return {
    page({ after, limit, types, department, district, severity, rule, ticket }) {
      const wanted = conditionsOf({ type: types, department, district, severity, rule, ticket });
      const sql = `select n, body from outbox where n > ?${wanted.sql} order by n limit ?`;
      const rows = db.prepare(sql).all(after, ...wanted.params, limit + 1);
      const items = rows.slice(0, limit).map(numberedOf);
      return { items, next: rows.length > limit ? String(items.at(-1)?.n) : null };
    },
    head: () => Number(head.get()?.n),
    oldest: () => Number(oldest.get()?.n),
  };
}

/** The event of a row of `n` and `body`. */
export function numberedOf(row: Readonly<Record<string, SQLOutputValue>>): NumberedEvent {
  return { n: Number(row.n), event: JSON.parse(String(row.body)) as LamppostEvent };
}
