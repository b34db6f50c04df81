import { expect, test } from 'vitest';
import { type Asset, distanceM, nearestAsset } from '../../../domain/index.ts';

test.each([0, 45, 64.1, 69.6, 78.2])('an asset within 500 m is found at %d degrees north', (lat) => {
  const lonOf = (metres: number) => metres / (111_195 * Math.cos((lat * Math.PI) / 180));
  const place = { lat, lon: 25.0001 };
  const location = { lat, lon: place.lon - lonOf(495) };
  const pole: Asset = { id: 'pole', kind: 'pole', title: null, services: [], location };
  expect(distanceM(location, place)).toBeCloseTo(495, 0);
  expect(nearestAsset(new Map([['pole', pole]]), ['pole'], place, 500)).toBe(pole);
  expect(nearestAsset(new Map([['pole', pole]]), ['pole'], place, 490)).toBeNull();
});
