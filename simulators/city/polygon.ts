import { contains, type Place, type Polygon } from '../../domain/index.ts';
import { between, type Random } from './random.ts';

/** A random position inside a polygon. Throws a RangeError for one without an inside. */
export function positionInside(polygon: Polygon, random: Random): Place {
  const ring = polygon[0] ?? [];
  const lons = ring.map(([lon]) => lon);
  const lats = ring.map(([, lat]) => lat);
  for (let attempt = 0; attempt < 10_000; attempt++) {
    const lon = round(between(random, Math.min(...lons), Math.max(...lons)));
    const lat = round(between(random, Math.min(...lats), Math.max(...lats)));
    if (contains(polygon, { lat, lon })) return { lat, lon };
  }
  throw new RangeError('the polygon has no inside');
}

function round(degrees: number): number {
  return Math.round(degrees * 1e6) / 1e6;
}
