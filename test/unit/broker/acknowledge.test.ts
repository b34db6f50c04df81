import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { LamppostError } from '../../../domain/index.ts';
import { login, publishPacket, type RawClient, rawLogin, type Scene, startBroker } from '../../kit/broker/kit.ts';
import { until } from '../../kit/wait.ts';

const TOPIC = 'devices/bin-1/readings';
let scene: Scene;
let device: RawClient;
beforeEach(async () => {
  scene = await startBroker();
  device = await rawLogin(scene.port, 'bin-1');
});
afterEach(() => scene.stop());

const full = () => new LamppostError('disk', 'no space left', { retryable: true });
const ids = (packets: readonly { messageId?: number | undefined }[]) => packets.map(({ messageId }) => messageId);

describe('acknowledgements', () => {
  test('broker - QoS 1: no PUBACK before the message is on disk, then one, in the order of the messages', async () => {
    // A client with several messages in flight is not read from: another client makes the round trips.
    const other = await rawLogin(scene.port, 'bin-2');
    scene.sink.held = true;
    device.send(...[7, 3, 9].map((id) => publishPacket(TOPIC, `${id}`, 1, id)));
    await until(() => scene.sink.taken.length === 3, 'three messages');
    await other.ping();
    expect(device.got('puback')).toEqual([]);
    scene.sink.settle(null, 2);
    await until(() => device.got('puback').length === 2, 'two PUBACKs');
    await other.ping();
    expect(ids(device.got('puback'))).toEqual([7, 3]);
    scene.sink.settle();
    await until(() => device.got('puback').length === 3, 'the third');
    expect(ids(device.got('puback'))).toEqual([7, 3, 9]);
    expect(scene.sink.taken.map(({ payload }) => payload)).toEqual(['7', '3', '9']);
  });

  test('broker - QoS 2: no PUBREC before the message is on disk; PUBREL then completes it', async () => {
    scene.sink.held = true;
    device.send(publishPacket(TOPIC, 'x', 2, 5));
    await until(() => scene.sink.taken.length === 1, 'the message');
    await device.ping();
    expect(device.got('pubrec')).toEqual([]);
    scene.sink.settle();
    await until(() => device.got('pubrec').length === 1, 'PUBREC');
    device.send({ cmd: 'pubrel', messageId: 5 });
    await until(() => device.got('pubcomp').length === 1, 'PUBCOMP');
    expect([...ids(device.got('pubrec')), ...ids(device.got('pubcomp'))]).toEqual([5, 5]);
    expect(scene.sink.taken).toHaveLength(1);
  });

  test('broker - QoS 2 that is repeated before its PUBREL is one message, before its commit and after (MQTT-4.3.3-2)', async () => {
    scene.sink.held = true;
    device.send(...[false, true, true].map((dup) => publishPacket(TOPIC, 'x', 2, 5, { dup })));
    await until(() => scene.sink.taken.length === 1, 'the message');
    // Its own PINGREQ would wait for the messages before it.
    await (await rawLogin(scene.port, 'bin-2')).ping();
    expect(device.got('pubrec')).toEqual([]);
    scene.sink.held = false;
    scene.sink.settle();
    await until(() => device.got('pubrec').length === 3, 'PUBREC for each');
    device.send(publishPacket(TOPIC, 'x', 2, 5, { dup: true }));
    await until(() => device.got('pubrec').length === 4, 'PUBREC again');
    expect(scene.sink.taken).toHaveLength(1);
    device.send({ cmd: 'pubrel', messageId: 5 });
    await until(() => device.got('pubcomp').length === 1, 'PUBCOMP');
    device.send(publishPacket(TOPIC, 'x', 2, 5));
    await until(() => device.got('pubrec').length === 5, 'PUBREC of the next');
    expect(scene.sink.taken, 'after its PUBREL the id is that of another message').toHaveLength(2);
  });

  test.each([
    [1, 'puback'],
    [2, 'pubrec'],
  ] as const)(
    'broker - QoS %i that the disk refused is never acknowledged: the connection ends, others go on',
    async (qos, ack) => {
      const other = await rawLogin(scene.port, 'bin-2');
      scene.sink.held = true;
      device.send(publishPacket(TOPIC, 'x', qos, 5));
      other.send(publishPacket('devices/bin-2/readings', 'y', qos, 6));
      await until(() => scene.sink.taken.length === 2, 'both messages');
      const mine = scene.sink.taken.findIndex(({ identity }) => identity === 'bin-1');
      scene.sink.settle(mine === 0 ? full() : null, 1);
      scene.sink.settle(mine === 1 ? full() : null, 1);
      await device.closed;
      expect(device.got(ack)).toEqual([]);
      await until(() => other.got(ack).length === 1, 'the acknowledgement of the other');
      const again = await rawLogin(scene.port, 'bin-1');
      scene.sink.held = false;
      again.send(publishPacket(TOPIC, 'x', qos, 5, { dup: true }));
      await until(() => again.got(ack).length === 1, 'the acknowledgement after all');
      expect(scene.broker.counts().admitted, 'what the disk refused was not admitted').toBe(2);
    },
  );

  test('broker - a device that disconnects before its message is on disk affects no other', async () => {
    scene.sink.held = true;
    device.send(publishPacket(TOPIC, 'x', 1, 5));
    await until(() => scene.sink.taken.length === 1, 'the message');
    device.socket.destroy();
    await until(() => scene.broker.counts().connections === 0, 'the end of the connection');
    scene.sink.settle();
    scene.sink.held = false;
    const client = await login(scene.port, 'bin-1');
    await client.publishAsync(TOPIC, 'y', { qos: 1 });
    await client.endAsync();
  });

  test('broker - stop waits for pending commits, and acknowledges them', async () => {
    scene.sink.held = true;
    device.send(publishPacket(TOPIC, 'x', 1, 5));
    await until(() => scene.sink.taken.length === 1, 'the message');
    const stopped = scene.broker.stop();
    await device.ping();
    expect(device.got('puback')).toEqual([]);
    scene.sink.settle();
    await stopped;
    await device.closed;
    expect(ids(device.got('puback'))).toEqual([5]);
  });
});

