import { connect } from 'node:net';
import type { IConnackPacket, IDisconnectPacket, IPublishPacket, Packet } from 'mqtt-packet';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  deviceOf,
  fiveLogin,
  login,
  publishPacket,
  RawClient,
  rawLogin,
  type Scene,
  startBroker,
} from '../../kit/broker/kit.ts';
import { until } from '../../kit/wait.ts';

const OWN = 'devices/bin-1/readings';
const FOREIGN = 'devices/bin-2/readings';
const REJECTIONS = 'devices/bin-1/rejections';
let scene: Scene;
beforeAll(async () => {
  scene = await startBroker({ maxPacket: 8_192 });
});
afterAll(() => scene.stop());

const raw = () => new RawClient(scene.port, connect(scene.port, '127.0.0.1'), 5);
const last = (client: RawClient) => client.got('connack').at(-1) as IConnackPacket;
async function subscribe(client: RawClient, ...filters: (string | object)[]) {
  const before = client.got('suback').length;
  const subscriptions = filters.map((one) => (typeof one === 'string' ? { topic: one, qos: 1 } : { qos: 1, ...one }));
  client.send({ cmd: 'subscribe', messageId: 900 + before, subscriptions } as Packet);
  await until(() => client.got('suback').length > before, 'SUBACK');
  return client.got('suback').at(-1)!;
}
async function ended(client: RawClient): Promise<IDisconnectPacket> {
  await client.closed;
  return client.got('disconnect')[0] ?? { cmd: 'disconnect' };
}
const named = (client: RawClient, ...topics: string[]) =>
  until(() => topics.every((topic) => client.got('publish').some((one) => one.topic === topic)), topics.join());

describe('CONNECT and CONNACK', () => {
  test('MQTT 5 - CONNACK says what is offered and what is not', async () => {
    const client = await fiveLogin(scene.port, 'bin-1', { keepalive: 30 });
    expect(last(client)).toMatchObject({ reasonCode: 0, sessionPresent: false });
    expect({ ...last(client).properties }).toEqual({
      receiveMaximum: 1_000,
      maximumPacketSize: 8_192,
      topicAliasMaximum: 16,
      sharedSubscriptionAvailable: false,
    });
  });

  test('MQTT 5 - what was not asked for right is put right: client id, keep alive, session', async () => {
    const device = raw();
    await device.connect('bin-1', { clientId: '', keepalive: 0, properties: { sessionExpiryInterval: 0xffffffff } });
    expect(last(device).properties).toMatchObject({
      assignedClientIdentifier: 'bin-1',
      serverKeepAlive: 3_600,
      sessionExpiryInterval: 7 * 86_400,
    });
    const key = raw();
    await key.connect('city', { clientId: '', clean: true });
    expect(last(key).properties!.assignedClientIdentifier).toMatch(/^[0-9a-f-]{36}$/);
  });

  test.each<[string, string, object, number, string | undefined]>([
    ['a wrong secret', 'bin-1', { password: Buffer.from('wrong') }, 0x86, 'wrong-credentials'],
    ['the client id of another', 'bin-1', { clientId: 'bin-2' }, 0x85, 'client-id-of-another'],
    ['an authentication method', 'bin-1', { properties: { authenticationMethod: 'SCRAM' } }, 0x8c, 'protocol-error'],
  ])('MQTT 5 - CONNECT with %s gets a reason', async (_what, user, fields, code, reason) => {
    const client = raw();
    await client.connect(user, fields);
    expect(last(client)).toMatchObject({ reasonCode: code, properties: { userProperties: { reason } } });
    expect(last(client).properties!.reasonString).not.toBe('');
    await client.closed;
  });

  test('MQTT 5 - a CONNECT that breaks the protocol gets CONNACK with a reason', async () => {
    const client = raw();
    // Receive Maximum 0.
    client.socket.write(Buffer.from('100f00044d5154540502000003210000' + '0000', 'hex').subarray(0, 17));
    await client.closed;
    expect(last(client)).toMatchObject({ reasonCode: 0x82, properties: { reasonString: 'receiveMaximum is 0' } });
  });
});

