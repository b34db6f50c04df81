import { applied, convert, unitFault } from '../city-model/index.ts';
import {
  codeOfState,
  type FaultCode,
  QUALITIES,
  type Reason,
  type Rejection,
  type StateValues,
  suggest,
} from '../domain/index.ts';
import { type Calibrations, correctedBy } from './calibrations.ts';
import { type FaultCodes, type FieldCheck, fieldOf, type ProfileChecks } from './checks.ts';
import { isObject, type RawReading, shortened, shown } from './decode/format.ts';
import { Unreadable } from './decode/lenient-json.ts';
import { timeFault, timeOf } from './reading-times.ts';
import { codeOfText, LONGEST_TEXT } from './texts.ts';

/**
 * The valid values of one raw reading, and the rejections of all since the last reset. Reused from reading to reading.
 */
export class Checked {
  ts = 0;
  /** The time that the device gave it, by which repetitions are found; `ts` where that was not corrected. */
  ownTs = 0;
  length = 0;
  readonly metric: number[] = [];
  readonly value: number[] = [];
  /** The field of each value. */
  readonly field: string[] = [];
  /** Whether a value of this reading is calibrated: only then `measured` and `raw` count. */
  isCalibrated = false;
  /** Each value as it was measured, and the metric that keeps it so; -1 where the value was not corrected. */
  readonly measured: number[] = [];
  readonly raw: number[] = [];
  /** The metric that keeps measured values, where any value of it was ever corrected; -1 else. */
  readonly keepsRaw: number[] = [];
  /** Whether the values have a quality: only then `quality` and `keepsQuality` count. */
  hasQuality = false;
  /** The code of each value's quality, and the metric that keeps it. */
  readonly quality: number[] = [];
  readonly keepsQuality: number[] = [];
  rejections: Rejection[] = [];
  /** The texts that stand for values of all readings of a block, by code. */
  texts = new Map<number, string>();
  /** Indexes of the fault codes (`faultsOf`) that the reading had instead of values. */
  readonly faulty: number[] = [];
}

/** What is applied to the values and times of one device. */
export interface OfDevice {
  readonly calibrations: Calibrations;
  /** Added to the times of its readings, ms. */
  readonly shiftMs: number;
}

const NOTHING: OfDevice = { calibrations: null, shiftMs: 0 };

/**
 * Validates one raw reading, and corrects the values that have a calibration. Valid values overwrite those of the last
 * reading in `out`; faults are added to `out.rejections`. Pure but for `out`.
 */
export function checkReading(
  raw: RawReading,
  checks: ProfileChecks,
  receivedAt: number,
  out: Checked,
  { calibrations, shiftMs }: OfDevice = NOTHING,
): void {
  out.length = 0;
  out.faulty.length = 0;
  out.isCalibrated = calibrations !== null;
  out.hasQuality = checks.hasQuality;
  if (raw.quality !== undefined && !checks.hasQuality) {
    out.rejections.push(strangeQuality(raw, checks));
    return;
  }
  const ts = timeOf(raw, checks, receivedAt, shiftMs);
  if (ts === null) {
    refuseTime(raw, checks, receivedAt, out);
    return;
  }
  out.ts = ts;
  out.ownTs = raw.ts === undefined ? ts : ts - shiftMs;
  const { metrics } = raw;
  if (raw.units !== null || raw.aliases !== undefined || calibrations !== null || checks.hasQuality) {
    for (const name in metrics) checkField(raw, name, checks, out, calibrations);
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
      checkField(raw, name, checks, out, null);
    }
  }
}

/** The slow path for a value that may be mapped, ignored, in another unit, or wrong. */
function checkField(
  raw: RawReading,
  name: string,
  checks: ProfileChecks,
  out: Checked,
  calibrations: Calibrations,
): void {
  const field = fieldOf(raw, name, checks);
  if (field === null) return;
  const verdict = field === undefined ? unknownField(name, checks) : judged(raw, name, field, out, calibrations);
  if (typeof verdict === 'number') {
    out.metric[out.length] = field!.metric;
    out.field[out.length] = name;
    out.value[out.length++] = verdict;
  } else {
    const [reason, detail] = verdict;
    if (reason === 'fault-code') out.faulty.push(field!.invalid!.faults);
    out.rejections.push({ reason, path: pathOf(raw, name), detail, reading: readingName(raw, name) });
  }
}

