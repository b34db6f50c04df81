import { generate, type Packet } from 'mqtt-packet';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  deviceOf,
  login,
  publishPacket,
  RawClient,
  rawLogin,
  type Scene,
  SECRET,
  startBroker,
} from '../../kit/broker/kit.ts';
import { until } from '../../kit/wait.ts';

const CONNECT = { cmd: 'connect', protocolId: 'MQTT', protocolVersion: 4, keepalive: 0, clean: true } as const;

let scene: Scene;
beforeEach(async () => {
  scene = await startBroker();
});
afterEach(() => scene.stop());

describe('login', () => {
  test.each([
    ['a wrong secret', 'bin-1', { password: Buffer.from('wrong') }, 4],
    ['a secret that no device has', 'bin-9', {}, 4],
    ['a known name without a secret', 'bin-1', { password: undefined }, 4],
    ['nothing at all', undefined, { password: undefined, clientId: 'x' }, 4],
    ['a name of JavaScript', '__proto__', {}, 4],
    ['a client id that is not the device', 'bin-1', { clientId: 'bin-2' }, 2],
    ['a client id that is a part of the device', 'bin-1', { clientId: 'bin-1/x' }, 2],
  ])('broker - %s is refused by its CONNACK code, and the connection ends', async (_what, username, more, code) => {
    const client = new RawClient(scene.port);
    expect(await client.connect(username as string, more)).toBe(code);
    await client.closed;
    expect(scene.broker.counts().connections).toBe(0);
    expect(scene.broker.counts().refusedLogins).toBe(1);
  });

  test('broker - no client id for a session that is to be kept is refused by its CONNACK code (§3.1.3.1)', async () => {
    const client = new RawClient(scene.port);
    const CLEAN = 2;
    const FLAGS = 9;
    const bytes = generate({ ...CONNECT, clientId: '', username: 'waste', password: Buffer.from(SECRET) });
    bytes[FLAGS]! &= ~CLEAN;
    client.socket.write(bytes);
    await client.closed;
    expect(client.got('connack').map(({ returnCode }) => returnCode)).toEqual([2]);
  });

  test.each([
    ['a device as itself', 'bin-1', {}],
    ['a device that speaks MQTT 3.1', 'bin-1', { protocolId: 'MQIsdp', protocolVersion: 3 }],
    ['a key under any client id', 'waste', { clientId: 'a-program' }],
    ['a key without a client id', 'waste', { clientId: '' }],
  ])('broker - %s may connect', async (_what, username, more) => {
    const client = await rawLogin(scene.port, username, more);
    await client.ping();
    expect(client.got('connack')[0]!.sessionPresent).toBe(false);
  });

  test.each([
    ['PUBLISH', publishPacket('devices/bin-1/readings', 'x', 1, 1)],
    ['SUBSCRIBE', { cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'live/#', qos: 0 }] }],
    ['PINGREQ', { cmd: 'pingreq' }],
  ] as const)('broker - %s before CONNECT ends the connection without a response (§3.1.0)', async (_what, packet) => {
    const client = new RawClient(scene.port);
    client.send(packet as Packet);
    await client.closed;
    expect([client.packets, scene.sink.taken]).toEqual([[], []]);
  });

  test('broker - a second CONNECT on one connection ends it (§3.1.0)', async () => {
    const client = await rawLogin(scene.port, 'bin-1');
    client.send({
      cmd: 'connect',
      protocolId: 'MQTT',
      protocolVersion: 4,
      clientId: 'bin-1',
      keepalive: 0,
      clean: true,
    });
    await client.closed;
  });

  test('broker - messages that are sent right behind CONNECT, without waiting for CONNACK, are taken (§3.1.4)', async () => {
    const client = new RawClient(scene.port);
    client.send(
      { ...CONNECT, clientId: 'bin-1', username: 'bin-1', password: Buffer.from(SECRET) },
      publishPacket('devices/bin-1/readings', '1', 1, 1),
      publishPacket('devices/bin-1/readings', '2', 1, 2),
    );
    await until(() => client.got('puback').length === 2, 'two PUBACKs');
    expect(scene.sink.taken.map(({ payload }) => payload)).toEqual(['1', '2']);
  });
});

describe('secrets that change', () => {
  test('broker - a revoked device is cut at once and does not come in again; others stay', async () => {
    const [device, other] = [await rawLogin(scene.port, 'bin-1'), await rawLogin(scene.port, 'bin-2')];
    scene.broker.credentials({ set: [], remove: ['bin-1'] });
    await device.closed;
    expect(await new RawClient(scene.port).connect('bin-1')).toBe(4);
    await other.ping();
  });

  test('broker - every connection of a revoked key is cut, whatever its client id', async () => {
    const programs = [await rawLogin(scene.port, 'waste', { clientId: 'a' }), await rawLogin(scene.port, 'waste')];
    const other = await rawLogin(scene.port, 'roads', { clientId: 'c' });
    scene.broker.credentials({ set: [], remove: ['waste'] });
    await Promise.all(programs.map(({ closed }) => closed));
    await other.ping();
  });

  test('broker - after a rotation the old secret is invalid: for a login, and for the connection it opened', async () => {
    const device = await rawLogin(scene.port, 'bin-1');
    scene.broker.credentials({ set: [deviceOf('bin-1', 'a-new-secret')], remove: [] });
    await device.closed;
    expect(await new RawClient(scene.port).connect('bin-1')).toBe(4);
    const again = new RawClient(scene.port);
    expect(await again.connect('bin-1', { password: Buffer.from('a-new-secret') })).toBe(0);
  });

  test('broker - a repeated credential closes no connection', async () => {
    const device = await rawLogin(scene.port, 'bin-1');
    scene.broker.credentials({ set: [deviceOf('bin-1')], remove: [] });
    await device.ping();
  });
});

