import fc from 'fast-check';
import { generate, type Packet, parser } from 'mqtt-packet';
import { describe, expect, test } from 'vitest';
import { PacketWalker, Peeler } from '../../../broker/index.ts';
import { publishPacket } from '../../kit/broker/kit.ts';
import { runs } from '../../kit/runs.ts';

const MOST = 1 << 20;
const OWN = 'devices/bin-1/readings';

/** The parts of a packet that both ways must agree on. */
interface Seen {
  readonly by: 'peeler' | 'Aedes';
  readonly what: string;
}

const sameAs = (packet: Packet): string =>
  packet.cmd === 'publish'
    ? `publish ${packet.topic} ${packet.payload.toString('hex')} ${packet.messageId ?? 0}`
    : packet.cmd;

/** A peeler, followed by the parser of Aedes. */
function scene() {
  const seen: Seen[] = [];
  const state = { taking: true, alive: 0 };
  const walker = new PacketWalker();
  const behind = parser();
  behind.on('packet', (packet) => seen.push({ by: 'Aedes', what: sameAs(packet) }));
  behind.on('error', () => seen.push({ by: 'Aedes', what: 'error' }));
  const peeler = new Peeler({
    taking: () => state.taking,
    publish: (topic, payload, id) =>
      seen.push({ by: 'peeler', what: `publish ${topic} ${Buffer.from(payload).toString('hex')} ${id}` }),
    alive: () => state.alive++,
  });
  const read = (chunk: Buffer) => {
    const before = walker.begun;
    expect(walker.walk(chunk, MOST)).toBeNull();
    const rest = peeler.take(chunk, before, walker.begun);
    if (rest !== null) behind.parse(rest);
  };
  return { seen, state, read, whats: () => seen.map(({ what }) => what) };
}

const topics = fc.constantFrom(OWN, 'devices/bin-1/senml', 'a/ü/😀', 'devices/+/readings', '#');
const publishes = fc
  .record({
    topic: topics,
    payload: fc.oneof(
      fc.uint8Array({ maxLength: 20 }),
      fc.integer({ min: 100, max: 300 }).map((length) => new Uint8Array(length).fill(0x32)),
    ),
    qos: fc.constantFrom<(0 | 1 | 2)[]>(0, 1, 1, 1, 2),
    id: fc.integer({ min: 1, max: 65_535 }),
    retain: fc.boolean(),
    dup: fc.boolean(),
  })
  .map(({ topic, payload, qos, id, retain, dup }) =>
    generate(publishPacket(topic, Buffer.from(payload), qos, id, { retain, dup: dup && qos > 0 })),
  );
const others = fc.constantFrom<Packet[]>(
  { cmd: 'pingreq' },
  { cmd: 'pubrel', messageId: 7 },
  { cmd: 'subscribe', messageId: 9, subscriptions: [{ topic: OWN, qos: 1 }] },
);
const packets = fc.oneof(
  { weight: 5, arbitrary: publishes },
  others.map((packet) => generate(packet)),
);
const streams = fc.array(packets, { maxLength: 30 });

/** Cuts at the given places (taken modulo the length). */
function chunksOf(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  return [0, ...places].map((from, i) => bytes.subarray(from, places[i] ?? bytes.length));
}

/** Packets that the parser of Aedes reads from an unpeeled stream. */
function parsed(bytes: Buffer): string[] {
  const found: string[] = [];
  const alone = parser();
  alone.on('packet', (packet) => found.push(sameAs(packet)));
  alone.parse(bytes);
  return found;
}

