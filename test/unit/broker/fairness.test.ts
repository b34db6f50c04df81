import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, describe, expect, test } from 'vitest';
import type { BrokerOptions, ClientRefusal } from '../../../broker/index.ts';
import { deviceOf, login, publishPacket, RawClient, rawLogin, type Scene, startBroker } from '../../kit/broker/kit.ts';
import { until } from '../../kit/wait.ts';

const TOPIC = 'devices/bin-1/readings';

let scene: Scene;
async function start(options: Partial<BrokerOptions> = {}): Promise<void> {
  scene = await startBroker(options);
}
afterEach(() => scene.stop());

/** Bytes of buffers that are still in use; a process without `--expose-gc` can collect, too. */
function bufferBytes(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  return process.memoryUsage().arrayBuffers;
}

/** Reads the broker skips: many times the interval at which held reads are checked. */
async function aWhile(): Promise<void> {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setTimeout(resolve, 5));
}

function flood(client: RawClient, count: number, firstId = 1, topic = TOPIC): void {
  client.socket.cork();
  for (let n = 0; n < count; n++) client.send(publishPacket(topic, String(n), 1, firstId + n));
  client.socket.uncork();
}

const takenOf = (id: string) => scene.sink.taken.filter(({ identity }) => identity === id).length;

describe('overload', () => {
  test('broker - an overload holds who sends the most; who sends little goes on, and every message arrives', async () => {
    await start();
    const heavy = await rawLogin(scene.port, 'bin-1');
    const light = await rawLogin(scene.port, 'bin-2');
    flood(heavy, 500);
    await until(() => heavy.got('puback').length === 500, 'the first messages of the flood');
    scene.overloaded = true;
    flood(heavy, 500, 501);
    light.send(publishPacket('devices/bin-2/readings', 'x', 1, 1));
    await until(() => light.got('puback').length === 1, 'the PUBACK of who sends little');
    await aWhile();
    expect([takenOf('bin-1'), scene.broker.counts().held]).toEqual([500, 1]);
    // The next login is no message: it is read.
    expect(await new RawClient(scene.port).connect('bin-3')).toBe(0);
    scene.overloaded = false;
    scene.nowMs += 10_000;
    await until(() => heavy.got('puback').length === 1_000, 'every PUBACK');
    expect([takenOf('bin-1'), takenOf('bin-2'), scene.broker.counts().held]).toEqual([1_000, 1, 0]);
  });

  test('broker - an overload that does not fall lowers the limit until also those who send less are held', async () => {
    await start();
    const heavy = await rawLogin(scene.port, 'bin-1');
    const light = await rawLogin(scene.port, 'bin-2');
    flood(heavy, 100);
    flood(light, 50, 1, 'devices/bin-2/readings');
    await until(() => takenOf('bin-1') + takenOf('bin-2') === 150, 'the first messages');
    scene.overloaded = true;
    flood(heavy, 1, 101);
    flood(light, 1, 51, 'devices/bin-2/readings');
    await until(() => takenOf('bin-2') === 51, 'the lighter client');
    for (let i = 0; i < 6; i++) {
      // The use decays with the clock: both go on sending.
      scene.nowMs += 100;
      flood(light, 20, 100 + 20 * i, 'devices/bin-2/readings');
      await aWhile();
    }
    const read = takenOf('bin-2');
    expect(read).toBeLessThan(51 + 120);
    scene.overloaded = false;
    scene.nowMs += 60_000;
    await until(() => takenOf('bin-1') === 101 && takenOf('bin-2') === 171, 'every message');
  });
});

