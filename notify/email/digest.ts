import type { DatabaseSync, SQLOutputValue } from 'node:sqlite';
import {
  type Calendar,
  createCalendarClock,
  createZone,
  DAY_MS,
  MINUTE_MS,
  parseDuration,
} from '../../domain/index.ts';
import { createEventWriter } from '../queue.ts';
import type { EmailSettings, StoredEvent } from '../receiver.ts';

/** The city's time zone and calendars. */
export interface Hours {
  /** IANA zone of the city. */
  readonly timezone: string;
  readonly calendars: ReadonlyMap<string, Calendar>;
}

/** Whether a mail is sent now or held, until when, and why. */
export type Plan =
  | { readonly kind: 'now'; readonly reason: 'critical' | 'no-digest' }
  | { readonly kind: 'hold'; readonly untilMs: number; readonly reason: 'digest' | 'quiet-hours' };

/** What a plan depends on besides the settings. */
export interface PlanContext extends Hours {
  readonly nowMs: number;
  /** When the events that are held for the receiver are due; null where none is held. */
  readonly heldUntilMs: number | null;
}

/** Quiet hours that never end must not hold mail forever. */
const LONGEST_QUIET_MS = 7 * DAY_MS;
const EVERY_DAY = [1, 2, 3, 4, 5, 6, 7];

/** Decides when an event is mailed. */
export function planMail(
  { digest, quietHours, critical }: Pick<EmailSettings, 'digest' | 'quietHours' | 'critical'>,
  severity: string | null,
  context: PlanContext,
): Plan {
  if (severity === 'critical' && critical === 'at-once') return { kind: 'now', reason: 'critical' };
  const dueMs = digestDue(digest, context);
  const endMs = quietEnd(quietHours, dueMs, context);
  if (endMs !== null) return { kind: 'hold', untilMs: endMs, reason: 'quiet-hours' };
  if (dueMs > context.nowMs) return { kind: 'hold', untilMs: dueMs, reason: 'digest' };
  return { kind: 'now', reason: 'no-digest' };
}

/** Returns when the digest is sent that an event of now belongs to, epoch ms. */
function digestDue(digest: EmailSettings['digest'], { nowMs, heldUntilMs, timezone }: PlanContext): number {
  if (digest === null) return nowMs;
  if ('daily' in digest) return nextTimeOfDay(minuteOf(digest.daily), nowMs, timezone);
  // The duration counts from the first event of the digest.
  if (heldUntilMs !== null && heldUntilMs > nowMs) return heldUntilMs;
  return nowMs + parseDuration(digest.every)!;
}

/** Returns the next time after now at which local clocks show this minute of the day. */
function nextTimeOfDay(minute: number, nowMs: number, timezone: string): number {
  const zone = createZone(timezone);
  const today = Math.floor((nowMs + zone.offsetAt(nowMs)) / DAY_MS);
  const days = [today - 1, today, today + 1, today + 2];
  return days.map((day) => zone.toUtc(day * DAY_MS + minute * MINUTE_MS)).find((ms) => ms > nowMs)!;
}

/** Returns when the quiet hours end that apply at a time, epoch ms; null where none apply. */
function quietEnd(quietHours: EmailSettings['quietHours'], atMs: number, hours: Hours): number | null {
  if (quietHours === null) return null;
  const calendar = calendarOf(quietHours, hours);
  // The city no longer has this calendar: sending mail is safer than holding it.
  if (calendar === undefined) return null;
  const clock = createCalendarClock(calendar);
  if (clock.isActive(atMs) === 'outside' in quietHours) return null;
  return Math.min(clock.nextChange(atMs), atMs + LONGEST_QUIET_MS);
}

function calendarOf(
  quietHours: NonNullable<EmailSettings['quietHours']>,
  { timezone, calendars }: Hours,
): Calendar | undefined {
  if ('during' in quietHours) return calendars.get(quietHours.during);
  if ('outside' in quietHours) return calendars.get(quietHours.outside);
  const span = { weekdays: EVERY_DAY, fromMin: minuteOf(quietHours.from), toMin: minuteOf(quietHours.to) };
  return { id: '', title: { en: '', zh: '' }, zone: timezone, spans: [span], holidays: [], workdays: [] };
}

