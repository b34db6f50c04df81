import type { DatabaseSync } from 'node:sqlite';
import type { Logger } from 'pino';
import {
  type DeliveryAsked,
  type DeliveryAttempt,
  LamppostError,
  type NotifyProgress,
  SECOND_MS,
  type Timers,
} from '../domain/index.ts';
import type { OutboxReader } from '../events/index.ts';
import { transact } from '../store/index.ts';
import type { DefinitionReader } from './definitions.ts';
import type { Dispatcher } from './dispatcher.ts';
import type { EmailChannel } from './email/channel.ts';
import type { FanOut } from './fanout.ts';
import type { DeliveryQueue } from './queue.ts';
import type { Receiver } from './receiver.ts';
import type { ReceiverRepository } from './receivers.ts';
import type { DeliveryResults, ResultReader } from './results.ts';
import type { WebhookChannel } from './webhook.ts';

/** What joins a node's deliveries to those of others. */
export interface SharedLog {
  readonly results: ResultReader;
  /** Whether the lease of this node is over, though it does not know yet: where it was paused. */
  readonly isOver: () => boolean;
  /** Appends how far this node got to the log. Throws where that is away. */
  readonly append: (progress: NotifyProgress) => Promise<unknown>;
}

interface Parts {
  readonly db: DatabaseSync;
  readonly shared: SharedLog;
  readonly receivers: ReceiverRepository;
  readonly queue: DeliveryQueue;
  readonly outbox: OutboxReader;
  readonly email: Pick<EmailChannel, 'gather'>;
  readonly webhook: Pick<WebhookChannel, 'again'>;
  readonly fanOut: Pick<FanOut, 'reach'>;
  readonly dispatcher: Pick<Dispatcher, 'settled'>;
  readonly definitions: Pick<DefinitionReader, 'enabledIn'>;
  readonly timers: Timers;
  readonly log: Logger;
}

/** Attempts come in records of a second, of some hundred KiB at the most. */
const GATHER_MS = SECOND_MS;
const MOST_AT_ONCE = 200;
const STOP_MS = 2 * SECOND_MS;
/** The part of a response that other nodes get. */
const TEXT = 500;

type Entry = { readonly attempt: DeliveryAttempt } | { readonly asked: DeliveryAsked };

/**
 * The deliveries of a node beside those of other nodes. Every node takes the same events from its outbox into its own
 * queue; the holder of the duty makes the attempts, and what they led to comes to the others by the log. So whoever
 * gets the duty next goes on with its own queue: what no record says was sent is sent, again perhaps.
 */
export class SharedDeliveries {
  readonly #parts: Parts;
  readonly #put: (revision: number | null, entry: Entry) => void;
  #cancelTimer: (() => void) | null = null;
  #stopped = false;

