import type { DatabaseSync } from 'node:sqlite';
import type { Logger } from 'pino';
import type { Clock, DeliveryAttempt, Timers } from '../domain/index.ts';
import type { NumberedEvent } from '../events/index.ts';
import { diskFault, transact } from '../store/index.ts';
import type { DeliveryQueue, DueDelivery } from './queue.ts';
import {
  DISABLE_REASONS,
  type DisableReason,
  type EmailReceiver,
  type Receiver,
  type WebhookReceiver,
} from './receiver.ts';
import type { ReceiverRepository } from './receivers.ts';
import { type AttemptResult, type Decision, decideNext } from './retry-policy.ts';

/** A way to reach receivers of one kind. */
export interface Channel<R extends Receiver = Receiver> {
  /**
   * Adds deliveries of the next event of the outbox where the receiver wants it, and returns whether it added any. Runs
   * in the transaction that moves the receiver's cursor.
   */
  take(receiver: R, event: NumberedEvent): boolean;
  /** Returns how many deliveries may be under way at once. */
  width(receiver: R): number;
  /** Makes one attempt. Returns a result for every failure; throws only the reason of an aborted signal. */
  send(receiver: R, delivery: DueDelivery, signal: AbortSignal): Promise<AttemptResult>;
}

/** The channel of each kind of receiver. */
export interface Channels {
  readonly webhook: Channel<WebhookReceiver>;
  readonly email: Channel<EmailReceiver>;
}

/** Returns the channel of a receiver. */
export function channelOf(channels: Channels, { kind }: Receiver): Channel {
  return channels[kind] as Channel;
}

interface DispatcherDeps {
  readonly db: DatabaseSync;
  readonly receivers: ReceiverRepository;
  readonly queue: DeliveryQueue;
  readonly channels: Channels;
  /** Called when an attempt was recorded. */
  readonly onSettled: () => void;
  /** Returns the revision under which this node makes attempts; null: another node makes them. */
  readonly duty: () => number | null;
  /** Called with each attempt, in the transaction that records it. */
  readonly onAttempt: (revision: number, attempt: DeliveryAttempt) => void;
  readonly clock: Clock;
  readonly timers: Timers;
  /** From 0 to 1. */
  readonly random: () => number;
  readonly log: Logger;
}

/** The attempts of one receiver, and the timer of its next delivery. */
interface Lane {
  readonly underWay: Set<number>;
  cancelTimer: () => void;
}

/** The result of an attempt, and the revision of the lease under which it began. */
type Attempted = AttemptResult & { readonly revision: number };

/** Wait after a full disk: space may be free again a moment later. */
const DISK_WAIT_MS = 1_000;

/** Makes the attempts that are due. Every receiver has its own queue, width and timer: a dead one delays no other. */
export class Dispatcher {
  readonly #deps: DispatcherDeps;
  readonly #lanes = new Map<string, Lane>();
  readonly #running = new Set<Promise<void>>();
  readonly #ended = new AbortController();
  #started = false;
  #stopping = false;

  constructor(deps: DispatcherDeps) {
    this.#deps = deps;
  }

  /** Begins with the deliveries that are due. */
  start(): void {
    this.#started = true;
    for (const { id } of this.#deps.receivers.enabled()) this.wake(id);
  }

  /** Begins what is due for a receiver, and sets the timer of what becomes due later. */
  wake(id: string): void {
    const { receivers, queue, clock, timers } = this.#deps;
    const lane = this.#laneOf(id);
    lane.cancelTimer();
    const mayBegin = this.#started && !this.#stopping && this.#deps.duty() !== null;
    const receiver = mayBegin ? receivers.get(id) : null;
    if (receiver === null || receiver.disabled !== null) return;
    const free = this.#widthOf(receiver) - lane.underWay.size;
    if (free <= 0) return;
    const due = queue.due(id, free + lane.underWay.size).filter((n) => !lane.underWay.has(n));
    for (const n of due.slice(0, free)) this.#begin(receiver, queue.get(n), lane);
    const at = queue.nextDue(id);
    if (at !== null) lane.cancelTimer = timers.after(at - clock.now(), () => this.wake(id));
  }

  /**
   * Begins nothing more. Waits up to `patienceMs` for attempts under way; aborted ones are made again after the next
   * start.
   */
  async stop(patienceMs: number): Promise<void> {
    if (this.#stopping) return void (await Promise.allSettled(this.#running));
    this.#stopping = true;
    for (const lane of this.#lanes.values()) lane.cancelTimer();
    const cancel = this.#deps.timers.after(patienceMs, () => this.#ended.abort());
    await Promise.allSettled(this.#running);
    cancel();
  }

  #laneOf(id: string): Lane {
    const lane = this.#lanes.get(id) ?? { underWay: new Set<number>(), cancelTimer: () => {} };
    this.#lanes.set(id, lane);
    return lane;
  }

  /** A receiver that fails gets one delivery at a time. */
  #widthOf(receiver: Receiver): number {
    return receiver.failingSince === null ? channelOf(this.#deps.channels, receiver).width(receiver) : 1;
  }

  #begin(receiver: Receiver, delivery: DueDelivery, lane: Lane): void {
    lane.underWay.add(delivery.n);
    const attempted = this.#attempt(receiver, delivery).finally(() => {
      lane.underWay.delete(delivery.n);
      this.#running.delete(attempted);
      this.wake(receiver.id);
      this.#deps.onSettled();
    });
    this.#running.add(attempted);
  }

