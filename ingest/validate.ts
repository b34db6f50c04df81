import { applied, type Conversion, convert, unitFault } from '../city-model/index.ts';
import type { City, MetricTable, Profile, Reason, Rejection } from '../domain/index.ts';
import { type RawReading, shortened, shown } from './decode/format.ts';

/** The limits of one metric's values. */
interface MetricCheck {
  /** Index in the metric table. */
  readonly metric: number;
  readonly min: number;
  readonly max: number;
  readonly unit: string;
}

/** The metric that a field of a message maps to. */
interface FieldCheck extends MetricCheck {
  readonly id: string;
  /** From the unit that the profile gives for the field; null where it is the metric's own unit. */
  readonly conversion: Conversion | null;
  /** Whether true and false count as 1 and 0: where the profile maps the field to a metric without a unit (unit 1). */
  readonly truth: boolean;
}

/** The checks of one profile, compiled from the city: one look-up and two comparisons a value. */
export interface ProfileChecks {
  readonly profile: string;
  /** Fields in the metric's unit whose metric no other field maps to: all fields, where the profile has no mapping. */
  readonly byName: Readonly<Record<string, MetricCheck>>;
  /** Every field that the profile knows; null: the field is ignored. */
  readonly fields: Readonly<Record<string, FieldCheck | null>>;
  /** Whether unknown fields are ignored (`"*": ignore`). */
  readonly ignoresRest: boolean;
  /** The metrics of the profile, as text for error messages. */
  readonly measures: string;
  readonly pastMs: number;
  readonly aheadMs: number;
}

/** Compiles the checks of every profile, and adds its metrics to the metric table. */
export function compileChecks(city: City, metrics: MetricTable): ReadonlyMap<string, ProfileChecks> {
  const compiled = new Map<string, ProfileChecks>();
  for (const profile of city.profiles.values()) {
    const fields = compileFields(profile, city, metrics);
    const byName: Record<string, MetricCheck> = Object.create(null);
    for (const [name, check] of Object.entries(fields)) {
      if (check === null || check.conversion !== null) continue;
      const { metric, min, max, unit } = check;
      const rivals = Object.values(fields).filter((other) => other?.metric === metric);
      if (rivals.length === 1) byName[name] = { metric, min, max, unit };
    }
    const measures = profile.metrics.join(', ');
    const ignoresRest = profile.fields.has('*');
    compiled.set(profile.id, { profile: profile.id, byName, fields, ignoresRest, measures, ...city.accepts });
  }
  return compiled;
}

function compileFields(profile: Profile, city: City, metrics: MetricTable): ProfileChecks['fields'] {
  const fields: Record<string, FieldCheck | null> = Object.create(null);
  const checkOf = (id: string, from: string | null, mapped: boolean): FieldCheck => {
    const { min, max, unit } = city.metrics.get(id)!;
    const conversion = from === null || from === unit ? null : convert(from, unit);
    // The parser of the city refuses such a profile.
    if (typeof conversion === 'string') throw new Error(`${profile.id}: ${unitFault(from!, unit)}`);
    return { id, metric: metrics.indexOf(id), min, max, unit, conversion, truth: mapped && unit === '1' };
  };
  for (const id of profile.metrics) fields[id] = checkOf(id, null, false);
  for (const [name, mapping] of profile.fields) {
    if (name === '*') continue;
    fields[name] = mapping === 'ignore' ? null : checkOf(mapping.metric, mapping.unit, true);
  }
  return fields;
}

/**
 * The valid values of one raw reading, and the rejections of all since the last reset. Reused from reading to reading.
 */
export class Checked {
  ts = 0;
  length = 0;
  readonly metric: number[] = [];
  readonly value: number[] = [];
  /** The field of each value. */
  readonly field: string[] = [];
  rejections: Rejection[] = [];
}

/**
 * Validates one raw reading. Valid values overwrite those of the last reading in `out`; faults are added to
 * `out.rejections`. Pure but for `out`.
 */
export function checkReading(raw: RawReading, checks: ProfileChecks, receivedAt: number, out: Checked): void {
  out.length = 0;
  const ts = raw.ts === undefined ? receivedAt : parseTimestamp(raw.ts);
  // Written so that NaN fails the check.
  if (!(ts >= receivedAt - checks.pastMs && ts <= receivedAt + checks.aheadMs)) {
    refuseTime(raw, ts, checks, receivedAt, out);
    return;
  }
  out.ts = ts;
  const { metrics } = raw;
  if (raw.units !== null || raw.aliases !== undefined) {
    for (const name in metrics) checkField(raw, name, checks, out);
    return;
  }
  const { byName } = checks;
  for (const name in metrics) {
    const value = metrics[name];
    const check = byName[name];
    if (check !== undefined && typeof value === 'number' && value >= check.min && value <= check.max) {
      out.metric[out.length] = check.metric;
      out.field[out.length] = name;
      out.value[out.length++] = value;
    } else {
      checkField(raw, name, checks, out);
    }
  }
}

