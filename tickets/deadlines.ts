import { addWorkingTime, type CalendarClock, type Service } from '../domain/index.ts';

/** What a ticket waits for, besides people. */
export type DueKind = 'warn' | 'overdue' | 'escalate' | 'offer' | 'close' | 'joined';

/** Something that comes due for a ticket, once. */
export interface Due {
  readonly kind: DueKind;
  /** Which of several of its kind. */
  readonly n: number;
  readonly atMs: number;
  /** The deadline that it is about; null for the others. */
  readonly on: 'acknowledge' | 'resolve' | null;
  /** Who is told, or was offered the ticket. */
  readonly to: string | null;
}

/** The deadlines of a ticket and what comes due on the way, in working time of its service. */
export interface Deadlines {
  readonly acknowledgeByMs: number | null;
  readonly dueMs: number;
  readonly due: readonly Due[];
}

/** What deadlines follow from. */
export type DeadlinePolicy = Pick<Service, 'acknowledgeMs' | 'warnPercent' | 'escalation'>;

const NUMBER = { acknowledge: 0, resolve: 1 } as const;

/** From a moment on: when to acknowledge and to resolve, when somebody is warned, when it is overdue, when others are told. */
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
