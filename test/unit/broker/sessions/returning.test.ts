import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { deviceOf, rawLogin, type Scene, startBroker } from '../../../kit/broker/kit.ts';
import {
  acknowledge,
  afterCrash,
  keptSession,
  leave,
  payloads,
  publishEvents,
  range,
  subscribe,
} from '../../../kit/broker/sessions.ts';
import { until } from '../../../kit/wait.ts';

const EVENTS = 'events/#';
let scene: Scene;
let others: Scene[] = [];
beforeEach(async () => {
  scene = await startBroker();
  others = [];
});
afterEach(async () => {
  await Promise.all([scene, ...others].map((one) => one.stop()));
});

/** Stops the broker and starts another over the same file. */
async function restart(): Promise<void> {
  await scene.stop();
  scene = await startBroker({ dir: scene.dir, outbox: scene.outbox });
}

describe('a session that comes back', () => {
  test('sessions - what was published while it was away comes in order, and once', async () => {
    const client = await keptSession(scene, 'waste');
    await subscribe(client, EVENTS.replace('#', 'tickets/waste/#'));
    await leave(scene, client);
    publishEvents(scene, ...range(1, 250));
    const back = await keptSession(scene, 'waste');
    expect(back.got('connack')[0]!.sessionPresent).toBe(true);
    await until(() => payloads(back).length >= 250, 'what it missed');
    publishEvents(scene, 251);
    await until(() => payloads(back).length >= 251, 'what comes now');
    expect(payloads(back).map(Number)).toEqual(range(1, 251));
    expect(scene.broker.counts()).toMatchObject({ sessions: 1, sessionsConnected: 1 });
    await until(() => scene.broker.counts().queued === 0, 'an empty queue');
  });

  test.each([
    [0, ['{"id":"c-1"}']],
    [1, []],
  ] as const)(
    'sessions - a command waits in the queue of a kept subscription, which one of QoS %i has not',
    async (qos, comes) => {
      const topic = 'devices/bin-1/commands';
      await scene.stop();
      const waiting = (of: string) =>
        of === topic ? [{ topic, payload: '{"id":"c-1"}', qos: 1, retain: false } as const] : [];
      scene = await startBroker({ waiting });
      const client = await keptSession(scene, 'bin-1', { clientId: 'bin-1' });
      await subscribe(client, [topic, qos]);
      await until(() => payloads(client).length === 1, 'what waits for a new subscription');
      await leave(scene, client);
      const back = await keptSession(scene, 'bin-1', { clientId: 'bin-1' });
      await subscribe(back, [topic, qos]);
      await subscribe(back, 'devices/bin-1/status');
      await until(() => payloads(back).includes('online'), 'what is retained after it');
      expect(payloads(back).filter((one) => one !== 'online')).toEqual(comes);
    },
  );

  test('sessions - over a restart: subscriptions and queue are there', async () => {
    const client = await keptSession(scene, 'admin');
    await subscribe(client, EVENTS);
    await leave(scene, client);
    publishEvents(scene, 1, 2);
    await restart();
    expect(scene.broker.counts().sessions).toBe(1);
    await until(() => scene.broker.counts().queued === 2, 'its queue');
    publishEvents(scene, 3);
    const back = await keptSession(scene, 'admin');
    await until(() => payloads(back).length === 3, 'all three');
    expect(payloads(back)).toEqual(['1', '2', '3']);
  });

  test('sessions - over a crash: what was granted and what publish resolved for is there, acknowledged or not', async () => {
    const client = await keptSession(scene, 'admin', { acknowledges: false });
    await subscribe(client, EVENTS);
    publishEvents(scene, 1, 2);
    await until(() => payloads(client).length === 2, 'both');
    const next = await afterCrash(scene);
    others.push(next);
    publishEvents(next, 3);
    const back = await keptSession(next, 'admin');
    await until(() => payloads(back).length === 3, 'all three');
    expect(payloads(back)).toEqual(['1', '2', '3']);
  });

  test('sessions - what was not acknowledged comes again under its id, marked as a duplicate; what was does not (§4.4)', async () => {
    const client = await keptSession(scene, 'admin', { acknowledges: false });
    await subscribe(client, EVENTS);
    publishEvents(scene, 1, 2, 3);
    await until(() => payloads(client).length === 3, 'all three');
    const ids = client.got('publish').map(({ messageId }) => messageId!);
    acknowledge(client, ids[1]!);
    await until(() => scene.broker.counts().queued === 2, 'the acknowledgement');
    await leave(scene, client);
    await restart();
    publishEvents(scene, 4);
    const back = await keptSession(scene, 'admin', { acknowledges: false });
    await until(() => payloads(back).length === 3, 'three');
    const came = back.got('publish').map(({ payload, messageId, dup }) => [payload.toString(), messageId, dup]);
    expect(came.slice(0, 2)).toEqual([
      ['1', ids[0], true],
      ['3', ids[2], true],
    ]);
    expect(came[2]![0]).toBe('4');
    expect(came[2]![2]).toBe(false);
    expect(new Set(came.map(([, id]) => id)).size).toBe(3);
  });

  test('sessions - messages that are published while the queue is being sent does not overtake it', async () => {
    const client = await keptSession(scene, 'admin');
    await subscribe(client, EVENTS);
    await leave(scene, client);
    publishEvents(scene, ...range(1, 1_000));
    let n = 1_000;
    let done = false;
    const publishing = (async () => {
      while (!done) {
        publishEvents(scene, ++n);
        await new Promise((resolve) => setImmediate(resolve));
      }
    })();
    const back = await keptSession(scene, 'admin');
    await until(() => payloads(back).length >= 1_200, 'the queue and some more');
    done = true;
    await publishing;
    await until(() => payloads(back).length >= n, 'all');
    expect(payloads(back).map(Number)).toEqual(range(1, n));
  });

  test('sessions - many times cut at random places: every message arrives, none overtakes another', async () => {
    const seen: number[] = [];
    let n = 0;
    let client = await keptSession(scene, 'admin');
    await subscribe(client, EVENTS);
    // A fixed sequence of moments.
    for (const pause of [0, 3, 1, 7, 2, 0, 5, 11, 1, 4]) {
      const publishing = publishEvents(scene, ...range(n + 1, n + 300));
      n += 300;
      for (let i = 0; i < pause; i++) await new Promise((resolve) => setImmediate(resolve));
      await leave(scene, client);
      await publishing;
      seen.push(...payloads(client).map(Number));
      client = await keptSession(scene, 'admin');
    }
    await until(() => scene.broker.counts().queued === 0, 'an empty queue');
    seen.push(...payloads(client).map(Number));
    expect([...new Set(seen)], 'in the order of their first arrival').toEqual(range(1, n));
  });

  test('sessions - nothing is sent before the CONNACK (MQTT-3.2.0-1)', async () => {
    let client = await keptSession(scene, 'admin');
    await subscribe(client, '#');
    for (let round = 0; round < 20; round++) {
      await leave(scene, client);
      let stop = false;
      const chatter = (async () => {
        for (let i = 0; !stop; i++) {
          scene.broker.publish({ topic: 'live/harbour/bin-1', payload: String(i), qos: 0, retain: false });
          publishEvents(scene, i);
          await new Promise((resolve) => setImmediate(resolve));
        }
      })();
      client = await keptSession(scene, 'admin');
      stop = true;
      await chatter;
      expect(client.packets[0]!.cmd).toBe('connack');
    }
  });

  test('sessions - a second connection takes its place: the first is cut, nothing is lost', async () => {
    const first = await keptSession(scene, 'admin');
    await subscribe(first, EVENTS);
    publishEvents(scene, 1, 2);
    const second = await keptSession(scene, 'admin');
    await first.closed;
    publishEvents(scene, 3, 4);
    await until(() => scene.broker.counts().queued === 0, 'an empty queue');
    const seen = [...payloads(first), ...payloads(second)].map(Number);
    expect([...new Set(seen)]).toEqual([1, 2, 3, 4]);
    expect(scene.broker.counts()).toMatchObject({ sessions: 1, sessionsConnected: 1 });
  });

  test('sessions - connecting without a kept session ends it: its queue and subscriptions are gone (§3.1.2.4)', async () => {
    const client = await keptSession(scene, 'admin');
    await subscribe(client, EVENTS);
    await leave(scene, client);
    publishEvents(scene, 1);
    const clean = await rawLogin(scene.port, 'admin', { clientId: 'a' });
    expect(scene.broker.counts()).toMatchObject({ sessions: 0, queued: 0 });
    await leave(scene, clean);
    await restart();
    const back = await keptSession(scene, 'admin');
    expect(back.got('connack')[0]!.sessionPresent).toBe(false);
    publishEvents(scene, 2);
    await back.ping();
    expect(payloads(back)).toEqual([]);
  });

  test('sessions - unsubscribing survives a crash, too', async () => {
    const client = await keptSession(scene, 'admin');
    await subscribe(client, EVENTS, 'tickets/#');
    client.send({ cmd: 'unsubscribe', messageId: 2, unsubscriptions: [EVENTS] });
    await until(() => client.got('unsuback').length === 1, 'UNSUBACK');
    const next = await afterCrash(scene);
    others.push(next);
    publishEvents(next, 1);
    next.publish({ topic: 'tickets/waste/1', payload: 'open', qos: 1, retain: false });
    const back = await keptSession(next, 'admin');
    await until(() => payloads(back).length > 0, 'the ticket');
    await back.ping();
    expect(payloads(back)).toEqual(['open']);
  });
});

