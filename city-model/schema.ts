import { z } from 'zod';
import {
  DAY_MS,
  DepartmentSchema,
  DOWNLINK_PART,
  type FaultCode,
  HOUR_MS,
  LocalTextSchema,
  type Metric,
  MetricSchema,
  MINUTE_MS,
  parseDuration,
  suggest,
  zoneFault,
} from '../domain/index.ts';
import { CodecsSchema } from './codecs.ts';
import { Values, withoutUnit } from './states.ts';
import { unless } from './wording.ts';

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

/** The name of an IANA zone. */
export const Zone = z.string().superRefine((zone, context) => {
  const fault = zoneFault(zone);
  if (fault !== null) context.addIssue(fault);
});

const TILES = 'an address with https:// whose path has {z}, {x} and {y}, such as https://tiles.example/{z}/{x}/{y}.png';

/** The host is one that a Content-Security-Policy can name; behind it stands what a browser fills in. */
function isTileAddress(text: string): boolean {
  const host = /^https?:\/\/[a-z0-9.-]+(?::\d{1,5})?\//i.exec(text)?.[0];
  return host !== undefined && ['{z}', '{x}', '{y}'].every((part) => text.slice(host.length).includes(part));
}

/** `city.yaml`. */
export const CityFileSchema = strict({
  name: Text,
  timezone: Zone,
  accepts: strict({ past: Duration.default(7 * DAY_MS), ahead: Duration.default(5 * MINUTE_MS) }).prefault({}),
  publication: strict({
    licence: z.string().default('CC-BY-4.0'),
    coordinate_decimals: z.number().int().min(0).max(6).default(3),
    readings: z.array(z.string()).default([]),
    requests: z.boolean().default(false),
    shared: strict({ readings: z.boolean().default(true), alerts: z.boolean().default(true) }).prefault({}),
  }).prefault({}),
  open311: strict({
    jurisdiction: z.string().min(1).max(200).nullable().default(null),
    contact: Text.nullable().default(null),
    key_service: Text.nullable().default(null),
  }).prefault({}),
  map: strict({
    tiles: z.string().refine(isTileAddress, TILES).nullable().default(null),
    attribution: z.string().max(300).default(''),
  }).prefault({}),
});

const { unit, kind, min, max } = MetricSchema.shape;

const REASON = z.string().min(1).max(200).nullable().default(null);
const MOST_CODES = 64;

/** A fault code as it is written: a value, or values with a reason. */
const Code = z.union(
  [
    z.number(),
    strict({ value: z.number(), reason: REASON }),
    strict({ from: z.number(), to: z.number(), reason: REASON }).refine(({ from, to }) => from <= to, {
      path: ['to'],
      message: 'from must be at or under to',
      when: ({ value }) => hasNumbers(value, 'from', 'to'),
    }),
  ],
  { error: unless('a fault code is a number, { value, reason } or { from, to, reason }') },
);
const Codes = z
  .array(Code)
  .max(MOST_CODES)
  .default([])
  .transform((codes) => codes.map(faultCodeOf));

function faultCodeOf(code: z.output<typeof Code>): FaultCode {
  if (typeof code === 'number') return { from: code, to: code, reason: null };
  return 'value' in code ? { from: code.value, to: code.value, reason: code.reason } : code;
}

/** Beyond this a power of ten is no longer a number. */
const LOUDEST_DB = 300;

/** `metrics.yaml`. */
export const MetricsSchema = z.record(
  Id,
  z.preprocess(
    withoutUnit,
    strict({
      title: Text,
      unit: unit.min(1),
      kind: kind.default('gauge'),
      min,
      max,
      invalid: Codes,
      values: Values.exactOptional(),
    })
      .refine((metric) => metric.min < metric.max, {
        path: ['min'],
        message: 'min must be below max',
        // Checked even where other fields have mistakes.
        when: ({ value }) => hasNumbers(value, 'min', 'max'),
      })
      .superRefine((metric, context) => {
        for (const [path, message] of kindFaults(metric)) context.addIssue({ code: 'custom', path: [path], message });
      }),
  ),
);

/** Yields what of a metric does not go with its kind. */
function* kindFaults({
  kind,
  unit,
  min,
  max,
  values,
}: Pick<Metric, 'kind' | 'unit' | 'min' | 'max' | 'values'>): Generator<[string, string]> {
  if (kind === 'state' && values === undefined) yield ['values', 'a state has values: [open, closed, fault]'];
  if (kind !== 'state' && values !== undefined) yield ['values', 'only a state has values: write kind: state'];
  if (kind === 'counter' && min !== 0) yield ['min', 'a counter begins at 0: write min: 0'];
  if (kind === 'angle' && unit !== 'deg') yield ['unit', 'an angle is in degrees: write unit: deg'];
  if (kind === 'level' && !unit.startsWith('dB')) yield ['unit', 'a level is in decibels: write unit: dB'];
  if (kind === 'presence' && (unit !== '1' || min !== 0 || max !== 1)) {
    yield ['kind', 'a presence is true or false: write unit: "1", min: 0, max: 1'];
  }
  if (kind === 'level' && (max > LOUDEST_DB || min < -LOUDEST_DB)) {
    yield ['max', `a level lies between ${-LOUDEST_DB} and ${LOUDEST_DB} dB`];
  }
}

function hasNumbers(value: unknown, ...keys: readonly string[]): boolean {
  return keys.every((key) => typeof (value as Record<string, unknown> | null)?.[key] === 'number');
}

/** The map comes first: a mistake in a map is reported as such, not as a misspelt `ignore`. */
const Field = z.union([
  strict({ metric: z.string(), unit: z.string().nullable().default(null) }),
  z.literal('ignore', { error: unless('write { metric: …, unit: … }, or ignore') }),
]);