describe('limits of one client', () => {
  const tight = { device: { messagesPerSecond: 10, bytesPerSecond: 0 }, profiles: {} };

  test('broker - a device that sends more than it may is not read for a while, gets a notice, and loses nothing', async () => {
    await start({ accounts: tight });
    const device = await rawLogin(scene.port, 'bin-1');
    const notices: string[] = [];
    const admin = await login(scene.port, 'admin');
    admin.on('message', (_topic, payload) => notices.push(payload.toString()));
    await admin.subscribeAsync('devices/bin-1/rejections');
    flood(device, 1_000);
    await until(() => device.got('puback').length === 1_000, 'the burst');
    flood(device, 30, 1_001);
    await until(() => notices.length === 1, 'the notice');
    await aWhile();
    const before = takenOf('bin-1');
    expect(before).toBeLessThan(1_030);
    expect(JSON.parse(notices[0]!)).toMatchObject({
      topic: TOPIC,
      refused: [{ scope: 'connection', reason: 'throttled', path: '$' }],
    });
    scene.nowMs += 2_000;
    await until(() => takenOf('bin-1') > before, 'more messages');
    scene.nowMs += 10_000;
    await until(() => device.got('puback').length === 1_030, 'every PUBACK');
    const record = scene.broker.record('bin-1')!;
    expect(record.throttled.count).toBeGreaterThan(0);
    expect(record.throttled.ms).toBeGreaterThanOrEqual(2_000);
    expect(scene.broker.throttled(10)).toEqual([{ id: 'bin-1', ms: record.throttled.ms }]);
    expect(notices).toHaveLength(1);
    await admin.endAsync();
  });

  test('broker - all connections of a device share its limit: a new connection begins with no new burst', async () => {
    await start({ accounts: tight });
    const first = await rawLogin(scene.port, 'bin-1');
    flood(first, 1_020);
    await until(() => takenOf('bin-1') >= 1_000, 'the burst');
    first.socket.destroy();
    await first.closed;
    const second = await rawLogin(scene.port, 'bin-1');
    const before = takenOf('bin-1');
    flood(second, 5, 1);
    await aWhile();
    expect([takenOf('bin-1') - before, scene.broker.counts().held]).toEqual([0, 1]);
    scene.nowMs += 60_000;
    await until(() => second.got('puback').length === 5, 'the messages of the new connection');
  });

  test('broker - bytes are limited as messages are, whatever packets they come in', async () => {
    await start({ accounts: { device: { messagesPerSecond: 0, bytesPerSecond: 1_000 }, profiles: {} } });
    const device = await rawLogin(scene.port, 'bin-1');
    const LARGE = 60 * 1024;
    for (let n = 1; n <= 40; n++) device.send(publishPacket(TOPIC, Buffer.alloc(LARGE, 'x'), 1, n));
    await until(() => scene.broker.counts().held === 1, 'the limit');
    await aWhile();
    // The burst is 1 MiB; one read may exceed it.
    expect(takenOf('bin-1') * LARGE).toBeLessThanOrEqual(1024 * 1024 + 256 * 1024);
    scene.nowMs += 3_600_000;
    await until(() => device.got('puback').length > 17, 'more messages');
  });

  test('broker - a profile has a limit of its own, which changes while devices are connected', async () => {
    const profiles = { 'waste-bin': { messagesPerSecond: 1, bytesPerSecond: 0 } };
    await start({ accounts: { device: { messagesPerSecond: 0, bytesPerSecond: 0 }, profiles } });
    const device = await rawLogin(scene.port, 'bin-1');
    flood(device, 1_000);
    await until(() => device.got('puback').length === 1_000, 'the burst');
    flood(device, 1, 1_001);
    await until(() => scene.broker.counts().held === 1, 'the limit of the profile');
    scene.broker.limit({ device: { messagesPerSecond: 0, bytesPerSecond: 0 }, profiles: {} });
    await until(() => device.got('puback').length === 1_001, 'the message, once there is no limit');
    scene.broker.limit({ device: { messagesPerSecond: 0, bytesPerSecond: 0 }, profiles });
    scene.broker.credentials({
      set: [{ ...deviceOf('bin-1'), identity: { kind: 'device', id: 'bin-1', profile: 'other' } }],
      remove: [],
    });
    flood(device, 1_500, 2_000);
    await until(() => device.got('puback').length === 2_501, 'messages as a device of another profile');
  });

  test('broker - the limit holds for messages over HTTP too, which are refused until it has room', async () => {
    await start({ accounts: tight });
    const send = () =>
      scene.broker.ingest({
        device: 'bin-1',
        secret: 'the-secret-of-all-who-are-known',
        topic: TOPIC,
        payload: Buffer.from('x'),
      });
    for (let n = 0; n < 1_000; n++) await send();
    await expect(send()).rejects.toMatchObject({ code: 'limit', retryable: true, retryAfterMs: 100 });
    scene.nowMs += 100;
    expect(await send()).toBe('acknowledged');
  });
});

test('broker - messages of QoS 2 that are never released are kept by their ids alone', async () => {
  await start({ maxPacket: 256 * 1024, maxInFlight: 1024 * 1024 });
  const device = await rawLogin(scene.port, 'bin-1', { clean: false });
  const before = bufferBytes();
  for (let id = 1; id <= 200; id++) {
    device.send(publishPacket(TOPIC, Buffer.alloc(200 * 1024, 'x'), 2, id));
    await until(() => device.got('pubrec').length === id, 'PUBREC');
    // The journal of this test keeps what it took.
    scene.sink.taken.length = 0;
  }
  // A thread of V8's own frees them, and a busy machine lets it wait. All of them are 40 MiB.
  const isFree = () => bufferBytes() - before < 4 * 1024 * 1024;
  await until(isFree, () => `the end of the payloads; ${bufferBytes() - before} bytes more than before`, 50);
  device.send(publishPacket(TOPIC, 'again', 2, 7, { dup: true }), { cmd: 'pubrel', messageId: 7 });
  await until(() => device.got('pubcomp').length === 1, 'PUBCOMP');
  device.send({ cmd: 'pubrel', messageId: 8 });
  await until(() => device.got('pubcomp').length === 2, 'the second PUBCOMP');
});

