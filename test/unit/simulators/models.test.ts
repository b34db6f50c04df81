import { expect, test } from 'vitest';
import { weatherAt } from '../../../simulators/city/environment.ts';
import { type Metrics, modelOf, planCity } from '../../../simulators/index.ts';
import { districts } from '../../kit/simulators/districts.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
/** A Monday, 00:00 UTC. */
const MONDAY_MS = Date.UTC(2025, 2, 3);
const DEVICES = planCity({ seed: 'a', devices: 120, districts });

const LIMITS: Readonly<Record<string, Readonly<Record<string, readonly [number, number]>>>> = {
  'air-quality': { pm25: [0, 500], pm10: [0, 600], no2: [0, 400], temperature: [-40, 60], humidity: [0, 100] },
  noise: { laeq: [20, 130], lamax: [20, 140] },
  'water-level': { level: [-5, 20], battery: [0, 100] },
  'waste-bin': { fill: [0, 100], battery: [0, 100] },
  streetlight: { power: [0, 500], voltage: [0, 300] },
  traffic: { speed: [0, 200], occupancy: [0, 100], vehicles: [0, 300], travel_time: [0, 7200] },
};

function run(id: string, hours: number, options: { seed?: string; zone?: string; stepMs?: number } = {}): Metrics[] {
  const device = DEVICES.find((one) => one.id === id)!;
  const model = modelOf(device, { seed: options.seed ?? 'a', zone: options.zone ?? 'UTC' });
  const stepMs = options.stepMs ?? 5 * MINUTE_MS;
  return Array.from({ length: (hours * HOUR_MS) / stepMs }, (_, index) => model.next(MONDAY_MS + index * stepMs));
}

function mean(readings: readonly Metrics[], metric: string): number {
  return readings.reduce((sum, reading) => sum + reading[metric]!, 0) / readings.length;
}

function hours(readings: readonly Metrics[], from: number, to: number): readonly Metrics[] {
  return readings.slice(from * 12, to * 12);
}

test('models - a week of every device stays within the ranges of its metrics, and has all of them', () => {
  for (const { id, profile } of DEVICES) {
    const limits = LIMITS[profile]!;
    for (const reading of run(id, 168, { stepMs: HOUR_MS })) {
      expect(Object.keys(reading)).toEqual(Object.keys(limits));
      for (const [metric, value] of Object.entries(reading)) {
        const [min, max] = limits[metric]!;
        expect(value >= min && value <= max, `${id} ${metric} ${value}`).toBe(true);
      }
    }
  }
});

test('models - the same seed gives the same readings, another seed others', () => {
  for (const { id } of DEVICES.slice(0, 6)) {
    expect(run(id, 24)).toEqual(run(id, 24));
    expect(run(id, 24, { seed: 'b' })).not.toEqual(run(id, 24));
  }
});

test('models - roads are fuller and slower at eight in the morning than at three at night', () => {
  const day = run('traffic-d0-1', 24);
  expect(mean(hours(day, 7, 9), 'vehicles')).toBeGreaterThan(3 * mean(hours(day, 2, 4), 'vehicles'));
  expect(mean(hours(day, 7, 9), 'speed')).toBeLessThan(mean(hours(day, 2, 4), 'speed'));
});

test('models - lamps burn at night, in the zone of the city', () => {
  const lamps = DEVICES.filter(({ profile }) => profile === 'streetlight');
  const power = (zone: string, from: number, to: number) =>
    lamps.reduce((sum, { id }) => sum + mean(hours(run(id, 24, { zone }), from, to), 'power'), 0) / lamps.length;
  expect(power('UTC', 20, 22)).toBeGreaterThan(50);
  expect(power('UTC', 11, 13)).toBeLessThan(10);
  expect(power('Asia/Shanghai', 11, 13)).toBeGreaterThan(50);
});

test('models - nights are quieter than days', () => {
  const day = run('noise-d1-1', 24);
  expect(mean(hours(day, 2, 4), 'laeq')).toBeLessThan(mean(hours(day, 7, 9), 'laeq') - 3);
});

test('models - bins fill up and are emptied', () => {
  const fills = run('waste-bin-d0-1', 21 * 24, { stepMs: HOUR_MS }).map((reading) => reading.fill!);
  const steps = fills.slice(1).map((fill, index) => fill - fills[index]!);
  expect(Math.max(...fills)).toBeGreaterThan(85);
  expect(steps.filter((step) => step < -50).length).toBeGreaterThan(2);
  expect(steps.filter((step) => step > 0).length).toBeGreaterThan(fills.length / 2);
});

test('models - water stands higher after a wet day than after a dry one', () => {
  const days = Array.from({ length: 60 }, (_, day) => {
    const hourly = Array.from({ length: 24 }, (_, hour) => MONDAY_MS + (day * 24 + hour) * HOUR_MS);
    const rain = hourly.reduce((sum, ms) => sum + weatherAt('a', 'd0', ms, 12).rain, 0);
    return { rain, endMs: MONDAY_MS + (day + 1) * 24 * HOUR_MS };
  }).sort((a, b) => a.rain - b.rain);
  const device = DEVICES.find(({ id }) => id === 'water-level-d0-1')!;
  const levelAt = (ms: number) => modelOf(device, { seed: 'a' }).next(ms).level!;
  expect(days.at(-1)!.rain).toBeGreaterThan(20);
  expect(levelAt(days.at(-1)!.endMs)).toBeGreaterThan(levelAt(days[0]!.endMs) + 0.5);
});

test('weather - is one for a district and differs between districts', () => {
  const rains = (district: string) =>
    Array.from({ length: 200 }, (_, hour) => weatherAt('a', district, MONDAY_MS + hour * HOUR_MS, 12).rain);
  expect(rains('d0')).toEqual(rains('d0'));
  expect(rains('d1')).not.toEqual(rains('d0'));
});

test('models - a profile without a model is an error that names those there are', () => {
  expect(() => modelOf({ id: 'x', profile: 'seismic', district: 'd0' }, { seed: 'a' })).toThrow(/seismic.*air-quality/);
});
