import type { DatabaseSync } from 'node:sqlite';
import {
  addWorkingTime,
  type Calendar,
  type CalendarClock,
  type City,
  createCalendarClock,
  type Service,
} from '../domain/index.ts';

const clocks = new WeakMap<Calendar, CalendarClock>();

/** Returns the clock of a calendar of the city; null where no calendar is named or the city has none of that id. */
export function calendarOf(id: string | null, { calendars }: Pick<City, 'calendars'>): CalendarClock | null {
  const calendar = id === null ? undefined : calendars.get(id);
  if (calendar === undefined) return null;
  const known = clocks.get(calendar) ?? createCalendarClock(calendar);
  clocks.set(calendar, known);
  return known;
}

/** The kinds of what comes due for a ticket. */
export type DueKind = 'warn' | 'overdue' | 'escalate' | 'remind' | 'offer' | 'close' | 'recheck' | 'joined';

/** Something that comes due for a ticket once. */
export interface Due {
  readonly kind: DueKind;
  /** Its number among those of its kind. */
  readonly n: number;
  readonly atMs: number;
  /** The deadline that it is about; null for the others. */
  readonly on: 'acknowledge' | 'resolve' | null;
  /** The party that is notified, or that was offered the ticket. */
  readonly to: string | null;
}

/** The deadlines of a ticket and what comes due before and after them, in working time of its service. */
export interface Deadlines {
  readonly acknowledgeByMs: number | null;
  readonly dueMs: number;
  readonly due: readonly Due[];
}

/** The policy that deadlines follow from. */
export type DeadlinePolicy = Pick<Service, 'acknowledgeMs' | 'warnPercent' | 'escalation'>;

const NUMBER = { acknowledge: 0, resolve: 1 } as const;

/** Returns the deadlines from a moment on, with the warnings before them and the escalations after them. */
export function deadlinesOf(
  policy: DeadlinePolicy,
  { calendar, fromMs, resolveMs }: { calendar: CalendarClock | null; fromMs: number; resolveMs: number },
): Deadlines {
  const { acknowledgeMs } = policy;
  const steps = (on: 'acknowledge' | 'resolve', ms: number) => stepsOf(policy, { on, ms, calendar, fromMs });
  return {
    acknowledgeByMs: acknowledgeMs === null ? null : addWorkingTime(calendar, fromMs, acknowledgeMs),
    dueMs: addWorkingTime(calendar, fromMs, resolveMs),
    due: [...(acknowledgeMs === null ? [] : steps('acknowledge', acknowledgeMs)), ...steps('resolve', resolveMs)],
  };
}

/** Returns the next reminder after a moment; none where the service sets none. */
export function remindersOf(
  { remindMs }: Pick<Service, 'remindMs'>,
  calendar: CalendarClock | null,
  afterMs: number,
): Due[] {
  if (remindMs === null) return [];
  return [{ kind: 'remind', n: 0, atMs: addWorkingTime(calendar, afterMs, remindMs), on: null, to: null }];
}

interface Leg {
  readonly on: 'acknowledge' | 'resolve';
  readonly ms: number;
  readonly calendar: CalendarClock | null;
  readonly fromMs: number;
}

function stepsOf({ warnPercent, escalation }: DeadlinePolicy, { on, ms, calendar, fromMs }: Leg): Due[] {
  const deadline = addWorkingTime(calendar, fromMs, ms);
  const due: Due[] = [{ kind: 'overdue', n: NUMBER[on], atMs: deadline, on, to: null }];
  if (warnPercent !== null) {
    const atMs = addWorkingTime(calendar, fromMs, Math.floor((ms * warnPercent) / 100));
    due.unshift({ kind: 'warn', n: NUMBER[on], atMs, on, to: null });
  }
  escalation.forEach((step, n) => {
    if (step.on !== on) return;
    due.push({ kind: 'escalate', n, atMs: addWorkingTime(calendar, deadline, step.afterMs), on, to: step.to });
  });
  return due;
}

/**
 * Stores what comes due, by ticket. The caller holds the transaction: removing and doing are one, so each is done
 * once.
 */
export interface DueStore {
  add(ticket: string, due: readonly Due[]): void;
  /** Removes all of a ticket but one kind. */
  removeAllBut(ticket: string, kind: DueKind): void;
  /** Removes all of a ticket, those of a kind, or those about one deadline. */
  remove(ticket: string, what?: { readonly kind?: DueKind; readonly on?: 'acknowledge' | 'resolve' }): void;
  /**
   * Removes and returns the oldest that is due; null where nothing is. At one moment: warnings, then overdue, then
   * escalations.
   */
  take(nowMs: number): (Due & { readonly ticket: string }) | null;
  has(ticket: string, kind: DueKind): boolean;
  /** When the next one is due; null where there is none. */
  nextMs(): number | null;
}

/** Returns the store of a file that has `TICKET_SCHEMA`. */
export function createDueStore(db: DatabaseSync): DueStore {
  const add = db.prepare(
    'insert or replace into ticket_due (ticket, kind, n, at_ms, "on", "to") values (?, ?, ?, ?, ?, ?)',
  );
  const remove = db.prepare(
    'delete from ticket_due where ticket = ?1 and (?2 is null or kind = ?2) and (?3 is null or "on" = ?3)',
  );
  const others = db.prepare('delete from ticket_due where ticket = ? and kind <> ?');
  const oldest = db.prepare(`
    select ticket, kind, n, at_ms as atMs, "on", "to" from ticket_due where at_ms <= ?
    order by at_ms, ticket, kind desc, n limit 1`);
  const one = db.prepare('delete from ticket_due where ticket = ? and kind = ? and n = ?');
  const has = db.prepare('select 1 from ticket_due where ticket = ? and kind = ? limit 1');
  const next = db.prepare('select min(at_ms) as ms from ticket_due');
  return {
    add(ticket, due) {
      for (const { kind, n, atMs, on, to } of due) add.run(ticket, kind, n, atMs, on, to);
    },
    remove: (ticket, { kind, on } = {}) => void remove.run(ticket, kind ?? null, on ?? null),
    removeAllBut: (ticket, kind) => void others.run(ticket, kind),
    take(nowMs) {
      const row = oldest.get(nowMs);
      if (row === undefined) return null;
      const due = { ...row } as unknown as Due & { ticket: string };
      one.run(due.ticket, due.kind, due.n);
      return due;
    },
    has: (ticket, kind) => has.get(ticket, kind) !== undefined,
    nextMs: () => (next.get()?.ms as number | null) ?? null,
  };
}