describe('subscriptions', () => {
  test('broker - of 2,000 filters in one SUBSCRIBE of a kept session 1,000 are granted, each stored once', async () => {
    await start({ maxPacket: 256 * 1024 });
    const client = await rawLogin(scene.port, 'admin', { clean: false, clientId: 'many' });
    const filters = Array.from({ length: 2_000 }, (_, n) => ({ topic: `live/district-${n}/+`, qos: 1 as const }));
    client.send({ cmd: 'subscribe', messageId: 1, subscriptions: filters });
    await until(() => client.got('suback').length === 1, 'SUBACK');
    const [{ granted }] = client.got('suback') as unknown as [{ granted: number[] }];
    expect([granted.filter((code) => code === 1).length, granted.filter((code) => code === 128).length]).toEqual([
      1_000, 1_000,
    ]);
    expect(scene.broker.record('admin')!.refusals).toMatchObject([{ reason: 'too-many-filters', count: 1_000 }]);
    client.send({ cmd: 'unsubscribe', messageId: 2, unsubscriptions: [filters[0]!.topic] });
    await until(() => client.got('unsuback').length === 1, 'UNSUBACK');
    client.send({ cmd: 'subscribe', messageId: 3, subscriptions: [{ topic: 'live/+/bin-9', qos: 0 }] });
    await until(() => client.got('suback').length === 2, 'SUBACK of one more');
    expect((client.got('suback')[1] as unknown as { granted: number[] }).granted).toEqual([0]);
  });
});

describe('what was refused is visible beside the device', () => {
  const reasons = (id = 'bin-1') => scene.broker.record(id)?.refusals.map(({ reason, count }) => [reason, count]);

  test('broker - a packet that is too large, a foreign topic and bytes that are no MQTT, each with its count', async () => {
    await start({ maxPacket: 8 * 1024 });
    expect(scene.broker.record('bin-1')).toBeNull();
    for (const topic of ['tele/bin-1/SENSOR', 'devices/bin-2/readings', 'tele/bin-1/SENSOR']) {
      const device = await rawLogin(scene.port, 'bin-1');
      device.send(publishPacket(topic, 'x', 1, 1));
      await until(() => device.got('puback').length === 1, 'PUBACK');
    }
    for (const bytes of [publishPacket(TOPIC, Buffer.alloc(9_000), 1, 1), Buffer.from([0xf0, 0x00])]) {
      const device = await rawLogin(scene.port, 'bin-1');
      if (Buffer.isBuffer(bytes)) device.socket.write(bytes);
      else device.send(bytes);
      await device.closed;
    }
    await until(() => reasons()?.length === 4, 'four reasons');
    expect(reasons()).toEqual([
      ['unknown-topic', 2],
      ['not-your-device', 1],
      ['packet-too-large', 1],
      ['protocol-error', 1],
    ]);
    const [foreign] = scene.broker.record('bin-1')!.refusals as [ClientRefusal];
    expect(foreign).toMatchObject({ detail: 'PUBLISH to tele/bin-1/SENSOR', last: '2026-05-01T00:00:00.000Z' });
  });

  test('broker - a wrong secret and the client id of another, also with MQTT 5; unknown names leave nothing', async () => {
    await start();
    await new RawClient(scene.port).connect('bin-1', { password: Buffer.from('wrong') });
    await new RawClient(scene.port).connect('bin-1', { clientId: 'bin-2' });
    await new RawClient(scene.port).connect('nobody');
    const five = new RawClient(scene.port);
    five.socket.write(
      Buffer.concat([
        Buffer.from([0x10, 0x19, 0, 4]),
        Buffer.from('MQTT'),
        Buffer.from([5, 0x82, 0, 60, 0, 0, 5]),
        Buffer.from('bin-1'),
        Buffer.from([0, 5]),
        Buffer.from('bin-1'),
      ]),
    );
    await five.closed;
    expect(reasons()).toEqual([
      ['wrong-credentials', 2],
      ['client-id-of-another', 1],
    ]);
    expect(scene.broker.record('nobody')).toBeNull();
    expect(scene.broker.record('bin-1')!.refusals[0]!.from).toMatch(/127\.0\.0\.1/);
  });

  test('broker - a device that is revoked leaves no record', async () => {
    await start();
    const device = await rawLogin(scene.port, 'bin-1');
    expect(scene.broker.record('bin-1')).toMatchObject({ connections: 1, refusals: [] });
    scene.broker.credentials({ set: [], remove: ['bin-1'] });
    await device.closed;
    expect(scene.broker.record('bin-1')).toBeNull();
  });
});
