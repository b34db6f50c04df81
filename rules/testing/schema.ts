import { z } from 'zod';
import { Duration, Id, Positive, strict, unless } from '../../city-model/index.ts';
import { DAY_MS, DEVICE_ID, HOUR_MS, MINUTE_MS, parseDuration, SECOND_MS, SEVERITIES } from '../../domain/index.ts';

const CLOCK = /^(?:\+(\d{1,4})d )?(\d{1,2}):([0-5]\d)(?::([0-5]\d))?$/;
const HINT =
  'a time is "10:00", "10:00:30", "+1d 10:00", a duration since the start such as 90m, or "2026-03-29T10:00" by the clock';
/** What the city's clocks show, or (with an offset) an instant. */
const WALL = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?(Z|[+-]\d\d:\d\d)?$/;

/**
 * `10:00[:30]`, `+1d 10:00` or `90m`, as milliseconds after the start: on a day on which the clocks change, that is not
 * what they show. `2026-03-29T10:00` is, and stays a text.
 */
const At = z.string({ error: unless(HINT) }).transform((text, context): number | string => {
  if (WALL.test(text) && Number.isFinite(Date.parse(text))) return text;
  const clock = CLOCK.exec(text);
  const ms = clock === null ? parseDuration(text) : clockMs(clock);
  if (ms !== null) return ms;
  context.addIssue(`"${text}" is not a time: ${HINT}`);
  return z.NEVER;
});

function clockMs([, days, hours, minutes, seconds]: RegExpExecArray): number {
  return (
    Number(days ?? 0) * DAY_MS +
    Number(hours) * HOUR_MS +
    Number(minutes) * MINUTE_MS +
    Number(seconds ?? 0) * SECOND_MS
  );
}

const DeviceId = z.string().regex(DEVICE_ID, 'is not the id of a device');
/** One value, or the first and the last value of a ramp. */
const Value = z.union([z.number(), z.tuple([z.number(), z.number()])], {
  error: unless('a value is a number, or [first, last] of a ramp'),
});

const SPAN = { for: Duration.optional(), every: Positive.optional() };
const WORDS = { at: At, device: DeviceId.optional(), ...SPAN, suspect: z.literal(true).optional() };
/** All other keys are metrics. */
const Readings = z.object(WORDS).catchall(Value);

const Device = strict({
  id: DeviceId,
  profile: Id.optional(),
  district: Id.optional(),
  name: z.string().optional(),
  tags: z.record(z.string(), z.string()).optional(),
  registered: At.optional(),
});

const WHICH = { device: DeviceId.optional(), district: Id.optional(), group: z.string().optional() };
const Expected = strict({
  at: At,
  state: z.enum(['inactive', 'pending', 'firing']),
  ...WHICH,
  severity: z.enum(SEVERITIES).optional(),
  value: z.number().nullable().optional(),
});
const Ticket = strict({ ...WHICH, opened: At, resolved: At.optional(), severity: z.enum(SEVERITIES).optional() });

const CASE = {
  name: z.string().optional(),
  devices: z.array(Device).min(1, 'name at least one, or leave it out').optional(),
  /** Local time of the city if it has no zone. */
  start: z
    .string()
    .regex(
      /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d)?(Z|[+-]\d\d:\d\d)?)?$/,
      'a start is 2026-03-02, 2026-03-02T06:00 (local time of the city) or 2026-03-02T06:00:00Z',
    )
    .refine((text) => Number.isFinite(Date.parse(text)), 'there is no such date')
    .optional(),
  readings: z.array(Readings).default([]),
  expect: z.array(Expected).default([]),
  tickets: z.array(Ticket).optional(),
};

/** A `*.test.yaml` with one case. */
export const CaseFile = strict({ rule: Id, ...CASE });
/** A `*.test.yaml` with several. */
export const CasesFile = strict({ rule: Id, cases: z.array(strict(CASE)).min(1, 'write at least one') });

/** A case as its author writes it. */
export type WrittenCase = Omit<z.output<typeof CaseFile>, 'rule'>;
/** The same with all times in ms after the start. */
type InMs<T> = {
  readonly [K in keyof T]: K extends 'at' | 'registered' | 'opened' | 'resolved' ? Exclude<T[K], string> : T[K];
};
export type WrittenDevice = InMs<z.output<typeof Device>>;
export type WrittenReadings = InMs<z.output<typeof Readings>>;
export interface TimedCase extends Omit<WrittenCase, 'devices' | 'readings' | 'expect' | 'tickets'> {
  readonly startMs: number;
  readonly devices: readonly WrittenDevice[] | undefined;
  readonly readings: readonly WrittenReadings[];
  readonly expect: readonly InMs<z.output<typeof Expected>>[];
  readonly tickets: readonly InMs<z.output<typeof Ticket>>[] | undefined;
}
export type Which = Pick<z.output<typeof Expected>, 'device' | 'district' | 'group'>;

/** Keys of an item of `readings` that are not metrics. */
export const READING_WORDS: readonly string[] = Object.keys(WORDS);
