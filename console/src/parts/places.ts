import { districtAt as districtIn, type Place } from '../../../domain/geo.ts';
import type { City } from '../api/schema.ts';

export type { Place };

type Position = [number, number];

/** Returns every position of nested GeoJSON coordinates. */
export function placesIn(coordinates: unknown): Position[] {
  if (!Array.isArray(coordinates)) return [];
  if (typeof coordinates[0] === 'number') return [[coordinates[0], coordinates[1] as number]];
  return coordinates.flatMap(placesIn);
}

/** Returns the district that a place is in; null: none of the city. */
export function districtAt({ districts }: Pick<City, 'districts'>, place: Place): string | null {
  return districtIn(place, new Map(districts.map((one) => [one.id, one])));
}
