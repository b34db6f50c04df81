import {
  type Calendar,
  createCalendarClock,
  createZone,
  DAY_MS,
  MINUTE_MS,
  parseDuration,
} from '../../domain/index.ts';
import type { Digest, EmailSettings, QuietHours } from '../receiver.ts';

/** What times of day rest on. */
export interface Hours {
  /** IANA zone of the city. */
  readonly timezone: string;
  readonly calendars: ReadonlyMap<string, Calendar>;
}

/** Whether a mail goes out, and why it does or until when it does not. */
export type Plan =
  | { readonly kind: 'now'; readonly reason: 'critical' | 'no-digest' }
  | { readonly kind: 'hold'; readonly untilMs: number; readonly reason: 'digest' | 'quiet-hours' };

/** What a plan rests on besides the settings. */
export interface PlanScene extends Hours {
  readonly nowMs: number;
  /** When what waits for the receiver already is due; null where nothing waits. */
  readonly heldUntilMs: number | null;
}

/** Quiet hours that do not end are no reason never to tell. */
const LONGEST_QUIET_MS = 7 * DAY_MS;
const EVERY_DAY = [1, 2, 3, 4, 5, 6, 7];

/** Decides when an event is mailed. */
export function planMail(
  { digest, quietHours, critical }: Pick<EmailSettings, 'digest' | 'quietHours' | 'critical'>,
  severity: string | null,
  scene: PlanScene,
): Plan {
  if (severity === 'critical' && critical === 'at-once') return { kind: 'now', reason: 'critical' };
  const dueMs = digestDue(digest, scene);
  const endMs = quietEnd(quietHours, dueMs, scene);
  if (endMs !== null) return { kind: 'hold', untilMs: endMs, reason: 'quiet-hours' };
  if (dueMs > scene.nowMs) return { kind: 'hold', untilMs: dueMs, reason: 'digest' };
  return { kind: 'now', reason: 'no-digest' };
}

/** When the digest goes out that an event of now belongs to, epoch ms. */
function digestDue(digest: Digest, { nowMs, heldUntilMs, timezone }: PlanScene): number {
  if (digest === null) return nowMs;
  if ('daily' in digest) return nextTimeOfDay(minuteOf(digest.daily), nowMs, timezone);
  // It is so long after the first event that it tells.
  if (heldUntilMs !== null && heldUntilMs > nowMs) return heldUntilMs;
  return nowMs + parseDuration(digest.every)!;
}

/** The next moment after now at which local clocks show this minute of the day. */
function nextTimeOfDay(minute: number, nowMs: number, timezone: string): number {
  const zone = createZone(timezone);
  const today = Math.floor((nowMs + zone.offsetAt(nowMs)) / DAY_MS);
  const days = [today - 1, today, today + 1, today + 2];
  return days.map((day) => zone.toUtc(day * DAY_MS + minute * MINUTE_MS)).find((ms) => ms > nowMs)!;
}

/** When the quiet hours end that hold at a moment, epoch ms; null where none do. */
function quietEnd(quietHours: QuietHours, atMs: number, hours: Hours): number | null {
  if (quietHours === null) return null;
  const calendar = calendarOf(quietHours, hours);
  // The city has no such calendar any more: better told than not.
  if (calendar === undefined) return null;
  const clock = createCalendarClock(calendar);
  if (clock.isActive(atMs) === 'outside' in quietHours) return null;
  return Math.min(clock.nextChange(atMs), atMs + LONGEST_QUIET_MS);
}

function calendarOf(quietHours: NonNullable<QuietHours>, { timezone, calendars }: Hours): Calendar | undefined {
  if ('during' in quietHours) return calendars.get(quietHours.during);
  if ('outside' in quietHours) return calendars.get(quietHours.outside);
  const span = { weekdays: EVERY_DAY, fromMin: minuteOf(quietHours.from), toMin: minuteOf(quietHours.to) };
  return { id: '', title: { en: '', zh: '' }, zone: timezone, spans: [span], holidays: [], workdays: [] };
}

/** `07:30` as a minute of the day. */
function minuteOf(time: string): number {
  const [hour, minute] = time.split(':');
  return Number(hour) * 60 + Number(minute);
}