describe('PUBLISH', () => {
  test('MQTT 5 - every QoS is acknowledged, and what is refused with a reason; the connection stays', async () => {
    const client = await fiveLogin(scene.port, 'bin-1');
    const refused = scene.broker.counts().refused;
    const taken = scene.sink.taken.length;
    for (const [i, topic] of [OWN, FOREIGN, 'tele/bin-1/STATE'].entries()) {
      client.send(
        publishPacket(topic, '{}', 0),
        publishPacket(topic, '{}', 1, 10 + i),
        publishPacket(topic, '{}', 2, 20 + i),
      );
    }
    await until(() => client.got('puback').length === 3 && client.got('pubrec').length === 3, 'the acknowledgements');
    const codes = (cmd: 'puback' | 'pubrec') =>
      client.got(cmd).map(({ messageId, reasonCode }) => [messageId, reasonCode]);
    expect(codes('puback')).toEqual([
      [10, 0],
      [11, 0x87],
      [12, 0x90],
    ]);
    expect(Object.fromEntries(codes('pubrec') as [number, number][])).toEqual({ 20: 0, 21: 0x87, 22: 0x90 });
    expect(client.got('puback')[1]!.properties).toMatchObject({
      reasonString: 'the topic is that of another device',
      userProperties: { reason: 'not-your-device' },
    });
    client.send({ cmd: 'pubrel', messageId: 20 });
    await until(() => client.got('pubcomp').length === 1, 'PUBCOMP');
    // The id of a refused message is free again: no PUBREL comes for it (§4.3.3).
    client.send(publishPacket(OWN, '{"again":1}', 2, 21));
    await until(() => client.got('pubrec').length === 4, 'PUBREC');
    expect(client.got('pubrec')[3]).toMatchObject({ messageId: 21, reasonCode: 0 });
    expect(scene.sink.taken.length - taken).toBe(4);
    expect(scene.broker.counts().refused - refused).toBe(6);
  });

  test('MQTT 5 - who asks for no problem information gets the code alone', async () => {
    const client = await fiveLogin(scene.port, 'bin-1', { properties: { requestProblemInformation: false } });
    client.send(publishPacket(FOREIGN, '{}', 1, 1));
    await until(() => client.got('puback').length === 1, 'PUBACK');
    expect(client.got('puback')[0]).toMatchObject({ reasonCode: 0x87 });
    expect(client.got('puback')[0]!.properties).toBeUndefined();
  });

  test('MQTT 5 - a topic alias stands for its topic; the content type chooses the format', async () => {
    const client = await fiveLogin(scene.port, 'bin-1');
    const taken = scene.sink.taken.length;
    const send = (topic: string, messageId: number, properties: object) =>
      client.send(publishPacket(topic, `${messageId}`, 1, messageId, { properties }));
    send(OWN, 1, { topicAlias: 3, userProperties: { trace: 'a' }, correlationData: Buffer.from('b') });
    send('', 2, { topicAlias: 3, contentType: 'application/senml+json; charset=utf-8' });
    send('', 3, { topicAlias: 3, contentType: 'application/json', messageExpiryInterval: 5 });
    send(OWN, 4, { contentType: 'application/senml+cbor' });
    await until(() => client.got('puback').length === 4, 'every PUBACK');
    expect(scene.sink.taken.slice(taken).map(({ topic, payload }) => [topic, payload])).toEqual([
      [OWN, '1'],
      ['devices/bin-1/senml', '2'],
      [OWN, '3'],
      ['devices/bin-1/senml-cbor', '4'],
    ]);
  });

  test.each<[string, (client: RawClient) => void, number]>([
    [
      'an alias above the maximum',
      (one) => one.send(publishPacket(OWN, '', 1, 1, { properties: { topicAlias: 17 } })),
      0x94,
    ],
    [
      'an alias that was not set',
      (one) => one.send(publishPacket('', '', 1, 1, { properties: { topicAlias: 1 } })),
      0x82,
    ],
    ['no topic', (one) => one.socket.write(Buffer.from([0x30, 3, 0, 0, 0])), 0x81],
    ['packet id 0', (one) => one.socket.write(Buffer.from([0x32, 6, 0, 1, 0x61, 0, 0, 0])), 0x81],
    ['a property twice', (one) => one.socket.write(Buffer.from([0x30, 8, 0, 1, 0x61, 4, 1, 0, 1, 0])), 0x82],
    ['a property of CONNECT', (one) => one.socket.write(Buffer.from([0x30, 7, 0, 1, 0x61, 3, 0x21, 0, 1])), 0x82],
    ['properties longer than it', (one) => one.socket.write(Buffer.from([0x30, 4, 0, 1, 0x61, 9])), 0x81],
    ['AUTH', (one) => one.socket.write(Buffer.from([0xf0, 0])), 0x82],
    ['a filter of nobody', (one) => one.socket.write(Buffer.from([0xa2, 3, 0, 1, 0])), 0x82],
    ['a packet that is too large', (one) => one.send(publishPacket(OWN, 'x'.repeat(9_000), 1, 1)), 0x95],
    [
      '1,001 messages at once',
      (one) => one.send(...Array.from({ length: 1_001 }, (_, i) => publishPacket(OWN, 'x', 2, i + 1))),
      0x93,
    ],
  ])('MQTT 5 - %s: DISCONNECT says why', async (_what, send, code) => {
    const client = await fiveLogin(scene.port, 'bin-1');
    send(client);
    const packet = await ended(client);
    expect(packet.reasonCode).toBe(code);
    expect(packet.properties!.reasonString).not.toBe('');
  });
});

