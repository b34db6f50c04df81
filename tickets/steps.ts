import type { DatabaseSync } from 'node:sqlite';

const ISO = '%Y-%m-%dT%H:%M:%fZ';

/** An ISO 8601 column, moved by ?1 ms; whole milliseconds, as SQLite's own fractions would lose some. */
const moved = (column: string) => `case when ${column} is not null then strftime('${ISO}',
  (round(unixepoch(${column}, 'subsec') * 1000) + ?1) / 1000.0, 'unixepoch') end`;

/** Deadlines, offers and what is gathered follow from durations, and so do silences that began when they were made. */
const MOVES = [
  'update ticket_due set at_ms = at_ms + ?1',
  'update ticket_waits set since_ms = since_ms + ?1, held_ms = held_ms + ?1, due_ms = due_ms + ?1',
  'update ticket_openings set since_ms = since_ms + ?1',
  `update tickets set due_at = ${moved('due_at')}, acknowledge_by = ${moved('acknowledge_by')},
     offer_until = ${moved('offer_until')} where status not in ('resolved', 'closed')`,
  'update silences set starts_ms = starts_ms + ?1, ends_ms = ends_ms + ?1, warned_ms = warned_ms + iif(warned_ms = ends_ms, ?1, 0) where lasts = 1',
];

/** Returns a function that moves what was promised in durations by some ms. The caller holds the transaction. */
export function createMove(db: DatabaseSync): (byMs: number) => void {
  const statements = MOVES.map((sql) => db.prepare(sql));
  return (byMs) => {
    for (const statement of statements) statement.run(byMs);
  };
}
