import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type GuardRefusal, guard, PacketWalker } from '../../../broker/index.ts';
import { runs } from '../../kit/runs.ts';

const MOST = 400;

/** The remaining length of MQTT 3.1.1 §2.2.3, in no fewer than `digits` bytes (a sender may use more than it needs). */
function lengthBytes(length: number, digits: number): number[] {
  const bytes = [length & 127];
  for (let rest = length >> 7; rest > 0 || bytes.length < digits; rest >>= 7) {
    bytes[bytes.length - 1]! |= 128;
    bytes.push(rest & 127);
  }
  return bytes;
}

interface Stream {
  readonly bytes: Buffer;
  /** The byte at which the walk must end, and why; null where all is well. */
  readonly refusal: { at: number; why: GuardRefusal } | null;
}

const packet = fc.record({
  first: fc.integer({ min: 0, max: 255 }),
  // Lengths around one and two bytes of header, and around the limit.
  length: fc.oneof(fc.nat({ max: 5 }), fc.integer({ min: 126, max: 130 }), fc.integer({ min: MOST - 3, max: MOST })),
  digits: fc.integer({ min: 1, max: 4 }),
});
const ending = fc.oneof(
  fc.constant(null),
  fc.integer({ min: MOST + 1, max: 268_435_455 }).map((length) => ({ why: 'packet-too-large' as const, length })),
  fc.constant({ why: 'malformed-length' as const, length: 0 }),
);

const streams: fc.Arbitrary<Stream> = fc
  .tuple(fc.array(packet, { maxLength: 12 }), ending, fc.uint8Array({ maxLength: 30 }))
  .map(([packets, end, rest]) => {
    // A body that looks like headers: a walker that loses count fails here.
    const good = packets.flatMap(({ first, length, digits }) => [
      first,
      ...lengthBytes(length, digits),
      ...Array.from({ length }, () => 0xff),
    ]);
    if (end === null) return { bytes: Buffer.from(good), refusal: null };
    const header = end.why === 'malformed-length' ? [0x30, 255, 255, 255, 255] : [0x30, ...lengthBytes(end.length, 1)];
    const bytes = Buffer.from([...good, ...header, ...rest]);
    return { bytes, refusal: { at: good.length + header.length - 1, why: end.why } };
  });

/** Cuts at the given places (taken modulo the length). */
function chunksOf(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  return [0, ...places].map((from, i) => bytes.subarray(from, places[i] ?? bytes.length));
}

describe('the packet walker', () => {
  test('guard - however a stream is cut into reads, the same packet is refused for the same reason, at the same byte', () => {
    fc.assert(
      fc.property(streams, fc.array(fc.nat(), { maxLength: 40 }), ({ bytes, refusal }, cuts) => {
        const walker = new PacketWalker();
        let end = 0;
        for (const chunk of chunksOf(bytes, cuts)) {
          const found = walker.walk(chunk, MOST);
          const reached = refusal !== null && refusal.at < end + chunk.length;
          expect(found).toBe(reached ? refusal.why : null);
          if (found !== null) return;
          end += chunk.length;
        }
        expect(refusal).toBeNull();
      }),
      { numRuns: runs(500) },
    );
  });

  test('guard - byte by byte it is the same', () => {
    fc.assert(
      fc.property(streams, ({ bytes, refusal }) => {
        const walker = new PacketWalker();
        const at = [...bytes].findIndex((byte) => walker.walk(Uint8Array.of(byte), MOST) !== null);
        expect(at).toBe(refusal?.at ?? -1);
      }),
    );
  });

  test('guard - the largest packet that is allowed passes, and the next larger does not', () => {
    expect(new PacketWalker().walk(Uint8Array.from([0x30, ...lengthBytes(MOST, 1)]), MOST)).toBeNull();
    expect(new PacketWalker().walk(Uint8Array.from([0x30, ...lengthBytes(MOST + 1, 1)]), MOST)).toBe(
      'packet-too-large',
    );
  });
});

