import { expect, test } from 'vitest';
import { contains, DEVICE_ID } from '../../../domain/index.ts';

import { planCity, SIMULATED_PROFILES } from '../../../simulators/index.ts';
import { districts } from '../../kit/simulators/districts.ts';

test('plan - 120 devices cover every profile in every district, with unique ids and names', () => {
  const devices = planCity({ seed: 'a', devices: 120, districts });
  expect(devices).toHaveLength(120);
  expect(new Set(devices.map(({ id }) => id)).size).toBe(120);
  expect(new Set(devices.map(({ name }) => name)).size).toBe(120);
  expect(devices.every(({ id }) => DEVICE_ID.test(id))).toBe(true);
  const pairs = new Set(devices.map(({ profile, district }) => `${profile} ${district}`));
  expect(pairs.size).toBe(SIMULATED_PROFILES.length * districts.length);
});

test('plan - every device is inside the polygon of its district', () => {
  for (const { district, location } of planCity({ seed: 'b', devices: 240, districts })) {
    const polygon = districts.find(({ id }) => id === district)!.polygons[0]!;
    expect(contains(polygon, location!)).toBe(true);
  }
});

test('plan - the same seed gives the same city, another seed other places', () => {
  const plan = (seed: string) => planCity({ seed, devices: 60, districts });
  expect(plan('a')).toEqual(plan('a'));
  expect(plan('b')).not.toEqual(plan('a'));
  expect(plan('b').map(({ id }) => id)).toEqual(plan('a').map(({ id }) => id));
});

test('plan - six devices have six profiles', () => {
  const devices = planCity({ seed: 'a', devices: 6, districts });
  expect(new Set(devices.map(({ profile }) => profile)).size).toBe(6);
});
