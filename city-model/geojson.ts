import { z } from 'zod';
import { Id, Text, unless } from './schema.ts';

type Point = readonly number[];

const Position = z
  .array(z.number())
  .min(2, 'a position is [longitude, latitude]')
  .max(3, 'a position is [longitude, latitude]');

/** RFC 7946 §3.1.6: a linear ring is closed and has four or more positions. */
const Ring = z
  .array(Position)
  .min(4, 'a ring has at least four positions, the last like the first')
  .superRefine((ring, context) => {
    if (!same(ring[0], ring.at(-1))) context.addIssue('the ring is not closed: its last position must be its first');
    // Once a ring: a file in another projection would have as many mistakes as positions.
    const beyond = ring.findIndex(([lon, lat]) => Math.abs(lon!) > 180 || Math.abs(lat!) > 90);
    if (beyond === -1) return;
    const message = `[${ring[beyond]}] is not [longitude, latitude] in degrees (WGS 84)`;
    context.addIssue({ code: 'custom', path: [beyond], message });
  });

const same = (a: Point | undefined, b: Point | undefined) => a?.[0] === b?.[0] && a?.[1] === b?.[1];

const Geometry = z.discriminatedUnion(
  'type',
  [
    z.object({ type: z.literal('Polygon'), coordinates: z.array(Ring).min(1) }),
    z.object({ type: z.literal('MultiPolygon'), coordinates: z.array(z.array(Ring).min(1)).min(1) }),
  ],
  { error: unless('a district is a Polygon or a MultiPolygon') },
);

/** `districts.geojson`. Members that Lamppost does not know are allowed, as RFC 7946 §6.1 has it. */
export const DistrictsSchema = z.object({
  type: z.literal('FeatureCollection'),
  features: z
    .array(z.object({ type: z.literal('Feature'), id: Id, properties: z.object({ title: Text }), geometry: Geometry }))
    .min(1, 'a city has at least one district'),
});
