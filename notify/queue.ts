import type { DatabaseSync } from 'node:sqlite';
import type { Clock, DeliveryAttempt } from '../domain/index.ts';
import { type Message, messageOfRow, type StoredEvent } from './receiver.ts';
import { type AttemptResult, AWAY, type Decision, LONGEST_RETRY_MS } from './retry-policy.ts';

/** Why a delivery exists. */
export const ORIGINS = ['event', 'digest', 'redelivery', 'ping'] as const;
export type Origin = (typeof ORIGINS)[number];

/** A delivery to add. */
export interface NewDelivery {
  readonly receiver: string;
  /** Deliveries of one lane are sent one at a time, in the order in which they were added. */
  readonly lane: string;
  readonly origin: Origin;
  readonly events: readonly StoredEvent[];
  readonly message: Message;
  /** The action that it is of: of one receiver it is made once. Absent: an event. */
  readonly cause?: string;
}

/** A delivery that is due. */
export interface DueDelivery {
  readonly n: number;
  readonly lane: string;
  /** Attempts so far. */
  readonly attempts: number;
  readonly eventIds: readonly string[];
  readonly subjects: readonly string[];
  /** The newest of its events by their numbers in the outbox; null where they have none. */
  readonly upTo: number | null;
  /** The action that it is of; null: the events themselves. */
  readonly cause: string | null;
  readonly message: Message;
}

/** The queues of all receivers. The caller holds the transaction. */
export interface DeliveryQueue {
  /** Adds a delivery at the end of its lane and returns its number. */
  add(delivery: NewDelivery): number;
  /** Returns the last message of a receiver whose first event is this one; null where there is none. */
  sent(receiver: string, event: string): Message | null;
  /** Adds a copy of a delivery at the end of its lane and returns the copy's number; it is of an action. */
  addAgain(n: number, cause: string): number;
  /** Returns the numbers of open deliveries of an action, or of none, that have events among these and no others. */
  openWith(receiver: string, events: readonly string[], cause: string | null): number[];
  /** Returns the newest delivery whose first event is this one, test messages aside; null where there is none. */
  newestOf(receiver: string, event: string): number | null;
  /** Records an attempt that another node made; false where the delivery is as far already. */
  learn(n: number, attempt: DeliveryAttempt): boolean;
  /** Returns the number of the delivery that an action has made; null where it has made none. */
  of(receiver: string, cause: string): number | null;
  /** Returns the numbers of deliveries that are due, the oldest due time first. */
  due(receiver: string, limit: number): number[];
  /** Returns a delivery that exists. */
  get(n: number): DueDelivery;
  /** Returns when the next delivery becomes due that is not due yet, epoch ms; null where there is none. */
  nextDue(receiver: string): number | null;
  /** Counts deliveries that wait or are under way. */
  waiting(receiver: string): number;
  /** Records an attempt and the decision that follows it. Does nothing where the delivery is not pending any more. */
  settle(n: number, result: AttemptResult, decision: Decision): void;
  /** Makes the deliveries due that wait because the receiver was not reachable. Once for each delivery. */
  hurry(receiver: string): void;
  /** Gives up every delivery that waits for a receiver. */
  skip(receiver: string): void;
  /** Makes every delivery that waits for a receiver due now. */
  release(receiver: string): void;
  /**
   * Deletes deliveries that were settled before a time, and events that no delivery contains; returns how many
   * deliveries.
   */
  expire(beforeMs: number): number;
  /** Deletes all but the newest settled deliveries of each receiver, and events that no delivery contains. */
  trim(keepNewest: number): void;
}

/** Returns a function that stores an event, each id once. The caller holds the transaction. */
export function createEventWriter(db: DatabaseSync): (event: StoredEvent) => void {
  const insert = db.prepare(`
    insert into events values (?, ?, ?, ?, ?)
    on conflict (id) do update set n = excluded.n, body = excluded.body where body <> excluded.body`);
  return ({ id, n, type, subject, body }) => void insert.run(id, n, type, subject, body);
}

