import { between, type Random } from './random.ts';

/** [longitude, latitude], WGS 84 degrees. */
type Position = readonly [number, number, ...number[]];
/** Outer ring and holes. */
export type Polygon = readonly (readonly Position[])[];

/** Whether a position lies inside a polygon's outer ring and outside its holes (even-odd rule). */
export function contains(polygon: Polygon, [x, y]: readonly [number, number]): boolean {
  let inside = false;
  for (const ring of polygon) {
    for (let i = 0, j = ring.length - 1; i < ring.length; j = i++) {
      const [xi, yi] = ring[i]!;
      const [xj, yj] = ring[j]!;
      if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) inside = !inside;
    }
  }
  return inside;
}

/** A random position inside a polygon. Throws a RangeError for one without an inside. */
export function positionInside(polygon: Polygon, random: Random): { readonly lat: number; readonly lon: number } {
  const ring = polygon[0] ?? [];
  const lons = ring.map(([lon]) => lon);
  const lats = ring.map(([, lat]) => lat);
  for (let attempt = 0; attempt < 10_000; attempt++) {
    const lon = round(between(random, Math.min(...lons), Math.max(...lons)));
    const lat = round(between(random, Math.min(...lats), Math.max(...lats)));
    if (contains(polygon, [lon, lat])) return { lat, lon };
  }
  throw new RangeError('the polygon has no inside');
}

function round(degrees: number): number {
  return Math.round(degrees * 1e6) / 1e6;
}
