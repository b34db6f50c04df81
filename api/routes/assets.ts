import type { z } from 'zod';
import { type Asset, AssetSchema, distanceM } from '../../domain/index.ts';
import type { ApiDeps } from '../deps.ts';
import { found, Id, Name, Names, Paged, pageOf } from '../schema.ts';
import { Search } from '../search.ts';
import type { App } from './routes.ts';

const AssetResponse = AssetSchema.meta({ id: 'Asset', description: 'A pole, bin or manhole of the city' });
const config = { permission: 'devices.read' } as const;
const tags = ['city'];

const Query = Paged.extend({ kind: Names.exactOptional(), service: Name.exactOptional(), ...Search });
type Wanted = Pick<z.output<typeof Query>, 'kind' | 'service' | 'bbox' | 'near' | 'q'>;

/** `/api/v1/assets`: what `assets.geojson` of the city folder has. */
export function assetRoutes(app: App, { city }: Pick<ApiDeps, 'city'>): void {
  app.get(
    '/api/v1/assets',
    {
      config,
      schema: {
        tags,
        summary: 'Lists the assets of the city, by kind, service, place or words, in the order of their ids',
        querystring: Query,
        response: { 200: pageOf(AssetResponse) },
      },
    },
    async ({ query: { limit, after, ...wanted } }) => {
      const some = [...city().assets.values()]
        .filter((asset) => (after === null || asset.id > after) && matches(asset, wanted))
        .sort((a, b) => (a.id < b.id ? -1 : 1));
      return { items: some.slice(0, limit), next: some.length > limit ? some[limit - 1]!.id : null };
    },
  );
  app.get(
    '/api/v1/assets/:id',
    { config, schema: { tags, summary: 'Returns an asset', params: Id, response: { 200: AssetResponse } } },
    async ({ params: { id } }) => found(city().assets.get(id) ?? null, `asset "${id}"`),
  );
}

function matches({ id, kind, title, services, location }: Asset, wanted: Wanted): boolean {
  const { bbox, near, q } = wanted;
  if (wanted.kind?.includes(kind) === false) return false;
  if (wanted.service !== undefined && !services.includes(wanted.service)) return false;
  if (near !== undefined && distanceM(near, location) > near.metres) return false;
  if (bbox !== undefined && !isIn(location, bbox)) return false;
  return q === undefined || [id, title?.en, title?.zh].some((text) => text?.toLowerCase().includes(q.toLowerCase()));
}

function isIn({ lat, lon }: Asset['location'], { west, south, east, north }: NonNullable<Wanted['bbox']>): boolean {
  const across = west <= east ? lon >= west && lon <= east : lon >= west || lon <= east;
  return across && lat >= south && lat <= north;
}
