import type { District } from './city.ts';
import type { Place } from './device.ts';

export type { Place };

/** [longitude, latitude], WGS 84 degrees (RFC 7946 §3.1.1). */
export type Position = readonly [lon: number, lat: number, ...more: number[]];
/** The outer ring, then its holes; each ring is closed (RFC 7946 §3.1.6). */
export type Polygon = readonly (readonly Position[])[];

/** The polygons of a GeoJSON `Polygon` or `MultiPolygon`. */
export function polygonsOf({ type, coordinates }: District['geometry']): readonly Polygon[] {
  return (type === 'Polygon' ? [coordinates] : coordinates) as readonly Polygon[];
}

/**
 * Whether a place lies inside the outer ring and in no hole: a ray to the east crosses the rings an odd number of
 * times.
 */
export function contains(polygon: Polygon, { lat, lon }: Place): boolean {
  let inside = false;
  for (const ring of polygon) {
    for (let i = 1; i < ring.length; i++) {
      const [[lonA, latA], [lonB, latB]] = [ring[i - 1]!, ring[i]!];
      if (latA > lat === latB > lat) continue;
      if (lon < lonA + ((lat - latA) / (latB - latA)) * (lonB - lonA)) inside = !inside;
    }
  }
  return inside;
}

/** The id of the first district that a place lies in; null where it lies in none. */
export function districtAt(place: Place, districts: ReadonlyMap<string, District>): string | null {
  for (const { id, geometry } of districts.values()) {
    if (polygonsOf(geometry).some((polygon) => contains(polygon, place))) return id;
  }
  return null;
}

const EARTH_RADIUS_M = 6_371_008.8;
const RADIAN = Math.PI / 180;
const M_PER_DEGREE = EARTH_RADIUS_M * RADIAN;

/** Metres between two places along the surface (haversine, mean radius of the Earth: within 0.5 % of the ellipsoid). */
export function distanceM(a: Place, b: Place): number {
  const [from, to] = [a.lat * RADIAN, b.lat * RADIAN];
  const h =
    Math.sin((to - from) / 2) ** 2 + Math.cos(from) * Math.cos(to) * Math.sin(((b.lon - a.lon) * RADIAN) / 2) ** 2;
  return 2 * EARTH_RADIUS_M * Math.asin(Math.min(1, Math.sqrt(h)));
}

/** A part of the map that holds every place within a distance of its centre; longitudes null: all of them. */
export interface Box {
  readonly lat: readonly [from: number, to: number];
  readonly lon: readonly [from: number, to: number] | null;
}

/** The box around a circle; all longitudes where it would reach a pole or the date line. */
export function boxAround({ lat, lon }: Place, metres: number): Box {
  // Slightly larger, so that rounding excludes no place at the edge.
  const reach = (metres / M_PER_DEGREE) * 1.000_001 + 1e-9;
  const widest = Math.max(Math.abs(lat - reach), Math.abs(lat + reach));
  // On a sphere the outermost longitude lies beyond the parallel of the centre.
  const across = widest >= 90 ? 360 : reach / Math.cos(widest * RADIAN);
  const beyond = lon - across < -180 || lon + across > 180;
  return { lat: [lat - reach, lat + reach], lon: beyond ? null : [lon - across, lon + across] };
}
