import { type Conversion, convert, unitFault } from '../city-model/index.ts';
import {
  type City,
  type FaultCode,
  faultsOf,
  type MetricTable,
  type Profile,
  qualityMetric,
  type StateValues,
} from '../domain/index.ts';
import { type CodecOf, codecsOfProfile } from './codecs/index.ts';
import type { RawReading } from './decode/format.ts';

/** The limits of one metric's values. */
interface MetricCheck {
  /** Index in the metric table. */
  readonly metric: number;
  readonly min: number;
  readonly max: number;
  readonly unit: string;
}

/** The metric that a field of a message maps to. */
export interface FieldCheck extends MetricCheck {
  readonly id: string;
  /** From the unit that the profile gives for the field; null where it is the metric's own unit. */
  readonly conversion: Conversion | null;
  /** Whether true and false count as 1 and 0: where the profile maps the field to a metric without a unit (unit 1). */
  readonly truth: boolean;
  /** Whether 0 and 1 are its only values. */
  readonly isBool: boolean;
  /** Index of the metric that keeps the quality of its values; -1 where the profile has none. */
  readonly quality: number;
  /** The values of a state; null for any other metric. */
  readonly values: StateValues | null;
  readonly isText: boolean;
  /** Fault codes in the metric's unit, and as the device sends them. */
  readonly invalid: FaultCodes | null;
}

/** Numbers that stand for a fault of the sensor. */
export interface FaultCodes {
  readonly measured: readonly FaultCode[];
  readonly sent: readonly FaultCode[];
  /** Index of the metric's fault codes in the metric table. */
  readonly faults: number;
}

/** The checks of one profile, compiled from the city: one look-up and two comparisons a value. */
export interface ProfileChecks {
  readonly profile: string;
  /** Fields in the metric's unit whose metric no other field maps to: all fields, where the profile has no mapping. */
  readonly byName: Readonly<Record<string, MetricCheck>>;
  /** Every field that the profile knows; null: the field is ignored. */
  readonly fields: Readonly<Record<string, FieldCheck | null>>;
  /** Whether a field is named by name and unit (`humidity %EL`), as SenML may need it. */
  readonly namesUnits: boolean;
  /** Whether unknown fields are ignored (`"*": ignore`). */
  readonly ignoresRest: boolean;
  /** The metrics of the profile, as text for error messages. */
  readonly measures: string;
  readonly pastMs: number;
  readonly aheadMs: number;
  /** Whether the newest time of a message is taken for that of its receipt, and the others relative to it. */
  readonly byReceipt: boolean;
  /** Whether messages may say of what quality values are. */
  readonly hasQuality: boolean;
  /** Returns the codec of a device's raw frames; null where there is none. */
  readonly codecOf: CodecOf | null;
}

/** Compiles the checks of every profile, and adds its metrics to the metric table. */
export function compileChecks(city: City, metrics: MetricTable): ReadonlyMap<string, ProfileChecks> {
  const compiled = new Map<string, ProfileChecks>();
  for (const profile of city.profiles.values()) {
    const fields = compileFields(profile, city, metrics);
    const byName: Record<string, MetricCheck> = Object.create(null);
    for (const [name, check] of Object.entries(fields)) {
      if (
        check === null ||
        check.conversion !== null ||
        check.invalid !== null ||
        check.isBool ||
        check.values ||
        check.isText
      )
        continue;
      const { metric, min, max, unit } = check;
      const rivals = Object.values(fields).filter((other) => other?.metric === metric);
      if (rivals.length === 1) byName[name] = { metric, min, max, unit };
    }
    const measures = profile.metrics.join(', ');
    const ignoresRest = profile.fields.has('*');
    const namesUnits = Object.keys(fields).some((name) => name.includes(' '));
    const byReceipt = profile.clock === 'receipt';
    const codecOf = codecsOfProfile(profile, city.codecs);
    const how = { byName, fields, namesUnits, ignoresRest, measures, byReceipt, codecOf, hasQuality: profile.quality };
    compiled.set(profile.id, { profile: profile.id, ...how, ...city.accepts });
  }
  return compiled;
}

function compileFields(profile: Profile, city: City, metrics: MetricTable): ProfileChecks['fields'] {
  const fields: Record<string, FieldCheck | null> = Object.create(null);
  const checkOf = (id: string, from: string | null, mapped: boolean): FieldCheck => {
    const { min, max, unit, kind, invalid: measured, values = null } = city.metrics.get(id)!;
    const isBool = kind === 'presence';
    const sent = profile.invalid.get(id) ?? [];
    const invalid =
      measured.length + sent.length === 0 ? null : { measured, sent, faults: metrics.indexOf(faultsOf(id)) };
    const conversion = from === null || from === unit ? null : convert(from, unit);
    // The parser of the city refuses such a profile.
    if (typeof conversion === 'string') throw new Error(`${profile.id}: ${unitFault(from!, unit)}`);
    return {
      id,
      metric: metrics.indexOf(id),
      min,
      max,
      unit,
      conversion,
      isBool,
      quality: profile.quality ? metrics.indexOf(qualityMetric(id)) : -1,
      values,
      isText: kind === 'text',
      truth: isBool || (mapped && unit === '1'),
      invalid,
    };
  };
  for (const id of profile.metrics) fields[id] = checkOf(id, null, false);
  for (const [name, mapping] of profile.fields) {
    if (name === '*') continue;
    fields[name] = mapping === 'ignore' ? null : checkOf(mapping.metric, mapping.unit, true);
  }
  return fields;
}

/** Returns the check of a field, null where it is ignored, undefined where the profile does not know it. */
export function fieldOf(
  { aliases, units }: RawReading,
  name: string,
  { fields, namesUnits, ignoresRest }: ProfileChecks,
): FieldCheck | null | undefined {
  const others = aliases?.[name] ?? [];
  const unit = units?.[name];
  if (namesUnits && unit !== undefined) {
    const named = [name, ...others].find((one) => fields[`${one} ${unit}`] !== undefined);
    if (named !== undefined) return fields[`${named} ${unit}`];
  }
  const own = fields[name];
  if (own !== undefined) return own;
  for (const alias of others) {
    const field = fields[alias];
    if (field !== undefined) return field;
  }
  return ignoresRest ? null : undefined;
}