describe('queued messages', () => {
  test('sessions - a message of overlapping subscriptions comes once, at the highest QoS of them (§3.3.5)', async () => {
    const client = await keptSession(scene, 'admin');
    await subscribe(client, ['#', 0], 'events/tickets/#', 'events/+/waste/1');
    publishEvents(scene, 1, 2);
    await until(() => payloads(client).length >= 2, 'both');
    await client.ping();
    expect(client.got('publish').map(({ payload, qos }) => [payload.toString(), qos])).toEqual([
      ['1', 1],
      ['2', 1],
    ]);
  });

  test('sessions - a subscription of QoS 0 brings QoS 0 while connected, and nothing is queued for it', async () => {
    const client = await keptSession(scene, 'admin');
    await subscribe(client, [EVENTS, 0]);
    publishEvents(scene, 1);
    await until(() => payloads(client).length === 1, 'the event');
    expect(client.got('publish')[0]!.qos).toBe(0);
    await leave(scene, client);
    publishEvents(scene, 2);
    expect(scene.broker.counts().queued).toBe(0);
    const back = await keptSession(scene, 'admin');
    publishEvents(scene, 3);
    await until(() => payloads(back).length === 1, 'what comes now');
    expect(payloads(back)).toEqual(['3']);
  });

  test('sessions - live readings and rejections are QoS 0: they come while connected and are never queued', async () => {
    const watcher = await keptSession(scene, 'admin');
    const device = await keptSession(scene, 'bin-1', { clientId: 'bin-1' });
    await subscribe(watcher, '#');
    await subscribe(device, 'devices/bin-1/rejections');
    const round = async (payload: string) => {
      for (const topic of ['live/harbour/bin-1', 'devices/bin-1/rejections', 'devices/bin-1/status'])
        scene.broker.publish({ topic, payload, qos: 0, retain: false });
    };
    await round('now');
    await until(() => payloads(device).includes('now'), 'the rejection');
    await until(() => payloads(watcher).filter((payload) => payload === 'now').length === 3, 'all three');
    await leave(scene, watcher, device);
    await round('away');
    expect(scene.broker.counts()).toMatchObject({ sessions: 2, queued: 0 });
    const [back, again] = [await keptSession(scene, 'admin'), await keptSession(scene, 'bin-1', { clientId: 'bin-1' })];
    publishEvents(scene, 'later');
    await until(() => payloads(back).includes('later'), 'an event');
    await again.ping();
    expect([...payloads(back), ...payloads(again)]).not.toContain('away');
  });

  test('sessions - a client that does not acknowledge has a hundred messages in flight, and the others in its queue', async () => {
    const stuck = await keptSession(scene, 'admin', { acknowledges: false });
    const quick = await keptSession(scene, 'admin', { clientId: 'b' });
    await subscribe(stuck, EVENTS);
    await subscribe(quick, EVENTS);
    publishEvents(scene, ...range(1, 150));
    await until(() => payloads(quick).length === 150, 'all of the other');
    await stuck.ping();
    expect(payloads(stuck)).toHaveLength(100);
    await until(() => scene.broker.counts().queued === 150, 'the acknowledgements of the other');
    for (const { messageId } of stuck.got('publish').slice(0, 50)) acknowledge(stuck, messageId!);
    await until(() => payloads(stuck).length === 150, 'the others');
    expect(payloads(stuck).map(Number)).toEqual(range(1, 150));
  });

  test('sessions - a retained message has an id that no message of the queue has', async () => {
    const client = await keptSession(scene, 'admin', { acknowledges: false });
    await subscribe(client, EVENTS);
    publishEvents(scene, ...range(1, 80));
    for (const n of range(1, 200))
      scene.broker.publish({ topic: `tickets/waste/${n}`, payload: `t${n}`, qos: 1, retain: true });
    await until(() => payloads(client).length === 80, 'the events');
    await leave(scene, client);
    const back = await keptSession(scene, 'admin', { acknowledges: false });
    await subscribe(back, ['tickets/#', 1]);
    await until(() => payloads(back).length === 280, 'events and tickets');
    const ids = back.got('publish').map(({ messageId }) => messageId);
    expect(new Set(ids).size).toBe(280);
    for (const { messageId, payload } of back.got('publish'))
      if (payload.toString().startsWith('t')) acknowledge(back, messageId!);
    await back.ping();
    expect(scene.broker.counts().queued, 'acknowledging a retained message ends none of the queue').toBe(80);
  });

  test('sessions - a subscriber that does not read is cut, and gets all that it missed on its return, in order', async () => {
    const slow = await keptSession(scene, 'admin');
    await subscribe(slow, '#');
    slow.socket.pause();
    let live = 0;
    let n = 0;
    while (scene.broker.counts().cutSlow === 0 && live < 100_000) {
      for (let i = 0; i < 50; i++, live++)
        scene.broker.publish({ topic: 'live/harbour/bin-1', payload: 'x'.repeat(1_000), qos: 0, retain: false });
      publishEvents(scene, ++n);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(scene.broker.counts().cutSlow).toBe(1);
    await until(() => scene.broker.counts().connections === 0, 'the end of the connection');
    publishEvents(scene, ++n, ++n);
    const back = await keptSession(scene, 'admin');
    await until(() => scene.broker.counts().queued === 0, 'an empty queue');
    const seen = payloads(back).map(Number);
    expect(seen.at(-1)).toBe(n);
    // The client never read the ones before.
    expect(seen).toEqual(range(1, n));
  });
});

describe('owners of sessions', () => {
  test('sessions - a revoked key has none: a later key of the same name does not inherit it', async () => {
    const waste = {
      kind: 'key',
      id: 'waste',
      key: { id: 'waste', name: 'w', role: 'viewer', department: 'waste' },
    } as const;
    const client = await keptSession(scene, 'waste');
    await subscribe(client, 'events/tickets/waste/#');
    await leave(scene, client);
    publishEvents(scene, 1);
    scene.broker.credentials({ set: [], remove: ['waste'] });
    expect(scene.broker.counts()).toMatchObject({ sessions: 0, queued: 0 });
    publishEvents(scene, 2);
    scene.broker.credentials({ set: [{ identity: waste, hash: deviceOf('x').hash }], remove: [] });
    const other = await keptSession(scene, 'waste');
    expect(other.got('connack')[0]!.sessionPresent).toBe(false);
    await other.ping();
    expect(payloads(other)).toEqual([]);
  });

  test('sessions - one that is revoked while it is connected is cut, and its session ends', async () => {
    const client = await keptSession(scene, 'waste');
    await subscribe(client, 'events/tickets/waste/#');
    scene.broker.credentials({ set: [], remove: ['waste'] });
    await client.closed;
    publishEvents(scene, 1);
    expect(scene.broker.counts()).toMatchObject({ sessions: 0, queued: 0 });
  });

  test('sessions - an owner that was revoked or rotated while the server was down has no session after its start', async () => {
    const device = await keptSession(scene, 'bin-3', { clientId: 'bin-3' });
    await subscribe(device, 'devices/bin-3/rejections');
    const key = await keptSession(scene, 'admin');
    await subscribe(key, EVENTS);
    await leave(scene, device, key);
    publishEvents(scene, 1);
    await scene.stop();
    scene = await startBroker({
      dir: scene.dir,
      outbox: scene.outbox,
      secrets: { admin: 'another secret of the same key name' },
    });
    expect(scene.broker.counts()).toMatchObject({ sessions: 1, queued: 0 });
    await scene.stop();
    scene = await startBroker({ dir: scene.dir, outbox: scene.outbox, without: ['bin-3'] });
    expect(scene.broker.counts()).toMatchObject({ sessions: 0 });
  });

  test('sessions - a subscription that is refused is not kept', async () => {
    const client = await keptSession(scene, 'waste');
    expect(await subscribe(client, 'events/tickets/roads/#', 'events/tickets/waste/#')).toEqual([128, 1]);
    await leave(scene, client);
    scene.publish({ topic: 'events/tickets/roads/1', payload: 'no', qos: 1, retain: false });
    publishEvents(scene, 'yes');
    expect(scene.broker.counts().queued).toBe(1);
    await restart();
    const back = await keptSession(scene, 'waste');
    await until(() => payloads(back).length === 1, 'its own');
    expect(payloads(back)).toEqual(['yes']);
  });
});
