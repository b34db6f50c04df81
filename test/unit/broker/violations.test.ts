import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RawClient, rawLogin, type Scene, SECRET, startBroker } from '../../kit/broker/kit.ts';
import { until } from '../../kit/wait.ts';

let scene: Scene;
beforeAll(async () => {
  scene = await startBroker({ maxConnections: 1_000, maxPerAddress: 1_000 });
});
afterAll(() => scene.stop());

const text = (value: string | Buffer) => {
  const bytes = Buffer.from(value as string, 'utf8');
  return Buffer.concat([Buffer.of(bytes.length >> 8, bytes.length & 255), bytes]);
};
const packet = (first: number, ...parts: (Buffer | number[])[]) => {
  const body = Buffer.concat(parts.map((part) => Buffer.from(part)));
  if (body.length > 127) throw new Error('a longer packet needs a longer length');
  return Buffer.concat([Buffer.of(first, body.length), body]);
};
const TOPIC = text('devices/bin-1/readings');
const REJECTIONS = text('devices/bin-1/rejections');

/** CONNECT of bin-1 with these flags and fields instead of the right ones. */
function connect({
  name = 'MQTT',
  level = 4,
  flags = 0xc2,
  id = 'bin-1' as string | Buffer,
  will = [] as Buffer[],
} = {}) {
  const login = [...(flags & 0x80 ? [text('bin-1')] : []), ...(flags & 0x40 ? [text(SECRET)] : [])];
  return packet(0x10, text(name), [level, flags, 0, 0], text(id), ...will, ...login);
}
const WILL = [TOPIC, text('last words')];
const ID = [0, 7];
const ZERO = [0, 0];

describe('violations of MQTT 3.1.1 after the login (§4.8)', () => {
  test.each<[string, Buffer]>([
    ['PUBLISH of QoS 1 with packet id 0', packet(0x32, TOPIC, ZERO, [0x7b])],
    ['PUBLISH of QoS 2 with packet id 0', packet(0x34, TOPIC, ZERO, [0x7b])],
    ['PUBLISH of QoS 3', packet(0x36, TOPIC, ID, [0x7b])],
    ['PUBLISH of QoS 0 with DUP', packet(0x38, TOPIC, [0x7b])],
    ['PUBLISH without a packet id', packet(0x32, TOPIC)],
    ['PUBLISH to an empty topic', packet(0x30, text(''), [0x7b])],
    ['PUBLISH to a wildcard', packet(0x30, text('devices/+/readings'), [0x7b])],
    ['PUBLISH to a topic with U+0000', packet(0x30, text('devices/bin-1/readings\0'), [0x7b])],
    ['PUBLISH to a topic with half a surrogate', packet(0x32, text(Buffer.from([0xed, 0xa0, 0x80])), ID)],
    ['PUBLISH with a topic that is longer than it', packet(0x30, [0, 99, 0x61])],
    ['PUBLISH without a body', packet(0x30)],
    ['SUBSCRIBE with packet id 0', packet(0x82, ZERO, REJECTIONS, [0])],
    ['SUBSCRIBE without a filter', packet(0x82, ID)],
    ['SUBSCRIBE with QoS 3', packet(0x82, ID, REJECTIONS, [3])],
    ['SUBSCRIBE with reserved bits', packet(0x82, ID, REJECTIONS, [0x04])],
    ['SUBSCRIBE without a QoS', packet(0x82, ID, REJECTIONS)],
    ['SUBSCRIBE with other flags', packet(0x80, ID, REJECTIONS, [0])],
    ['SUBSCRIBE to a filter with U+0000', packet(0x82, ID, text('devices/bin-1/rejections\0'), [0])],
    ['SUBSCRIBE to an empty filter', packet(0x82, ID, text(''), [0])],
    ['SUBSCRIBE to # before the end', packet(0x82, ID, text('devices/#/rejections'), [0])],
    ['SUBSCRIBE to # that is no level', packet(0x82, ID, text('devices/b#'), [0])],
    ['SUBSCRIBE to + that is no level', packet(0x82, ID, text('devices/b+'), [0])],
    ['SUBSCRIBE to + in a level', packet(0x82, ID, text('a/+b'), [0])],
    ['UNSUBSCRIBE with packet id 0', packet(0xa2, ZERO, REJECTIONS)],
    ['UNSUBSCRIBE of nothing', packet(0xa2, ID)],
    ['UNSUBSCRIBE without a body', packet(0xa2)],
    ['UNSUBSCRIBE with other flags', packet(0xa0, ID, REJECTIONS)],
    ['UNSUBSCRIBE of a filter with U+0000', packet(0xa2, ID, text('a\0b'))],
    ['PUBACK with packet id 0', packet(0x40, ZERO)],
    ['PUBACK that is too long', packet(0x40, ID, [0])],
    ['PUBACK without a packet id', packet(0x40)],
    ['PUBREL with other flags', packet(0x60, ID)],
    ['PUBREL with packet id 0', packet(0x62, ZERO)],
    ['PINGREQ with a body', packet(0xc0, [0])],
    ['PINGREQ with flags', packet(0xc1)],
    ['DISCONNECT with flags', packet(0xe1)],
    ['DISCONNECT with a body', packet(0xe0, [0])],
    ['a second CONNECT', connect()],
    ['CONNACK', packet(0x20, [0, 0])],
    ['SUBACK', packet(0x90, ID, [0])],
    ['UNSUBACK', packet(0xb0, ID)],
    ['PINGRESP', packet(0xd0)],
    ['the reserved type 0', packet(0x00)],
    ['the reserved type 15', packet(0xf0)],
  ])('broker - %s ends the connection, is not acknowledged and counted', async (_what, bytes) => {
    const client = await rawLogin(scene.port, 'bin-1');
    const before = scene.broker.record('bin-1')!.refusals.find(({ reason }) => reason === 'protocol-error')?.count ?? 0;
    const taken = scene.sink.taken.length;
    client.socket.write(bytes);
    await client.closed;
    expect(client.packets.map(({ cmd }) => cmd)).toEqual(['connack']);
    const { refusals } = scene.broker.record('bin-1')!;
    expect(refusals.find(({ reason }) => reason === 'protocol-error')?.count).toBe(before + 1);
    expect(scene.sink.taken).toHaveLength(taken);
  });

  test('broker - what came right before a violation is taken, and nothing after a DISCONNECT is looked at', async () => {
    const client = await rawLogin(scene.port, 'bin-1');
    const taken = scene.sink.taken.length;
    client.socket.write(Buffer.concat([packet(0x34, TOPIC, ID, [0x31]), packet(0x30)]));
    await client.closed;
    await until(() => scene.sink.taken.length === taken + 1, 'the message before');
    const will = { topic: 'devices/bin-1/readings', payload: Buffer.from('last words'), qos: 1, retain: false };
    const polite = await rawLogin(scene.port, 'bin-1', { will });
    polite.socket.write(Buffer.concat([packet(0xe0), packet(0x30)]));
    await polite.closed;
    await (await rawLogin(scene.port, 'bin-2')).ping();
    expect(scene.sink.taken).toHaveLength(taken + 1);
  });
});