/** The slow path for a value that may be mapped, ignored, in another unit, or wrong. */
function checkField(raw: RawReading, name: string, checks: ProfileChecks, out: Checked): void {
  const field = fieldOf(raw, name, checks);
  if (field === null) return;
  const verdict = field === undefined ? unknownField(name, checks) : judge(raw, name, field, out);
  if (typeof verdict === 'number') {
    out.metric[out.length] = field!.metric;
    out.field[out.length] = name;
    out.value[out.length++] = verdict;
  } else {
    const [reason, detail] = verdict;
    out.rejections.push({ reason, path: pathOf(raw, name), detail, reading: readingName(raw, name) });
  }
}

type Fault = readonly [reason: Reason, detail: string];

/** Returns the value in the metric's unit, or its fault. */
function judge(raw: RawReading, name: string, field: FieldCheck, out: Checked): number | Fault {
  const given = raw.metrics[name];
  const value = converted(given, raw.units?.[name], field);
  if (typeof value !== 'number') return value;
  if (!(value >= field.min && value <= field.max)) return ['out-of-range', rangeFault(given, value, field)];
  if (!has(out, field.metric)) return value;
  return [
    'ambiguous',
    `the reading has a value of ${field.id} already; map one of the two fields and ignore the other`,
  ];
}

function converted(value: unknown, unit: unknown, field: FieldCheck): number | Fault {
  if (typeof value === 'boolean' && field.truth) return value ? 1 : 0;
  if (typeof value !== 'number' || !Number.isFinite(value)) {
    return ['not-a-number', `${shown(value)} found; a number in ${field.unit} is expected`];
  }
  // A unit in the message takes precedence over the profile's.
  const conversion = typeof unit === 'string' ? convert(unit, field.unit) : field.conversion;
  if (typeof conversion === 'string') return [conversion, unitFault(unit as string, field.unit)];
  return conversion === null ? value : applied(conversion, value);
}

function unknownField(name: string, { profile, measures }: ProfileChecks): Fault {
  return ['unknown-metric', `profile ${profile} measures ${measures}; not "${shortened(name)}"`];
}

function has({ metric, length }: Checked, one: number): boolean {
  const at = metric.indexOf(one);
  return at !== -1 && at < length;
}

/** Returns the check of a field, null where it is ignored, undefined where the profile does not know it. */
function fieldOf(
  { aliases }: RawReading,
  name: string,
  { fields, ignoresRest }: ProfileChecks,
): FieldCheck | null | undefined {
  const own = fields[name];
  if (own !== undefined) return own;
  for (const alias of aliases?.[name] ?? []) {
    const field = fields[alias];
    if (field !== undefined) return field;
  }
  return ignoresRest ? null : undefined;
}

function rangeFault(given: unknown, value: number, { id, min, max, unit }: FieldCheck): string {
  const found = given === value ? `${value} found` : `${shown(given)} found, ${value} ${unit}`;
  return `${found}; ${id} lies within ${min} to ${max} ${unit}`;
}

/** Returns the name of a reading within its message, by which a replay finds it again. */
function readingName({ path }: RawReading, field: string): string {
  return `${path} ${field}`;
}

function pathOf(raw: RawReading, name: string): string {
  return raw.paths?.[name] ?? `${raw.path}.metrics.${shortened(name)}`;
}

function refuseTime(raw: RawReading, ts: number, checks: ProfileChecks, receivedAt: number, out: Checked): void {
  const [reason, detail] = timeFault(raw.ts, ts, checks, receivedAt);
  const path = raw.timePath ?? `${raw.path}.ts`;
  // Each value counts as a reading that was received and refused.
  for (const name in raw.metrics) {
    if (fieldOf(raw, name, checks) === null) continue;
    out.rejections.push({ reason, path, detail: `${shortened(name)}: ${detail}`, reading: readingName(raw, name) });
  }
}

function timeFault(given: unknown, ts: number, checks: ProfileChecks, receivedAt: number): [Reason, string] {
  const found = shown(given);
  if (Number.isNaN(ts)) {
    return ['bad-timestamp', `${found} is neither ISO 8601 with a zone (2026-01-31T12:00:00Z) nor epoch milliseconds`];
  }
  const seconds = typeof given === 'number' && Math.abs(given * 1000 - receivedAt) <= checks.pastMs;
  const hint = seconds ? '; these look like seconds, milliseconds are expected' : '';
  if (ts < receivedAt) {
    return ['too-old', `${found} is more than ${checks.pastMs} ms before the time of receipt${hint}`];
  }
  return ['in-the-future', `${found} is more than ${checks.aheadMs} ms after the time of receipt${hint}`];
}

// ISO 8601 with date, time and zone; a time without a zone would mean a different instant in every city.
const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d([.,]\d{1,9})?)?(Z|[+-]\d\d:?\d\d)$/;

/**
 * Returns epoch milliseconds from an ISO 8601 text with zone, or from a number of milliseconds; NaN for anything else.
 */
export function parseTimestamp(value: unknown): number {
  if (typeof value === 'number') return Number.isFinite(value) ? Math.round(value) : Number.NaN;
  if (typeof value !== 'string' || !ISO.test(value) || !isDay(value)) return Number.NaN;
  return Date.parse(value.replace(',', '.'));
}

/** Returns whether the day exists in its month: `Date.parse` reads 30 February as 2 March. */
function isDay(text: string): boolean {
  const day = Number(text.slice(8, 10));
  return day <= 28 || day <= new Date(Date.UTC(Number(text.slice(0, 4)), Number(text.slice(5, 7)), 0)).getUTCDate();
}
