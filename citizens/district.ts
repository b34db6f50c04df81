import type { District } from '../domain/index.ts';

type Position = readonly [lon: number, lat: number];
type Ring = readonly Position[];
type Polygon = readonly Ring[];

/** The district that a place (WGS 84 degrees) lies in, the first that fits; null: in none. */
export function districtAt(
  { lat, lon }: { readonly lat: number; readonly lon: number },
  districts: ReadonlyMap<string, District>,
): string | null {
  for (const { id, geometry } of districts.values()) {
    if (polygonsOf(geometry).some((polygon) => isIn(polygon, [lon, lat]))) return id;
  }
  return null;
}

function polygonsOf({ type, coordinates }: District['geometry']): readonly Polygon[] {
  return type === 'Polygon' ? [coordinates as Polygon] : (coordinates as readonly Polygon[]);
}

/** In the first ring, and in none of its holes (RFC 7946 §3.1.6). */
function isIn([outer, ...holes]: Polygon, at: Position): boolean {
  return outer !== undefined && isInRing(outer, at) && !holes.some((hole) => isInRing(hole, at));
}

/** Whether a ray to the east crosses the ring an odd number of times. */
function isInRing(ring: Ring, [lon, lat]: Position): boolean {
  let within = false;
  for (let i = 1; i < ring.length; i++) {
    const [[lonA, latA], [lonB, latB]] = [ring[i - 1]!, ring[i]!];
    if (latA > lat === latB > lat) continue;
    if (lon < lonA + ((lat - latA) / (latB - latA)) * (lonB - lonA)) within = !within;
  }
  return within;
}
