import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { LamppostError, type Polygon, parseDuration } from '../../domain/index.ts';
import type { PlannedDistrict } from './plan.ts';

/** What the simulator needs of a city folder. */
export interface SimulatedCity {
  readonly districts: readonly PlannedDistrict[];
  /** How often a device of each profile reports, ms. */
  readonly intervalsMs: ReadonlyMap<string, number>;
  /** IANA zone. */
  readonly zone: string;
  /** The names of the formats that it declares. */
  readonly formats: ReadonlySet<string>;
}

interface Feature {
  readonly id?: string | number;
  readonly properties?: { readonly id?: string; readonly title?: unknown; readonly name?: unknown } | null;
  readonly geometry: { readonly type: string; readonly coordinates: unknown };
}

/**
 * Reads districts, intervals and time zone from a city folder. It reads only what it needs; the server checks the
 * folder. Throws `city` where a file is missing or malformed.
 */
export function readCityFolder(folder: string): SimulatedCity {
  const zone = read(folder, 'city.yaml', (text) => (parse(text) as { timezone?: string }).timezone ?? 'UTC');
  const districts = read(folder, 'districts.geojson', (text) =>
    (JSON.parse(text) as { features: Feature[] }).features.map(districtOf),
  );
  const formats = existsSync(join(folder, 'formats.yaml')) ? read(folder, 'formats.yaml', namesIn) : new Set<string>();
  return { districts, zone, formats, intervalsMs: read(folder, 'profiles.yaml', intervalsOf) };
}

const namesIn = (text: string) => new Set(Object.keys((parse(text) as object | null) ?? {}));

function read<T>(folder: string, file: string, parseText: (text: string) => T): T {
  try {
    return parseText(readFileSync(join(folder, file), 'utf8'));
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new LamppostError('city', `${join(folder, file)} cannot be used: ${why}`, { cause });
  }
}

function districtOf({ id, properties, geometry }: Feature): PlannedDistrict {
  const name = english(properties?.title) ?? english(properties?.name);
  const key = String(id ?? properties?.id);
  const polygons = geometry.type === 'Polygon' ? [geometry.coordinates] : geometry.coordinates;
  return { id: key, name: name ?? key, polygons: polygons as readonly Polygon[] };
}

function english(text: unknown): string | undefined {
  if (typeof text === 'string') return text;
  return (text as { en?: string } | null | undefined)?.en;
}

function intervalsOf(text: string): Map<string, number> {
  const profiles = Object.entries(parse(text) as Record<string, { interval: string }>);
  return new Map(
    profiles.map(([id, { interval }]) => {
      const ms = parseDuration(String(interval));
      if (ms === null) throw new RangeError(`${id}.interval: "${interval}" is not a duration such as 30s or 15m`);
      return [id, ms];
    }),
  );
}
