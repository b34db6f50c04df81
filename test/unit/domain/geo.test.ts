import { expect, test } from 'vitest';
import { contains, type District, districtAt } from '../../../domain/index.ts';

const title = { en: 'A', zh: '甲' };
const square = (from: number, to: number): number[][] => [
  [from, from],
  [to, from],
  [to, to],
  [from, to],
  [from, from],
];
const district = (id: string, type: 'Polygon' | 'MultiPolygon', coordinates: unknown): [string, District] => [
  id,
  { id, title, geometry: { type, coordinates } },
];
const DISTRICTS = new Map([
  district('ring', 'Polygon', [square(0, 10), square(4, 6)]),
  district('inside', 'Polygon', [square(4, 6)]),
  district('islands', 'MultiPolygon', [[square(20, 21)], [square(30, 31)]]),
]);

test.each([
  [{ lat: 1, lon: 1 }, 'ring'],
  [{ lat: 5, lon: 5 }, 'inside'],
  [{ lat: 20.5, lon: 20.5 }, 'islands'],
  [{ lat: 30.5, lon: 30.5 }, 'islands'],
  [{ lat: 20.5, lon: 30.5 }, null],
  [{ lat: -1, lon: 5 }, null],
  [{ lat: 5, lon: 11 }, null],
  [{ lat: 5, lon: -1 }, null],
])('district - %o lies in %s', (place, id) => {
  expect(districtAt(place, DISTRICTS)).toBe(id);
});

test('district - a place on a border lies in one of its sides, and in one only', () => {
  const sides = new Map([
    district('west', 'Polygon', [
      [
        [0, 0],
        [1, 0],
        [1, 1],
        [0, 1],
        [0, 0],
      ],
    ]),
    district('east', 'Polygon', [
      [
        [1, 0],
        [2, 0],
        [2, 1],
        [1, 1],
        [1, 0],
      ],
    ]),
  ]);
  const holding = (lat: number, lon: number) =>
    [...sides].filter(([id, side]) => districtAt({ lat, lon }, new Map([[id, side]])) !== null).length;
  for (const lat of [0.25, 0.5, 0.75]) expect(holding(lat, 1)).toBe(1);
});

test('polygon - a hole is outside', () => {
  const square = (from: number, to: number): [number, number][] => [
    [from, from],
    [to, from],
    [to, to],
    [from, to],
    [from, from],
  ];
  const polygon = [square(0, 10), square(4, 6)];
  expect(contains(polygon, { lon: 1, lat: 1 })).toBe(true);
  expect(contains(polygon, { lon: 5, lat: 5 })).toBe(false);
  expect(contains(polygon, { lon: 11, lat: 5 })).toBe(false);
});