describe('SUBSCRIBE', () => {
  test('MQTT 5 - SUBACK and UNSUBACK have a code for each filter, repeated ones too', async () => {
    const client = await fiveLogin(scene.port, 'bin-1');
    const deep = Array(101).fill('a').join('/');
    const filters = [REJECTIONS, 'devices/bin-2/rejections', '#', '$share/a/live/#', deep, REJECTIONS];
    const suback = await subscribe(client, ...filters);
    expect(suback.granted).toEqual([1, 0x87, 0x8f, 0x9e, 0x97, 1]);
    expect(suback.properties!.reasonString).toBe('the topic is that of another device');
    client.send({ cmd: 'unsubscribe', messageId: 5, unsubscriptions: [REJECTIONS, 'x/y'] });
    await until(() => client.got('unsuback').length === 1, 'UNSUBACK');
    expect(client.got('unsuback')[0]!.granted).toEqual([0, 0x11]);
  });

  test('MQTT 5 - messages have a content type, their identifiers, and RETAIN where it was asked for', async () => {
    const client = await fiveLogin(scene.port, 'city');
    client.send({
      cmd: 'subscribe',
      messageId: 1,
      subscriptions: [{ topic: 'tickets/#', qos: 1, rap: true, rh: 2 }],
      properties: { subscriptionIdentifier: 7 },
    });
    await until(() => client.got('suback').length === 1, 'SUBACK');
    await subscribe(client, 'events/#');
    scene.publish({ topic: 'tickets/waste/t1', payload: '{}', qos: 1, retain: true });
    scene.publish({ topic: 'events/tickets/waste/t1', payload: '{}', qos: 1, retain: false });
    await named(client, 'tickets/waste/t1', 'events/tickets/waste/t1');
    const [ticket, event] = client.got('publish') as [IPublishPacket, IPublishPacket];
    expect(ticket).toMatchObject({
      retain: true,
      properties: { subscriptionIdentifier: 7, contentType: 'application/json' },
    });
    expect(event).toMatchObject({ retain: false });
    expect({ ...event.properties }).toEqual({
      payloadFormatIndicator: true,
      contentType: 'application/cloudevents+json; charset=utf-8',
    });
  });

  test('MQTT 5 - Retain Handling: retained messages at each SUBSCRIBE, at the first, or never', async () => {
    scene.publish({ topic: 'tickets/waste/kept', payload: '{}', qos: 1, retain: true });
    const got = async (...handlings: number[]) => {
      const client = await fiveLogin(scene.port, 'city', { clientId: `rh-${handlings.join()}` });
      for (const rh of handlings) {
        await subscribe(client, { topic: 'tickets/waste/kept', rh });
        // Retained messages leave before what is published later.
        scene.broker.publish({ topic: `live/x/${rh}`, payload: '1', qos: 0, retain: false });
        await client.ping();
      }
      await subscribe(client, { topic: 'devices/+/status', rh: 0 });
      await new Promise((resolve) => setTimeout(resolve, 50));
      return client.got('publish').filter(({ topic }) => topic === 'tickets/waste/kept').length;
    };
    expect([await got(0, 0), await got(1, 1), await got(2, 2)]).toEqual([2, 1, 0]);
  });

  test('MQTT 5 - no more messages are on their way than the client takes (Receive Maximum), none that is too large', async () => {
    const client = await fiveLogin(scene.port, 'city', { properties: { receiveMaximum: 2, maximumPacketSize: 200 } });
    await subscribe(client, 'events/#');
    for (const n of [1, 2, 3, 4]) {
      const payload = n === 2 ? 'x'.repeat(300) : `{"n":${n}}`;
      scene.publish({ topic: `events/tickets/waste/m${n}`, payload, qos: 1, retain: false });
    }
    await named(client, 'events/tickets/waste/m1', 'events/tickets/waste/m3');
    await client.ping();
    const topics = () => client.got('publish').map(({ topic }) => topic.slice(-2));
    expect(topics()).toEqual(['m1', 'm3']);
    client.send({ cmd: 'puback', messageId: client.got('publish')[0]!.messageId! });
    await named(client, 'events/tickets/waste/m4');
    expect(topics()).toEqual(['m1', 'm3', 'm4']);
  });
});

