import { z } from 'zod';
import { parseDuration } from './duration.ts';
import { suggest } from './suggest.ts';

/** An object without unknown keys; an unknown one is answered with the nearest known. */
export function strict<T extends z.ZodRawShape>(shape: T): z.ZodObject<T, z.core.$strict> {
  return z.strictObject(shape, {
    error: (issue) =>
      issue.code === 'unrecognized_keys' ? `unknown key${suggest(issue.keys[0]!, Object.keys(shape))}` : undefined,
  });
}

/** `15m` as milliseconds. */
export const Duration = z.string().transform((text, context) => {
  const ms = parseDuration(text);
  if (ms !== null) return ms;
  context.addIssue(`"${text}" is not a duration; write 30s, 15m, 4h or 7d`);
  return z.NEVER;
});

/** A text in both languages. */
export const Text = strict({ en: z.string().min(1), zh: z.string().min(1) });

/** Ids are topic levels and URL parts. */
export const Id = z.string().regex(/^[a-z0-9][a-z0-9_-]{0,63}$/, 'an id has a-z, 0-9, - and _, at most 64 of them');

const zones = new Set(Intl.supportedValuesOf('timeZone'));
const Zone = z.string().refine((zone) => zones.has(zone) || zone === 'UTC', 'not an IANA zone such as Europe/Berlin');
const TimeOfDay = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/, 'a time of day is "09:00"');

export const CityFileSchema = strict({
  name: Text,
  timezone: Zone,
  accepts: strict({ past: Duration.default(604_800_000), ahead: Duration.default(300_000) }).prefault({}),
  publication: strict({
    licence: z.string().default('CC-BY-4.0'),
    coordinate_decimals: z.number().int().min(0).max(6).default(3),
  }).prefault({}),
});

export const MetricsSchema = z.record(
  Id,
  strict({ title: Text, unit: z.string().min(1), min: z.number(), max: z.number() }).refine(
    ({ min, max }) => min < max,
    { path: ['min'], message: 'min must be below max' },
  ),
);

export const ProfilesSchema = z.record(
  Id,
  strict({ title: Text, metrics: z.array(z.string()).min(1).max(32, 'a profile has at most 32 metrics'), interval: Duration }),
);

export const DepartmentsSchema = z.record(Id, strict({ title: Text }));

export const ServicesSchema = z.record(Id, strict({ title: Text, department: z.string(), deadline: Duration }));

const Weekday = z.enum(['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun']);
export const CalendarsSchema = z.record(
  Id,
  strict({
    title: Text,
    weekdays: z.array(Weekday).min(1),
    from: TimeOfDay,
    to: TimeOfDay,
    holidays: z.array(z.iso.date()).default([]),
  }),
);

const Position = z.array(z.number()).min(2).max(3);
const Ring = z.array(Position).min(4, 'a ring closes: at least four positions, the last like the first');
const Geometry = z.discriminatedUnion('type', [
  strict({ type: z.literal('Polygon'), coordinates: z.array(Ring).min(1) }),
  strict({ type: z.literal('MultiPolygon'), coordinates: z.array(z.array(Ring).min(1)).min(1) }),
]);

export const DistrictsSchema = strict({
  type: z.literal('FeatureCollection'),
  features: z
    .array(strict({ type: z.literal('Feature'), id: Id, properties: z.looseObject({ title: Text }), geometry: Geometry }))
    .min(1),
});
