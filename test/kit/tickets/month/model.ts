import type { EscalationStep, Service, Ticket } from '../../../../domain/index.ts';
import type { Walk } from './reference.ts';

const iso = (ms: number) => new Date(ms).toISOString();

/** Something that has to happen by itself, once, at the first look at or after its time. */
interface Awaited {
  readonly ticket: string;
  readonly atMs: number;
  readonly what: 'warned' | 'late' | 'notified' | 'lapsed' | 'closed';
  readonly on: 'acknowledge' | 'resolve' | null;
  /** Who is notified, or had the offer; the n-th. */
  readonly to: string;
  readonly n: number;
}

/** An entry of a ticket's history that the clock should make. */
export interface Expected {
  readonly ticket: string;
  readonly action: string;
  readonly note: string;
  readonly dueMs: number;
}

interface Known {
  readonly ticket: Ticket;
  readonly acknowledgeBy: string | null;
  readonly dueAt: string;
}

interface Options {
  readonly services: ReadonlyMap<string, Service>;
  readonly walk: Walk;
  /** Time to resolve of a ticket that a rule opened. */
  readonly ruleDeadlineMs: Readonly<Record<string, number>>;
}

/**
 * What the clock should do to tickets, computed only from what others did to them. It knows neither the tables nor the
 * code of the deadlines; it keeps one plain list and looks through all of it.
 */