describe('sessions', () => {
  const keep = { clean: false, properties: { sessionExpiryInterval: 3_600 } };
  const present = (client: RawClient) => last(client).sessionPresent;
  const event = (n: string) =>
    scene.publish({ topic: `events/tickets/waste/${n}`, payload: '{}', qos: 1, retain: false });
  const leave = async (client: RawClient, more: object = {}) => {
    client.send({ cmd: 'disconnect', reasonCode: 0, ...more });
    await client.closed;
    await until(() => scene.broker.counts().sessionsConnected === 0, 'the end');
  };

  test('MQTT 5 - a session with an expiry is kept, with its options, and goes on; a clean start ends it', async () => {
    const first = await fiveLogin(scene.port, 'waste', keep);
    const subscriptions = [{ topic: 'events/tickets/waste/#', qos: 1 as const }];
    first.send({ cmd: 'subscribe', messageId: 1, subscriptions, properties: { subscriptionIdentifier: 9 } });
    await until(() => first.got('suback').length === 1, 'SUBACK');
    await leave(first);
    event('away');
    const second = await fiveLogin(scene.port, 'waste', keep);
    await named(second, 'events/tickets/waste/away');
    expect(present(second)).toBe(true);
    expect(second.got('publish')[0]!.properties!.subscriptionIdentifier).toBe(9);
    await leave(second);
    const fresh = await fiveLogin(scene.port, 'waste', { ...keep, clean: true });
    expect(present(fresh)).toBe(false);
    event('later');
    await fresh.ping();
    expect(fresh.got('publish')).toEqual([]);
    await leave(fresh);
  });

  test('MQTT 5 - a session ends after its own expiry, at once without one, and when DISCONNECT says so', async () => {
    const sessions = () => scene.broker.counts().sessions;
    const before = sessions();
    for (const end of [{}, { properties: { sessionExpiryInterval: 0 } }]) {
      const kept = end.properties === undefined ? { clean: false } : keep;
      const client = await fiveLogin(scene.port, 'waste', kept);
      await subscribe(client, 'events/tickets/waste/#');
      expect(sessions()).toBe(before + 1);
      await leave(client, end);
      expect(sessions()).toBe(before);
    }
    const hour = await fiveLogin(scene.port, 'waste', keep);
    await subscribe(hour, 'events/tickets/waste/#');
    await leave(hour);
    expect(sessions()).toBe(before + 1);
    scene.nowMs += 3_601_000;
    await until(() => sessions() === before, 'its end');
  });

  test('MQTT 5 - a connection that replaces another goes on with its session, also one that is not kept', async () => {
    const first = await fiveLogin(scene.port, 'waste', { clean: false });
    await subscribe(first, 'events/tickets/waste/#');
    const second = await fiveLogin(scene.port, 'waste', keep);
    await first.closed;
    expect(present(second)).toBe(true);
    await leave(second);
    event('away-again');
    const third = await fiveLogin(scene.port, 'waste', { clean: false });
    await named(third, 'events/tickets/waste/away-again');
    await leave(third);
    expect(scene.broker.counts().sessions).toBe(0);
  });

  test('MQTT 5 - DISCONNECT cannot keep a session that CONNECT did not', async () => {
    const client = await fiveLogin(scene.port, 'waste');
    client.send({ cmd: 'disconnect', reasonCode: 0, properties: { sessionExpiryInterval: 5 } });
    expect((await ended(client)).reasonCode).toBe(0x82);
  });
});

