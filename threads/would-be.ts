import {
  type City,
  type Device,
  FAULT_GROUP,
  LIMIT_GROUP,
  type Rule,
  type Subject,
  type Transition,
} from '../domain/index.ts';
import type { BacktestTicket } from '../rules/index.ts';
import { decideTicket, isoOf, titlesOf } from '../tickets/index.ts';

/** What a ticket needs of a city. */
export type TicketCity = Pick<City, 'name' | 'services' | 'districts'>;

/** The tickets that alerts would open, as the live way decides and names them. */
export function wouldBeTickets(city: TicketCity, devices: readonly Device[]) {
  const byId = new Map(devices.map((device) => [device.id, device]));

  function subjectOf(group: string, { forEach }: Rule): Subject {
    if (group === LIMIT_GROUP || group === FAULT_GROUP) return { kind: 'rule' };
    if (forEach === 'device') return { kind: 'device', device: byId.get(group)! };
    if (forEach === 'city') return { kind: 'city', title: city.name };
    return { kind: 'district', id: group, title: city.districts.get(group)?.title ?? { en: group, zh: group } };
  }

  return (transition: Transition, rule: Rule): BacktestTicket | null => {
    const service = rule.ticket && city.services.get(rule.ticket.service);
    const decision = decideTicket(transition, null, { rule, service });
    if (decision.kind !== 'open') return null;
    const subject = subjectOf(transition.group, rule);
    return {
      service: decision.service.id,
      department: decision.service.department,
      dueAt: isoOf(transition.atMs + decision.deadlineMs),
      ...titlesOf({ transition, rule, subject, city }),
    };
  };
}
