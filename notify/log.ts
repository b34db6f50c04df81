import type { DatabaseSync, SQLOutputValue } from 'node:sqlite';
import type { Page } from '../domain/index.ts';
import { isoOf } from '../domain/index.ts';
import type { Outcome } from './ladder.ts';
import type { Origin } from './queue.ts';

export const DELIVERY_STATES = ['queued', 'pending', 'delivered', 'failed', 'skipped'] as const;
/** `queued`: behind an earlier one of its subject; `pending`: due at `dueAt`; `failed`: given up; `skipped`: an admin passed it over. */
export type DeliveryState = (typeof DELIVERY_STATES)[number];

/** One attempt, as the log shows it. Times ISO 8601 UTC. */
export interface Attempt {
  readonly at: string;
  readonly ms: number;
  readonly outcome: Outcome;
  readonly status: number | null;
  /** What the receiver answered, as far as it was kept, or what went wrong. */
  readonly answer: string;
}

/** A delivery, as the log shows it. Times ISO 8601 UTC. */
export interface Delivery {
  readonly id: string;
  readonly state: DeliveryState;
  readonly origin: Origin;
  readonly events: readonly {
    readonly id: string;
    readonly n: number | null;
    readonly type: string;
    readonly subject: string;
  }[];
  readonly createdAt: string;
  /** When it is tried next; null where it is not. */
  readonly dueAt: string | null;
  readonly settledAt: string | null;
  readonly attempts: number;
  /** Of the last attempt. */
  readonly outcome: Outcome | null;
}

/** A delivery with what was sent and what was answered. */
export interface DeliveryDetail extends Delivery {
  readonly request: { readonly contentType: string; readonly body: string };
  readonly tries: readonly Attempt[];
}

/** Which deliveries of a receiver, newest first. */
export interface DeliveryQuery {
  readonly limit: number;
  readonly after: string | null;
  readonly state?: DeliveryState;
  /** Id of an event. */
  readonly event?: string;
}

/** The reading side of the deliveries. */
export interface DeliveryLog {
  list(receiver: string, query: DeliveryQuery): Page<Delivery>;
  get(receiver: string, id: string): DeliveryDetail | null;
}

const COLUMNS = `
  n, state, origin, created_at, due_at, settled_at, attempts, outcome,
  (select json_group_array(json_object('id', e.id, 'n', e.n, 'type', e.type, 'subject', e.subject) order by ordinal)
    from delivery_events join events e on e.id = event where delivery = deliveries.n) as told`;

/** Makes the reading side over a file that `openDeliveries` opened. */
export function createDeliveryLog(db: DatabaseSync): DeliveryLog {
  const page = db.prepare(`
    select ${COLUMNS} from deliveries
    where receiver = :receiver and n < :before and (:state is null or state = :state)
      and (:event is null or exists (select 1 from delivery_events where delivery = deliveries.n and event = :event))
    order by n desc limit :limit`);
  const one = db.prepare(`
    select ${COLUMNS}, content_type,
      coalesce(body, (select e.body from events e join delivery_events on e.id = event where delivery = deliveries.n)) as body
    from deliveries where receiver = ? and n = ?`);
  const attempts = db.prepare('select * from attempts where delivery = ? order by ordinal');

  return {
    list(receiver, { limit, after, state, event }) {
      const before = after === null ? Number.MAX_SAFE_INTEGER : Number(after);
      const rows = page.all({ receiver, before, state: state ?? null, event: event ?? null, limit: limit + 1 });
      const items = rows.slice(0, limit).map(deliveryOf);
      return { items, next: rows.length > limit ? items.at(-1)!.id : null };
    },
    get(receiver, id) {
      const row = /^\d{1,15}$/.test(id) ? one.get(receiver, Number(id)) : undefined;
      if (row === undefined) return null;
      const request = { contentType: String(row.content_type), body: String(row.body) };
      return { ...deliveryOf(row), request, tries: attempts.all(Number(id)).map(attemptOf) };
    },
  };
}

type Row = Readonly<Record<string, SQLOutputValue>>;

function deliveryOf(row: Row): Delivery {
  return {
    id: String(row.n),
    state: row.state as DeliveryState,
    origin: row.origin as Origin,
    events: JSON.parse(String(row.told)) as Delivery['events'],
    createdAt: isoOf(Number(row.created_at)),
    dueAt: row.state === 'pending' ? isoOf(Number(row.due_at)) : null,
    settledAt: row.settled_at === null ? null : isoOf(Number(row.settled_at)),
    attempts: Number(row.attempts),
    outcome: row.outcome as Outcome | null,
  };
}

function attemptOf({ at, ms, outcome, status, answer }: Row): Attempt {
  return {
    at: isoOf(Number(at)),
    ms: Number(ms),
    outcome: outcome as Outcome,
    status: status === null ? null : Number(status),
    answer: String(answer),
  };
}
