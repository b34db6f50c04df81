import fc from 'fast-check';
import { generate, type Packet } from 'mqtt-packet';
import { describe, expect, test } from 'vitest';
import { eachPacket, readPacket, UnknownLevel, Violation, WholePackets } from '../../../broker/wire/index.ts';
import { runs } from '../../kit/runs.ts';

const length = (bytes: number) => (bytes < 128 ? [bytes] : [(bytes & 127) | 128, bytes >> 7]);
const framed = fc
  .tuple(fc.integer({ min: 0, max: 255 }), fc.uint8Array({ maxLength: 300 }))
  .map(([first, body]) => Buffer.from([first, ...length(body.length), ...body]));

const topic = fc.stringMatching(/^[a-z]{1,8}(\/[a-z]{1,8}){0,3}$/);
const id = fc.integer({ min: 1, max: 65_535 });
const right: fc.Arbitrary<Packet> = fc.oneof(
  fc.record({ cmd: fc.constant('pingreq' as const) }),
  fc.record({ cmd: fc.constantFrom('puback' as const, 'pubrel' as const), messageId: id }),
  fc.record({
    cmd: fc.constant('unsubscribe' as const),
    messageId: id,
    unsubscriptions: fc.array(topic, { minLength: 1 }),
  }),
  fc.record({
    cmd: fc.constant('publish' as const),
    topic,
    payload: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
    qos: fc.constantFrom(1 as const, 2 as const),
    retain: fc.boolean(),
    dup: fc.boolean(),
    messageId: id,
  }),
);

describe('packets of clients', () => {
  test('wire - whatever bytes come, of any version, they are a packet or a violation', () => {
    fc.assert(
      fc.property(framed, fc.constantFrom(3 as const, 4 as const, 5 as const), (bytes, level) => {
        try {
          expect(readPacket(bytes, level).cmd).toBeTypeOf('string');
        } catch (error) {
          expect(error instanceof Violation || error instanceof UnknownLevel, String(error)).toBe(true);
        }
      }),
      { numRuns: runs(2_000) },
    );
  });

  test('wire - a right packet that lost its last bytes, or got one more, is a violation, but for a payload', () => {
    fc.assert(
      fc.property(right, fc.constantFrom(4 as const, 5 as const), (packet, protocolVersion) => {
        const whole = generate(packet, { protocolVersion });
        expect(readPacket(whole, protocolVersion).cmd).toBe(packet.cmd);
        if (packet.cmd === 'publish' || whole.length > 127) return;
        const longer = Buffer.from([whole[0]!, whole[1]! + 1, ...whole.subarray(2), 0xff]);
        expect(() => readPacket(longer, protocolVersion)).toThrow(Violation);
      }),
    );
  });

  test('wire - however a stream is cut into reads, every packet comes once, whole and in order', () => {
    fc.assert(
      fc.property(fc.array(right, { maxLength: 20 }), fc.array(fc.nat(), { maxLength: 40 }), (packets, cuts) => {
        const all = packets.map((packet) => generate(packet));
        const bytes = Buffer.concat(all);
        const places = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
        const whole = new WholePackets();
        const found: Buffer[] = [];
        for (const [i, from] of [0, ...places].entries()) {
          const taken = whole.take(bytes.subarray(from, places[i] ?? bytes.length));
          eachPacket(taken, (packet) => found.push(Buffer.from(packet)) > 0);
        }
        expect(found.map((packet) => packet.toString('hex'))).toEqual(all.map((packet) => packet.toString('hex')));
      }),
    );
  });
});
