import { z } from 'zod';
import { LocalTextSchema } from './city.ts';
import { PlaceSchema } from './device.ts';
import { distanceM, type Place } from './geo.ts';
import type { ShapeOf } from './schema.ts';

/** A thing of the city that has a place: a pole, a bin, a manhole. Devices sit on one, tickets are about one. */
export const AssetSchema = z.object({
  id: z.string(),
  kind: z.string().describe('Such as pole, bin or manhole'),
  title: LocalTextSchema.nullable(),
  services: z.array(z.string()).readonly().describe('The services that may be requested for it'),
  location: PlaceSchema,
});
export type Asset = ShapeOf<typeof AssetSchema>;

/** Degrees: about a kilometre. A search reads a few cells, however many assets the city has. */
const CELL = 0.01;
const grids = new WeakMap<ReadonlyMap<string, Asset>, ReadonlyMap<string, readonly Asset[]>>();

function gridOf(assets: ReadonlyMap<string, Asset>): ReadonlyMap<string, readonly Asset[]> {
  const known = grids.get(assets);
  if (known !== undefined) return known;
  const grid = Map.groupBy(assets.values(), ({ location: { lat, lon } }) => cellOf(lat, lon));
  grids.set(assets, grid);
  return grid;
}

const cellOf = (lat: number, lon: number) => `${Math.floor(lat / CELL)} ${Math.floor(lon / CELL)}`;

/** Metres of a degree of latitude, at least. */
const DEGREE_M = 110_000;

/** Returns the nearest asset of some kinds within some metres (at most 500); null where there is none. */
export function nearestAsset(
  assets: ReadonlyMap<string, Asset>,
  kinds: readonly string[],
  { lat, lon }: Place,
  withinM: number,
): Asset | null {
  const grid = gridOf(assets);
  // Far from the equator cells are narrow.
  const cellM = CELL * DEGREE_M * Math.max(0.01, Math.cos((Math.abs(lat) + CELL) * (Math.PI / 180)));
  const wide = Math.ceil(withinM / cellM);
  const easts = Array.from({ length: 2 * wide + 1 }, (_, i) => i - wide);
  const around = [-1, 0, 1].flatMap((north) => easts.map((east) => cellOf(lat + north * CELL, lon + east * CELL)));
  const [first] = around
    .flatMap((cell) => grid.get(cell) ?? [])
    .filter(({ kind }) => kinds.includes(kind))
    .map((asset) => ({ asset, away: distanceM(asset.location, { lat, lon }) }))
    .filter(({ away }) => away <= withinM)
    .sort((a, b) => a.away - b.away || (a.asset.id < b.asset.id ? -1 : 1));
  return first?.asset ?? null;
}
