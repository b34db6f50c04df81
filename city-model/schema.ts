import { z } from 'zod';
import { parseDuration, suggest } from '../domain/index.ts';

const LONGEST_MS = 3_650 * 86_400_000;

/** An object without unknown keys; an unknown one is answered by `hints`, or else with the nearest known. */
export function strict<T extends z.ZodRawShape>(
  shape: T,
  hints: Readonly<Record<string, string>> = {},
): z.ZodObject<T, z.core.$strict> {
  const answer = (key: string) =>
    Object.hasOwn(hints, key) ? hints[key]! : `unknown key${suggest(key, Object.keys(shape))}`;
  return z.strictObject(shape, {
    // One line a key, in their order.
    error: (issue) => (issue.code === 'unrecognized_keys' ? issue.keys.map(answer).join('\n') : undefined),
  });
}

/** A schema's own words for a value of the wrong type; a value that is missing is named as such. */
export const unless =
  (message: string) =>
  ({ input }: { readonly input?: unknown }): string | undefined =>
    input === undefined ? undefined : message;

/** `15m` as milliseconds; at most ten years. */
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

/** A text in both languages. */
export const Text = strict({ en: z.string().min(1), zh: z.string().min(1) });

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

/** `supportedValuesOf` leaves out aliases such as Asia/Kolkata, and the formatter alone also takes `+08:00`. */
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
  accepts: strict({ past: Duration.default(604_800_000), ahead: Duration.default(300_000) }).prefault({}),
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

/** `metrics.yaml`. */
export const MetricsSchema = z.record(
  Id,
  strict({ title: Text, unit: z.string().min(1), min: z.number(), max: z.number() }).refine(
    ({ min, max }) => min < max,
    {
      path: ['min'],
      message: 'min must be below max',
      // Also beside other mistakes.
      when: ({ value }) => hasNumbers(value, 'min', 'max'),
    },
  ),
);

function hasNumbers(value: unknown, ...keys: readonly string[]): boolean {
  return keys.every((key) => typeof (value as Record<string, unknown> | null)?.[key] === 'number');
}

/** The map stands first: a mistake in one is not answered as if `ignore` had been meant. */
const Field = z.union([
  strict({ metric: z.string(), unit: z.string().nullable().default(null) }),
  z.literal('ignore', { error: unless('write { metric: …, unit: … }, or ignore') }),
]);

/** `profiles.yaml`. */
export const ProfilesSchema = z.record(
  Id,
  strict({
    title: Text,
    metrics: z.array(z.string()).min(1, 'a profile has a metric').max(32, 'a profile has at most 32 metrics'),
    interval: Positive,
    fields: z.record(z.string().min(1).max(256), Field).default({}),
  }),
);

/** `departments.yaml`: departments of the city, and the parties beside them. */
export const DepartmentsSchema = z.record(
  Id,
  strict({ title: Text, kind: z.enum(['department', 'contractor', 'community']).default('department') }),
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
