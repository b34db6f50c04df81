import type { DatabaseSync } from 'node:sqlite';
import type { Logger } from 'pino';
import type { Clock, Timers } from '../domain/index.ts';
import { diskFault, transact } from '../store/index.ts';
import { type Channels, channelOf } from './channel.ts';
import { type Answer, type Decision, decideNext } from './ladder.ts';
import type { DeliveryQueue, DueDelivery } from './queue.ts';
import { DISABLE_REASONS, type Receiver } from './receiver.ts';
import type { ReceiverStore } from './receivers.ts';

/** What the dispatcher works with. */
export interface DispatcherDeps {
  readonly db: DatabaseSync;
  readonly receivers: ReceiverStore;
  readonly queue: DeliveryQueue;
  readonly channels: Channels;
  /** Called when an attempt has been noted. */
  readonly onSettled: () => void;
  readonly clock: Clock;
  readonly timers: Timers;
  /** From 0 to 1. */
  readonly random: () => number;
  readonly log: Logger;
}

/** Makes the attempts that are due, every receiver for itself. */
export interface Dispatcher {
  /** Begins with whatever is due. */
  start(): void;
  /** Something may have become due for this receiver. */
  wake(receiver: string): void;
  /** Begins nothing more; what is under way may still end within `patienceMs`, and is tried again after the next start else. */
  stop(patienceMs: number): Promise<void>;
}

interface Lane {
  readonly underWay: Set<number>;
  cancelTimer: () => void;
}

/** A disk that is full may have room a moment later. */
const DISK_WAIT_MS = 1_000;

/** Makes the dispatcher. One queue, width and timer a receiver: one that is dead delays nobody. */
export function createDispatcher(deps: DispatcherDeps): Dispatcher {
  const { db, receivers, queue, channels, clock, timers, random, log, onSettled } = deps;
  const lanes = new Map<string, Lane>();
  const running = new Set<Promise<void>>();
  const ended = new AbortController();
  let started = false;
  let stopping = false;

  function laneOf(id: string): Lane {
    const lane = lanes.get(id) ?? { underWay: new Set<number>(), cancelTimer: () => {} };
    lanes.set(id, lane);
    return lane;
  }

  /** One that takes nothing is asked with one delivery at a time. */
  const widthOf = (receiver: Receiver) =>
    receiver.failingSince === null ? channelOf(channels, receiver).width(receiver) : 1;

  function wake(id: string): void {
    const lane = laneOf(id);
    lane.cancelTimer();
    const receiver = started && !stopping ? receivers.get(id) : null;
    if (receiver === null) return;
    if (receiver.disabled !== null) return;
    const free = widthOf(receiver) - lane.underWay.size;
    if (free <= 0) return;
    const due = queue.due(id, free + lane.underWay.size).filter((n) => !lane.underWay.has(n));
    for (const n of due.slice(0, free)) begin(receiver, queue.get(n), lane);
    const at = queue.nextDue(id);
    if (at !== null) lane.cancelTimer = timers.after(at - clock.now(), () => wake(id));
  }

  function begin(receiver: Receiver, delivery: DueDelivery, lane: Lane): void {
    lane.underWay.add(delivery.n);
    const attempted = attempt(receiver, delivery).finally(() => {
      lane.underWay.delete(delivery.n);
      running.delete(attempted);
      wake(receiver.id);
      onSettled();
    });
    running.add(attempted);
  }

  async function attempt(receiver: Receiver, delivery: DueDelivery): Promise<void> {
    let answer: Answer;
    try {
      answer = await channelOf(channels, receiver).send(receiver, delivery, ended.signal);
    } catch (error) {
      if (ended.signal.aborted) return;
      log.error(
        { err: error, receiver: receiver.id, delivery: delivery.n },
        'an attempt failed of itself; this is a bug',
      );
      answer = {
        outcome: 'failed',
        status: null,
        retryAfterMs: null,
        text: `at Lamppost: ${(error as Error).message}`,
        ms: 0,
      };
    }
    // What was answered is asked again only where it cannot be noted before the stop.
    while (!settle(receiver.id, delivery, answer)) {
      if (stopping) return;
      await new Promise<void>((resolve) => timers.after(DISK_WAIT_MS, resolve));
    }
  }

  function settle(id: string, delivery: DueDelivery, answer: Answer): boolean {
    try {
      transact(db, () => note(id, delivery, answer));
      return true;
    } catch (error) {
      if (diskFault(error, '')?.retryable !== true) throw error;
      log.error({ err: error, receiver: id }, 'an answer cannot be noted; it is tried again');
      return false;
    }
  }

  function note(id: string, { n, attempts }: DueDelivery, answer: Answer): void {
    // As it is now: it may have been changed, disabled or deleted meanwhile.
    const receiver = receivers.get(id);
    if (receiver === null) return;
    const now = clock.now();
    const failingSince = receiver.failingSince ?? now;
    const standing = { attempt: attempts + 1, failingMs: now - failingSince, random: random() };
    const decision = decideNext(answer, standing);
    queue.settle(n, answer, decision);
    if (decision.kind === 'done') {
      if (receiver.failingSince === null) return;
      receivers.failing(id, null);
      queue.hurry(id);
    } else {
      if (receiver.failingSince === null) receivers.failing(id, failingSince);
      tell(receiver, n, answer, decision);
    }
  }

  function tell(receiver: Receiver, delivery: number, { outcome, text }: Answer, decision: Decision): void {
    const facts = { receiver: receiver.id, delivery, outcome };
    if (decision.kind === 'give-up') log.warn(facts, 'a delivery is given up');
    if (decision.kind !== 'disable' || receiver.disabled !== null) return;
    receivers.disable(receiver.id, decision.reason);
    receivers.note(
      receiver.id,
      `disabled: ${DISABLE_REASONS[decision.reason]} (last: ${outcome}, ${text.slice(0, 200)})`,
    );
    log.warn({ ...facts, reason: decision.reason }, 'a receiver is disabled');
  }

  return {
    start() {
      started = true;
      for (const { id } of receivers.enabled()) wake(id);
    },
    wake,
    async stop(patienceMs) {
      if (stopping) return void (await Promise.allSettled(running));
      stopping = true;
      for (const lane of lanes.values()) lane.cancelTimer();
      const cancel = timers.after(patienceMs, () => ended.abort());
      await Promise.allSettled(running);
      cancel();
    },
  };
}