describe('messages in the journal', () => {
  test('broker - a message is journalled under the identity that logged in, as it was sent', async () => {
    const payload = '{"metrics": {"fill": 1}}';
    device.send(publishPacket(TOPIC, payload, 1, 1), publishPacket('devices/bin-1/senml', '[]', 0));
    await until(() => scene.sink.taken.length === 2, 'both');
    expect(scene.sink.taken).toEqual([
      { identity: 'bin-1', topic: TOPIC, payload },
      { identity: 'bin-1', topic: 'devices/bin-1/senml', payload: '[]' },
    ]);
  });

  test.each([
    ['bin-1', 'devices/bin-2/readings'],
    ['bin-1', 'devices/bin-1/status'],
    ['bin-1', 'events/alerts/x/y'],
    ['bin-1', '$SYS/x/heartbeat'],
    ['admin', 'devices/bin-1/readings'],
  ])(
    'broker - %s publishing to %s: it is acknowledged and counted, nothing reaches the journal, the connection stays',
    async (who, topic) => {
      const client = who === 'bin-1' ? device : await rawLogin(scene.port, who);
      for (const qos of [0, 1, 2] as const) client.send(publishPacket(topic, 'x', qos, 4 + qos));
      await until(() => client.got('pubrec').length === 1, 'PUBREC');
      client.send({ cmd: 'pubrel', messageId: 6 });
      await until(() => client.got('pubcomp').length === 1, 'PUBCOMP');
      await client.ping();
      expect([client.got('puback'), client.got('pubrec'), client.got('pubcomp')].map(ids)).toEqual([[5], [6], [6]]);
      expect(client.isClosed).toBe(false);
      expect(scene.sink.taken).toEqual([]);
      expect(scene.broker.counts().refused).toBe(3);
      expect(scene.broker.record(who)!.refusals.map(({ count }) => count)).toEqual([3]);
    },
  );

  test('broker - a device is notified of each refused message, of a flood of them twenty times', async () => {
    device.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'devices/bin-1/rejections', qos: 0 }] });
    await until(() => device.got('suback').length === 1, 'SUBACK');
    for (let id = 1; id <= 50; id++) device.send(publishPacket('tele/bin-1/STATE', 'x', 1, id));
    await until(() => device.got('puback').length === 50, 'every PUBACK');
    await until(() => device.got('publish').length >= 20, 'the rejections');
    await device.ping();
    const notices = device.got('publish').map(({ payload }) => JSON.parse(payload.toString()));
    expect(notices).toHaveLength(20);
    expect(notices[0]).toMatchObject({
      topic: 'tele/bin-1/STATE',
      refused: [{ scope: 'message', reason: 'unknown-topic' }],
    });
  });

  test('broker - what a device publishes is neither fanned out nor retained, whatever its flags', async () => {
    const watcher = await rawLogin(scene.port, 'admin', { clientId: 'w1' });
    watcher.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: '#', qos: 1 }] });
    await until(() => watcher.got('suback').length === 1, 'SUBACK');
    for (const qos of [0, 1, 2] as const) device.send(publishPacket(TOPIC, 'x', qos, 4 + qos, { retain: true }));
    await until(() => scene.sink.taken.length === 3 && device.got('pubrec').length === 1, 'all three');
    const late = await rawLogin(scene.port, 'admin', { clientId: 'w2' });
    late.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: '#', qos: 1 }] });
    await until(() => late.got('suback').length === 1, 'SUBACK');
    scene.broker.publish({ topic: 'live/harbour/bin-1', payload: 'last', qos: 0, retain: false });
    for (const client of [watcher, late]) {
      await until(
        () => client.got('publish').some(({ topic }) => topic.startsWith('live/')),
        'a publication of the server',
      );
      expect(client.got('publish').filter(({ topic }) => topic === TOPIC)).toEqual([]);
    }
  });

  test.each([
    ['its own topic is journalled', TOPIC, 1],
    ["another device's topic is not", 'devices/bin-2/readings', 0],
    ['a topic of the server is not', 'devices/bin-1/status', 0],
  ])('broker - a will to %s, when the connection breaks', async (_what, topic, count) => {
    const will = { topic, payload: Buffer.from('last words'), qos: 1, retain: true };
    const client = await rawLogin(scene.port, 'bin-3', { will: { ...will, topic: topic.replace('bin-1', 'bin-3') } });
    client.socket.destroy();
    await until(() => scene.broker.counts().refused + scene.sink.taken.length === 1, 'the will');
    expect(scene.sink.taken).toHaveLength(count);
    if (count === 1) expect(scene.sink.taken[0]).toMatchObject({ identity: 'bin-3', payload: 'last words' });
  });

  test('broker - a will is not published after DISCONNECT', async () => {
    const will = { topic: TOPIC, payload: Buffer.from('last words'), qos: 1, retain: false };
    const client = await rawLogin(scene.port, 'bin-1', { will });
    client.send({ cmd: 'disconnect' });
    await client.closed;
    const next = await rawLogin(scene.port, 'bin-1');
    next.send(publishPacket(TOPIC, 'y', 1, 1));
    await until(() => next.got('puback').length === 1, 'PUBACK');
    expect(scene.sink.taken.map(({ payload }) => payload)).toEqual(['y']);
  });
});
