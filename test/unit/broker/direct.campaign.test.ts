import { EventEmitter } from 'node:events';
import { Duplex } from 'node:stream';
import type { Client } from 'aedes';
import fc from 'fast-check';
import { generate, type Packet } from 'mqtt-packet';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createAdmission, createDirectWays, createPublisher } from '../../../broker/index.ts';
import { LamppostError } from '../../../domain/index.ts';
import {
  deviceOf,
  login,
  MemorySink,
  publishPacket,
  RawClient,
  rawLogin,
  type Scene,
  SECRET,
  startBroker,
} from '../../kit/broker/kit.ts';
import { until } from '../../kit/wait.ts';

const TOPIC = 'devices/bin-1/readings';
const CONNECT = { cmd: 'connect', protocolId: 'MQTT', protocolVersion: 4, keepalive: 0, clean: true } as const;
const full = () => new LamppostError('disk', 'no space left', { retryable: true });
const acknowledged = (client: RawClient) => client.got('puback').map(({ messageId }) => messageId);
const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('past Aedes, over sockets', () => {
  let scene: Scene;
  beforeEach(async () => {
    scene = await startBroker();
  });
  afterEach(() => scene.stop());

  const packets = fc.array(
    fc.oneof(
      {
        weight: 4,
        arbitrary: fc
          .record({
            leaf: fc.constantFrom('readings', 'senml'),
            payload: fc.string({ maxLength: 200 }),
            qos: fc.constantFrom<(0 | 1 | 2)[]>(0, 1, 1, 2),
            retain: fc.boolean(),
          })
          .map(({ leaf, payload, qos, retain }) => (id: number) => {
            return publishPacket(`devices/bin-1/${leaf}`, payload, qos, id, { retain });
          }),
      },
      fc.constant((): Packet => ({ cmd: 'pingreq' })),
      fc.constant((messageId: number): Packet => {
        return { cmd: 'subscribe', messageId, subscriptions: [{ topic: 'devices/bin-1/rejections', qos: 0 }] };
      }),
    ),
    { minLength: 1, maxLength: 40 },
  );

  /** Returns the outcome of a connection: the journalled messages, and the responses of each kind in their order. */
  async function outcome(send: (client: RawClient) => Promise<void>, responses: number, messages: number) {
    const before = scene.sink.taken.length;
    const client = new RawClient(scene.port);
    await send(client);
    const done = () => client.packets.length === responses + 1 && scene.sink.taken.length === before + messages;
    await until(done, 'every response and message');
    client.send({ cmd: 'disconnect' });
    await client.closed;
    const idsOf = (cmd: 'puback' | 'pubrec' | 'suback') => client.got(cmd).map(({ messageId }) => messageId);
    return {
      taken: scene.sink.taken.slice(before),
      // Aedes promises no order of SUBACKs.
      responses: [idsOf('puback'), idsOf('pubrec'), idsOf('suback').toSorted(), client.got('pingresp').length],
    };
  }

  test('direct way - random packets, cut into random reads, have the same outcome as through Aedes alone', async () => {
    const connect = { ...CONNECT, clientId: 'bin-1', username: 'bin-1', password: Buffer.from(SECRET) };
    await fc.assert(
      fc.asyncProperty(packets, fc.array(fc.nat(), { maxLength: 12 }), async (makers, cuts) => {
        const stream = makers.map((make, i) => make(i + 1));
        const bytes = Buffer.concat(stream.map((packet) => generate(packet)));
        const responses = stream.filter((packet) => packet.cmd !== 'publish' || packet.qos > 0).length;
        const messages = stream.filter(({ cmd }) => cmd === 'publish').length;
        // Behind CONNECT, in one write, Aedes takes everything.
        const aedes = async (client: RawClient) => {
          client.socket.write(Buffer.concat([generate(connect), bytes]));
        };
        const direct = async (client: RawClient) => {
          await client.connect('bin-1');
          client.socket.setNoDelay(true);
          const places = [...new Set(cuts.map((cut) => cut % bytes.length))].sort((a, b) => a - b);
          for (const [i, from] of [0, ...places].entries()) {
            client.socket.write(bytes.subarray(from, places[i] ?? bytes.length));
            for (let turns = 0; turns < 4; turns++) await turn();
          }
        };
        const expected = await outcome(aedes, responses, messages);
        expect(await outcome(direct, responses, messages)).toEqual(expected);
      }),
      { numRuns: 40 },
    );
  });

  test('direct way - PUBACKs keep the order of the messages where some went through Aedes (§4.6)', async () => {
    const device = await rawLogin(scene.port, 'bin-1');
    scene.sink.held = true;
    device.send(
      publishPacket(TOPIC, '1', 1, 1),
      publishPacket(TOPIC, '2', 1, 2),
      { cmd: 'pingreq' },
      publishPacket(TOPIC, '3', 1, 3),
    );
    await until(() => scene.sink.taken.length === 3 && device.got('pingresp').length === 1, 'three messages');
    scene.sink.settle();
    await until(() => acknowledged(device).length === 3, 'every PUBACK');
    expect(acknowledged(device)).toEqual([1, 2, 3]);
  });

  test('direct way - a message to a forbidden topic is acknowledged in its order and dropped; those around it are taken', async () => {
    const device = await rawLogin(scene.port, 'bin-1');
    scene.sink.held = true;
    device.send(
      publishPacket(TOPIC, '1', 1, 1),
      publishPacket('devices/bin-2/readings', '2', 1, 2),
      publishPacket(TOPIC, '3', 1, 3),
    );
    await until(() => scene.sink.taken.length === 2, 'the others');
    expect(acknowledged(device)).toEqual([]);
    scene.sink.settle();
    await until(() => acknowledged(device).length === 3, 'every PUBACK');
    expect(acknowledged(device)).toEqual([1, 2, 3]);
    expect(scene.sink.taken.map(({ payload }) => payload)).toEqual(['1', '3']);
    expect(scene.broker.counts()).toMatchObject({ admitted: 2, refused: 1, connections: 1 });
  });

  test('direct way - of one commit, messages before the one that the disk refused are acknowledged, and none after it', async () => {
    const device = await rawLogin(scene.port, 'bin-1');
    scene.sink.held = true;
    device.send(...[1, 2, 3].map((id) => publishPacket(TOPIC, `${id}`, 1, id)));
    await until(() => scene.sink.taken.length === 3, 'three messages');
    scene.sink.settle(null, 1);
    scene.sink.settle(full(), 1);
    scene.sink.settle();
    await device.closed;
    expect(acknowledged(device)).toEqual([1]);
    expect(scene.broker.counts()).toMatchObject({ admitted: 2, refused: 1 });
  });

  test('direct way - a closed connection gets nothing more taken or acknowledged, and its will is discarded', async () => {
    const will = { topic: TOPIC, payload: Buffer.from('last words'), qos: 1, retain: false };
    const device = await rawLogin(scene.port, 'bin-1', { will });
    scene.sink.held = true;
    device.send(publishPacket(TOPIC, '1', 1, 1));
    await until(() => scene.sink.taken.length === 1, 'the message');
    device.send(publishPacket(TOPIC, '2', 1, 2));
    scene.broker.credentials({ set: [deviceOf('bin-1', 'a-new-secret')], remove: [] });
    scene.sink.held = false;
    scene.sink.settle();
    await device.closed;
    await (await rawLogin(scene.port, 'bin-2')).ping();
    expect(scene.sink.taken.map(({ payload }) => payload)).toEqual(['1']);
    expect(acknowledged(device)).toEqual([]);
  });

  test('direct way - a client that only publishes stays past one and a half times its keepalive; a silent one is disconnected', async () => {
    const [device, zero] = [
      await rawLogin(scene.port, 'bin-1', { keepalive: 1 }),
      await rawLogin(scene.port, 'bin-2', { keepalive: 1 }),
    ];
    const until3s = Date.now() + 3_000;
    for (let id = 1; Date.now() < until3s; id++) {
      device.send(publishPacket(TOPIC, 'x', 1, id));
      zero.send(publishPacket('devices/bin-2/readings', 'x', 0));
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    expect([device.isClosed, zero.isClosed]).toEqual([false, false]);
    const silentSince = Date.now();
    await Promise.all([device.closed, zero.closed]);
    expect(Date.now() - silentSince).toBeGreaterThan(1_000);
  });

  test('direct way - half a message does not extend the keepalive', async () => {
    const device = await rawLogin(scene.port, 'bin-1', { keepalive: 1 });
    const packet = generate(publishPacket(TOPIC, 'x'.repeat(100_000), 1, 1));
    let sent = 0;
    const drip = setInterval(() => device.socket.write(packet.subarray(sent, ++sent)), 100);
    await device.closed;
    clearInterval(drip);
    expect(sent).toBeLessThan(packet.length);
    expect(scene.sink.taken).toEqual([]);
  });

  test("direct way - a network server's uplinks are journalled, its other events acknowledged in their order, a wildcard ends it", async () => {
    const key = { id: 'key-lns', name: 'ChirpStack', role: 'network-server', department: null } as const;
    const { hash } = deviceOf('x');
    scene.broker.credentials({ set: [{ identity: { kind: 'key', id: key.id, key }, hash }], remove: [] });
    const server = await rawLogin(scene.port, key.id);
    scene.sink.held = true;
    const events = 'application/7/device/70b3d57ed0001234/event';
    server.send(...['up', 'join', 'up'].map((event, i) => publishPacket(`${events}/${event}`, '{}', 1, i + 1)));
    await until(() => scene.sink.taken.length === 2, 'two uplinks');
    scene.sink.settle();
    await until(() => acknowledged(server).length === 3, 'every PUBACK');
    expect(acknowledged(server)).toEqual([1, 2, 3]);
    expect(scene.broker.counts()).toMatchObject({ admitted: 2, dropped: 1, refused: 0 });
    server.send(publishPacket('application/+/device/70b3d57ed0001234/event/up', '{}', 1, 4));
    await server.closed;
    expect(scene.sink.taken).toHaveLength(2);
  });

  test('direct way - messages without a payload count against the limit while the disk is slow', async () => {
    await scene.stop();
    scene = await startBroker({ maxInFlight: 8 * 1024 });
    const device = await rawLogin(scene.port, 'bin-1');
    scene.sink.held = true;
    const COUNT = 60_000;
    const bytes = Buffer.concat(Array.from({ length: COUNT }, (_, i) => generate(publishPacket(TOPIC, '', 1, i + 1))));
    device.socket.write(bytes);
    await until(() => scene.sink.taken.length > 0, 'the first');
    const other = await rawLogin(scene.port, 'bin-2');
    for (let i = 0; i < 20; i++) await other.ping();
    // The reads that reach the limit may go beyond it: 256 KiB are some 9,500 such messages.
    expect(scene.sink.taken.length).toBeLessThan(25_000);
    scene.sink.held = false;
    scene.sink.settle();
    await until(() => acknowledged(device).length === COUNT, 'every PUBACK');
    expect(acknowledged(device)).toEqual(Array.from({ length: COUNT }, (_, i) => i + 1));
  });

  test('direct way - a session that is taken over takes nothing more from its old connection', async () => {
    const first = await rawLogin(scene.port, 'bin-1');
    scene.sink.held = true;
    first.send(publishPacket(TOPIC, '1', 1, 1));
    await until(() => scene.sink.taken.length === 1, 'the message');
    const second = await login(scene.port, 'bin-1');
    await first.closed;
    scene.sink.held = false;
    scene.sink.settle();
    await second.publishAsync(TOPIC, '2', { qos: 1 });
    expect(acknowledged(first)).toEqual([]);
    expect(scene.broker.counts().admitted).toBe(2);
    await second.endAsync();
  });
});

describe('past Aedes, in memory', () => {
  /** A client of Aedes whose socket takes nothing while it is full. */
  function unread() {
    const written: Buffer[] = [];
    let drain = () => {};
    const conn = new Duplex({
      read() {},
      write(chunk: Buffer, _encoding, done) {
        written.push(chunk);
        drain = done;
      },
      writableHighWaterMark: 12,
    });
    const client = Object.assign(new EventEmitter(), {
      conn,
      waitForDrain: (done: () => void) => conn.once('drain', done),
      _keepaliveInterval: 0,
      _keepaliveTimer: null,
    });
    const sink = new MemorySink();
    sink.held = true;
    const publisher = createPublisher({ kind: 'device', id: 'bin-1', profile: 'waste-bin' });
    const ways = createDirectWays(createAdmission(sink, () => {}));
    let settled = 0;
    const hooks = { publisher: () => publisher, settled: () => settled++, refused() {} };
    const direct = ways.open(client as unknown as Client, hooks);
    const publish = (...ids: number[]) => {
      const bytes = Buffer.concat(ids.map((id) => generate(publishPacket(TOPIC, 'x', 1, id))));
      expect(direct.take(bytes, 0, 0)).toBeNull();
    };
    return { written, drain: () => drain(), conn, sink, ways, direct, publish, settled: () => settled };
  }

  test('direct way - one group commit causes one write', async () => {
    const { written, sink, publish } = unread();
    publish(1, 258);
    sink.settle();
    expect(written).toEqual([]);
    await turn();
    expect(written.map((bytes) => bytes.toString('hex'))).toEqual(['4002000140020102']);
  });

  test('direct way - a client that does not read its acknowledgements is not read from until it does', async () => {
    const { drain, sink, direct, publish, settled } = unread();
    publish(1, 2);
    sink.settle();
    await turn();
    expect(direct.blocked).toBe(false);
    publish(3);
    sink.settle();
    await turn();
    expect(direct.blocked).toBe(true);
    const before = settled();
    drain();
    await turn();
    drain();
    await turn();
    expect(direct.blocked).toBe(false);
    expect(settled()).toBe(before + 1);
  });

  test('direct way - at a stop due acknowledgements are written at once, and none to a closed connection', async () => {
    const { written, conn, sink, ways, publish } = unread();
    publish(1);
    sink.settle();
    ways.flush();
    expect(written).toHaveLength(1);
    publish(2, 3);
    sink.settle(null, 1);
    conn.destroy();
    sink.settle();
    await turn();
    expect(written).toHaveLength(1);
  });
});
