import type { Calendar, Service } from '../../../../domain/index.ts';
import type { TicketCity } from '../../../../tickets/index.ts';
import * as scene from '../scene.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const title = { en: 'C', zh: '历' };
const zone = 'Europe/Berlin';
const EVERY_DAY = [1, 2, 3, 4, 5, 6, 7];
const WORKDAYS = [1, 2, 3, 4, 5];
const at = (time: string) => 60 * Number(time.slice(0, 2)) + Number(time.slice(3));
const span = (weekdays: readonly number[], from: string, to: string) => ({
  weekdays,
  fromMin: at(from),
  toMin: at(to),
});

/** What is special about a month. */
export interface Month {
  readonly from: string;
  readonly holidays: readonly string[];
  readonly workdays: Calendar['workdays'];
}

/**
 * Around the day on which clocks skip an hour, with Good Friday and Easter Monday, and a Saturday that stands for a
 * Friday.
 */
export const SPRING: Month = {
  from: '2026-03-09',
  holidays: ['2026-03-19', '2026-04-03', '2026-04-06'],
  workdays: [{ date: '2026-03-28', weekday: 5 }],
};

/** Around the day on which clocks show an hour twice, with a holiday that is worked after all, as a Monday. */
export const AUTUMN: Month = {
  from: '2026-10-05',
  holidays: ['2026-10-09', '2026-10-26', '2026-11-02'],
  workdays: [
    { date: '2026-10-25', weekday: 1 },
    { date: '2026-11-02', weekday: 1 },
  ],
};

function calendarsOf({ holidays, workdays }: Month): Calendar[] {
  const one = (id: string, spans: Calendar['spans'], more: Partial<Calendar> = {}): Calendar => ({
    ...{ id, title, zone, spans, holidays: [], workdays: [] },
    ...more,
  });
  const office = [span(WORKDAYS, '09:00', '12:30'), span(WORKDAYS, '13:00', '17:30'), span([4], '17:30', '20:00')];
  // Ends and begins where clocks are changed: skipped in spring, shown twice in autumn.
  const sunday = [span([7], '00:30', '02:15'), span([7], '02:45', '05:00'), span([6, 7], '23:00', '02:30')];
  return [
    one('office', office, { holidays, workdays }),
    one('night', [span(EVERY_DAY, '22:00', '06:00')], { holidays }),
    one('sunday', sunday),
  ];
}

const air: Partial<Service> = {
  calendar: 'office',
  deadlineMs: 6 * HOUR,
  acknowledgeMs: 30 * MINUTE,
  warnPercent: 80,
  escalation: [
    { on: 'acknowledge', afterMs: 0, to: 'mayor' },
    { on: 'resolve', afterMs: 2 * HOUR, to: 'mayor' },
    { on: 'resolve', afterMs: 9 * HOUR, to: 'waste' },
  ],
  reopenMs: 2 * HOUR,
  closeMs: 2 * DAY,
};
const nights: Partial<Service> = {
  calendar: 'night',
  deadlineMs: 10 * HOUR,
  acknowledgeMs: 45 * MINUTE,
  warnPercent: 50,
  escalation: [{ on: 'resolve', afterMs: 8 * HOUR, to: 'mayor' }],
  closeMs: 90 * MINUTE,
};
const flood: Partial<Service> = {
  deadlineMs: 3 * HOUR,
  acknowledgeMs: 10 * MINUTE,
  warnPercent: 75,
  escalation: [{ on: 'acknowledge', afterMs: 5 * MINUTE, to: 'mayor' }],
  reopenMs: HOUR,
  closeMs: DAY,
};
const offered: Partial<Service> = {
  calendar: 'office',
  deadlineMs: 12 * HOUR,
  warnPercent: 90,
  resolution: 'confirm',
  offers: [
    { to: 'neighbours', forMs: 90 * MINUTE },
    { to: 'cleaners', forMs: 4 * HOUR },
  ],
  closeMs: 5 * DAY,
};
const rare: Partial<Service> = { calendar: 'sunday', deadlineMs: 7 * HOUR, acknowledgeMs: HOUR, warnPercent: 33 };

/** A city in Berlin's time, whose services work by the calendars of the month. */
export function cityOf(month: Month): TicketCity {
  const services = Object.entries({ air, nights, flood, offered, rare });
  return {
    ...scene.city,
    services: new Map(services.map(([id, policy]) => [id, scene.serviceOf(id, policy)])),
    calendars: new Map(calendarsOf(month).map((calendar) => [calendar.id, calendar])),
  };
}

/** Of the rules' tickets, by service: another time to resolve than the service's own. */
export const RULE_DEADLINE_MS: Readonly<Record<string, number>> = {
  air: 4 * HOUR,
  nights: 8 * HOUR,
  flood: HOUR,
  offered: 10 * HOUR,
  rare: 5 * HOUR,
};
