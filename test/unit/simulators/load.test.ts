import { parser } from 'mqtt-packet';
import { expect, test } from 'vitest';
import { encodeConnect, PAYLOAD_BYTES, PublishRing } from '../../../simulators/load/packets.ts';
import { Histogram } from '../../../simulators/load/run.ts';

const START_MS = 1_699_999_999_998;

function decode(
  bytes: Buffer,
): { id: number; topic: string; message: { ts: number; metrics: Record<string, number> } }[] {
  const found: ReturnType<typeof decode> = [];
  const reader = parser();
  reader.on('packet', (packet) => {
    if (packet.cmd !== 'publish' || packet.qos !== 1) throw new Error(`unexpected ${packet.cmd}`);
    const payload = packet.payload as Buffer;
    expect(payload).toHaveLength(PAYLOAD_BYTES);
    found.push({ id: packet.messageId!, topic: packet.topic, message: JSON.parse(payload.toString()) });
  });
  reader.parse(bytes);
  return found;
}

test('load packets - slots are QoS 1 PUBLISHes with ids of their own and timestamps 1 ms apart, over all carries', () => {
  const ring = new PublishRing('devices/a/readings', 5, START_MS);
  const stamps: number[] = [];
  for (let round = 0; round < 3; round++) {
    for (let slot = 0; slot < 5; slot++) ring.stamp(slot);
    const packets = decode(ring.bytes);
    expect(packets.map(({ id }) => id)).toEqual([1, 2, 3, 4, 5]);
    expect(packets.every(({ topic }) => topic === 'devices/a/readings')).toBe(true);
    stamps.push(...packets.map(({ message }) => message.ts));
  }
  expect(stamps).toEqual(Array.from({ length: 15 }, (_, index) => START_MS + index));
  expect(ring.nextTsMs).toBe(START_MS + 15);
});

test('load packets - values change and stay within the air-quality ranges', () => {
  const ring = new PublishRing('devices/a/readings', 200, START_MS);
  for (let slot = 0; slot < 200; slot++) ring.stamp(slot);
  const metrics = decode(ring.bytes).map(({ message }) => message.metrics);
  expect(new Set(metrics.map(({ pm25 }) => pm25)).size).toBe(200);
  for (const { pm25, pm10, no2, ...rest } of metrics) {
    expect(Math.floor(pm25!)).toBe(12);
    expect(Math.floor(pm10!)).toBe(23);
    expect(Math.floor(no2!)).toBe(34);
    expect(rest).toEqual({});
  }
});

test('load packets - CONNECT names the device as client and user, and is anonymous without a secret', () => {
  const read = (bytes: Buffer) => {
    let found: unknown;
    const reader = parser();
    reader.on('packet', (packet) => {
      found = packet;
    });
    reader.parse(bytes);
    return found;
  };
  const known = { cmd: 'connect', clientId: 'a', username: 'a', password: Buffer.from('s'), clean: true };
  expect(read(encodeConnect({ id: 'a', secret: 's' }))).toMatchObject(known);
  expect(read(encodeConnect({ id: 'a' }))).not.toHaveProperty('username');
});

test('histogram - percentiles are within 1/64 of the exact ones', () => {
  const histogram = new Histogram();
  for (let micros = 1; micros <= 100_000; micros++) histogram.record(micros);
  for (const p of [0.01, 0.5, 0.9, 0.99, 0.999]) {
    const exact = p * 100_000;
    expect(histogram.percentile(p)).toBeGreaterThanOrEqual(exact);
    expect(histogram.percentile(p)).toBeLessThanOrEqual(exact * (1 + 1 / 64));
  }
  expect(histogram.percentile(1)).toBe(100_000);
  expect(histogram.maxMicros).toBe(100_000);
});

test('histogram - is exact for small values, and holds very large and none', () => {
  const histogram = new Histogram();
  expect(histogram.percentile(0.5)).toBe(0);
  for (const micros of [3, 3, 100, 1e12]) histogram.record(micros);
  expect(histogram.percentile(0.5)).toBe(3);
  expect(histogram.percentile(0.75)).toBe(100);
  expect(histogram.percentile(1)).toBe(0x7fffffff);
});
