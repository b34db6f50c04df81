import { expect, test } from 'vitest';
import { createZone, HOUR_MS } from '../../../domain/index.ts';

test('zone - offsets follow the zone, its summer time and odd minutes', () => {
  expect(createZone('UTC').offsetAt(0)).toBe(0);
  expect(createZone('Asia/Kolkata').offsetAt(0)).toBe(5.5 * HOUR_MS);
  expect(createZone('America/Chicago').offsetAt(Date.UTC(2015, 6, 1))).toBe(-5 * HOUR_MS);
  expect(createZone('America/Chicago').offsetAt(Date.UTC(2015, 0, 1))).toBe(-6 * HOUR_MS);
});
