import { contains, type Device, type Place, type Polygon } from '../../domain/index.ts';
import { between, createRandom, type Random } from './random.ts';

/** A district as the simulated city needs it. */
export interface PlannedDistrict {
  readonly id: string;
  /** Name for people. */
  readonly name: string;
  readonly polygons: readonly Polygon[];
}

/** The mix of profiles. The first six differ, so that even a small fleet has all of them. */
const PROFILES = [
  'waste-bin',
  'air-quality',
  'traffic',
  'streetlight',
  'noise',
  'water-level',
  'streetlight',
  'waste-bin',
  'traffic',
  'streetlight',
  'air-quality',
  'waste-bin',
  'noise',
  'streetlight',
  'waste-bin',
] as const;

const NAMES: Readonly<Record<(typeof PROFILES)[number], string>> = {
  'waste-bin': 'Waste bin',
  'air-quality': 'Air station',
  traffic: 'Road sensor',
  streetlight: 'Street lamp',
  noise: 'Sound meter',
  'water-level': 'Water gauge',
};

/**
 * Plans the devices of a city, spread over all districts and the six profiles, each with a name and a place inside its
 * district. The same seed gives the same places. An id (`waste-bin-harbour-2`) has the same profile and district under
 * every seed. Throws a RangeError without districts.
 */
export function planCity(options: {
  readonly seed: string;
  readonly devices: number;
  readonly districts: readonly PlannedDistrict[];
}): Device[] {
  const { seed, devices, districts } = options;
  if (districts.length === 0) throw new RangeError('a city needs at least one district');
  const counts = new Map<string, number>();
  return Array.from({ length: devices }, (_, index) => {
    const round = Math.floor(index / districts.length);
    const district = districts[index % districts.length]!;
    const profile = PROFILES[(round + (index % districts.length)) % PROFILES.length]!;
    const kind = `${profile}-${district.id}`;
    const number = (counts.get(kind) ?? 0) + 1;
    counts.set(kind, number);
    return deviceOf(seed, { id: `${kind}-${number}`, profile, district, number });
  });
}

function deviceOf(
  seed: string,
  planned: { id: string; profile: keyof typeof NAMES; district: PlannedDistrict; number: number },
): Device {
  const { id, profile, district, number } = planned;
  const random = createRandom(`${seed}:place:${id}`);
  const polygon = district.polygons[Math.floor(random() * district.polygons.length)]!;
  return {
    id,
    profile,
    district: district.id,
    name: `${NAMES[profile]} ${number}, ${district.name}`,
    location: positionInside(polygon, random),
    tags: { source: 'simulator' },
  };
}

/** Returns a random position inside a polygon. Throws a RangeError for a polygon without an interior. */
function positionInside(polygon: Polygon, random: Random): Place {
  const ring = polygon[0] ?? [];
  const lons = ring.map(([lon]) => lon);
  const lats = ring.map(([, lat]) => lat);
  for (let attempt = 0; attempt < 10_000; attempt++) {
    const lon = round(between(random, Math.min(...lons), Math.max(...lons)));
    const lat = round(between(random, Math.min(...lats), Math.max(...lats)));
    if (contains(polygon, { lat, lon })) return { lat, lon };
  }
  throw new RangeError('the polygon has no interior');
}

function round(degrees: number): number {
  return Math.round(degrees * 1e6) / 1e6;
}
