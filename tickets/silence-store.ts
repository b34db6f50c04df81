import type { DatabaseSync, SQLOutputValue } from 'node:sqlite';
import { z } from 'zod';
import {
  type AlertLabels,
  type CalendarClock,
  isoOf,
  type Matchers,
  MatchersSchema,
  type Page,
  type ShapeOf,
} from '../domain/index.ts';
import { positionOf } from '../store/index.ts';
import { matches } from './match.ts';

/** A silence or maintenance window: alerts that it matches go on, and open no ticket. Times are ISO 8601 UTC. */
export const SilenceSchema = z
  .object({
    id: z.string(),
    matchers: MatchersSchema.describe('Each list that is given must contain the value of the alert'),
    startsAt: z.iso.datetime(),
    endsAt: z.iso.datetime(),
    calendar: z.string().nullable().describe('It silences only while this calendar is on; null: all the time'),
    comment: z.string(),
    author: z.string().describe('Id of the key that created it'),
    createdAt: z.iso.datetime(),
  })
  .meta({ id: 'Silence', description: 'Alerts that it matches go on, and open no ticket' });
export type Silence = ShapeOf<typeof SilenceSchema>;

/** A silence with its state now; `pausing` between the times of its calendar. */
export const ShownSilenceSchema = SilenceSchema.extend({
  state: z.enum(['pending', 'active', 'pausing', 'expired']),
}).meta({ id: 'ShownSilence' });
export type ShownSilence = ShapeOf<typeof ShownSilenceSchema>;

/** Returns the clock of a calendar; null where the city has none of that id. */
export type CalendarOf = (id: string) => CalendarClock | null;

/** Returns the state of a silence at a moment. */
export function silenceState(
  { startsAt, endsAt, calendar }: Silence,
  atMs: number,
  calendarOf: CalendarOf,
): ShownSilence['state'] {
  if (atMs >= Date.parse(endsAt) || endsAt <= startsAt) return 'expired';
  if (atMs < Date.parse(startsAt)) return 'pending';
  if (calendar === null) return 'active';
  return calendarOf(calendar)?.isActive(atMs) === true ? 'active' : 'pausing';
}

/** Stores silences. The caller of what writes holds the transaction. */
export interface SilenceStore {
  add(silence: Silence): void;
  get(id: string): Silence | null;
  /** Returns a page, newest first. Throws `invalid` on a bad `after`. */
  list(query: { limit: number; after: string | null; ended?: boolean; nowMs: number }): Page<Silence>;
  /** Ends a silence at a moment; false where it had ended. */
  end(id: string, atMs: number): boolean;
  /** Returns the silences of an alert at a moment, oldest first. */
  of(labels: AlertLabels, atMs: number, calendarOf: CalendarOf): Silence[];
  /** Whether `takeEnding` would return any. */
  hasEnding(beforeMs: number, nowMs: number): boolean;
  /** Returns the silences that end before a moment. Each is returned once. */
  takeEnding(beforeMs: number, nowMs: number): Silence[];
}

/** Returns the store of a file that has `TICKET_SCHEMA`. */
export function createSilenceStore(db: DatabaseSync): SilenceStore {
  const add = db.prepare(`
    insert into silences (id, matchers, starts_ms, ends_ms, calendar, comment, author, created_at)
    values (?, ?, ?, ?, ?, ?, ?, ?)`);
  const one = db.prepare('select * from silences where id = ?');
  const list = db.prepare('select * from silences where n < ?1 and (?2 or ends_ms > ?3) order by n desc limit ?4');
  const end = db.prepare('update silences set ends_ms = max(starts_ms, ?2) where id = ?1 and ends_ms > ?2');
  const current = db.prepare('select * from silences where ends_ms > ?1 and starts_ms <= ?1 order by n');
  const ending = db.prepare(
    'select * from silences where warned = 0 and ends_ms <= ?1 and ends_ms > ?2 order by ends_ms, n',
  );
  const warn = db.prepare('update silences set warned = 1 where id = ?');
  return {
    add({ id, matchers, startsAt, endsAt, calendar, comment, author, createdAt }) {
      const times = [Date.parse(startsAt), Date.parse(endsAt)];
      add.run(id, JSON.stringify(matchers), ...times, calendar, comment, author, createdAt);
    },
    get(id) {
      const row = one.get(id);
      return row === undefined ? null : silenceOf(row);
    },
    list({ limit, after, ended = false, nowMs }) {
      const rows = list.all(positionOf(after, Number.MAX_SAFE_INTEGER), ended ? 1 : 0, nowMs, limit + 1);
      const page = rows.slice(0, limit);
      return { items: page.map(silenceOf), next: rows.length > limit ? String(page.at(-1)?.n) : null };
    },
    end: (id, atMs) => end.run(id, atMs).changes > 0,
    of(labels, atMs, calendarOf) {
      const silences = current.all(atMs).map(silenceOf);
      const fits = (silence: Silence) => matches(silence.matchers, labels);
      return silences.filter((one) => fits(one) && silenceState(one, atMs, calendarOf) === 'active');
    },
    hasEnding: (beforeMs, nowMs) => ending.get(beforeMs, nowMs) !== undefined,
    takeEnding(beforeMs, nowMs) {
      const silences = ending.all(beforeMs, nowMs).map(silenceOf);
      for (const { id } of silences) warn.run(id);
      return silences;
    },
  };
}

function silenceOf(row: Readonly<Record<string, SQLOutputValue>>): Silence {
  return {
    id: String(row.id),
    matchers: JSON.parse(String(row.matchers)) as Matchers,
    startsAt: isoOf(Number(row.starts_ms)),
    endsAt: isoOf(Number(row.ends_ms)),
    calendar: row.calendar === null ? null : String(row.calendar),
    comment: String(row.comment),
    author: String(row.author),
    createdAt: String(row.created_at),
  };
}
