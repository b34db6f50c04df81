import type { DatabaseSync } from 'node:sqlite';
import type { Logger } from 'pino';
import type { Timers } from '../domain/index.ts';
import { type Clock, LamppostError } from '../domain/index.ts';
import type { OutboxReader } from '../events/index.ts';
import { diskFault, transact } from '../store/index.ts';
import { createDispatcher } from './dispatcher.ts';
import { createEmailChannel } from './email/channel.ts';
import type { MailCity } from './email/facts.ts';
import { type Mailer, noMailer } from './email/smtp.ts';
import type { Hours } from './email/when.ts';
import { createFanOut, type FanOutLimits } from './fanout.ts';
import type { FormatCity } from './formats/format.ts';
import { createFormats } from './formats/index.ts';
import { createHeldStore } from './held.ts';
import type { Poster } from './http.ts';
import { createDeliveryLog } from './log.ts';
import { createDeliveryQueue } from './queue.ts';
import type { EmailReceiver } from './receiver.ts';
import { createReceiverStore } from './receivers.ts';
import { createReferenceStore } from './references.ts';
import { createSubscriptions, type Subscriptions } from './subscriptions.ts';
import { createWebhookChannel } from './webhook.ts';
import { createWebhookSubscriptionStore } from './webhook-subscriptions.ts';
import { createWebhooks, type Webhooks } from './webhooks.ts';

/** What notifications say of the city, and the hours they keep. */
export type NotifyCity = FormatCity & MailCity & Hours;

/** What notifications are made of. */
export interface NotifierDeps {
  /** Of `openDeliveries`. */
  readonly db: DatabaseSync;
  readonly outbox: OutboxReader;
  readonly poster: Poster;
  /** Null where no mail server is set. */
  readonly mailer: Mailer | null;
  readonly clock: Clock;
  readonly timers: Timers;
  /** From 0 to 1. */
  readonly random: () => number;
  readonly log: Logger;
  /** The city in force. */
  readonly city: () => NotifyCity;
}

/** How they behave. */
export interface NotifierOptions {
  readonly allowPrivate: boolean;
  /** Where people reach this Lamppost, without a slash at the end. */
  readonly publicUrl: string;
  readonly limits?: FanOutLimits;
  /** How long events are gathered before they are taken, ms. */
  readonly gatherMs?: number;
}

/** Figures for operators. */
export interface NotifierCounts {
  /** Deliveries that are not settled. */
  readonly waiting: number;
  readonly enabled: number;
  readonly disabled: number;
}

/** Tells receivers what happens: at least once, in order within a subject, each for itself. */
export interface Notifier {
  readonly webhooks: Webhooks;
  readonly subscriptions: Subscriptions;
  start(): void;
  /** Events were added to the outbox. */
  appended(): void;
  counts(): NotifierCounts;
  /** Forgets deliveries that were settled before then, epoch ms; answers how many. */
  expire(beforeMs: number): number;
  /** Begins nothing more, and waits for what is under way, at most so long. */
  stop(patienceMs: number): Promise<void>;
}

/** A disk that is full may have room a moment later. */
const DISK_WAIT_MS = 1_000;
const GATHER_MS = 10;
const LIMITS: FanOutLimits = { page: 200, mostWaiting: 10_000 };

