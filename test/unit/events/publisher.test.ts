import { expect, test } from 'vitest';
import type { Publication } from '../../../domain/index.ts';
import { createEventPublisher } from '../../../events/index.ts';
import { openState } from '../../kit/events/state.ts';
import { transition } from '../../kit/tickets/scene.ts';

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** A state file, and the publisher of one run over it; `respond` completes the oldest call of the broker. */
function run(state = openState(), { isStarted = true } = {}) {
  const taken: string[] = [];
  const calls: ((isTaken: boolean) => void)[] = [];
  const timers: (() => void)[] = [];
  const publisher = createEventPublisher({
    outbox: state.outbox,
    publish(publications: readonly Publication[]) {
      for (const { payload, retain } of publications)
        if (!retain) taken.push((JSON.parse(payload) as { id: string }).id);
      return new Promise((resolve) => calls.push(resolve));
    },
    timers: {
      after(_ms, run) {
        timers.push(run);
        return () => void timers.splice(timers.indexOf(run), 1);
      },
    },
  });
  if (isStarted) publisher.start();
  return {
    state,
    publisher,
    taken,
    calls,
    timers,
    /** Opens an incident: an alert and a ticket. */
    incident(n: number) {
      state.apply(transition(`${n}.0`, 'firing', { group: `air-${n}` }));
      publisher.appended();
    },
    async respond(isTaken = true) {
      calls.shift()!(isTaken);
      await turn();
    },
    /** Runs the timers. */
    pass() {
      for (const run of timers.splice(0)) run();
    },
  };
}

const idsOf = (n: number) => [`${n}.0-alert`, `t-${n}-0.1`];
const range = (count: number) => Array.from({ length: count }, (_, i) => i + 1);

test('publisher - an event does not wait for those before it to be on the disk of the broker', () => {
  const { incident, taken } = run();
  incident(1);
  incident(2);
  expect(taken).toEqual([...idsOf(1), ...idsOf(2)]);
});

test('publisher - while the broker does not respond, few batches are under way; then all events follow in order', async () => {
  const { incident, taken, calls, respond, publisher } = run();
  for (const n of range(20)) incident(n);
  expect(calls).toHaveLength(8);
  const drained = publisher.drained();
  while (calls.length > 0) await respond();
  expect(await drained).toBe(true);
  expect(taken).toEqual(range(20).flatMap(idsOf));
});

test('publisher - the recorded place is before the first batch without a response', async () => {
  const { state, incident, calls, pass } = run();
  for (const n of range(3)) incident(n);
  calls[2]!(true);
  calls[1]!(true);
  await turn();
  pass();
  expect(state.outbox.publishedTo()).toBe(0);
  calls[0]!(true);
  await turn();
  pass();
  expect(state.outbox.publishedTo()).toBe(6);
});

test('publisher - one record covers many events', async () => {
  const { state, incident, respond, timers, pass } = run();
  for (const n of range(5)) {
    incident(n);
    await respond();
  }
  expect(timers).toHaveLength(1);
  expect(state.outbox.publishedTo()).toBe(0);
  pass();
  expect(state.outbox.publishedTo()).toBe(10);
});

test('publisher - events not recorded before a crash are published again, with the same ids; after a stop none is', async () => {
  const first = run();
  first.incident(1);
  await first.respond();
  first.pass();
  first.incident(2);
  await first.respond();
  const second = run(first.state);
  second.publisher.appended();
  expect(second.taken).toEqual(idsOf(2));
  const stopped = second.publisher.stop();
  await second.respond();
  await stopped;
  const third = run(first.state);
  third.publisher.appended();
  expect(third.taken).toEqual([]);
});

test('publisher - events that a stopped broker did not take are published after the next start', async () => {
  const first = run();
  first.incident(1);
  first.incident(2);
  await first.respond();
  await first.respond(false);
  first.incident(3);
  expect(first.calls).toEqual([]);
  expect(await first.publisher.drained()).toBe(false);
  await first.publisher.stop();
  const second = run(first.state);
  second.publisher.appended();
  expect(second.taken).toEqual([...idsOf(2), ...idsOf(3)]);
});

test('publisher - a full disk at the time of a record only causes a repetition', async () => {
  const { state, incident, respond, pass } = run();
  const full = Object.assign(new Error('database or disk is full'), { errcode: 13 });
  const { published } = state.outbox;
  Object.assign(state.outbox, {
    published() {
      throw full;
    },
  });
  incident(1);
  await respond();
  pass();
  Object.assign(state.outbox, { published });
  incident(2);
  await respond();
  pass();
  expect(state.outbox.publishedTo()).toBe(4);
});

test('publisher - publishes nothing before the start; stopping twice is stopping once', async () => {
  const { incident, taken, respond, publisher, state } = run(openState(), { isStarted: false });
  incident(1);
  expect(taken).toEqual([]);
  publisher.start();
  expect(taken).toEqual(idsOf(1));
  const stops = [publisher.stop(), publisher.stop()];
  await respond();
  await Promise.all(stops);
  expect(state.outbox.publishedTo()).toBe(2);
});
