import { afterEach, describe, expect, test } from 'vitest';
import type { BrokerOptions } from '../../../broker/index.ts';
import { login, publishPacket, RawClient, rawLogin, type Scene, startBroker } from '../../kit/broker/kit.ts';
import { until } from '../../kit/wait.ts';

const TOPIC = 'devices/bin-1/readings';
const KIB = 1024;

let scene: Scene;
async function start(options: Partial<BrokerOptions> = {}): Promise<void> {
  scene = await startBroker(options);
}
afterEach(() => scene.stop());

describe('sizes', () => {
  test('broker - before login no packet may announce more than its limit; nothing of its body is waited for', async () => {
    await start({ maxPacketBeforeConnect: 1_000 });
    const client = new RawClient(scene.port);
    // CONNECT that announces 1,001 bytes.
    client.socket.write(Buffer.from([0x10, 0xe9, 0x07]));
    await client.closed;
    expect(scene.broker.counts().cutOversize).toBe(1);
  });

  test('broker - after login the largest packet passes, and one byte more ends the connection', async () => {
    await start({ maxPacket: 8 * KIB });
    const device = await rawLogin(scene.port, 'bin-1');
    const header = 2 + TOPIC.length + 2;
    device.send(publishPacket(TOPIC, Buffer.alloc(8 * KIB - header, 'x'), 1, 1));
    await until(() => device.got('puback').length === 1, 'PUBACK');
    device.send(publishPacket(TOPIC, Buffer.alloc(8 * KIB - header + 1, 'x'), 1, 2));
    await device.closed;
    expect(scene.sink.taken.map(({ payload }) => payload.length)).toEqual([8 * KIB - header]);
    expect(scene.broker.counts().cutOversize).toBe(1);
  });

  test('broker - a length of five bytes is malformed (§2.2.3), before and after login', async () => {
    await start();
    for (const client of [new RawClient(scene.port), await rawLogin(scene.port, 'bin-1')]) {
      client.socket.write(Buffer.from([0x30, 0xff, 0xff, 0xff, 0xff, 0x01]));
      await client.closed;
    }
    expect(scene.broker.counts().cutOversize).toBe(2);
  });

  test('broker - garbage ends its own connection only', async () => {
    await start();
    const device = await rawLogin(scene.port, 'bin-1');
    for (const bytes of [
      'GET / HTTP/1.1\r\nHost: x\r\n\r\n',
      '\u0000\u0000',
      '\u0010\u0000',
      '\u0030\u0002\u00ff\u00ff',
      '\u0010\u000c\u0000\u0004MQTT\u0004\u0003\u0000\u0000\u0000\u0000',
    ]) {
      const client = new RawClient(scene.port);
      client.socket.end(Buffer.from(bytes, 'latin1'));
      await client.closed;
    }
    await device.ping();
    await until(() => scene.broker.counts().connections === 1, 'the end of the others');
  });

  test('broker - a topic of more than a hundred levels is refused, and the connection stays', async () => {
    await start();
    const client = await rawLogin(scene.port, 'admin');
    const deep = Array.from({ length: 200 }, () => 'a').join('/');
    for (const qos of [1, 2] as const) client.send(publishPacket(deep, 'x', qos, qos));
    const subscriptions = [deep, `${deep}/#`, 'live/#'].map((topic) => ({ topic, qos: 0 as const }));
    client.send({ cmd: 'subscribe', messageId: 3, subscriptions });
    client.send({ cmd: 'unsubscribe', messageId: 4, unsubscriptions: [deep] });
    const all = () => client.got('unsuback').length + client.got('pubrec').length + client.got('suback').length;
    await until(() => all() === 3, 'the responses');
    expect(client.got('puback')).toHaveLength(1);
    expect(client.got('suback')[0]!.granted).toEqual([128, 128, 0]);
    expect(scene.broker.counts()).toMatchObject({ refused: 2, connections: 1 });
  });
});

describe('limits at the same time', () => {
  test('broker - past the limit of connections the next is refused; when one goes, another may come', async () => {
    await start({ maxConnections: 3 });
    const clients = [];
    for (const id of ['bin-1', 'bin-2', 'bin-3']) clients.push(await rawLogin(scene.port, id));
    const late = new RawClient(scene.port);
    await late.closed;
    expect(late.packets).toEqual([]);
    clients[0]!.socket.destroy();
    await until(() => scene.broker.counts().connections === 2, 'a place');
    await (await rawLogin(scene.port, 'bin-1')).ping();
  });

  test('broker - a client whose messages wait for the disk is read up to its limit; the rest follows, whole and in order', async () => {
    const maxInFlight = 16 * KIB;
    await start({ maxInFlight });
    const device = await rawLogin(scene.port, 'bin-1');
    const other = await rawLogin(scene.port, 'bin-2');
    scene.sink.held = true;
    const COUNT = 500;
    const payload = (n: number) => String(n).padEnd(2 * KIB, '.');
    device.socket.setNoDelay(true);
    for (let n = 0; n < COUNT; n++) {
      // A segment each: Aedes' own back-pressure does not hold these.
      device.send(publishPacket(TOPIC, payload(n), 1, n + 1));
      await new Promise((resolve) => setImmediate(resolve));
    }
    // A message counts for a little more than its payload.
    await until(() => scene.sink.pendingBytes() > maxInFlight * 0.9, 'the limit');
    for (let i = 0; i < 20; i++) await other.ping();
    // The read that reaches the limit may go beyond it.
    expect(scene.sink.pendingBytes()).toBeLessThan(maxInFlight + 260 * KIB);
    const waiting = scene.sink.taken.length;
    expect(waiting).toBeLessThan(COUNT / 2);
    other.send(publishPacket('devices/bin-2/readings', 'y', 1, 1));
    await until(() => scene.sink.taken.length === waiting + 1, 'a message of another client');
    scene.sink.held = false;
    scene.sink.settle();
    await until(() => device.got('puback').length === COUNT, 'every PUBACK');
    const mine = scene.sink.taken.filter(({ identity }) => identity === 'bin-1');
    expect(mine.map((one) => one.payload)).toEqual(Array.from({ length: COUNT }, (_, n) => payload(n)));
  });
});

describe('time', () => {
  test('broker - a client that is silent for one and a half times its keepalive is cut (§3.1.2.10), and its will is taken', async () => {
    await start();
    const will = { topic: TOPIC, payload: Buffer.from('last words'), qos: 1, retain: false };
    const began = Date.now();
    const device = await rawLogin(scene.port, 'bin-1', { keepalive: 1, will });
    const alive = await login(scene.port, 'bin-2', { keepalive: 1 });
    await device.closed;
    expect(Date.now() - began).toBeGreaterThan(1_400);
    await until(() => scene.sink.taken.length === 1, 'the will');
    expect(alive.connected, 'a client that responds stays').toBe(true);
    await alive.endAsync();
  });
});
