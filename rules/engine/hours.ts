import { type Calendar, createCalendarClock } from '../../domain/index.ts';

/** When a rule is active; answers for times that mostly go forward. */
export interface Hours {
  isOn(ms: number): boolean;
  /** The first moment after `ms` at which it changes; Infinity: never. */
  nextChange(ms: number): number;
}

/** Remembers the span it is in: asked at each reading, it changes twice a day. */
export function createHours(calendar: Calendar): Hours {
  const clock = createCalendarClock(calendar);
  let [from, to, on] = [0, 0, false];
  const look = (ms: number) => {
    if (ms >= from && ms < to) return;
    on = clock.isActive(ms);
    from = ms;
    to = clock.nextChange(ms);
  };
  return {
    isOn(ms) {
      look(ms);
      return on;
    },
    nextChange(ms) {
      look(ms);
      return to;
    },
  };
}