describe('the peeler', () => {
  test('peeler - however a stream is cut into reads, every packet arrives once, whole and in order, on one way or the other', () => {
    fc.assert(
      fc.property(streams, fc.array(fc.nat(), { maxLength: 60 }), (stream, cuts) => {
        const { read, whats } = scene();
        const bytes = Buffer.concat(stream);
        for (const chunk of chunksOf(bytes, cuts)) read(chunk);
        expect(whats()).toEqual(parsed(bytes));
      }),
      { numRuns: runs(500) },
    );
  });

  test('peeler - it may begin and end in the middle of a stream, and of a packet: nothing is lost or repeated', () => {
    fc.assert(
      fc.property(streams, fc.array(fc.nat(), { maxLength: 60 }), fc.nat(30), fc.nat(30), (stream, cuts, on, off) => {
        const { read, state, whats, seen } = scene();
        const bytes = Buffer.concat(stream);
        for (const [i, chunk] of chunksOf(bytes, cuts).entries()) {
          state.taking = i >= on && i < on + off;
          const before = seen.length;
          read(chunk);
          if (!state.taking) expect(seen.slice(before).every(({ by }) => by === 'Aedes')).toBe(true);
        }
        expect(whats()).toEqual(parsed(bytes));
      }),
      { numRuns: runs(500) },
    );
  });

  test('peeler - messages of QoS 0 and 1 are peeled even byte by byte, with RETAIN and with the DUP of QoS 1', () => {
    const { read, seen, state } = scene();
    const more = { retain: true };
    const bytes = Buffer.concat([
      generate(publishPacket(OWN, 'a', 0, 0, more)),
      generate(publishPacket(OWN, 'b'.repeat(200), 1, 0xabcd, { ...more, dup: true })),
      generate(publishPacket(OWN, '', 1, 2)),
    ]);
    for (const byte of bytes) read(Buffer.of(byte));
    expect(seen).toEqual([
      { by: 'peeler', what: `publish ${OWN} 61 0` },
      { by: 'peeler', what: `publish ${OWN} ${'62'.repeat(200)} ${0xabcd}` },
      { by: 'peeler', what: `publish ${OWN}  2` },
    ]);
    expect(state.alive).toBe(3);
  });

  test('peeler - a length in more bytes than it needs is understood (§2.2.3)', () => {
    const { read, seen } = scene();
    const [first, length, ...body] = generate(publishPacket(OWN, 'a', 1, 1));
    read(Buffer.from([first!, length! | 0x80, 0x80, 0x00, ...body]));
    expect(seen).toEqual([{ by: 'peeler', what: `publish ${OWN} 61 1` }]);
  });

  test.each<[string, Buffer]>([
    ['QoS 2', generate(publishPacket(OWN, 'a', 2, 1))],
    ['both bits of QoS', Buffer.from([0x36, 4, 0, 1, 97, 0])],
    ['QoS 0 with DUP (§3.3.1.1)', Buffer.from([0x38, 3, 0, 1, 97])],
    ['an empty topic', generate(publishPacket('', 'a', 1, 1, { topic: 'x' })).fill(0, 3, 4)],
    ['a wildcard', generate(publishPacket('devices/+/readings', 'a', 1, 1))],
    ['a topic with U+0000 (§1.5.3)', generate(publishPacket('a\0', 'a', 1, 1))],
    ['a topic that is not UTF-8', Buffer.from([0x30, 5, 0, 2, 0xc0, 0x80, 97])],
    ['a topic that is longer than its packet', Buffer.from([0x30, 3, 0, 9, 97])],
    ['no room for the message id', Buffer.from([0x32, 4, 0, 1, 97, 0])],
    ['message id 0 (§2.3.1)', Buffer.from([0x32, 5, 0, 1, 97, 0, 0])],
    ['a packet without a body', Buffer.from([0x30, 0])],
  ])('peeler - a message with %s is left to Aedes, and so is the rest of the same read', (_what, odd) => {
    const whole = generate(publishPacket(OWN, 'a', 1, 1));
    const peeler: string[] = [];
    const { publish, ...taker } = { publish: (topic: string) => peeler.push(topic), taking: () => true, alive() {} };
    const walker = new PacketWalker();
    const bytes = Buffer.concat([whole, odd, whole]);
    walker.walk(bytes, MOST);
    const rest = new Peeler({ ...taker, publish }).take(bytes, 0, walker.begun);
    expect(peeler).toEqual([OWN]);
    expect(rest).toEqual(bytes.subarray(whole.length));
  });

  test('peeler - after a read that went to Aedes with a message unfinished at its end, the next ones are peeled again', () => {
    const { read, seen } = scene();
    const message = generate(publishPacket(OWN, 'a', 1, 1));
    read(Buffer.concat([generate({ cmd: 'pingreq' }), message, message.subarray(0, 5)]));
    read(Buffer.concat([message.subarray(5), message]));
    expect(seen.map(({ by }) => by)).toEqual(['Aedes', 'Aedes', 'peeler', 'peeler']);
  });

  test('peeler - topics that differ in their last byte, or only in length, are distinguished', () => {
    const { read, whats } = scene();
    const all = ['a/1', 'a/2', 'a/2', 'a/22', 'a/1'];
    for (const topic of all) read(generate(publishPacket(topic, '', 0)));
    expect(whats()).toEqual(all.map((topic) => `publish ${topic}  0`));
  });
});
