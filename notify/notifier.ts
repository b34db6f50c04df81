import type { DatabaseSync } from 'node:sqlite';
import type { Logger } from 'pino';
import { type Clock, type DeliveryAsked, type DeliveryAttempt, LamppostError, type Timers } from '../domain/index.ts';
import type { OutboxReader } from '../events/index.ts';
import { diskFault, transact } from '../store/index.ts';
import type { DefinitionReader } from './definitions.ts';
import { createDeliveryReader } from './deliveries.ts';
import { Dispatcher } from './dispatcher.ts';
import { createEmailChannel, type EmailChannel } from './email/channel.ts';
import { createHeldEvents, type HeldEvents, type Hours } from './email/digest.ts';
import type { MailCity } from './email/facts.ts';
import { type Mailer, noMailer } from './email/smtp.ts';
import { createTogether } from './email/together.ts';
import type { WordsOf } from './email/words.ts';
import { FanOut, type FanOutLimits } from './fanout.ts';
import { type EarlierInClear, earlierReceivers, Follower } from './follower.ts';
import { createFormats, type FormatCity } from './formats/index.ts';
import type { Poster } from './http.ts';
import type { IncidentReader } from './incidents.ts';
import { createDeliveryQueue, type DeliveryQueue } from './queue.ts';
import type { EmailReceiver } from './receiver.ts';
import { createReceiverRepository, type ReceiverRepository } from './receivers.ts';
import type { Sealer } from './seal.ts';
import { SharedDeliveries, type SharedLog } from './shared.ts';
import { createSubscriptions, type Subscriptions } from './subscriptions.ts';
import { createWebhookChannel } from './webhook.ts';
import { createWebhooks, type Webhooks } from './webhooks.ts';

/** What notifications read of the city. */
export type NotifyCity = FormatCity & MailCity & Hours;

interface NotifierDeps {
  /** From `openDeliveries`. */
  readonly db: DatabaseSync;
  readonly outbox: OutboxReader;
  /** What people have set. */
  readonly definitions: DefinitionReader;
  /** What is open about an alert. */
  readonly incidentOf: IncidentReader;
  /** Reads what citizens wrote, for the mail of their ticket's department. */
  readonly wordsOf: WordsOf;
  readonly sealer: Pick<Sealer, 'open'>;
  readonly poster: Poster;
  /** Null where no mail server is set. */
  readonly mailer: Mailer | null;
  readonly clock: Clock;
  readonly timers: Timers;
  /** From 0 to 1. */
  readonly random: () => number;
  readonly log: Logger;
  /** Returns the city in force. */
  readonly city: () => NotifyCity;
}

interface NotifierOptions {
  /** Public URL of this Lamppost, without a slash at the end. */
  readonly publicUrl: string;
  readonly limits?: FanOutLimits;
  /** How long events are gathered before they are taken, ms. */
  readonly gatherMs?: number;
  /** What joins it to those of other nodes; null: this node is alone, and makes every attempt. */
  readonly shared?: SharedLog | null;
}

/** Counts for metrics. */
export interface NotifierCounts {
  /** Deliveries that are not settled. */
  readonly waiting: number;
  readonly enabled: number;
  readonly disabled: number;
}

/** Wait after a full disk: space may be free again a moment later. */
const DISK_WAIT_MS = 1_000;
const GATHER_MS = 10;
const LIMITS: FanOutLimits = { page: 200, mostWaiting: 10_000, mostSettled: 10_000 };

/** Creates the notifier. It takes nothing from the outbox before `start()`. */
export function createNotifier(deps: NotifierDeps, options: NotifierOptions): Notifier {
  return new Notifier(deps, options);
}