type Fault = readonly [reason: Reason, detail: string];

/** As `judge`, with the quality that the message gives to the value. */
function judged(
  raw: RawReading,
  name: string,
  field: FieldCheck,
  out: Checked,
  calibrations: Calibrations,
): number | Fault {
  if (!out.hasQuality) return judge(raw, name, field, out, calibrations);
  const said = isObject(raw.quality) ? (raw.quality[name] ?? 'good') : (raw.quality ?? 'good');
  const code = QUALITIES.findIndex((one) => one === said);
  if (code === -1) return ['bad-quality', `${shown(said)} is the quality; good, suspect and corrected are stored`];
  out.quality[out.length] = code;
  out.keepsQuality[out.length] = field.quality;
  return judge(raw, name, field, out, calibrations);
}

function strangeQuality({ path }: RawReading, { profile }: ProfileChecks): Rejection {
  const detail = `profile ${profile} has no quality of values; write quality: true there`;
  return { reason: 'wrong-shape', path: `${path}.quality`, detail };
}

/** Returns the value in the metric's unit, corrected, or its fault. */
function judge(
  raw: RawReading,
  name: string,
  field: FieldCheck,
  out: Checked,
  calibrations: Calibrations,
): number | Fault {
  const given = raw.metrics[name];
  if (field.isText) return textIn(given, field, out);
  const measured = field.values === null ? converted(raw, name, field) : codeIn(raw, name, field.values);
  if (typeof measured !== 'number') return measured;
  const code = field.invalid === null ? undefined : codeOf(Number(given), measured, field.invalid);
  if (code !== undefined) return ['fault-code', codeFault(given, field, code)];
  if (field.values !== null) return stateIn(given, measured, field.values, field, out);
  const value = calibrations === null ? measured : corrected(measured, field, out, calibrations);
  if (!(value >= field.min && value <= field.max)) return ['out-of-range', rangeFault(given, value, field)];
  if (field.isBool && value !== 0 && value !== 1) {
    return ['out-of-range', `${shown(given)} found; ${field.id} is true or false, 1 or 0`];
  }
  return has(out, field.metric) ? secondOf(field) : value;
}

/** Returns the code of a text, which is noted, or its fault. */
function textIn(given: unknown, field: FieldCheck, out: Checked): number | Fault {
  if (typeof given !== 'string') return ['wrong-shape', `${shown(given)} found; ${field.id} is a text`];
  if (given.length > LONGEST_TEXT)
    return ['out-of-range', `${given.length} characters found; ${field.id} is a text of at most ${LONGEST_TEXT}`];
  if (has(out, field.metric)) return secondOf(field);
  const text = given.toWellFormed();
  const code = codeOfText(text);
  // A text is not corrected.
  if (out.isCalibrated) [out.measured[out.length], out.raw[out.length], out.keepsRaw[out.length]] = [code, -1, -1];
  out.texts.set(code, text);
  return code;
}

function secondOf({ id }: FieldCheck): Fault {
  return ['ambiguous', `the reading has a value of ${id} already; map one of the two fields and ignore the other`];
}

/** Returns the number that stands for a state: a code as it was given, or that of a name; NaN where it is neither. */
function codeIn({ metrics, numbersAsTexts }: RawReading, name: string, values: StateValues): number {
  const given = metrics[name];
  if (typeof given !== 'string') return typeof given === 'number' ? given : Number.NaN;
  const code = codeOfState(values, given.trim());
  return code ?? (numbersAsTexts && NUMBER.test(given) ? Number(given) : Number.NaN);
}