export function createModel({ services, walk, ruleDeadlineMs }: Options) {
  const known = new Map<string, Known>();
  let awaited: Awaited[] = [];
  /** The alerts that fire, by the newest ticket that has them: `rule for group`. */
  const live = new Map<string, Set<string>>();

  function await_(ticket: Ticket, fromMs: number, resolveMs: number): Known {
    const { calendar, acknowledgeMs, warnPercent, escalation } = services.get(ticket.service)!;
    const leg = (on: 'acknowledge' | 'resolve', ms: number) => {
      const deadlineMs = walk(calendar, fromMs, ms);
      // The work on the reported ticket serves this one too: nobody is notified twice.
      if (ticket.relation === 'report') return deadlineMs;
      const add = (what: Awaited['what'], atMs: number, to = '', n = 0) =>
        awaited.push({ ticket: ticket.id, atMs, what, on, to, n });
      if (warnPercent !== null) add('warned', walk(calendar, fromMs, Math.floor((ms / 100) * warnPercent)));
      add('late', deadlineMs);
      const notify = (step: EscalationStep) => add('notified', walk(calendar, deadlineMs, step.afterMs), step.to);
      escalation.filter((step) => step.on === on).forEach(notify);
      return deadlineMs;
    };
    const acknowledgeBy = acknowledgeMs === null ? null : iso(leg('acknowledge', acknowledgeMs));
    return { ticket, acknowledgeBy, dueAt: iso(leg('resolve', resolveMs)) };
  }

  /** The time to resolve that a ticket opened with. */
  const resolveOf = ({ service, origin, parent }: Ticket) =>
    origin === 'sensor' && parent === null ? ruleDeadlineMs[service]! : services.get(service)!.deadlineMs;

  function drop(id: string, when: (one: Awaited) => boolean): void {
    awaited = awaited.filter((one) => one.ticket !== id || !when(one));
  }

  /** An alert counts in its newest ticket, also after that has ended. */
  function noteAlerts({ id, alerts }: Ticket): void {
    const firing = alerts.filter(({ state }) => state === 'firing').map(({ rule, group }) => `${rule} for ${group}`);
    const open = !isDone(known.get(id)!.ticket);
    if (open) for (const others of live.values()) for (const one of firing) others.delete(one);
    live.set(id, new Set(firing));
  }

  const liveOf = ({ id, relation, parent }: Ticket) => [...(live.get(relation === 'report' ? parent! : id) ?? [])];

  const isDone = ({ status }: Ticket) => status === 'resolved' || status === 'closed';

  /** Records a ticket after a change. */
  function observe(ticket: Ticket): void {
    time(ticket);
    noteAlerts(ticket);
  }

  function time(ticket: Ticket): void {
    const { id } = ticket;
    const before = known.get(id);
    const service = services.get(ticket.service)!;
    const nowMs = Date.parse(ticket.updatedAt);
    if (before === undefined) {
      known.set(id, await_(ticket, Date.parse(ticket.openedAt), resolveOf(ticket)));
      return;
    }
    if (isDone(before.ticket) && !isDone(ticket)) {
      drop(id, () => true);
      known.set(id, await_(ticket, nowMs, resolveOf(ticket)));
      return;
    }
    if (isDone(ticket) && !isDone(before.ticket)) {
      drop(id, () => true);
      const { closeMs } = service;
      if (closeMs !== null) awaited.push({ ticket: id, atMs: nowMs + closeMs, what: 'closed', on: null, to: '', n: 0 });
    }
    if (ticket.status === 'closed') drop(id, () => true);
    if (ticket.status !== 'open') drop(id, ({ on }) => on === 'acknowledge');
    if (ticket.offer === null) drop(id, ({ what }) => what === 'lapsed');
    if (ticket.offer !== null && ticket.offer.to !== before.ticket.offer?.to) offered(ticket, nowMs);
    const handed = ticket.history.at(-1)!.action === 'handed-over' && ticket.status === 'open';
    const acknowledgeBy = handed ? again(ticket, nowMs) : ticket.status === 'open' ? before.acknowledgeBy : null;
    known.set(id, { ticket, acknowledgeBy, dueAt: before.dueAt });
  }

  /** The other department has its own time to acknowledge. */
  function again(ticket: Ticket, nowMs: number): string | null {
    drop(ticket.id, ({ on }) => on === 'acknowledge');
    const before = [...awaited];
    const { acknowledgeBy } = await_(ticket, nowMs, 0);
    awaited = awaited.filter((one) => before.includes(one) || one.on === 'acknowledge');
    return acknowledgeBy;
  }

  /** The time of an offer runs from the moment of the offer. */
  function offered({ id, service, offer }: Ticket, nowMs: number): void {
    const { offers, calendar } = services.get(service)!;
    const n = offers.findIndex(({ to }) => to === offer!.to);
    const atMs = walk(calendar, nowMs, offers[n]!.forMs);
    if (iso(atMs) !== offer!.until) throw new Error(`${id}: offered until ${offer!.until}, not ${iso(atMs)}`);
    awaited.push({ ticket: id, atMs, what: 'lapsed', on: null, to: offer!.to, n });
  }

  /** What still fires is not closed, but looked at after the same time again. */
  function later_(one: Awaited, nowMs: number): Awaited {
    const { closeMs } = services.get(known.get(one.ticket)!.ticket.service)!;
    const missed = Math.floor((nowMs - one.atMs) / closeMs!);
    return { ...one, atMs: one.atMs + (missed + 1) * closeMs! };
  }

  /** The offer that follows one that was not taken, from that moment on; null where there is none. */
  function nextOffer({ ticket: id, atMs, what, n }: Awaited): Awaited | null {
    const { service, updatedAt } = known.get(id)!.ticket;
    const { offers, calendar } = services.get(service)!;
    const next = what === 'lapsed' ? offers[n + 1] : undefined;
    if (next === undefined) return null;
    const fromMs = Math.max(atMs, Date.parse(updatedAt));
    return { ticket: id, atMs: walk(calendar, fromMs, next.forMs), what, on: null, to: next.to, n: n + 1 };
  }

  function expectedOf(one: Awaited): Expected[] {
    const { ticket: id, atMs, what, on, to } = one;
    const { ticket, acknowledgeBy, dueAt } = known.get(id)!;
    const entry = (action: string, note: string): Expected => ({ ticket: id, action, note, dueMs: atMs });
    if (what === 'closed') {
      const firing = liveOf(ticket);
      if (firing.length === 0) return [entry('closed', 'nobody objected')];
      return ticket.relation === 'report'
        ? []
        : [entry('reminded', `not closed, it still fires: ${firing.join(', ')}`)];
    }
    if (what === 'lapsed') {
      const next = nextOffer(one);
      const lapse = entry('declined', `not taken by ${to} in time`);
      return next === null ? [lapse] : [lapse, entry('offered', `offered to ${next.to} until ${iso(next.atMs)}`)];
    }
    const [verb, by] = on === 'acknowledge' ? ['acknowledged', acknowledgeBy] : ['resolved', dueAt];
    if (what === 'warned') return [entry('warned', `to be ${verb} by ${by}`)];
    const notified = what === 'late' ? ticket.department : to;
    return [entry('escalated', `not ${verb} by ${by}: ${notified} is notified`)];
  }

  return {
    observe,
    /** Records that an alert ended. */
    ended(rule: string, group: string): void {
      for (const one of live.values()) one.delete(`${rule} for ${group}`);
    },
    /** Returns what came due up to a moment, each thing once. */
    due(nowMs: number): Expected[] {
      let now = awaited.filter(({ atMs }) => atMs <= nowMs);
      awaited = awaited.filter(({ atMs }) => atMs > nowMs);
      const expected: Expected[] = [];
      while (now.length > 0) {
        const [one, ...later] = now.toSorted((a, b) => a.atMs - b.atMs) as [Awaited, ...Awaited[]];
        if (one.what === 'closed' && liveOf(known.get(one.ticket)!.ticket).length > 0) awaited.push(later_(one, nowMs));
        expected.push(...expectedOf(one));
        const next = nextOffer(one);
        now = next !== null && next.atMs <= nowMs ? [...later, next] : later;
      }
      return expected;
    },
    /** The deadlines that a ticket should show. */
    deadlines: (id: string) => known.get(id)!,
    /** What is still to come, `ticket ms`. */
    ahead: () => awaited.map(({ ticket, atMs }) => `${ticket} ${atMs}`).sort(),
  };
}