/** Delivers events to receivers: at least once, in order within a subject, each receiver independently. */
export class Notifier {
  /** The service of webhooks. */
  readonly webhooks: Webhooks;
  /** The service of subscriptions. */
  readonly subscriptions: Subscriptions;
  readonly #deps: NotifierDeps;
  readonly #gatherMs: number;
  readonly #receivers: ReceiverRepository;
  readonly #queue: DeliveryQueue;
  readonly #held: HeldEvents;
  readonly #email: EmailChannel;
  readonly #follower: Follower;
  readonly #dispatcher: Dispatcher;
  readonly #fanOut: FanOut;
  readonly #shared: SharedDeliveries | null;
  readonly #isOver: () => boolean;
  /** The revision under which this node makes attempts; null: another node makes them. */
  #revision: number | null;
  /** A lease that has just come; null: none has. */
  #gained: number | null = null;
  readonly #ended = new AbortController();
  /** Whether too many deliveries wait for a receiver, so that its events stay in the outbox. */
  #isFull = false;
  #isScheduled = false;
  /** Whether the receivers are known. */
  #isFollowing = false;
  #isStarted = false;
  #cancelTimer = () => {};

  constructor(deps: NotifierDeps, options: NotifierOptions) {
    const { db, outbox, definitions, incidentOf, wordsOf, sealer, poster, clock, log, city } = deps;
    const { publicUrl, limits = LIMITS, gatherMs = GATHER_MS, shared = null } = options;
    const receivers = createReceiverRepository(db, clock);
    const queue = createDeliveryQueue(db, clock);
    const held = createHeldEvents(db);
    const formats = createFormats({ city, incidentOf, publicUrl });
    const common = { db, clock, receivers, queue };
    const webhook = createWebhookChannel({ ...common, sealer, formats, poster });
    const eventAt = (n: number) => outbox.page({ after: n - 1, limit: 1 }).items.find((one) => one.n === n);
    const together = createTogether({ eventAt, incidentOf, city });
    const mailer = deps.mailer ?? noMailer;
    const email = createEmailChannel({ queue, held, mailer, together, wordsOf, clock, city, publicUrl });
    const channels = { webhook, email };
    const onSettled = () => {
      if (this.#isFull) this.appended();
    };
    this.#deps = deps;
    this.#gatherMs = gatherMs;
    this.#receivers = receivers;
    this.#queue = queue;
    this.#held = held;
    this.#email = email;
    this.#revision = shared === null ? 1 : null;
    this.#isOver = shared?.isOver ?? (() => false);
    const duty = () => this.#duty();
    const onAttempt = (revision: number, attempt: DeliveryAttempt) => this.#shared?.attempted(revision, attempt);
    const dispatcher = new Dispatcher({ ...deps, receivers, queue, channels, onSettled, duty, onAttempt });
    const fanOut = new FanOut({ db, outbox, receivers, queue, held, channels, log }, limits);
    this.#dispatcher = dispatcher;
    this.#fanOut = fanOut;
    const parts = {
      db,
      receivers,
      queue,
      outbox,
      email,
      webhook,
      fanOut,
      dispatcher,
      definitions,
      timers: deps.timers,
      log,
    };
    this.#shared = shared === null ? null : new SharedDeliveries({ ...parts, shared });
    this.#follower = new Follower({ ...common, definitions, outbox, held, email });
    const service = {
      ...common,
      outbox,
      held,
      deliveries: createDeliveryReader(db),
      wake: (id: string) => this.#dispatcher.wake(id),
      follow: () => this.#follow(),
      onAsked: (asked: DeliveryAsked) => this.#shared?.asked(asked),
      ended: this.#ended.signal,
    };
    this.webhooks = createWebhooks({ ...service, channel: webhook, formats });
    this.subscriptions = createSubscriptions({ ...service, channel: email });
  }

  start(): void {
    this.#isStarted = true;
    this.#shared?.start();
    this.#dispatcher.start();
    try {
      this.#follow();
    } catch (error) {
      if (diskFault(error, '')?.retryable !== true) throw error;
      this.#deps.log.error({ err: error }, 'what was set of receivers cannot be followed; trying again');
    }
    this.appended();
  }

  /**
   * Begins to make attempts under a lease, or to make none where another node has it (null). What is under way ends.
   * For a node that is not alone.
   */
  hold(revision: number | null): void {
    if (revision === null) this.#revision = null;
    this.#gained = revision;
    this.appended();
  }

  /** Called when events were added to the outbox. Takes them a page at a time; attempts and calls run in between. */
  appended(): void {
    if (this.#isScheduled || !this.#isStarted || this.#ended.signal.aborted) return;
    this.#isScheduled = true;
    // A wake-up for every event costs more than its delivery: events are gathered for a moment.
    if (this.#gatherMs === 0) setImmediate(() => this.#turn());
    else this.#deps.timers.after(this.#gatherMs, () => this.#turn());
  }

  /** Receivers from before they were records, which are not in the log yet. */
  earlier(): readonly EarlierInClear[] {
    return earlierReceivers(this.#deps.db);
  }

  counts(): NotifierCounts {
    const all = [...this.#receivers.list('webhook'), ...this.#receivers.list('email')];
    return {
      waiting: all.reduce((sum, { id }) => sum + this.#queue.waiting(id), 0),
      enabled: all.filter(({ disabled }) => disabled === null).length,
      disabled: all.filter(({ disabled }) => disabled !== null).length,
    };
  }

  /** Deletes deliveries that were settled before a time, epoch ms; returns how many. */
  expire(beforeMs: number): number {
    return transact(this.#deps.db, () => this.#queue.expire(beforeMs));
  }

  /** Begins nothing more, waits up to `patienceMs` for attempts under way, and stops the poster and the mailer. */
  async stop(patienceMs: number): Promise<void> {
    this.#ended.abort(new LamppostError('busy', 'the server stops', { retryable: true }));
    this.#cancelTimer();
    await this.#dispatcher.stop(patienceMs);
    await this.#shared?.stop();
    this.#deps.poster.stop();
    this.#deps.mailer?.stop();
  }

  /** Takes over what people have changed, and begins what is due by it. */
  #follow(): void {
    const changed = this.#follower.follow();
    const concerned = this.#isFollowing ? changed : this.#receivers.enabled().map(({ id }) => id);
    this.#isFollowing = true;
    for (const id of concerned) this.#dispatcher.wake(id);
    if (changed.length > 0) this.appended();
  }

  #turn(): void {
    this.#isScheduled = false;
    if (this.#ended.signal.aborted) return;
    try {
      this.#follow();
      const learned = this.#shared?.take() ?? [];
      const gained = this.#begin();
      const pass = this.#fanOut.pass();
      this.#isFull = pass.held;
      for (const id of [...learned, ...gained, ...pass.reached, ...this.#release()]) this.#dispatcher.wake(id);
      if (pass.more) this.appended();
    } catch (error) {
      if (diskFault(error, '')?.retryable !== true) throw error;
      this.#deps.log.error({ err: error }, 'events cannot be taken for delivery; trying again');
      this.#deps.timers.after(DISK_WAIT_MS, () => this.#again());
    }
  }

  #duty(): number | null {
    return this.#isOver() ? null : this.#revision;
  }

  /** A lease that is new counts once what others have delivered is known; returns whose deliveries may be due. */
  #begin(): readonly string[] {
    if (this.#gained === null) return [];
    this.#revision = this.#gained;
    this.#gained = null;
    return this.#receivers.enabled().map(({ id }) => id);
  }

  /** After a full disk, wakes every receiver: deliveries that were added before must not wait. */
  #again(): void {
    if (this.#ended.signal.aborted) return;
    for (const { id } of this.#receivers.enabled()) this.#dispatcher.wake(id);
    this.appended();
  }

  /** Makes mails of held events that are due, sets the timer of the next, and returns the receivers of these mails. */
  #release(): readonly string[] {
    // Of what waits here as it does there, the mails are made by who sends them.
    if (this.#duty() === null) return [];
    const { db, clock, timers } = this.#deps;
    const due = this.#held.receiversDue(clock.now());
    for (const id of due) {
      while (transact(db, () => this.#releaseOf(this.#receivers.get(id) as EmailReceiver)));
    }
    this.#cancelTimer();
    const at = this.#held.nextDue();
    if (at !== null) this.#cancelTimer = timers.after(at - clock.now(), () => this.appended());
    return due;
  }

  /** Events that cannot be rendered are noted in the log and skipped; they must not stop the others. */
  #releaseOf(receiver: EmailReceiver): boolean {
    try {
      return this.#email.release(receiver);
    } catch (error) {
      if (diskFault(error, '') !== null) throw error;
      this.#receivers.note(receiver.id, `a digest cannot be rendered: ${(error as Error).message}`);
      this.#deps.log.error({ err: error, receiver: receiver.id }, 'a digest cannot be rendered; this is a bug');
      return true;
    }
  }
}
