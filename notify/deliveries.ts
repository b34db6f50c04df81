import type { DatabaseSync, SQLOutputValue } from 'node:sqlite';
import { z } from 'zod';
import { isoOf, type Page, type ShapeOf } from '../domain/index.ts';
import { ORIGINS } from './queue.ts';
import { messageOfRow } from './receiver.ts';
import { OUTCOMES, type Outcome } from './retry-policy.ts';

export const DELIVERY_STATES = ['queued', 'pending', 'delivered', 'failed', 'skipped'] as const;

const when = z.iso.datetime();
const outcome = z.enum(Object.keys(OUTCOMES) as [Outcome, ...Outcome[]]);

const fields = {
  id: z.string(),
  state: z
    .enum(DELIVERY_STATES)
    .describe('`queued`: behind an earlier one of its subject; `failed`: given up; `skipped`: by an administrator'),
  origin: z.enum(ORIGINS),
  events: z
    .array(z.object({ id: z.string(), n: z.int().nullable(), type: z.string(), subject: z.string() }))
    .readonly(),
  createdAt: when,
  dueAt: when.nullable().describe('Time of the next attempt; null where there is none'),
  settledAt: when.nullable(),
  attempts: z.int(),
  outcome: outcome.nullable().describe('Of the last attempt'),
};

/** A delivery, as lists show it. */
export const DeliverySchema = z.object(fields).meta({ id: 'Delivery' });
export type Delivery = ShapeOf<typeof DeliverySchema>;

const AttemptSchema = z.object({
  at: when,
  ms: z.number(),
  outcome,
  status: z.int().nullable(),
  response: z.string().describe('The text of the response as far as it is kept, or the error'),
});
type Attempt = ShapeOf<typeof AttemptSchema>;

/** A delivery with its request and every attempt. */
export const DeliveryDetailSchema = z
  .object({
    ...fields,
    request: z.object({
      contentType: z.string(),
      headers: z.record(z.string(), z.string()).readonly().exactOptional().describe('Those of its format'),
      body: z.string(),
    }),
    tries: z.array(AttemptSchema).readonly(),
  })
  .meta({ id: 'DeliveryInFull' });
export type DeliveryDetail = ShapeOf<typeof DeliveryDetailSchema>;

/** Selects deliveries of a receiver, newest first. */
export interface DeliveryQuery {
  readonly limit: number;
  readonly after: string | null;
  readonly state?: Delivery['state'];
  /** Id of an event. */
  readonly event?: string;
}

/** Reads deliveries. */
export interface DeliveryReader {
  list(receiver: string, query: DeliveryQuery): Page<Delivery>;
  /** Returns a delivery of a receiver; null where there is none of this id. */
  get(receiver: string, id: string): DeliveryDetail | null;
}

const COLUMNS = `
  n, state, origin, created_at, due_at, settled_at, attempts, outcome,
  (select json_group_array(json_object('id', e.id, 'n', e.n, 'type', e.type, 'subject', e.subject) order by ordinal)
    from delivery_events join events e on e.id = event where delivery = deliveries.n) as events`;

/** Creates the reader over a database from `openDeliveries`. */
export function createDeliveryReader(db: DatabaseSync): DeliveryReader {
  const page = db.prepare(`
    select ${COLUMNS} from deliveries
    where receiver = :receiver and n < :before and (:state is null or state = :state)
      and (:event is null or exists (select 1 from delivery_events where delivery = deliveries.n and event = :event))
    order by n desc limit :limit`);
  const one = db.prepare(`
    select ${COLUMNS}, content_type as contentType, headers,
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
      const request = messageOfRow(row);
      return { ...deliveryOf(row), request, tries: attempts.all(Number(id)).map(attemptOf) };
    },
  };
}

type Row = Readonly<Record<string, SQLOutputValue>>;

function deliveryOf(row: Row): Delivery {
  return {
    id: String(row.n),
    state: row.state as Delivery['state'],
    origin: row.origin as Delivery['origin'],
    events: JSON.parse(String(row.events)) as Delivery['events'],
    createdAt: isoOf(Number(row.created_at)),
    dueAt: row.state === 'pending' ? isoOf(Number(row.due_at)) : null,
    settledAt: row.settled_at === null ? null : isoOf(Number(row.settled_at)),
    attempts: Number(row.attempts),
    outcome: row.outcome as Outcome | null,
  };
}

function attemptOf({ at, ms, outcome, status, response }: Row): Attempt {
  return {
    at: isoOf(Number(at)),
    ms: Number(ms),
    outcome: outcome as Outcome,
    status: status === null ? null : Number(status),
    response: String(response),
  };
}