describe('the guard', () => {
  const limits = { maxPacketBeforeConnect: 50, maxPacket: 200, maxInFlight: 1_000 };

  /** A guarded connection: the bytes that passed, the refusals, and the state that a test can set. */
  function guarded() {
    const connection = new PassThrough();
    const state = { authenticated: false, inFlight: 0, overloaded: false, passed: 0, refused: [] as GuardRefusal[] };
    const wake = guard(connection, limits, {
      authenticated: () => state.authenticated,
      inFlight: () => state.inFlight,
      holds: () => state.overloaded,
      spent: () => {},
      refused: (why) => state.refused.push(why),
      peel: (bytes) => bytes,
    });
    connection.on('readable', () => {
      for (let bytes = connection.read(); bytes !== null; bytes = connection.read()) state.passed += bytes.length;
    });
    const settled = () => new Promise((resolve) => setImmediate(resolve));
    return { connection, state, wake, settled };
  }
  const packetOf = (length: number) => Buffer.from([0x30, ...lengthBytes(length, 1), ...Buffer.alloc(length)]);

  test.each([
    ['before login', false, 50, 51],
    ['after login', true, 200, 201],
  ])('guard - %s the limit is its own, and beyond it the connection ends', async (_when, authenticated, most, over) => {
    const { connection, state, settled } = guarded();
    state.authenticated = authenticated;
    connection.write(packetOf(most));
    await settled();
    expect([state.passed, state.refused]).toEqual([packetOf(most).length, []]);
    connection.write(packetOf(over).subarray(0, 3));
    await settled();
    expect([state.passed, state.refused]).toEqual([packetOf(most).length, ['packet-too-large']]);
    expect(connection.destroyed).toBe(true);
  });

  test('guard - a client with too much in flight is not read from until half of it is committed', async () => {
    const { connection, state, wake, settled } = guarded();
    state.authenticated = true;
    state.inFlight = 1_001;
    connection.write(packetOf(10));
    await settled();
    expect(state.passed).toBe(0);
    state.inFlight = 501;
    wake();
    await settled();
    expect(state.passed, 'not yet half').toBe(0);
    state.inFlight = 500;
    wake();
    await settled();
    expect(state.passed).toBe(12);
  });

  test('guard - reads are held while what follows is overloaded, and lose nothing', async () => {
    const { connection, state, wake, settled } = guarded();
    state.authenticated = true;
    state.overloaded = true;
    for (let i = 0; i < 5; i++) connection.write(packetOf(10));
    await settled();
    wake();
    await settled();
    expect(state.passed).toBe(0);
    state.overloaded = false;
    wake();
    await settled();
    expect(state.passed).toBe(60);
    connection.write(packetOf(10));
    await settled();
    expect([state.passed, state.refused]).toEqual([72, []]);
  });

  test('guard - of a hundred thousand small packets some pass in each turn of the event loop, and none is lost', async () => {
    const { connection, state, settled } = guarded();
    state.authenticated = true;
    const ends = once(connection, 'end');
    connection.end(Buffer.concat(Array.from({ length: 100_000 }, () => Buffer.from([0xc0, 0x00]))));
    const turns: number[] = [];
    for (let before = 0; state.passed < 200_000; before = state.passed) {
      await settled();
      if (state.passed > before) turns.push(state.passed - before);
    }
    expect(Math.max(...turns)).toBeLessThanOrEqual(2 * 4_096 * 2);
    expect(turns.reduce((sum, bytes) => sum + bytes)).toBe(200_000);
    await ends;
  });

  test('guard - a cut between two turns never falls inside a packet', async () => {
    const { connection, state, settled } = guarded();
    state.authenticated = true;
    const packets = Array.from({ length: 9_000 }, (_, n) => packetOf(n % 5));
    for (const bytes of [Buffer.concat(packets), packetOf(3).subarray(0, 2)]) connection.write(bytes);
    const total = packets.reduce((sum, { length }) => sum + length, 2);
    while (state.passed < total) await settled();
    expect(state.refused).toEqual([]);
  });
});
