import type { DatabaseSync } from 'node:sqlite';
import type { Logger } from 'pino';
import type { Clock } from '../../domain/index.ts';
import { diskFault, transact } from '../../store/index.ts';
import type { OutboxReader } from '../reader.ts';
import { createDispatcher } from './dispatcher.ts';
import { createFanOut, type FanOutLimits } from './fanout.ts';
import type { FormatDeps } from './formats/format.ts';
import { createFormats } from './formats/index.ts';
import type { Poster } from './http.ts';
import { createDeliveryLog } from './log.ts';
import { createDeliveryQueue } from './queue.ts';
import { createReceiverStore } from './receivers.ts';
import { createReferenceStore } from './references.ts';
import type { Timers } from './timers.ts';
import { createWebhookChannel } from './webhook.ts';
import { createWebhooks, type Webhooks } from './webhooks.ts';

/** What notifications are made of. */
export interface NotifierDeps {
  /** Of `openDeliveries`. */
  readonly db: DatabaseSync;
  readonly outbox: OutboxReader;
  readonly poster: Poster;
  readonly clock: Clock;
  readonly timers: Timers;
  /** From 0 to 1. */
  readonly random: () => number;
  readonly log: Logger;
  /** The city in force. */
  readonly city: FormatDeps['city'];
}

/** How they behave. */
export interface NotifierOptions {
  readonly allowPrivate: boolean;
  /** Where people reach this Lamppost, without a slash at the end. */
  readonly publicUrl: string;
  readonly limits?: FanOutLimits;
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
const LIMITS: FanOutLimits = { page: 200, mostWaiting: 10_000 };

/** Makes the notifier: from the outbox by receivers' queues to their channels. */
export function createNotifier(deps: NotifierDeps, options: NotifierOptions): Notifier {
  const { db, outbox, poster, clock, timers, log, city } = deps;
  const { allowPrivate, publicUrl, limits = LIMITS } = options;
  const receivers = createReceiverStore(db, clock);
  const queue = createDeliveryQueue(db, clock);
  const formats = createFormats({ city, publicUrl });
  const references = createReferenceStore(db);
  const webhook = createWebhookChannel({ queue, receivers, references, formats, poster, clock });
  const channels = { webhook };
  const onSettled = () => {
    if (held) appended();
  };
  const dispatcher = createDispatcher({ ...deps, receivers, queue, channels, onSettled });
  const fanOut = createFanOut({ db, outbox, receivers, queue, channels, log }, limits);
  const ended = new AbortController();
  /** Whether too much waits for a receiver, so that its events stay in the outbox. */
  let held = false;
  let scheduled = false;
  let started = false;

  /** Takes what is new, a page a turn: attempts and calls come in between. */
  function appended(): void {
    if (scheduled || !started || ended.signal.aborted) return;
    scheduled = true;
    setImmediate(turn);
  }

  function turn(): void {
    scheduled = false;
    if (ended.signal.aborted) return;
    try {
      const pass = fanOut.pass();
      held = pass.held;
      for (const { id } of receivers.enabled()) dispatcher.wake(id);
      if (pass.more) appended();
    } catch (error) {
      if (diskFault(error, '')?.retryable !== true) throw error;
      log.error({ err: error }, 'events cannot be taken for delivery; it is tried again');
      timers.after(DISK_WAIT_MS, appended);
    }
  }

  return {
    webhooks: createWebhooks({
      db,
      clock,
      outbox,
      receivers,
      queue,
      deliveries: createDeliveryLog(db),
      channel: webhook,
      formats,
      wake: dispatcher.wake,
      appended,
      ended: ended.signal,
      allowPrivate,
    }),
    start() {
      started = true;
      dispatcher.start();
      appended();
    },
    appended,
    counts() {
      const all = receivers.list('webhook');
      return {
        waiting: all.reduce((sum, { id }) => sum + queue.waiting(id), 0),
        enabled: all.filter(({ disabled }) => disabled === null).length,
        disabled: all.filter(({ disabled }) => disabled !== null).length,
      };
    },
    expire: (beforeMs) => transact(db, () => queue.expire(beforeMs)),
    async stop(patienceMs) {
      ended.abort();
      await dispatcher.stop(patienceMs);
      poster.close();
    },
  };
}