/** Returns the minute of the day of a time such as `07:30`. */
function minuteOf(time: string): number {
  const [hour, minute] = time.split(':');
  return Number(hour) * 60 + Number(minute);
}

/** Events that are held for a digest or until the end of quiet hours. The caller holds the transaction. */
export interface HeldEvents {
  hold(receiver: string, event: StoredEvent, dueMs: number): void;
  /** Returns when the last event that is held for a receiver is due, epoch ms; null where none is held. */
  dueOf(receiver: string): number | null;
  /** Removes and returns the events of one subject, and the alerts of a ticket, in order. */
  takeSubject(receiver: string, subject: string): StoredEvent[];
  /** Removes and returns those of these events that are held for a receiver, in order. */
  takeThese(receiver: string, events: readonly string[]): StoredEvent[];
  /** Removes and returns the oldest events that are due, at most `limit`. */
  takeDue(receiver: string, nowMs: number, limit: number): StoredEvent[];
  /** Returns the enabled receivers that have an event due. */
  receiversDue(nowMs: number): string[];
  /** Returns when the next event of any enabled receiver is due, epoch ms; null where none is held. */
  nextDue(): number | null;
  /** Sets the time at which all events of a receiver are due. */
  move(receiver: string, dueMs: number): void;
  /** Deletes all events that are held for a receiver. */
  clear(receiver: string): void;
  count(receiver: string): number;
}

/** Creates the store of held events over a database from `openDeliveries`. */
export function createHeldEvents(db: DatabaseSync): HeldEvents {
  const storeEvent = createEventWriter(db);
  const columns = 'e.id, e.n, e.type, e.subject, e.body from held h join events e on e.id = h.event';
  const hold = db.prepare('insert or replace into held values (?, ?, ?, ?)');
  const dueOf = db.prepare('select max(due_at) as at from held where receiver = ?');
  // With the alerts of a ticket, whose subject is another.
  const subject = db.prepare(`
    select ${columns} where h.receiver = ?1 and (e.subject = ?2
      or (e.subject like 'alerts/%' and 'tickets/' || (e.body ->> '$.data.ticket') = ?2)) order by h.n`);
  const due = db.prepare(`select ${columns} where h.receiver = ? and h.due_at <= ? order by h.n limit ?`);
  const these = db.prepare(
    `select ${columns} where h.receiver = ? and h.event in (select value from json_each(?)) order by h.n`,
  );
  const take = db.prepare('delete from held where receiver = ? and n = ?');
  const receivers = db.prepare(`
    select distinct receiver from held join receivers on id = receiver where due_at <= ? and disabled is null order by receiver`);
  const next = db.prepare('select min(due_at) as at from held join receivers on id = receiver where disabled is null');
  const move = db.prepare('update held set due_at = ? where receiver = ?');
  const clear = db.prepare('delete from held where receiver = ?');
  const count = db.prepare('select count(*) as count from held where receiver = ?');

  function taken(receiver: string, rows: readonly Record<string, SQLOutputValue>[]): StoredEvent[] {
    for (const { n } of rows) take.run(receiver, n!);
    return rows as unknown as StoredEvent[];
  }

  return {
    hold(receiver, event, dueMs) {
      storeEvent(event);
      hold.run(receiver, event.n, event.id, dueMs);
    },
    dueOf: (receiver) => timeOf(dueOf.get(receiver)),
    takeSubject: (receiver, wanted) => taken(receiver, subject.all(receiver, wanted)),
    takeThese: (receiver, events) => taken(receiver, these.all(receiver, JSON.stringify(events))),
    takeDue: (receiver, nowMs, limit) => taken(receiver, due.all(receiver, nowMs, limit)),
    receiversDue: (nowMs) => receivers.all(nowMs).map(({ receiver }) => String(receiver)),
    nextDue: () => timeOf(next.get()),
    move: (receiver, dueMs) => void move.run(dueMs, receiver),
    clear: (receiver) => void clear.run(receiver),
    count: (receiver) => Number(count.get(receiver)?.count),
  };
}

function timeOf(row: Record<string, SQLOutputValue> | undefined): number | null {
  const at = row?.at ?? null;
  return at === null ? null : Number(at);
}
