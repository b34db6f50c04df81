import type { City } from '../api/schema.ts';

export interface Place {
  readonly lat: number;
  readonly lon: number;
}

type Position = [number, number];

/** Returns every position of nested GeoJSON coordinates. */
export function placesIn(coordinates: unknown): Position[] {
  if (!Array.isArray(coordinates)) return [];
  if (typeof coordinates[0] === 'number') return [[coordinates[0], coordinates[1] as number]];
  return coordinates.flatMap(placesIn);
}

/** Returns the district that a place is in; null: none of the city. */
export function districtAt(city: Pick<City, 'districts'>, place: Place): string | null {
  const found = city.districts.find(({ geometry: { type, coordinates } }) => {
    const polygons = (type === 'Polygon' ? [coordinates] : coordinates) as Position[][][];
    return polygons.some((rings) => rings.filter((ring) => isInRing(ring, place)).length % 2 === 1);
  });
  return found?.id ?? null;
}

/** Whether a ring is around a place: a line to the east crosses it an odd number of times. */
function isInRing(ring: readonly Position[], { lat, lon }: Place): boolean {
  let isIn = false;
  for (const [i, [x, y]] of ring.entries()) {
    const [px, py] = ring.at(i - 1)!;
    if (y > lat !== py > lat && lon < ((px - x) * (lat - y)) / (py - y) + x) isIn = !isIn;
  }
  return isIn;
}