describe('sessions of others', () => {
  test.each([
    ['the client id of a device', 'bin-1', 'bin-1'],
    ['the client id of a program of another department', 'roads', 'a-program'],
  ])('broker - a key that takes %s does not push it out', async (_what, username, clientId) => {
    const owner = await rawLogin(scene.port, username, { clientId });
    const taker = await rawLogin(scene.port, 'waste', { clientId });
    await taker.ping();
    await owner.ping();
    expect(scene.broker.counts().connections).toBe(2);
  });

  test('broker - a client that comes back takes over its own session (§3.1.4), also while its old connection is open', async () => {
    const first = await rawLogin(scene.port, 'waste', { clientId: 'a', clean: false });
    const again = await rawLogin(scene.port, 'waste', { clientId: 'a', clean: false });
    await first.closed;
    await again.ping();
  });

  test('broker - a kept session of one department is not readable by another under the same client id', async () => {
    const publish = (n: number) =>
      scene.publish({ topic: 'events/tickets/waste/1', payload: `${n}`, qos: 1, retain: false });
    const session = { clientId: 'a', clean: false };
    const owner = await rawLogin(scene.port, 'waste', session);
    owner.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'events/tickets/waste/+', qos: 1 }] });
    await until(() => owner.got('suback').length === 1, 'SUBACK');
    owner.socket.destroy();
    await until(() => scene.broker.counts().connections === 0, 'the end of the connection');
    publish(1);
    const other = await rawLogin(scene.port, 'roads', session);
    await other.ping();
    publish(2);
    await other.ping();
    expect(other.got('publish')).toEqual([]);
    expect(other.got('connack')[0]!.sessionPresent).toBe(false);
    const back = await rawLogin(scene.port, 'waste', session);
    await until(() => back.got('publish').length === 2, 'what was published meanwhile');
    expect(back.got('publish').map(({ payload }) => payload.toString())).toEqual(['1', '2']);
  });
});

describe('status', () => {
  async function statusOf(id: string): Promise<string[]> {
    const watcher = await rawLogin(scene.port, 'admin', { clientId: `watch-${id}` });
    watcher.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: `devices/${id}/status`, qos: 0 }] });
    await until(() => watcher.got('publish').length > 0, 'the status');
    watcher.socket.destroy();
    return watcher.got('publish').map(({ payload }) => payload.toString());
  }

  test('broker - a device is online while it is connected, and offline when it is gone', async () => {
    const device = await login(scene.port, 'bin-1');
    expect(await statusOf('bin-1')).toEqual(['online']);
    await device.endAsync();
    await until(() => scene.broker.counts().connections === 0, 'the end of the connection');
    expect(await statusOf('bin-1')).toEqual(['offline']);
  });

  test('broker - a device that reconnects before its old connection times out is online in the end', async () => {
    const subscriptions = [{ topic: 'devices/bin-1/rejections', qos: 0 as const }];
    const watcher = await rawLogin(scene.port, 'admin', { clientId: 'watch' });
    watcher.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'devices/+/status', qos: 0 }] });
    await until(() => watcher.got('suback').length === 1, 'SUBACK');
    for (let i = 0; i < 20; i++) {
      const device = await rawLogin(scene.port, 'bin-1');
      device.send({ cmd: 'subscribe', messageId: 1, subscriptions });
      await until(() => device.got('suback').length === 1, 'SUBACK');
      // Every other time the old connection ends at the very moment.
      if (i % 2 === 0) device.socket.destroy();
    }
    await until(() => scene.broker.counts().connections === 2, 'one connection of the device');
    await watcher.ping();
    expect(watcher.got('publish').at(-1)!.payload.toString()).toBe('online');
    expect(await statusOf('bin-1')).toEqual(['online']);
    scene.broker.credentials({ set: [], remove: ['bin-1'] });
    await until(() => scene.broker.counts().connections === 1, 'the device can still be cut');
  });

  test('broker - a key has no status', async () => {
    const watcher = await rawLogin(scene.port, 'admin', { clientId: 'watch' });
    watcher.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'devices/#', qos: 0 }] });
    await until(() => watcher.got('suback').length === 1, 'SUBACK');
    await rawLogin(scene.port, 'waste', { clientId: 'x' });
    await rawLogin(scene.port, 'bin-2');
    await until(() => watcher.got('publish').length > 0, 'a status');
    expect(watcher.got('publish').map(({ topic }) => topic)).toEqual(['devices/bin-2/status']);
  });
});
