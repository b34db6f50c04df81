import { DatabaseSync } from 'node:sqlite';
import type { City, Rule, Subject, Transition } from '../../../domain/index.ts';
import { createOutbox, createOutboxReader, createPipeline, OUTBOX_SCHEMA } from '../../../events/index.ts';
import { ALERT_SCHEMA, createAlertReader, createAlertStore } from '../../../rules/alert-store.ts';
import { migrate } from '../../../store/index.ts';
import { createTicketReader, createTicketStore, TICKET_SCHEMA } from '../../../tickets/index.ts';
import * as scene from '../tickets/scene.ts';

/** The state file in memory with everything that writes to it and reads it. */
export function openState() {
  const db = new DatabaseSync(':memory:');
  migrate(db, [ALERT_SCHEMA, TICKET_SCHEMA, OUTBOX_SCHEMA]);
  const outbox = createOutbox(db);
  const pipeline = createPipeline({ alerts: createAlertStore(db), tickets: createTicketStore(db), outbox });
  return {
    db,
    outbox,
    alerts: createAlertReader(db),
    tickets: createTicketReader(db),
    events: createOutboxReader(db),
    apply(
      transition: Transition,
      rule: Rule = scene.rule,
      city: Pick<City, 'services' | 'districts'> = scene.city,
      subject: Subject = { kind: 'device', device: { ...scene.device, id: transition.group } },
    ) {
      return pipeline.apply({ transition, rule, subject, city });
    },
    /** Every row of every table. */
    dump: () =>
      ['alerts', 'tickets', 'ticket_changes', 'outbox', 'outbox_cursors'].map((table) =>
        db.prepare(`select * from ${table}`).all(),
      ),
  };
}