const Limit = z.number().positive().max(1_000_000_000).nullable().default(null);

const Parameter = strict({
  type: z.enum(['number', 'integer', 'string', 'boolean'], {
    error: unless('write number, integer, string or boolean'),
  }),
  min: z.number().nullable().default(null),
  max: z.number().nullable().default(null),
  enum: z
    .array(z.union([z.string().max(200), z.number()]))
    .min(1)
    .max(64)
    .nullable()
    .default(null),
  optional: z.boolean().default(false),
}).refine(({ min, max }) => (min ?? Number.NEGATIVE_INFINITY) <= (max ?? Number.POSITIVE_INFINITY), {
  path: ['min'],
  message: 'min must be at or under max',
});

const MOST_COMMANDS = 32;
const LONGEST_VALID_MS = 366 * DAY_MS;

const DownlinkSchema = strict({
  port: z.number().int().min(1).max(223),
  bytes: z.string().max(512).nullable().default(null),
})
  .nullable()
  .default(null);

/** Returns the mistake in the bytes of a downlink; null where there is none. */
function bytesFault(bytes: string | null, parameters: Readonly<Record<string, z.output<typeof Parameter>>>) {
  const parts = bytes?.split(/(\{[^}]*\})/).filter((part) => part !== '') ?? [];
  if (bytes !== null && parts.length === 0) return 'no bytes; leave it out where the network server encodes the object';
  for (const part of parts) {
    const [, name] = DOWNLINK_PART.exec(part) ?? [];
    if (name === undefined) {
      if (/^([0-9a-f]{2})+$/i.test(part)) continue;
      return `"${part}" is neither hexadecimal digits nor a parameter such as {level:u8}, {level:u16le}`;
    }
    const parameter = Object.hasOwn(parameters, name) ? parameters[name]! : null;
    if (parameter === null) return `there is no parameter "${name}"${suggest(name, Object.keys(parameters))}`;
    if (parameter.optional || parameter.type === 'string')
      return `${name} is in the bytes: a number that is not optional`;
  }
  return null;
}

/** Commands of a profile. */
const Commands = z
  .record(
    Id,
    strict({
      title: Text,
      parameters: z.record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_-]{0,63}$/, 'not a name'), Parameter).default({}),
      automatic: z.boolean().default(false),
      downlink: DownlinkSchema,
      valid_for: Positive.refine((ms) => ms <= LONGEST_VALID_MS, 'a command is valid for at most 366d').default(
        HOUR_MS,
      ),
    }).superRefine(({ downlink, parameters }, context) => {
      const fault = downlink === null ? null : bytesFault(downlink.bytes, parameters);
      if (fault !== null) context.addIssue({ code: 'custom', path: ['downlink', 'bytes'], message: fault });
    }),
  )
  .refine((commands) => Object.keys(commands).length <= MOST_COMMANDS, `at most ${MOST_COMMANDS} commands`)
  .default({});

const Enrolled = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._:-]{1,62}\*?$/, 'an id, or two or more characters of its beginning and *: "bin-*"');

/** `profiles.yaml`. */
export const ProfilesSchema = z.record(
  Id,
  strict({
    title: Text,
    kind: z.enum(['device', 'gateway'], { error: unless('write device or gateway') }).default('device'),
    enrol: strict({
      devices: z.union([z.array(Enrolled).min(1).max(16), Enrolled.transform((one) => [one])]),
      profile: z.string(),
      most: z.number().int().min(1).max(10_000).default(100),
    }).exactOptional(),
    metrics: z.array(z.string()).min(1, 'a profile has a metric').max(32, 'a profile has at most 32 metrics'),
    interval: Positive,
    limits: strict({ messages_per_second: Limit, bytes_per_second: Limit }).default({
      messages_per_second: null,
      bytes_per_second: null,
    }),
    departments: z.array(z.string()).default([]),
    invalid: z.record(z.string(), Codes).default({}),
    clock: z.enum(['device', 'receipt'], { error: unless('write device or receipt') }).default('device'),
    quality: z.boolean().default(false),
    codec: CodecsSchema,
    fields: z.record(z.string().min(1).max(256), Field).default({}),
    commands: Commands,
  }).refine(({ kind, enrol }) => enrol === undefined || kind === 'gateway', {
    path: ['enrol'],
    message: 'only a gateway enrols devices: write kind: gateway',
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

const AssetId = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$/, 'an id has letters, digits, . _ : - and at most 64 characters');
const MOST_ASSETS = 20_000;

const AssetPoint = z.object(
  {
    type: z.literal('Point', { error: unless('an asset is a Point') }),
    coordinates: Position.refine(
      ([lon, lat]) => Math.abs(lon!) <= 180 && Math.abs(lat!) <= 90,
      'is not [longitude, latitude] in degrees (WGS 84)',
    ),
  },
  { error: unless('an asset is a Point') },
);

/** `assets.geojson`, which is optional. */
export const AssetsSchema = z.object({
  type: z.literal('FeatureCollection'),
  features: z
    .array(
      z.object({
        type: z.literal('Feature'),
        id: AssetId,
        properties: z.object({
          kind: Id,
          title: Text.nullable().default(null),
          services: z.array(z.string()).default([]),
        }),
        geometry: AssetPoint,
      }),
    )
    .max(MOST_ASSETS, `a city has at most ${MOST_ASSETS} assets`),
});

/** `districts.geojson`. Unknown members are allowed (RFC 7946 §6.1). */
export const DistrictsSchema = z.object({
  type: z.literal('FeatureCollection'),
  features: z
    .array(z.object({ type: z.literal('Feature'), id: Id, properties: z.object({ title: Text }), geometry: Geometry }))
    .min(1, 'a city has at least one district'),
});