/** Creates the queues over a database from `openDeliveries`. */
export function createDeliveryQueue(db: DatabaseSync, clock: Clock): DeliveryQueue {
  const storeEvent = createEventWriter(db);
  const sent = db.prepare(`
    select content_type as contentType, headers, coalesce(d.body, e.body) as body
    from delivery_events join deliveries d on d.n = delivery join events e on e.id = event
    where event = ? and +receiver = ? and ordinal = 0 order by delivery desc limit 1`);
  const link = db.prepare('insert into delivery_events values (?, ?, ?)');
  const occupied = db.prepare(
    "select 1 from deliveries where receiver = ? and lane = ? and state in ('queued', 'pending') limit 1",
  );
  const insert = db.prepare(`
    insert into deliveries (receiver, lane, state, origin, due_at, created_at, content_type, headers, body, cause)
    values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`);
  const of = db.prepare('select n from deliveries where receiver = ? and cause = ?');
  const openWith = db.prepare(`
    select distinct d.n from delivery_events join deliveries d on d.n = delivery
    where event = ?1 and d.receiver = ?2 and d.cause is ?3 and d.state in ('queued', 'pending')
      and not exists (select 1 from delivery_events other where other.delivery = d.n
        and other.event not in (select value from json_each(?4)))`);
  const newestOf = db.prepare(`
    select max(d.n) as n from delivery_events join deliveries d on d.n = delivery
    where event = ? and ordinal = 0 and d.receiver = ? and d.origin <> 'ping'`);
  const place = db.prepare('select receiver, lane, state, attempts from deliveries where n = ?');
  const learned = db.prepare(
    'update deliveries set attempts = ?, outcome = ?, state = ?, due_at = ?, settled_at = ? where n = ?',
  );
  const again = db.prepare(`
    insert into deliveries (receiver, lane, state, origin, due_at, created_at, content_type, headers, body, cause)
    select receiver, lane,
      iif(exists (select 1 from deliveries o where o.receiver = d.receiver and o.lane = d.lane and o.state in ('queued', 'pending')),
        'queued', 'pending'), 'redelivery', ?1, ?1, content_type, headers, body, ?3
    from deliveries d where n = ?2`);
  const linkAgain = db.prepare(
    'insert into delivery_events select ?1, ordinal, event from delivery_events where delivery = ?2',
  );
  const due = db.prepare(`
    select n from deliveries where receiver = ?1 and state = 'pending' and (due_at <= ?2 or due_at > ?2 + ${LONGEST_RETRY_MS})
    order by due_at, n limit ?3`);
  const one = db.prepare(`
    select n, lane, attempts, cause, content_type as contentType, headers,
      coalesce(body, (select body from events where id = (select event from delivery_events where delivery = deliveries.n))) as body,
      (select json_group_array(json_array(event, subject, e.n) order by ordinal)
        from delivery_events join events e on e.id = event where delivery = deliveries.n) as events
    from deliveries where n = ?`);
  const nextDue = db.prepare(
    "select min(due_at) as at from deliveries where receiver = ? and state = 'pending' and due_at > ?",
  );
  const waiting = db.prepare(
    "select count(*) as count from deliveries indexed by deliveries_open where receiver = ? and state in ('queued', 'pending')",
  );
  const attempt = db.prepare('insert or replace into attempts values (?, ?, ?, ?, ?, ?, ?)');
  const attempted = db.prepare(`
    update deliveries set attempts = attempts + 1, outcome = ?, state = ?, due_at = ?, settled_at = ?
    where n = ? and state = 'pending' returning receiver, lane, attempts`);
  // The first of the two terms repeats that of the partial index: only then does SQLite use it.
  const next = db.prepare(`
    update deliveries set state = 'pending', due_at = ? where n =
      (select n from deliveries where receiver = ? and lane = ? and state in ('queued', 'pending') and state = 'queued'
        order by n limit 1)`);
  const away = AWAY.map((outcome) => `'${outcome}'`).join(', ');
  const hurry = db.prepare(`
    update deliveries set due_at = ?1, hurried = 1
    where receiver = ?2 and state = 'pending' and due_at > ?1 and hurried = 0 and outcome in (${away})`);
  const skip = db.prepare(`
    update deliveries indexed by deliveries_open set state = 'skipped', settled_at = ?
    where receiver = ? and state in ('queued', 'pending')`);
  const release = db.prepare("update deliveries set due_at = ? where receiver = ? and state = 'pending'");
  const expire = db.prepare('delete from deliveries where settled_at < ?');
  const receivers = db.prepare('select id from receivers');
  const trim = db.prepare(`
    delete from deliveries where receiver = ?1 and settled_at is not null
      and n <= (select n from deliveries where receiver = ?1 order by n desc limit 1 offset ?2)`);
  const forget = db.prepare(
    'delete from events where id not in (select event from delivery_events union all select event from held)',
  );

  return {
    add({ receiver, lane, origin, events, message: { contentType, headers, body }, cause }) {
      const now = clock.now();
      const state = occupied.get(receiver, lane) === undefined ? 'pending' : 'queued';
      // A body that is the event itself is not stored twice.
      const own = events.length === 1 && events[0]!.body === body ? null : body;
      const more = headers === undefined ? null : JSON.stringify(headers);
      const values = [receiver, lane, state, origin, now, now, contentType, more, own, cause ?? null] as const;
      const n = Number(insert.run(...values).lastInsertRowid);
      for (const [i, event] of events.entries()) {
        storeEvent(event);
        link.run(n, i, event.id);
      }
      return n;
    },
    sent(receiver, id) {
      const row = sent.get(id, receiver);
      return row === undefined ? null : messageOfRow(row);
    },
    addAgain(n, cause) {
      const added = Number(again.run(clock.now(), n, cause).lastInsertRowid);
      linkAgain.run(added, n);
      return added;
    },
    openWith(receiver, events, cause) {
      const all = JSON.stringify(events);
      const found = events.flatMap((event) => openWith.all(event, receiver, cause, all).map(({ n }) => Number(n)));
      return [...new Set(found)];
    },
    newestOf(receiver, event) {
      const n = newestOf.get(event, receiver)?.n ?? null;
      return n === null ? null : Number(n);
    },
    learn(n, { attempt: made, outcome, atMs, ms, status, text, decision }) {
      const before = place.get(n)!;
      const isSettled = decision.kind === 'done' || decision.kind === 'give-up';
      // An attempt of this node that no record has may have the same number: what is settled is settled.
      if (Number(before.attempts) >= made && !isSettled) return false;
      const [state, dueAt] = placeOf(decision, atMs);
      const settledAt = state === 'pending' ? null : atMs;
      // One behind another of its lane stays there until that is settled.
      const kept = state === 'pending' ? String(before.state) : state;
      learned.run(Math.max(made, Number(before.attempts)), outcome, kept, dueAt, settledAt, n);
      attempt.run(n, made, atMs - ms, ms, outcome, status, text);
      if (settledAt !== null && before.state === 'pending') next.run(atMs, before.receiver!, before.lane!);
      return true;
    },
    of(receiver, cause) {
      const row = of.get(receiver, cause);
      return row === undefined ? null : Number(row.n);
    },
    due: (receiver, limit) => due.all(receiver, clock.now(), limit).map(({ n }) => Number(n)),
    get(number) {
      const row = one.get(number)!;
      const events = JSON.parse(String(row.events)) as [id: string, subject: string, n: number | null][];
      const numbers = events.flatMap(([, , n]) => n ?? []);
      return {
        n: Number(row.n),
        lane: String(row.lane),
        attempts: Number(row.attempts),
        eventIds: events.map(([id]) => id),
        subjects: events.map(([, subject]) => subject),
        upTo: numbers.length === 0 ? null : Math.max(...numbers),
        cause: row.cause as string | null,
        message: messageOfRow(row),
      };
    },
    nextDue(receiver) {
      const at = nextDue.get(receiver, clock.now())?.at ?? null;
      return at === null ? null : Number(at);
    },
    waiting: (receiver) => Number(waiting.get(receiver)?.count),
    settle(n, { outcome, status, text, ms }, decision) {
      const now = clock.now();
      const [state, dueAt] = placeOf(decision, now);
      const settledAt = state === 'pending' ? null : now;
      const row = attempted.get(outcome, state, dueAt, settledAt, n);
      if (row === undefined) return;
      attempt.run(n, Number(row.attempts), now - ms, ms, outcome, status, text);
      if (settledAt !== null) next.run(now, row.receiver!, row.lane!);
    },
    hurry: (receiver) => void hurry.run(clock.now(), receiver),
    skip: (receiver) => void skip.run(clock.now(), receiver),
    release: (receiver) => void release.run(clock.now(), receiver),
    expire(beforeMs) {
      const expired = Number(expire.run(beforeMs).changes);
      forget.run();
      return expired;
    },
    trim(keepNewest) {
      const trimmed = receivers.all().map(({ id }) => Number(trim.run(id!, keepNewest).changes));
      if (trimmed.some((count) => count > 0)) forget.run();
    },
  };
}

/** Returns the state after a decision and when it is due. A delivery stays pending where its receiver is disabled. */
function placeOf(
  decision: Decision | DeliveryAttempt['decision'],
  now: number,
): ['delivered' | 'failed' | 'pending', number] {
  if (decision.kind === 'done') return ['delivered', now];
  if (decision.kind === 'give-up') return ['failed', now];
  return ['pending', decision.kind === 'retry' ? now + decision.afterMs : now];
}
