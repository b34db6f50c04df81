import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { login, publishPacket, type RawClient, rawLogin, type Scene, startBroker } from '../../kit/broker/kit.ts';
import { until } from '../../kit/wait.ts';

let scene: Scene;
beforeEach(async () => {
  scene = await startBroker();
});
afterEach(() => scene.stop());

async function subscribe(client: RawClient, ...filters: string[]): Promise<number[]> {
  const before = client.got('suback').length;
  const subscriptions = filters.map((topic) => ({ topic, qos: 1 as const }));
  client.send({ cmd: 'subscribe', messageId: 1, subscriptions });
  await until(() => client.got('suback').length > before, 'SUBACK');
  return client.got('suback').at(-1)!.granted as number[];
}
const publish = (topic: string, payload = 'x', qos: 0 | 1 = 1) => scene.publish({ topic, payload, qos, retain: false });
const topicsOf = (client: RawClient) => client.got('publish').map(({ topic }) => topic);

describe('messages of a subscriber', () => {
  test('broker - a refused filter gets 128, others in the same packet are granted, and only these are delivered', async () => {
    const client = await rawLogin(scene.port, 'waste', { clientId: 'a' });
    expect(await subscribe(client, 'events/alerts/#', 'tickets/roads/#', '#', 'tickets/waste/#')).toEqual([
      1, 128, 128, 1,
    ]);
    for (const topic of ['events/alerts/r/g', 'tickets/roads/1', 'tickets/waste/1', 'devices/bin-1/rejections'])
      publish(topic);
    await until(() => client.got('publish').length >= 2, 'what was granted');
    await client.ping();
    expect(topicsOf(client)).toEqual(['events/alerts/r/g', 'tickets/waste/1']);
  });

  test('broker - a refused filter brings nothing when a kept session comes back, either', async () => {
    const session = { clientId: 'a', clean: false };
    const client = await rawLogin(scene.port, 'waste', session);
    expect(await subscribe(client, 'tickets/waste/#', 'tickets/roads/#')).toEqual([1, 128]);
    client.socket.destroy();
    await until(() => scene.broker.counts().connections === 0, 'the end of the connection');
    for (const topic of ['tickets/roads/1', 'tickets/waste/1', 'tickets/roads/2']) publish(topic);
    const back = await rawLogin(scene.port, 'waste', session);
    await until(() => back.got('publish').length > 0, 'what came meanwhile');
    publish('tickets/roads/3');
    publish('tickets/waste/2');
    await until(() => topicsOf(back).includes('tickets/waste/2'), 'what comes now');
    expect(topicsOf(back)).toEqual(['tickets/waste/1', 'tickets/waste/2']);
  });

  test('broker - # sends a viewer of the whole city no message between the server and a device', async () => {
    const client = await rawLogin(scene.port, 'city', { clientId: 'a' });
    expect(await subscribe(client, '#')).toEqual([1]);
    publish('devices/bin-1/rejections');
    publish('tickets/waste/1');
    await until(() => client.got('publish').length > 0, 'a ticket');
    await client.ping();
    expect(topicsOf(client)).toEqual(['tickets/waste/1']);
  });

  test('broker - a device gets its own rejections and nothing else', async () => {
    const client = await rawLogin(scene.port, 'bin-1');
    expect(
      await subscribe(client, 'devices/bin-1/rejections', 'devices/bin-2/rejections', 'devices/+/rejections', '#'),
    ).toEqual([1, 128, 128, 128]);
    publish('devices/bin-2/rejections');
    publish('devices/bin-1/rejections');
    await until(() => client.got('publish').length > 0, 'its rejections');
    await client.ping();
    expect(topicsOf(client)).toEqual(['devices/bin-1/rejections']);
  });

  test('broker - retained publications of the server come with the subscription, and an empty one clears them', async () => {
    const retained = (payload: string) => scene.publish({ topic: 'tickets/waste/7', payload, qos: 1, retain: true });
    retained('open');
    const client = await rawLogin(scene.port, 'waste', { clientId: 'a' });
    await subscribe(client, 'tickets/waste/#');
    await until(() => client.got('publish').length === 1, 'the retained ticket');
    expect(client.got('publish')[0]).toMatchObject({ topic: 'tickets/waste/7', retain: true });
    retained('');
    await until(() => client.got('publish').length === 2, 'the end of the ticket');
    const late = await rawLogin(scene.port, 'waste', { clientId: 'b' });
    await subscribe(late, 'tickets/waste/#');
    await late.ping();
    expect(late.got('publish')).toEqual([]);
  });
});

