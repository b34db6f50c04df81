import type { DatabaseSync } from 'node:sqlite';
import type { LamppostEvent, NumberedEvent } from '../events/index.ts';
import type { ToldEvent } from './receiver.ts';

/** Events that a delivery or a digest names, each once; the caller holds the transaction. */
export interface EventStore {
  keep(event: ToldEvent): void;
}

/** Makes the store over a file that `openDeliveries` opened. */
export function createEventStore(db: DatabaseSync): EventStore {
  const keep = db.prepare(`
    insert into events values (?, ?, ?, ?, ?)
    on conflict (id) do update set n = excluded.n, body = excluded.body where body <> excluded.body`);
  return { keep: ({ id, n, type, subject, body }) => void keep.run(id, n, type, subject, body) };
}

/** An event of the outbox as it is told. */
export function toldOf({ n, event }: NumberedEvent): ToldEvent {
  const { id, type, subject } = event;
  return { id, n, type, subject, body: JSON.stringify(event) };
}

/** The event that was told. */
export function eventOf({ body }: Pick<ToldEvent, 'body'>): LamppostEvent {
  return JSON.parse(body) as LamppostEvent;
}
