import { expect } from 'vitest';
import { LamppostError, type Rule, type Ticket } from '../../../../domain/index.ts';
import { isTicketEvent, type TicketEvent } from '../../../../events/index.ts';
import { pick, type Random } from '../../../../simulators/city/random.ts';
import { ACTIONS, type ActionRequest, type Actor } from '../../../../tickets/index.ts';
import { openState } from '../../events/state.ts';
import * as scene from '../scene.ts';
import { cityOf, type Month, RULE_DEADLINE_MS } from './city.ts';
import { createModel } from './model.ts';
import type { Walk } from './reference.ts';

const CITY: Extract<Actor, { kind: 'key' }> = { kind: 'key', id: 'op', role: 'operator', department: null };
/** People act on this many of the newest tickets. */
const RECENT = 25;

/**
 * The tickets of a city and the model of what the clock should do to them. Every step goes to both, and the results are
 * compared.
 */
export function createSimulation({ month, walk, random }: { month: Month; walk: Walk; random: Random }) {
  const city = cityOf(month);
  const services = [...city.services.keys()];
  const state = openState();
  const model = createModel({ services: city.services, walk, ruleDeadlineMs: RULE_DEADLINE_MS });
  const tickets = new Map<string, Ticket>();
  const firing = new Set<string>();
  const counts = new Map<string, number>();
  let readTo = 0;
  let steps = 0;

  /** Often the process is killed before the commit, and repeats the step. */
  function committed<T>(nowMs: number, work: () => T): T {
    state.at(nowMs, city);
    if (random() < 0.2) {
      state.db.exec('begin');
      work();
      state.db.exec('rollback');
    }
    state.db.exec('begin');
    try {
      return work();
    } finally {
      state.db.exec('commit');
    }
  }

  /** Returns the ticket events since the last call. */
  function news(): TicketEvent[] {
    const { items } = state.events.page({ after: readTo, limit: 100_000 });
    readTo = items.at(-1)?.n ?? readTo;
    return items.map(({ event }) => event).filter(isTicketEvent);
  }

  /** Gives every version of a ticket to the model, and compares the deadlines. */
  function observe(events: readonly TicketEvent[]): void {
    for (const { data } of events) {
      model.observe(data);
      const { acknowledgeBy, dueAt } = model.deadlines(data.id);
      expect([data.id, data.version, data.acknowledgeBy, data.dueAt]).toEqual([
        data.id,
        data.version,
        acknowledgeBy,
        dueAt,
      ]);
      tickets.delete(data.id);
      tickets.set(data.id, data);
    }
  }

  const some = (): Ticket | undefined => pick(random, [...tickets.values()].slice(-RECENT));

  function alert(atMs: number): void {
    const service = pick(random, services);
    const group = `g${Math.floor(random() * 4)}`;
    const name = `${service} ${group}`;
    const wasFiring = firing.has(name);
    const to = wasFiring && random() < 0.7 ? 'resolved' : 'firing';
    if (to === 'firing') firing.add(name);
    else firing.delete(name);
    const rule: Rule = { ...scene.rule, id: service, ticket: { service, deadlineMs: RULE_DEADLINE_MS[service]! } };
    const from = wasFiring ? 'firing' : 'pending';
    const transition = scene.transition(`${++steps}.0`, to, { rule: service, group, from, atMs, sinceMs: atMs });
    committed(atMs, () => state.apply(transition, rule));
    observe(news());
    if (to === 'resolved') model.ended(service, group);
  }

  function act(nowMs: number): void {
    const ticket = some();
    if (ticket === undefined) return;
    const action = pick(random, ACTIONS);
    const asParty = action === 'take' || (action === 'decline' && random() < 0.5);
    const actor: Actor = asParty ? { ...CITY, department: ticket.offer?.to ?? 'cleaners' } : CITY;
    const to =
      action === 'assign' ? 'cleaners' : action === 'hand-over' ? pick(random, ['waste', 'environment']) : undefined;
    const one: ActionRequest = { ticket: ticket.id, action, actor, to, note: 'n' };
    try {
      committed(nowMs, () => state.effects.publish(state.service.act(one)));
    } catch (error) {
      if (!(error instanceof LamppostError)) throw error;
      if (state.db.isTransaction) state.db.exec('rollback');
    }
    observe(news());
  }

  function ask(nowMs: number): void {
    const service = pick(random, services);
    const { title, titleZh, district, severity } = scene.ticketOf('1.0');
    const location = { lat: 31 + Math.floor(random() * 3), lon: 121 };
    const of = { place: `${++steps}`, origin: 'citizen', by: 'reporter', service, title, titleZh, district } as const;
    const request = { ...of, severity, description: null, location, address: null, same: { withinM: 50 } };
    committed(nowMs, () => state.effects.publish(state.service.open(request)));
    observe(news());
  }

  /**
   * Does what is due, one thing a transaction, and compares it with the model: each thing once, in the order of time.
   */
  function look(nowMs: number): void {
    while (committed(nowMs, () => state.effects.doNextDue(nowMs, city)));
    const expected = model.due(nowMs);
    const lines = expected.map(({ ticket, action, note }) => `${ticket} ${action} ${note}`);
    const events = news();
    if (expected.length + events.length === 0) return;
    const done = events.flatMap(({ data: { id, version, history } }) => {
      const { action, note, at } = history.at(-1)!;
      const line = `${id} ${action} ${note}`;
      // A report ends with what it reports: at the time when it would have ended by itself, or before.
      if (note.startsWith('with ')) return lines.filter((one) => one === `${id} closed nobody objected`);
      // A history never goes back: what was due before the last change has that one's time.
      const before = state.tickets.get(id)!.history[version - 2]!.at;
      const due = expected.filter((_, i) => lines[i] === line).map(({ dueMs }) => new Date(dueMs).toISOString());
      expect(
        due.map((time) => (time < before ? before : time)),
        `${line} of ${lines.join('; ')}`,
      ).toContain(at);
      counts.set(action, (counts.get(action) ?? 0) + 1);
      return [line];
    });
    expect(done.toSorted(), `at ${new Date(nowMs).toISOString()}`).toEqual(lines.toSorted());
    const times = done.map((line) => expected[lines.indexOf(line)]!.dueMs);
    expect(times).toEqual(times.toSorted((a, b) => a - b));
    observe(events);
  }

  return {
    alert,
    act,
    ask,
    look,
    /** Compares what is stored to come due with the model. */
    compareAhead(): void {
      const rows = state.db.prepare('select ticket, at_ms from ticket_due').all();
      expect(rows.map(({ ticket, at_ms }) => `${ticket} ${at_ms}`).sort()).toEqual(model.ahead());
    },
    /** How often each action was done by the clock. */
    counts,
    tickets,
  };
}