describe('a subscriber that does not read', () => {
  test('broker - it is cut; another gets everything, and neither the server nor a device waits', async () => {
    const slow = await rawLogin(scene.port, 'admin', { clientId: 'slow' });
    await subscribe(slow, 'live/#');
    slow.socket.pause();
    const quick = await login(scene.port, 'admin', { clientId: 'quick' });
    const seen: number[] = [];
    quick.on('message', (_topic, payload) => seen.push(Number(payload.subarray(0, 10).toString())));
    await quick.subscribeAsync('live/#');
    const device = await login(scene.port, 'bin-1');
    let published = 0;
    while (scene.broker.counts().cutSlow === 0 && published < 100_000) {
      for (let i = 0; i < 50; i++) publish('live/harbour/bin-1', String(published++).padEnd(1_000), 0);
      await device.publishAsync('devices/bin-1/readings', '{}', { qos: 1 });
    }
    expect(scene.broker.counts().cutSlow).toBe(1);
    await until(() => scene.broker.counts().connections === 2, 'the end of the slow connection');
    publish('live/harbour/bin-1', String(published++), 0);
    await until(() => seen.length === published, 'everything');
    expect(seen).toEqual(Array.from({ length: published }, (_, i) => i));
    expect(scene.sink.taken.length).toBeGreaterThan(0);
    await quick.endAsync();
    await device.endAsync();
  });
});

describe('live readings', () => {
  const wanted = () => scene.live;
  const gone = (client: RawClient) => {
    client.socket.destroy();
    return until(() => scene.broker.counts().connections === 0, 'the end of the connection');
  };

  test.each(['live/#', 'live/harbour/+', '#', '+/harbour/bin-1'])(
    'broker - they are wanted while somebody subscribes to %s',
    async (filter) => {
      expect(wanted()).toBe(false);
      const client = await rawLogin(scene.port, 'admin', { clientId: 'a' });
      await subscribe(client, filter);
      expect(wanted()).toBe(true);
      client.send({ cmd: 'unsubscribe', messageId: 2, unsubscriptions: [filter] });
      await until(() => client.got('unsuback').length === 1, 'UNSUBACK');
      expect(wanted()).toBe(false);
    },
  );

  test('broker - a subscription that was refused or is about something else does not ask for them', async () => {
    const device = await rawLogin(scene.port, 'bin-1');
    await subscribe(device, 'live/#', 'devices/bin-1/status');
    const client = await rawLogin(scene.port, 'waste', { clientId: 'a' });
    await subscribe(client, '#', 'tickets/waste/#');
    expect(wanted()).toBe(false);
  });

  test('broker - subscribing twice and leaving once is leaving; leaving without having subscribed affects no other client', async () => {
    const watcher = await rawLogin(scene.port, 'city', { clientId: 'a' });
    await subscribe(watcher, 'live/#');
    await subscribe(watcher, 'live/#');
    const other = await rawLogin(scene.port, 'waste', { clientId: 'b' });
    other.send({ cmd: 'unsubscribe', messageId: 2, unsubscriptions: ['live/#', '#'] });
    await until(() => other.got('unsuback').length === 1, 'UNSUBACK');
    expect(wanted()).toBe(true);
    watcher.send({ cmd: 'unsubscribe', messageId: 2, unsubscriptions: ['live/#'] });
    await until(() => watcher.got('unsuback').length === 1, 'UNSUBACK');
    expect(wanted()).toBe(false);
  });

  test('broker - a client that disconnects ends its demand; a returning kept session renews it', async () => {
    const session = { clientId: 'a', clean: false };
    const client = await rawLogin(scene.port, 'city', session);
    await subscribe(client, 'live/#');
    await gone(client);
    expect(wanted()).toBe(false);
    const back = await rawLogin(scene.port, 'city', session);
    await back.ping();
    expect(wanted()).toBe(true);
    publish('live/harbour/bin-1', 'x', 0);
    await until(() => back.got('publish').length === 1, 'a live reading');
  });
});

test('broker - many devices at once: every message is acknowledged once, and journalled in the order of its device', async () => {
  const clients = await Promise.all(['bin-1', 'bin-2', 'bin-3'].map((id) => rawLogin(scene.port, id)));
  const COUNT = 200;
  clients.forEach((client, i) => {
    const topic = `devices/bin-${i + 1}/readings`;
    client.send(...Array.from({ length: COUNT }, (_, n) => publishPacket(topic, String(n), 1, n + 1)));
  });
  await until(() => clients.every((client) => client.got('puback').length === COUNT), 'every PUBACK');
  for (const [i, client] of clients.entries()) {
    expect(client.got('puback').map(({ messageId }) => messageId)).toEqual(
      Array.from({ length: COUNT }, (_, n) => n + 1),
    );
    const mine = scene.sink.taken.filter(({ identity }) => identity === `bin-${i + 1}`);
    expect(mine.map(({ payload }) => payload)).toEqual(Array.from({ length: COUNT }, (_, n) => String(n)));
  }
});
