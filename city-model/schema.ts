import { z } from 'zod';
import {
  DAY_MS,
  DepartmentSchema,
  LocalTextSchema,
  MetricSchema,
  MINUTE_MS,
  parseDuration,
  suggest,
} from '../domain/index.ts';

const LONGEST_MS = 3_650 * DAY_MS;

/**
 * Creates a schema of an object without unknown keys. The error names the hint of the key, or the nearest known key.
 */
export function strict<T extends z.ZodRawShape>(
  shape: T,
  hints: Readonly<Record<string, string>> = {},
): z.ZodObject<T, z.core.$strict> {
  const hintOf = (key: string) =>
    Object.hasOwn(hints, key) ? hints[key]! : `unknown key${suggest(key, Object.keys(shape))}`;
  return z.strictObject(shape, {
    // One line per key, in their order.
    error: (issue) => (issue.code === 'unrecognized_keys' ? issue.keys.map(hintOf).join('\n') : undefined),
  });
}

/** Sets the error message for a value of the wrong type; a missing value keeps the message for missing values. */
export const unless =
  (message: string) =>
  ({ input }: { readonly input?: unknown }): string | undefined =>
    input === undefined ? undefined : message;

/** Parses `15m` into milliseconds; at most ten years. */
export const Duration = z
  .string({ error: unless('not a duration; write 30s, 15m, 4h or 7d') })
  .transform((text, context) => {
    const ms = parseDuration(text);
    if (ms !== null && ms <= LONGEST_MS) return ms;
    context.addIssue(
      ms === null ? `"${text}" is not a duration; write 30s, 15m, 4h or 7d` : `"${text}" is too long; at most 3650d`,
    );
    return z.NEVER;
  });

/** A duration that is not `0s`. */
export const Positive = Duration.refine((ms) => ms > 0, 'must be longer than 0s');

const { en, zh } = LocalTextSchema.shape;
/** A text in both languages, neither of them empty. */
export const Text = strict({ en: en.min(1), zh: zh.min(1) });

/** Ids are topic levels and URL parts. */
export const Id = z
  .string()
  .regex(
    /^[a-z0-9][a-z0-9_-]{0,63}$/,
    'an id has a-z, 0-9, - and _, begins with a letter or digit, and has at most 64',
  );

const Zone = z.string().superRefine((zone, context) => {
  if (isZone(zone)) return;
  const near = suggest(zone, Intl.supportedValuesOf('timeZone'));
  context.addIssue(`"${zone}" is not an IANA zone such as Europe/Berlin${near}`);
});

/** `supportedValuesOf` omits aliases such as Asia/Kolkata, and the formatter alone also accepts `+08:00`. */
function isZone(zone: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: zone });
    return /^[A-Z]/.test(zone);
  } catch {
    return false;
  }
}

/** `city.yaml`. */
export const CityFileSchema = strict({
  name: Text,
  timezone: Zone,
  accepts: strict({ past: Duration.default(7 * DAY_MS), ahead: Duration.default(5 * MINUTE_MS) }).prefault({}),
  publication: strict({
    licence: z.string().default('CC-BY-4.0'),
    coordinate_decimals: z.number().int().min(0).max(6).default(3),
  }).prefault({}),
  open311: strict({
    jurisdiction: z.string().min(1).max(200).nullable().default(null),
    contact: Text.nullable().default(null),
    key_service: Text.nullable().default(null),
  }).prefault({}),
});

const { unit, min, max } = MetricSchema.shape;

/** `metrics.yaml`. */
export const MetricsSchema = z.record(
  Id,
  strict({ title: Text, unit: unit.min(1), min, max }).refine((metric) => metric.min < metric.max, {
    path: ['min'],
    message: 'min must be below max',
    // Checked even where other fields have mistakes.
    when: ({ value }) => hasNumbers(value, 'min', 'max'),
  }),
);

function hasNumbers(value: unknown, ...keys: readonly string[]): boolean {
  return keys.every((key) => typeof (value as Record<string, unknown> | null)?.[key] === 'number');
}

/** The map comes first: a mistake in a map is reported as such, not as a misspelt `ignore`. */
const Field = z.union([
  strict({ metric: z.string(), unit: z.string().nullable().default(null) }),
  z.literal('ignore', { error: unless('write { metric: …, unit: … }, or ignore') }),
]);

const Limit = z.number().positive().max(1_000_000_000).nullable().default(null);

/** `profiles.yaml`. */
export const ProfilesSchema = z.record(
  Id,
  strict({
    title: Text,
    metrics: z.array(z.string()).min(1, 'a profile has a metric').max(32, 'a profile has at most 32 metrics'),
    interval: Positive,
    limits: strict({ messages_per_second: Limit, bytes_per_second: Limit }).default({
      messages_per_second: null,
      bytes_per_second: null,
    }),
    fields: z.record(z.string().min(1).max(256), Field).default({}),
  }),
);

/** `departments.yaml`: departments of the city, and the parties beside them. */
export const DepartmentsSchema = z.record(
  Id,
  strict({ title: Text, kind: DepartmentSchema.shape.kind.default('department') }),
);

const TimeOfDay = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/, 'a time of day is "09:00"');
const EndOfDay = z.string().regex(/^(([01]\d|2[0-3]):[0-5]\d|24:00)$/, 'a time of day is "09:00", at most "24:00"');
/** In the order of ISO 8601: Monday is 1. */
export const WEEKDAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;
const Weekday = z.enum(WEEKDAYS);
const LocalDate = z.iso.date('a day is "2026-10-01"');
const Span = { weekdays: z.array(Weekday).min(1), from: TimeOfDay, to: EndOfDay };
const OneSpan = { weekdays: Span.weekdays.optional(), from: TimeOfDay.optional(), to: EndOfDay.optional() };

/** `calendars.yaml`: one span as `weekdays`, `from`, `to`, or several as `spans`. */
export const CalendarsSchema = z.record(
  Id,
  strict({
    title: Text,
    zone: Zone.optional(),
    ...OneSpan,
    spans: z.array(strict(Span)).min(1).optional(),
    holidays: z.array(LocalDate).default([]),
    workdays: z.array(strict({ date: LocalDate, as: Weekday })).default([]),
  }).superRefine(({ spans, ...one }, context) => {
    const keys = ['weekdays', 'from', 'to'] as const;
    for (const key of keys) {
      if (spans !== undefined && one[key] !== undefined)
        context.addIssue({ code: 'custom', path: [key], message: 'beside spans, put it into one of them' });
      if (spans === undefined && one[key] === undefined)
        context.addIssue({ code: 'custom', path: [key], message: 'is missing' });
    }
  }),
);

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
    // One problem per ring: a file in another projection would have as many mistakes as positions.
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

/** `districts.geojson`. Unknown members are allowed (RFC 7946 §6.1). */
export const DistrictsSchema = z.object({
  type: z.literal('FeatureCollection'),
  features: z
    .array(z.object({ type: z.literal('Feature'), id: Id, properties: z.object({ title: Text }), geometry: Geometry }))
    .min(1, 'a city has at least one district'),
});