describe('violations in CONNECT', () => {
  async function outcome(bytes: Buffer): Promise<number[] | 'closed'> {
    const client = new RawClient(scene.port);
    let got = Buffer.alloc(0);
    client.socket.on('data', (more) => {
      got = Buffer.concat([got, more]);
    });
    client.socket.write(bytes);
    await until(() => client.isClosed || got.length > 0, 'an answer');
    if (got.length > 0 && got[3] !== 0) await client.closed;
    client.socket.destroy();
    return got.length > 0 ? [...got] : 'closed';
  }

  test.each<[string, Buffer]>([
    ['a will of QoS 3', connect({ flags: 0xde, will: WILL })],
    ['the reserved flag', connect({ flags: 0xc3 })],
    ['the QoS of a will, and no will', connect({ flags: 0xca })],
    ['the RETAIN of a will, and no will', connect({ flags: 0xe2 })],
    ['a password without a user name', connect({ flags: 0x42 })],
    ['a client id with U+0000', connect({ id: 'bin\0-1' })],
    ['a client id that is not UTF-8', connect({ id: Buffer.from([0xff, 0xfe]) })],
    ['a will to a wildcard', connect({ flags: 0xc6, will: [text('devices/#'), text('x')] })],
    ['a will to an empty topic', connect({ flags: 0xc6, will: [text(''), text('x')] })],
    ['a will without a payload', connect({ flags: 0x06, will: [TOPIC] })],
    ['bytes after its end', packet(0x10, connect().subarray(2), [0])],
    ['flags in its header', packet(0x11, connect().subarray(2))],
    ['another protocol name', connect({ name: 'MQTX' })],
    ['no client id', packet(0x10, text('MQTT'), [4, 2, 0, 0])],
  ])('broker - CONNECT with %s is closed without a CONNACK', async (_what, bytes) => {
    expect(await outcome(bytes)).toBe('closed');
  });

  test.each([0, 1, 2, 3, 6, 7, 127, 128, 255])(
    'broker - CONNECT of protocol level %i gets CONNACK 1, a count and a reason (§3.1.2.2)',
    async (level) => {
      const before = scene.broker.counts().refusedLogins;
      expect(await outcome(connect({ level }))).toEqual([0x20, 2, 0, 1]);
      expect(scene.broker.counts().refusedLogins).toBe(before + 1);
    },
  );

  test.each([
    ['MQTT 3.1.1', { level: 4 }],
    ['MQTT 3.1.1 of a bridge', { level: 0x84 }],
    ['MQTT 3.1', { name: 'MQIsdp', level: 3 }],
    ['a will of QoS 2 that is retained', { flags: 0xf6, will: WILL }],
  ])('broker - CONNECT of %s is right', async (_what, fields) => {
    expect(await outcome(connect(fields))).toEqual([0x20, 2, 0, 0]);
  });
});

test('mqtt - a SUBSCRIBE or UNSUBSCRIBE of more than 2,000 filters ends its connection, one of 2,000 is taken', async () => {
  const filters = (count: number) => Array.from({ length: count }, (_, i) => `devices/bin-1/rejections/${i}`);
  const messageId = 7;
  for (const cmd of ['subscribe', 'unsubscribe'] as const) {
    const client = await rawLogin(scene.port, 'bin-1');
    const send = (count: number) =>
      cmd === 'unsubscribe'
        ? client.send({ cmd, messageId, unsubscriptions: filters(count) })
        : client.send({ cmd, messageId, subscriptions: filters(count).map((topic) => ({ topic, qos: 0 as const })) });
    send(2_000);
    await client.ping();
    expect(client.got(cmd === 'subscribe' ? 'suback' : 'unsuback')).toHaveLength(1);
    send(2_001);
    await client.closed;
  }
  const { refusals } = scene.broker.record('bin-1')!;
  expect(refusals.find(({ reason }) => reason === 'too-many-filters')).toMatchObject({
    detail: 'more than 2000 filters in one packet',
  });
});
