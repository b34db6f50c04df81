import { expect, test } from 'vitest';
import {
  createFaults,
  type Distortion,
  encodeSample,
  FAULT_KINDS,
  type Sample,
} from '../../../simulators/city/faults.ts';
import { createRandom } from '../../../simulators/city/random.ts';

const START_MS = 1_700_000_000_000;

function sample(index: number): Sample {
  return { tsMs: START_MS + index * 1000, metrics: { fill: 40 + (index % 10), battery: 90 } };
}

function run(seed: string, rate: number, count = 5_000): Distortion[] {
  const faults = createFaults(createRandom(seed), rate);
  return Array.from({ length: count }, (_, index) => faults(sample(index)));
}

function of(kind: string): { distortion: Distortion; index: number }[] {
  return run('a', 0.05)
    .map((distortion, index) => ({ distortion, index }))
    .filter(({ distortion }) => distortion.fault === kind);
}

test('faults - at rate 0 every sample is published unchanged', () => {
  run('a', 0, 100).forEach((distortion, index) => {
    expect(distortion).toEqual({ fault: null, deliveries: [{ payload: encodeSample(sample(index)), dup: false }] });
  });
});

test('faults - all kinds occur, and the same seed gives the same ones', () => {
  const kinds = new Set(run('a', 0.05).map(({ fault }) => fault));
  expect([...kinds].sort()).toEqual([null, ...FAULT_KINDS].sort());
  expect(run('a', 0.05)).toEqual(run('a', 0.05));
  expect(run('b', 0.05)).not.toEqual(run('a', 0.05));
});

test('faults - the rate is the share of samples at which a fault starts', () => {
  const distortions = run('a', 0.01, 20_000);
  const started = distortions.filter(({ fault }, index) => fault !== null && distortions[index - 1]?.fault !== fault);
  expect(started.length).toBeGreaterThan(130);
  expect(started.length).toBeLessThan(270);
});

test('faults - stuck repeats values under new timestamps', () => {
  const stuck = of('stuck').slice(0, 4);
  const messages = stuck.map(({ distortion }) => JSON.parse(distortion.deliveries[0]!.payload));
  expect(new Set(messages.map(({ metrics }) => JSON.stringify(metrics))).size).toBe(1);
  expect(new Set(messages.map(({ ts }) => ts)).size).toBe(4);
});

test('faults - drift moves further from the true value with each sample', () => {
  const [first, second] = of('drift');
  const errorOf = ({ distortion, index }: { distortion: Distortion; index: number }): number => {
    const { metrics } = JSON.parse(distortion.deliveries[0]!.payload);
    return Math.abs(metrics.battery - sample(index).metrics.battery!);
  };
  expect(errorOf(first!)).toBeGreaterThan(0);
  expect(errorOf(second!)).toBeGreaterThan(errorOf(first!));
});

test('faults - a dropout publishes nothing', () => {
  expect(of('dropout').every(({ distortion }) => distortion.deliveries.length === 0)).toBe(true);
});

test('faults - a spike changes one metric, upwards', () => {
  for (const { distortion, index } of of('spike')) {
    const { metrics } = JSON.parse(distortion.deliveries[0]!.payload);
    const truth = sample(index).metrics;
    const changed = Object.keys(truth).filter((id) => metrics[id] !== truth[id]);
    expect(changed).toHaveLength(1);
    expect(metrics[changed[0]!]).toBeGreaterThan(truth[changed[0]!]!);
  }
});

test('faults - clock skew changes the timestamp only', () => {
  for (const { distortion, index } of of('clock-skew')) {
    const message = JSON.parse(distortion.deliveries[0]!.payload);
    expect(message.metrics).toEqual(sample(index).metrics);
    expect(message.ts).not.toBe(sample(index).tsMs);
  }
});

test('faults - malformed payloads are of every kind: broken, renamed, unknown metric, text, out of range, bad time', () => {
  const payloads = run('a', 0.05, 40_000)
    .filter(({ fault }) => fault === 'malformed')
    .map(({ deliveries }) => deliveries[0]!.payload);
  const sorts = new Set(payloads.map(sortOf));
  expect([...sorts].sort()).toEqual(['bad time', 'broken', 'out of range', 'renamed', 'text', 'unknown metric']);
});

function sortOf(payload: string): string {
  let message: { ts?: unknown; metrics?: Record<string, unknown> };
  try {
    message = JSON.parse(payload);
  } catch {
    return 'broken';
  }
  if (!message.metrics) return 'renamed';
  if (typeof message.ts !== 'number') return 'bad time';
  if ('radiation' in message.metrics) return 'unknown metric';
  if (Object.values(message.metrics).some((value) => typeof value === 'string')) return 'text';
  return Object.values(message.metrics).includes(1e9) ? 'out of range' : 'healthy';
}

test('faults - redelivery publishes the same payload again with the DUP flag', () => {
  for (const { distortion } of of('redelivery')) {
    const [first, second] = distortion.deliveries;
    expect(second).toEqual({ payload: first!.payload, dup: true });
    expect(first!.dup).toBe(false);
  }
});