/** Makes the notifier: from the outbox by receivers' queues to their channels. */
export function createNotifier(deps: NotifierDeps, options: NotifierOptions): Notifier {
  const { db, outbox, poster, clock, timers, log, city } = deps;
  const { allowPrivate, publicUrl, limits = LIMITS, gatherMs = GATHER_MS } = options;
  const mailer = deps.mailer ?? noMailer;
  const receivers = createReceiverStore(db, clock);
  const queue = createDeliveryQueue(db, clock);
  const held = createHeldStore(db);
  const overWebhooks = createWebhookSubscriptionStore(db, clock);
  const formats = createFormats({ city, publicUrl });
  const references = createReferenceStore(db);
  const webhook = createWebhookChannel({
    queue,
    receivers,
    references,
    subscriptions: overWebhooks,
    formats,
    poster,
    clock,
  });
  const email = createEmailChannel({ queue, held, mailer, clock, city, publicUrl });
  const channels = { webhook, email };
  const onSettled = () => {
    if (isFull) appended();
  };
  const dispatcher = createDispatcher({ ...deps, receivers, queue, channels, onSettled });
  const fanOut = createFanOut({ db, outbox, receivers, queue, channels, log }, limits);
  const ended = new AbortController();
  /** Whether too much waits for a receiver, so that its events stay in the outbox. */
  let isFull = false;
  let scheduled = false;
  let started = false;
  let cancelTimer = () => {};

  /** Takes what is new, a page a turn: attempts and calls come in between. */
  function appended(): void {
    if (scheduled || !started || ended.signal.aborted) return;
    scheduled = true;
    // Waking for every event costs more than telling it: the next ones are gathered for a moment.
    if (gatherMs === 0) setImmediate(turn);
    else timers.after(gatherMs, turn);
  }

  function turn(): void {
    scheduled = false;
    if (ended.signal.aborted) return;
    try {
      const pass = fanOut.pass();
      isFull = pass.held;
      for (const id of [...pass.reached, ...release()]) dispatcher.wake(id);
      if (pass.more) appended();
    } catch (error) {
      if (diskFault(error, '')?.retryable !== true) throw error;
      log.error({ err: error }, 'events cannot be taken for delivery; it is tried again');
      timers.after(DISK_WAIT_MS, again);
    }
  }

  /** What was added before the disk was full waits for its turn, too. */
  function again(): void {
    if (ended.signal.aborted) return;
    for (const { id } of receivers.enabled()) dispatcher.wake(id);
    appended();
  }

  /** Makes mails of what was held and is due, and comes again when the next is; answers for whom. */
  function release(): readonly string[] {
    const due = held.receiversDue(clock.now());
    for (const id of due) {
      while (transact(db, () => releaseOf(receivers.get(id) as EmailReceiver)));
    }
    cancelTimer();
    const at = held.nextDue();
    if (at !== null) cancelTimer = timers.after(at - clock.now(), appended);
    return due;
  }

  /** What a template stumbles over is passed over, said aloud, and keeps nothing else from anybody. */
  function releaseOf(receiver: EmailReceiver): boolean {
    try {
      return email.release(receiver);
    } catch (error) {
      if (diskFault(error, '') !== null) throw error;
      receivers.note(receiver.id, `a digest cannot be told: ${(error as Error).message}`);
      log.error({ err: error, receiver: receiver.id }, 'a digest cannot be told; this is a bug');
      return true;
    }
  }

  const administration = {
    db,
    clock,
    outbox,
    receivers,
    queue,
    held,
    deliveries: createDeliveryLog(db),
    wake: dispatcher.wake,
    appended,
    ended: ended.signal,
  };
  const canMail = deps.mailer !== null;

  return {
    webhooks: createWebhooks({ ...administration, channel: webhook, formats, allowPrivate }),
    subscriptions: createSubscriptions({ ...administration, channel: email, overWebhooks, canMail }),
    start() {
      started = true;
      dispatcher.start();
      appended();
    },
    appended,
    counts() {
      const all = [...receivers.list('webhook'), ...receivers.list('email')];
      return {
        waiting: all.reduce((sum, { id }) => sum + queue.waiting(id), 0),
        enabled: all.filter(({ disabled }) => disabled === null).length,
        disabled: all.filter(({ disabled }) => disabled !== null).length,
      };
    },
    expire: (beforeMs) => transact(db, () => queue.expire(beforeMs)),
    async stop(patienceMs) {
      ended.abort(new LamppostError('busy', 'the server stops', { retryable: true }));
      cancelTimer();
      await dispatcher.stop(patienceMs);
      poster.close();
      mailer.close();
    },
  };
}
