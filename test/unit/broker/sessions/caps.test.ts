import { afterEach, expect, test } from 'vitest';
import { rawLogin, type Scene, startBroker } from '../../../kit/broker/kit.ts';
import {
  afterCrash,
  keptSession,
  leave,
  payloads,
  publishEvents,
  range,
  subscribe,
} from '../../../kit/broker/sessions.ts';
import { until } from '../../../kit/wait.ts';

const DAY_MS = 86_400_000;
const MINUTE_MS = 60_000;
let scene: Scene;
let other: Scene | undefined;
afterEach(async () => {
  await scene.stop();
  await other?.stop();
  other = undefined;
});

/** Creates a session of the user and disconnects. */
async function away(user: string, clientId: string, ...filters: string[]): Promise<void> {
  const client = await keptSession(scene, user, { clientId });
  await subscribe(client, ...filters);
  await leave(scene, client);
}

/** Resolves when the upkeep has read the clock, which it does once a round. */
async function upkept(of: Scene): Promise<void> {
  const before = of.asked;
  await until(() => of.asked >= before + 3, 'some rounds of the upkeep');
}

test('sessions - a full queue drops its oldest messages; the drop is published, with its count', async () => {
  scene = await startBroker({ limits: { messages: 5 } });
  await away('waste', 'a', 'events/tickets/waste/#');
  publishEvents(scene, ...range(1, 8));
  await until(() => scene.drops.length > 0, 'the news');
  expect(scene.drops).toEqual([
    {
      id: expect.any(String),
      session: 'waste/a',
      user: 'waste',
      department: 'waste',
      reason: 'queue-full',
      messages: 3,
      fromMs: scene.nowMs,
      toMs: scene.nowMs,
    },
  ]);
  expect(scene.broker.counts()).toMatchObject({ queued: 5, queueDropped: 3 });
  const back = await keptSession(scene, 'waste');
  await until(() => payloads(back).length === 5, 'the newest');
  expect(payloads(back).map(Number)).toEqual(range(4, 8));
});

test('sessions - a queue is bounded in bytes, too: topics and payloads', async () => {
  scene = await startBroker({ limits: { bytes: 10_000 } });
  await away('admin', 'a', 'events/#');
  const big = 'x'.repeat(2_000);
  publishEvents(scene, ...range(1, 9).map((n) => `${n}${big}`));
  expect(scene.broker.counts()).toMatchObject({ queued: 4, queueDropped: 5 });
  const back = await keptSession(scene, 'admin');
  await until(() => payloads(back).length === 4, 'the newest');
  expect(payloads(back).map((payload) => payload[0])).toEqual(['6', '7', '8', '9']);
});

test('sessions - a message in flight is not dropped, and its queue stays in order', async () => {
  scene = await startBroker({ limits: { messages: 3 } });
  const stuck = await keptSession(scene, 'admin', { acknowledges: false });
  await subscribe(stuck, 'events/#');
  publishEvents(scene, ...range(1, 3));
  await until(() => payloads(stuck).length === 3, 'three');
  publishEvents(scene, ...range(4, 6));
  expect(scene.broker.counts()).toMatchObject({ queued: 3, queueDropped: 3 });
  for (const { messageId } of stuck.got('publish')) stuck.send({ cmd: 'puback', messageId: messageId! });
  await until(() => scene.broker.counts().queued === 0, 'the acknowledgements');
  publishEvents(scene, 7);
  await until(() => payloads(stuck).length === 4, 'what came when there was room');
  expect(payloads(stuck).map(Number)).toEqual([1, 2, 3, 7]);
  expect(scene.broker.counts().queued).toBe(1);
});

test('sessions - one full queue does not affect the others', async () => {
  scene = await startBroker({ limits: { messages: 200 } });
  await away('admin', 'full', 'events/#');
  const reader = await keptSession(scene, 'admin', { clientId: 'reads' });
  await subscribe(reader, 'events/#');
  for (const n of range(0, 9)) {
    publishEvents(scene, ...range(n * 100 + 1, n * 100 + 100));
    await until(() => payloads(reader).length === n * 100 + 100, 'what it reads');
  }
  expect(payloads(reader).map(Number)).toEqual(range(1, 1_000));
  await until(() => scene.broker.counts().queued <= 200, 'the acknowledgements');
  expect(scene.broker.counts().queueDropped).toBeGreaterThanOrEqual(800);
});

test('sessions - drops of a session are published at once and then once a minute, with all that it lost meanwhile', async () => {
  scene = await startBroker({ limits: { messages: 1 } });
  await away('admin', 'a', 'events/#');
  publishEvents(scene, 1, 2);
  await until(() => scene.drops.length === 1, 'the first news');
  const start = scene.nowMs;
  scene.nowMs += 30_000;
  publishEvents(scene, 3, 4, 5);
  scene.nowMs = start + MINUTE_MS - 1;
  await upkept(scene);
  expect(scene.drops).toHaveLength(1);
  scene.nowMs = start + MINUTE_MS;
  await until(() => scene.drops.length === 2, 'the second news');
  expect(scene.drops.map(({ messages }) => messages)).toEqual([1, 3]);
  expect(scene.drops[1]).toMatchObject({ fromMs: start + 30_000, toMs: start + 30_000 });
  expect(scene.drops[0]!.id).not.toBe(scene.drops[1]!.id);
});

