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
  /** Adds a silence; of those that have ended before it was created, the newest 1,000 stay. */
  add(silence: Silence): void;
  get(id: string): Silence | null;
  /** Returns a page, newest first. Throws `invalid` on a bad `after`. */
  list(query: { limit: number; after: string | null; ended?: boolean; nowMs: number }): Page<Silence>;
  /** Ends a silence at a moment, of which nobody needs to be warned; false where it had ended. */
  end(id: string, atMs: number): boolean;
  /** Returns the silences of an alert at a moment, oldest first. */
  of(labels: AlertLabels, atMs: number, calendarOf: CalendarOf): Silence[];
  /** Whether `takeCreated` or `takeEnded` would return any. */
  hasNews(nowMs: number): boolean;
  /** Returns the silences that were created, and those that have ended, since the last call. */
  takeCreated(): Silence[];
  takeEnded(nowMs: number): Silence[];
  /** Returns when the next one ends whose end was not taken yet, epoch ms; null where there is none. */
  nextEndMs(): number | null;
  /** Returns the end that the last warning was about, epoch ms; 0 where there was none. */
  warnedOf(id: string): number;
  warn(id: string, endMs: number): void;
}

/**
 * Returns when a silence that is active stops being so: at its end, or when its calendar goes off; null where it is not
 * active.
 */
export function silenceEndMs(silence: Silence, atMs: number, calendarOf: CalendarOf): number | null {
  if (silenceState(silence, atMs, calendarOf) !== 'active') return null;
  const endMs = Date.parse(silence.endsAt);
  return silence.calendar === null ? endMs : Math.min(endMs, calendarOf(silence.calendar)!.nextChange(atMs));
}

const ENDED_KEPT = 1_000;

/** Returns the store of a file that has `TICKET_SCHEMA`. */
export function createSilenceStore(db: DatabaseSync): SilenceStore {
  const add = db.prepare(`
    insert into silences (id, matchers, starts_ms, ends_ms, calendar, comment, author, created_at, lasts)
    values (?, ?, ?, ?, ?, ?, ?, ?, ?)`);
  const forget = db.prepare(`
    delete from silences where ends_ms <= ?1
      and n <= (select n from silences where ends_ms <= ?1 order by n desc limit 1 offset ${ENDED_KEPT})`);
  const one = db.prepare('select * from silences where id = ?');
  const list = db.prepare('select * from silences where n < ?1 and (?2 or ends_ms > ?3) order by n desc limit ?4');
  const end = db.prepare(`
    update silences set ends_ms = max(starts_ms, ?2), warned_ms = max(starts_ms, ?2) where id = ?1 and ends_ms > ?2`);
  const current = db.prepare('select * from silences where ends_ms > ?1 and starts_ms <= ?1 order by n');
  const created = db.prepare('select * from silences where announced = 0 order by n');
  const ended = db.prepare(
    'select * from silences where announced = 1 and (ends_ms <= ? or ends_ms <= starts_ms) order by ends_ms, n',
  );
  const next = db.prepare('select min(ends_ms) as ms from silences where announced < 2');
  const announce = db.prepare('update silences set announced = announced + 1 where id = ?');
  const warned = db.prepare('select warned_ms as ms from silences where id = ?');
  const warn = db.prepare('update silences set warned_ms = ?2 where id = ?1');
  const announced = (rows: readonly Readonly<Record<string, SQLOutputValue>>[]) => {
    for (const { id } of rows) announce.run(String(id));
    return rows.map(silenceOf);
  };
  return {
    add({ id, matchers, startsAt, endsAt, calendar, comment, author, createdAt }) {
      const times = [Date.parse(startsAt), Date.parse(endsAt)];
      const lasts = startsAt <= createdAt ? 1 : 0;
      add.run(id, JSON.stringify(matchers), ...times, calendar, comment, author, createdAt, lasts);
      forget.run(Date.parse(createdAt));
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
    hasNews: (nowMs) => created.get() !== undefined || ended.get(nowMs) !== undefined,
    takeCreated: () => announced(created.all()),
    takeEnded: (nowMs) => announced(ended.all(nowMs)),
    nextEndMs: () => (next.get()?.ms as number | null) ?? null,
    warnedOf: (id) => Number(warned.get(id)?.ms ?? 0),
    warn: (id, endMs) => void warn.run(id, endMs),
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