  async #attempt(receiver: Receiver, delivery: DueDelivery): Promise<void> {
    // Whoever loses the duty meanwhile records it under the lease with which it began.
    const revision = this.#deps.duty()!;
    const result = await this.#send(receiver, delivery);
    if (result === null) return;
    // The attempt is repeated only where its result cannot be recorded before the stop.
    while (!this.#settle(receiver.id, delivery, { ...result, revision })) {
      if (this.#stopping) return;
      await new Promise<void>((resolve) => this.#deps.timers.after(DISK_WAIT_MS, resolve));
    }
  }

  /** Returns the result of an attempt; null where the stop aborted it. */
  async #send(receiver: Receiver, delivery: DueDelivery): Promise<AttemptResult | null> {
    try {
      return await channelOf(this.#deps.channels, receiver).send(receiver, delivery, this.#ended.signal);
    } catch (error) {
      if (this.#ended.signal.aborted) return null;
      const facts = { err: error, receiver: receiver.id, delivery: delivery.n };
      this.#deps.log.error(facts, 'an attempt failed inside Lamppost; this is a bug');
      const text = `at Lamppost: ${(error as Error).message}`;
      return { outcome: 'failed', status: null, retryAfterMs: null, text, ms: 0 };
    }
  }

  #settle(id: string, delivery: DueDelivery, result: Attempted): boolean {
    const { db, log } = this.#deps;
    try {
      transact(db, () => this.#record(id, delivery, result));
      return true;
    } catch (error) {
      if (diskFault(error, '')?.retryable !== true) throw error;
      log.error({ err: error, receiver: id }, 'the result of an attempt cannot be recorded; trying again');
      return false;
    }
  }

  #record(id: string, delivery: DueDelivery, { revision, ...result }: Attempted): void {
    const { receivers, queue, clock, random, onAttempt } = this.#deps;
    // Read again: it may have been changed, disabled or deleted during the attempt.
    const receiver = receivers.get(id);
    if (receiver === null) return;
    const { n, attempts, eventIds: events, upTo, cause } = delivery;
    const now = clock.now();
    const failingSince = receiver.failingSince ?? now;
    const attempt = attempts + 1;
    const decision = decideNext(result, { attempt, failingMs: now - failingSince, random: random() });
    queue.settle(n, result, decision);
    const run = { decision, failingSince: decision.kind === 'done' ? null : failingSince };
    const { outcome, status, text, ms } = result;
    const made = { receiver: id, events, upTo, cause, attempt, atMs: now, ms, outcome, status, text, ...run };
    this.settled(receiver, made);
    onAttempt(revision, made);
    if (decision.kind !== 'done') this.#report(receiver, n, result, decision);
  }

  /** What an attempt of this node or of another one says of the receiver; inside a transaction. */
  settled(receiver: Receiver, { decision, failingSince, outcome, text }: DeliveryAttempt): void {
    const { receivers, queue } = this.#deps;
    const { id } = receiver;
    if (decision.kind === 'done') {
      if (receiver.failingSince === null) return;
      receivers.failing(id, null);
      queue.hurry(id);
      return;
    }
    if (receiver.failingSince === null) receivers.failing(id, failingSince);
    if (decision.kind !== 'disable' || receiver.disabled !== null) return;
    const reason = decision.reason as DisableReason;
    receivers.disable(id, reason);
    receivers.note(id, `disabled: ${DISABLE_REASONS[reason]} (last: ${outcome}, ${text.slice(0, 200)})`);
  }

  /** Logs a delivery that is given up, and a receiver that is disabled. */
  #report(receiver: Receiver, delivery: number, { outcome }: AttemptResult, decision: Decision): void {
    const { log } = this.#deps;
    const facts = { receiver: receiver.id, delivery, outcome };
    if (decision.kind === 'give-up') log.warn(facts, 'a delivery is given up');
    if (decision.kind === 'disable' && receiver.disabled === null)
      log.warn({ ...facts, reason: decision.reason }, 'a receiver is disabled');
  }
}