  constructor(parts: Parts) {
    this.#parts = parts;
    const insert = parts.db.prepare('insert into unreported (revision, body) values (?, ?)');
    this.#put = (revision, entry) => {
      insert.run(revision, JSON.stringify(entry));
      this.#soon();
    };
  }

  /** What an earlier process did not bring into the log. */
  start(): void {
    this.#soon();
  }

  /** What is noted by now goes into the log; what it does not take is there after the next start. */
  async stop(): Promise<void> {
    this.#cancelTimer?.();
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = this.#parts.timers.after(STOP_MS, resolve);
    await Promise.race([this.#report(), promise]);
    cancel();
    this.#stopped = true;
    this.#cancelTimer?.();
  }

  /** Notes an attempt of this node, in the transaction that records it. */
  attempted(revision: number, attempt: DeliveryAttempt): void {
    this.#put(revision, { attempt: { ...attempt, text: attempt.text.slice(0, TEXT) } });
  }

  /** Notes that somebody asked here for a delivery to be made again, in the transaction that adds it. */
  asked(asked: DeliveryAsked): void {
    this.#put(null, { asked });
  }

  /** Takes what the log says; returns the receivers that it concerns. */
  take(): ReadonlySet<string> {
    const { db, shared } = this.#parts;
    const concerned = new Set<string>();
    for (;;) {
      const records = shared.results.after(this.#taken());
      if (records.length === 0) return concerned;
      for (const record of records) transact(db, () => this.#takeOne(record, concerned));
    }
  }

  #taken(): number {
    return Number(this.#parts.db.prepare('select seq from results_taken').get()?.seq ?? 0);
  }

  #takeOne({ seq, attempts, asked }: DeliveryResults, concerned: Set<string>): void {
    for (const one of asked) if (this.#again(one)) concerned.add(one.receiver);
    for (const one of attempts) if (this.#learn(one, seq)) concerned.add(one.receiver);
    this.#parts.db.prepare('insert or replace into results_taken values (1, ?)').run(seq);
  }

  /** Where a delivery is known as far, or was settled, a record of it changes nothing: also one of this node. */
  #learn(attempt: DeliveryAttempt, seq: number): boolean {
    const { receivers, queue, email, fanOut, dispatcher, definitions } = this.#parts;
    const receiver = receivers.get(attempt.receiver);
    if (receiver === null) return false;
    if (attempt.upTo !== null && receiver.disabled === null) fanOut.reach(receiver, attempt.upTo);
    const open = queue.openWith(attempt.receiver, attempt.events, attempt.cause);
    const gathered = receiver.kind === 'email' ? email.gather(receiver, attempt.events) : null;
    const all = gathered === null ? open : [...open, gathered];
    const learned = all.filter((n) => queue.learn(n, attempt));
    // What people set is followed before this: who enabled it again since meant what came before.
    const isOver = attempt.decision.kind === 'disable' && definitions.enabledIn(attempt.receiver) > seq;
    if (learned.length > 0 && !isOver) dispatcher.settled(receiver, attempt);
    return learned.length > 0;
  }

  #again({ receiver: id, event, n, cause }: DeliveryAsked): boolean {
    const { receivers, queue, outbox, webhook } = this.#parts;
    const receiver = receivers.get(id);
    if (receiver === null || queue.of(id, cause) !== null) return false;
    const made = queue.newestOf(id, event);
    if (made !== null) queue.addAgain(made, cause);
    else this.#addNew(receiver, { n, cause }, { outbox, webhook, queue });
    return true;
  }

  #addNew(
    receiver: Receiver,
    { n, cause }: Pick<DeliveryAsked, 'n' | 'cause'>,
    { outbox, webhook, queue }: Pick<Parts, 'outbox' | 'webhook' | 'queue'>,
  ): void {
    if (receiver.kind !== 'webhook' || n === null) return;
    const [event] = outbox.page({ after: n - 1, limit: 1 }).items;
    const delivery = event?.n === n ? webhook.again(receiver, event) : null;
    if (delivery !== null) queue.add({ ...delivery, cause });
  }

  #soon(): void {
    if (this.#stopped) return;
    this.#cancelTimer ??= this.#parts.timers.after(GATHER_MS, () => void this.#report());
  }

  /** Brings what is noted into the log, the oldest first; what the log does not take now is tried again. */
  async #report(): Promise<void> {
    if (this.#stopped) return;
    const { db, shared, log } = this.#parts;
    const rows = db.prepare('select n, revision, body from unreported order by n limit ?').all(MOST_AT_ONCE);
    const revision = (rows.find((row) => row.revision !== null)?.revision ?? null) as number | null;
    // One record has the attempts of one lease.
    const end = rows.findIndex((row) => row.revision !== null && row.revision !== revision);
    const some = end < 0 ? rows : rows.slice(0, end);
    const entries = some.map(({ body }) => JSON.parse(String(body)) as Entry);
    const attempts = entries.flatMap((entry) => ('attempt' in entry ? [entry.attempt] : []));
    const asked = entries.flatMap((entry) => ('asked' in entry ? [entry.asked] : []));
    try {
      if (entries.length > 0) await shared.append({ duty: 'notify', revision, attempts, asked });
      if (this.#stopped) return;
      if (entries.length > 0) db.prepare('delete from unreported where n <= ?').run(some.at(-1)!.n!);
      this.#cancelTimer = null;
      const isMore = db.prepare('select 1 from unreported limit 1').get() !== undefined;
      if (isMore) this.#soon();
    } catch (error) {
      if (this.#stopped) return;
      if (!(error instanceof LamppostError)) throw error;
      log.warn({ err: error }, 'other nodes get later how far deliveries are');
      this.#cancelTimer = null;
      this.#soon();
    }
  }
}
