import { createEffects } from '../../../app/threads/effects.ts';
import { COMMAND_SCHEMA } from '../../../commands/index.ts';
import type { Rule, Subject, Transition } from '../../../domain/index.ts';
import { createOutbox, createOutboxReader, OUTBOX_SCHEMA } from '../../../events/index.ts';
import { RECEIVER_SCHEMA } from '../../../notify/index.ts';
import { ALERT_SCHEMA, createAlertReader, createAlertStore } from '../../../rules/alert-store.ts';
import { createTicketReader, TICKET_SCHEMA, type TicketCity, TicketService } from '../../../tickets/index.ts';
import { openMigrated } from '../store/new-state.ts';
import * as scene from '../tickets/scene.ts';

/** Opens a state file in memory with its writers and readers. */
export function openState() {
  const db = openMigrated(':memory:', [ALERT_SCHEMA, TICKET_SCHEMA, COMMAND_SCHEMA, OUTBOX_SCHEMA, RECEIVER_SCHEMA]);
  const outbox = createOutbox(db);
  let now = 0;
  let city: TicketCity = scene.city;
  const clock = { now: () => now };
  const firing = createAlertReader(db).firing;
  const service = new TicketService({ db, clock, city: () => city, firing });
  const ticketed: string[] = [];
  const effects = createEffects({
    ...{ alerts: createAlertStore(db), tickets: service, outbox },
    onTicketed: ({ id }, device, transition) => void ticketed.push(`${device} ${transition.id}: ${id}`),
  });
  return {
    db,
    outbox,
    service,
    effects,
    /** Alerts of devices that began to fire, or had waited, and have a ticket: `device transition: ticket`. */
    ticketed,
    /** Sets the city in force and the time of the actions of people. */
    at(nowMs: number, inForce: TicketCity = city) {
      now = nowMs;
      city = inForce;
    },
    /** Does everything that is due at a time; returns how many steps that took. */
    due(nowMs: number): number {
      now = nowMs;
      let done = 0;
      while (effects.doNextDue(nowMs, city)) done++;
      return done;
    },
    alerts: createAlertReader(db),
    tickets: createTicketReader(db),
    events: createOutboxReader(db),
    apply(
      transition: Transition,
      rule: Rule = scene.rule,
      inForce: TicketCity = city,
      subject: Subject = { kind: 'device', device: { ...scene.device, id: transition.group } },
    ) {
      return effects.apply({ transition, rule, subject, city: inForce });
    },
    /** Returns every row of every table. */
    dump: () =>
      [
        'alerts',
        'tickets',
        'ticket_changes',
        'ticket_alerts',
        'ticket_due',
        'ticket_waits',
        'outbox',
        'outbox_cursors',
      ].map((table) => db.prepare(`select * from ${table}`).all()),
  };
}
