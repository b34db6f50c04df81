import {
  addWorkingTime,
  type City,
  type Device,
  FAULT_GROUP,
  isoOf,
  LIMIT_GROUP,
  type Rule,
  type Subject,
  type Transition,
} from '../domain/index.ts';
import type { BacktestTicket } from '../rules/index.ts';
import { calendarOf } from './deadlines.ts';
import { ALONE, decideTicket } from './decide.ts';
import { titlesOf } from './wording.ts';

const never = () => false;
const NOTHING_OPEN = {
  ...{ ...ALONE, open: null, waits: false },
  ...{ othersFire: never, partsOpen: never, endedUnseen: never, reportedOtherwise: never },
  resolution: 'auto',
} as const;

/** The parts of the city that the tickets of a backtest depend on. */
export type BacktestCity = Pick<City, 'name' | 'services' | 'districts' | 'calendars'>;

/**
 * Returns the function from a transition to the ticket that it would open; null where it would open none. It decides
 * and names tickets like the live path, with nothing else open, silenced or gathered.
 */
export function wouldBeTickets(city: BacktestCity, devices: readonly Device[]) {
  const byId = new Map(devices.map((device) => [device.id, device]));

  function subjectOf(group: string, { forEach }: Rule): Subject {
    if (group === LIMIT_GROUP || group === FAULT_GROUP) return { kind: 'rule' };
    if (forEach === 'device') return { kind: 'device', device: byId.get(group)! };
    if (forEach === 'city') return { kind: 'city', title: city.name };
    return { kind: 'district', id: group, title: city.districts.get(group)?.title ?? { en: group, zh: group } };
  }

  return (transition: Transition, rule: Rule): BacktestTicket | null => {
    const service = rule.ticket && city.services.get(rule.ticket.service);
    const decision = decideTicket(transition, { rule, service, ...NOTHING_OPEN });
    if (decision.kind !== 'open') return null;
    const subject = subjectOf(transition.group, rule);
    const { service: of, deadlineMs } = decision;
    return {
      service: of.id,
      department: of.department,
      dueAt: isoOf(addWorkingTime(calendarOf(of.calendar, city), transition.atMs, deadlineMs)),
      ...titlesOf({ transition, rule, subject, city }),
    };
  };
}