test('sessions - drops not published before a crash are published after it, and confirmed ones are not repeated', async () => {
  scene = await startBroker({ limits: { messages: 1 } });
  await away('admin', 'a', 'events/#');
  publishEvents(scene, 1, 2);
  await until(() => scene.drops.length === 1, 'the first news');
  scene.nowMs += 1_000;
  publishEvents(scene, 3);
  other = await afterCrash(scene, { limits: { messages: 1 } });
  await until(() => other!.drops.length > 0, 'the news after the crash');
  expect(other.drops).toMatchObject([{ session: 'admin/a', messages: 1, toMs: scene.nowMs }]);
  expect(other.drops[0]!.id).not.toBe(scene.drops[0]!.id);
});

test('sessions - one that is not connected for too long ends with its queue and is published; a connected one does not', async () => {
  scene = await startBroker({ limits: { days: 7 } });
  await away('waste', 'gone', 'events/tickets/waste/#');
  const stays = await keptSession(scene, 'admin', { clientId: 'stays' });
  await subscribe(stays, 'events/#');
  publishEvents(scene, 1, 2);
  scene.nowMs += 7 * DAY_MS;
  await upkept(scene);
  expect(scene.broker.counts().sessions).toBe(2);
  scene.nowMs += 1;
  await until(() => scene.drops.length > 0, 'the end');
  expect(scene.drops).toMatchObject([{ session: 'waste/gone', reason: 'expired', messages: 2 }]);
  expect(scene.broker.counts()).toMatchObject({ sessions: 1, sessionsConnected: 1 });
  await leave(scene, stays);
  scene.nowMs += 7 * DAY_MS;
  await upkept(scene);
  expect(scene.broker.counts().sessions, 'it counts from the end of the connection').toBe(1);
});

test('sessions - a session that was connected when the server crashed counts from the next start', async () => {
  scene = await startBroker();
  const client = await keptSession(scene, 'admin');
  await subscribe(client, 'events/#');
  other = await afterCrash(scene, { nowMs: scene.nowMs + 30 * DAY_MS });
  other.nowMs += 7 * DAY_MS;
  await upkept(other);
  expect(other.broker.counts().sessions).toBe(1);
  other.nowMs += 1;
  await until(() => other!.broker.counts().sessions === 0, 'its end');
});

test('sessions - nothing expires in the first hour after a start: the server was down', async () => {
  scene = await startBroker();
  await away('admin', 'a', 'events/#');
  await scene.stop();
  scene = await startBroker({ dir: scene.dir, outbox: scene.outbox, nowMs: scene.nowMs + 8 * DAY_MS });
  await upkept(scene);
  expect(scene.broker.counts().sessions).toBe(1);
  scene.nowMs += 3_600_000;
  await until(() => scene.broker.counts().sessions === 0, 'its end');
});

test('sessions - a key that opens more than it may loses the one that was away longest; other keys lose nothing', async () => {
  scene = await startBroker({ limits: { perUser: 2 } });
  await away('waste', 'w', 'events/tickets/waste/#');
  await away('admin', 'first', 'events/#');
  scene.nowMs += 1_000;
  await away('admin', 'second', 'events/#');
  scene.nowMs += 1_000;
  // The first was connected again.
  await leave(scene, await keptSession(scene, 'admin', { clientId: 'first' }));
  publishEvents(scene, 1);
  await away('admin', 'third', 'events/#');
  await until(() => scene.drops.length > 0, 'the news');
  expect(scene.drops).toMatchObject([{ session: 'admin/second', reason: 'too-many-sessions', messages: 1 }]);
  expect(scene.broker.counts()).toMatchObject({ sessions: 3, queued: 2 });
});

test('sessions - where all of a key are connected, one more is refused its subscriptions; without a kept session it has them', async () => {
  scene = await startBroker({ limits: { perUser: 1 } });
  const first = await keptSession(scene, 'admin', { clientId: 'first' });
  expect(await subscribe(first, 'events/#')).toEqual([1]);
  const second = await keptSession(scene, 'admin', { clientId: 'second' });
  expect(await subscribe(second, 'events/#')).toEqual([128]);
  const clean = await rawLogin(scene.port, 'admin', { clientId: 'third' });
  expect(await subscribe(clean, 'events/#')).toEqual([1]);
  publishEvents(scene, 1);
  await until(() => payloads(first).length + payloads(clean).length === 2, 'both');
  expect(payloads(second)).toEqual([]);
});
