import type { Device, Polygon } from '../../domain/index.ts';
import { positionInside } from './polygon.ts';
import { createRandom } from './random.ts';

/** A district as the simulated city needs it. */
export interface PlannedDistrict {
  readonly id: string;
  /** Name for people. */
  readonly name: string;
  readonly polygons: readonly Polygon[];
}

/** How a street is furnished: the first six differ, so that even a small fleet has some of everything. */
const FURNITURE = [
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

const NAMES: Readonly<Record<(typeof FURNITURE)[number], string>> = {
  'waste-bin': 'Waste bin',
  'air-quality': 'Air station',
  traffic: 'Road sensor',
  streetlight: 'Street lamp',
  noise: 'Sound meter',
  'water-level': 'Water gauge',
};

/**
 * Which devices stand where: spread over all districts and the six profiles, with names and a place inside their
 * district. The same seed gives the same places; an id (`waste-bin-harbour-2`) means the same profile and district
 * whatever the seed. Throws a RangeError without districts.
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
    const profile = FURNITURE[(round + (index % districts.length)) % FURNITURE.length]!;
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
