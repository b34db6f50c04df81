import { expect, test } from 'vitest';
import { createMqttOutbox, publicationsOf } from '../../../events/index.ts';
import { openState } from '../../kit/events/state.ts';
import { transition } from '../../kit/tickets/scene.ts';

/** Two incidents, the first of which is over: alerts and tickets. */
function scene() {
  const state = openState();
  state.apply(transition('1.0', 'firing', { group: 'air-1' }));
  state.apply(transition('2.0', 'firing', { group: 'air-2' }));
  state.apply(transition('3.0', 'resolved', { group: 'air-1' }));
  return { state, outbox: createMqttOutbox(state.db) };
}

test('MQTT outbox - between two numbers are the messages of each event, in order', () => {
  const { state, outbox } = scene();
  const all = state.events.page({ after: 0, limit: 100 }).items;
  const wanted = all.map(({ n, event }) => ({ n, messages: publicationsOf(event) }));
  expect(all.length).toBeGreaterThan(4);
  expect(outbox.between(0, 100)).toEqual(wanted);
  expect(outbox.between(1, 3)).toEqual(wanted.slice(1, 3));
  expect(outbox.between(100, 200)).toEqual([]);
});

test('MQTT outbox - its retained messages are the open tickets, as the events up to the newest leave them', () => {
  const { state, outbox } = scene();
  const { head, retained } = outbox.now();
  expect(head).toBe(state.events.head());
  const byTopic = new Map<string, string>();
  for (const { messages } of outbox.between(0, head))
    for (const { topic, payload, retain } of messages) if (retain) byTopic.set(topic, payload);
  const open = [...byTopic].filter(([, payload]) => payload !== '');
  expect(open.length).toBeGreaterThan(0);
  expect(Object.fromEntries(retained.map(({ topic, payload }) => [topic, payload]))).toEqual(Object.fromEntries(open));
});

test('MQTT outbox - for a file of before it finds an event by its id, the oldest of a ticket, and how far copies were made', () => {
  const { state, outbox } = scene();
  const [, opened] = state.events.page({ after: 0, limit: 100 }).items;
  expect(outbox.numberOf(opened!.event.id)).toBe(opened!.n);
  expect(outbox.firstOf('t-1-0')).toBe(1);
  expect([outbox.numberOf('nobody'), outbox.firstOf('nobody'), outbox.copiedTo()]).toEqual([null, null, 0]);
  state.db.exec("update outbox_cursors set n = 3 where channel = 'mqtt'");
  expect(outbox.copiedTo()).toBe(3);
});