describe('the end of a connection', () => {
  test('MQTT 5 - who is replaced, cut, or silent learns it', async () => {
    const first = await fiveLogin(scene.port, 'bin-3');
    const second = await fiveLogin(scene.port, 'bin-3', { keepalive: 1 });
    expect(await ended(first)).toMatchObject({
      reasonCode: 0x8e,
      properties: { userProperties: { reason: 'taken-over' } },
    });
    expect(await ended(second)).toMatchObject({ reasonCode: 0x8d });
    const third = await fiveLogin(scene.port, 'bin-3');
    scene.broker.credentials({ set: [deviceOf('bin-3', 'a-new-secret')], remove: [] });
    expect(await ended(third)).toMatchObject({
      reasonCode: 0x98,
      properties: { userProperties: { reason: 'secret-ended' } },
    });
    scene.broker.credentials({ set: [deviceOf('bin-3')], remove: [] });
  });

  test('MQTT 5 - a will: not after DISCONNECT, but after DISCONNECT with will; delayed, not if the client returns', async () => {
    const wills = () => scene.sink.taken.filter(({ payload }) => payload.startsWith('last')).length;
    const will = { topic: OWN, payload: Buffer.from('last words'), qos: 1, retain: false };
    const polite = await fiveLogin(scene.port, 'bin-1', { will });
    polite.send({ cmd: 'disconnect', reasonCode: 0 });
    await polite.closed;
    const wanted = await fiveLogin(scene.port, 'bin-1', { will });
    wanted.send({ cmd: 'disconnect', reasonCode: 4 });
    await until(() => wills() === 1, 'the will');
    const delayed = { ...will, payload: Buffer.from('last, late'), properties: { willDelayInterval: 1 } };
    const kept = { will: delayed, properties: { sessionExpiryInterval: 60 } };
    const gone = await fiveLogin(scene.port, 'bin-1', kept);
    gone.socket.destroy();
    await gone.closed;
    const back = await fiveLogin(scene.port, 'bin-1', kept);
    back.socket.destroy();
    await until(() => wills() === 2, 'the will of the second');
    expect(wills()).toBe(2);
  });

  test('MQTT 5 - a server that stops says so', async () => {
    const other = await startBroker();
    const client = await fiveLogin(other.port, 'bin-1');
    const stopped = other.stop();
    expect(await ended(client)).toMatchObject({ reasonCode: 0x8b });
    await stopped;
  });
});

describe('clients', () => {
  test('MQTT 5 - mqtt.js publishes, is refused with a reason code, and subscribes', async () => {
    const client = await login(scene.port, 'bin-1', { protocolVersion: 5, properties: { topicAliasMaximum: 5 } });
    await client.publishAsync(OWN, '{}', { qos: 2, properties: { topicAlias: 1 } });
    await client.publishAsync('', '{}', { qos: 1, properties: { topicAlias: 1 } });
    await expect(client.publishAsync(FOREIGN, '{}', { qos: 1 })).rejects.toMatchObject({ code: 0x87 });
    await client.subscribeAsync(REJECTIONS, { qos: 0 });
    await client.endAsync();
  });

  test('MQTT 5 - a client of 3.1.1 beside it is as before', async () => {
    const old = await rawLogin(scene.port, 'bin-2');
    old.send(publishPacket(FOREIGN, '{}', 1, 1));
    await until(() => old.got('puback').length === 1, 'PUBACK');
    expect(old.got('puback')[0]).toMatchObject({ messageId: 1 });
    expect(old.got('puback')[0]!.reasonCode).toBeUndefined();
  });
});