/** Returns the code of a state, or its fault: a value that the state does not have is refused with those it has. */
function stateIn(given: unknown, found: number, values: StateValues, field: FieldCheck, out: Checked): number | Fault {
  if (has(out, field.metric)) return secondOf(field);
  if (values.some(({ code }) => code === found)) {
    // A state is not corrected.
    if (out.isCalibrated) [out.measured[out.length], out.raw[out.length], out.keepsRaw[out.length]] = [found, -1, -1];
    return found;
  }
  const all = values.map(({ code, name }) => `${name} (${code})`).join(', ');
  const near = typeof given === 'string' ? /: did you mean.*/.exec(suggest(given, values.map(nameIn)))?.[0] : undefined;
  return ['unknown-value', `${shown(given)} found; ${field.id} is one of ${all}${near ?? ''}`];
}

const nameIn = ({ name }: StateValues[number]) => name;

/** Returns the fault code that a value is. */
function codeOf(given: number, value: number, { measured, sent }: FaultCodes): FaultCode | undefined {
  return measured.find((code) => isIn(value, code)) ?? sent.find((code) => isIn(given, code));
}

/** A conversion of units may have changed the last digits. */
function isIn(value: number, { from, to }: FaultCode): boolean {
  const near = 1e-9 * Math.abs(value);
  return value >= from - near && value <= to + near;
}

function codeFault(given: unknown, { id }: FieldCheck, { from, to, reason }: FaultCode): string {
  const code = from === to ? 'a fault code' : `a fault code (${from} to ${to})`;
  return `${shown(given)} is ${code} of ${id}${reason === null ? '' : `: ${reason}`}; the sensor could not measure`;
}

/** Returns the corrected value, and notes the measured one for the next value of the reading. */
function corrected(measured: number, { metric }: FieldCheck, out: Checked, calibrations: NonNullable<Calibrations>) {
  const one = calibrations.get(metric);
  const value = one === undefined ? null : correctedBy(one, out.ts, measured);
  out.measured[out.length] = measured;
  out.keepsRaw[out.length] = one?.raw ?? -1;
  out.raw[out.length] = one === undefined || value === null ? -1 : one.raw;
  return value ?? measured;
}

/** A number in a text, where the format says that numbers may be texts. */
const NUMBER = /^\s*[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?\s*$/i;

function converted(raw: RawReading, name: string, field: FieldCheck): number | Fault {
  const given = raw.metrics[name];
  if (typeof given === 'boolean' && field.truth) return given ? 1 : 0;
  const value = raw.numbersAsTexts && typeof given === 'string' && NUMBER.test(given) ? Number(given) : given;
  if (typeof value !== 'number' || !Number.isFinite(value)) return ['not-a-number', numberFault(given, field)];
  const unit = raw.units?.[name];
  // A unit in the message takes precedence over the profile's.
  const conversion = typeof unit === 'string' ? convert(unit, field.unit) : field.conversion;
  if (typeof conversion === 'string') return [conversion, unitFault(unit as string, field.unit)];
  const first = raw.quantities?.[name]?.find((other) => typeof convert(other, field.unit) !== 'string');
  if (first !== undefined && typeof convert(unit as string, first) === 'string') {
    return ['wrong-unit', `the message has ${shortened(name)} in ${first}, too; ${unitFault(unit as string, first)}`];
  }
  return conversion === null ? value : applied(conversion, value);
}

function numberFault(given: unknown, { unit }: FieldCheck): string {
  const json = given instanceof Unreadable ? ', which is no value in JSON' : '';
  return `${shown(given)} found${json}; a number in ${unit} is expected`;
}

function unknownField(name: string, { profile, measures }: ProfileChecks): Fault {
  return ['unknown-metric', `profile ${profile} measures ${measures}; not "${shortened(name)}"`];
}

function has({ metric, length }: Checked, one: number): boolean {
  const at = metric.indexOf(one);
  return at !== -1 && at < length;
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

function refuseTime(raw: RawReading, checks: ProfileChecks, receivedAt: number, out: Checked): void {
  const [reason, detail] = timeFault(raw, checks, receivedAt);
  const path = raw.timePath ?? `${raw.path}.ts`;
  // Each value counts as a reading that was received and refused.
  for (const name in raw.metrics) {
    if (fieldOf(raw, name, checks) === null) continue;
    out.rejections.push({ reason, path, detail: `${shortened(name)}: ${detail}`, reading: readingName(raw, name) });
  }
}
