import { z } from 'zod';
import type { Asset } from './asset.ts';
import type { CityBridge } from './bridge.ts';
import type { DeclaredFormat } from './declared-format.ts';
import type { CommandSpec } from './device-command.ts';
import { METRIC_KINDS, StateValuesSchema } from './kind.ts';
import type { Sharing } from './permission.ts';
import type { Calendar } from './rule.ts';
import type { ShapeOf } from './schema.ts';
import type { Inhibition, Service } from './service.ts';

/** A text for people, in both languages of citizens and operators. */
export const LocalTextSchema = z.object({ en: z.string(), zh: z.string() });
export type LocalText = ShapeOf<typeof LocalTextSchema>;

/** Values, `from` to `to`, by which a sensor says that it could not measure. */
const FaultCodeSchema = z.object({ from: z.number(), to: z.number(), reason: z.string().nullable() });
export type FaultCode = ShapeOf<typeof FaultCodeSchema>;

/**
 * A quantity that the city measures. `unit` is that of every stored value, by its UCUM or SenML name (`ug/m3`, `Cel`,
 * `%`), `kind` how they combine. A reading below `min` or above `max` is not plausible and refused; so are the fault
 * codes `invalid`, in `unit`. A state has `values`, and no other value is plausible.
 */
export const MetricSchema = z.object({
  id: z.string(),
  title: LocalTextSchema,
  unit: z.string(),
  kind: z.enum(METRIC_KINDS),
  min: z.number(),
  max: z.number(),
  invalid: z.array(FaultCodeSchema).readonly(),
  values: StateValuesSchema.exactOptional().describe(
    'Of a state: its values, and the code that readings have for each',
  ),
});
export type Metric = ShapeOf<typeof MetricSchema>;

/** A rule by which a gateway registers the devices that it carries. */
export interface Enrolment {
  /** Their ids; `*` at the end stands for every end. */
  readonly devices: readonly string[];
  readonly profile: string;
  /** How many devices may be under one gateway before it registers no more. */
  readonly most: number;
}

/** Whether a rule of enrolment is about a device. */
export function enrols({ devices }: Enrolment, id: string): boolean {
  return devices.some((one) => (one.endsWith('*') ? id.startsWith(one.slice(0, -1)) : id === one));
}

/** A kind of device. */
export interface Profile {
  readonly id: string;
  readonly title: LocalText;
  /** A gateway publishes for the devices that are registered under it. */
  readonly kind: 'device' | 'gateway';
  /** Of a gateway: which devices are registered under it when it first publishes for them; absent: none. */
  readonly enrol?: Enrolment;
  /** Ids of the metrics it measures, at most 32. */
  readonly metrics: readonly string[];
  /** How often it normally reports, ms. */
  readonly intervalMs: number;
  /** How much one device may send; null: the server's own limit. */
  readonly limits: { readonly messagesPerSecond: number | null; readonly bytesPerSecond: number | null };
  /** The departments that its devices belong to; none: they are the city's. */
  readonly departments: readonly string[];
  /** Fault codes by metric, as its devices send them: before a conversion of units. */
  readonly invalid: ReadonlyMap<string, readonly FaultCode[]>;
  /** Whose time its readings have: the device's, or, with all of a message moved by the same, that of the receipt. */
  readonly clock: 'device' | 'receipt';
  /** Whether its messages may say of what quality values are. */
  readonly quality: boolean;
  /** Which codec decodes raw frames of a device, by its DevEUI or the beginning of it and `*`. */
  readonly codecs: Readonly<Record<string, string>>;
  /** The metric of each field, by the field's name in its format; `*` is every other field, and always ignored. */
  readonly fields: ReadonlyMap<string, FieldMapping>;
  /** The commands that its devices take, by name. */
  readonly commands: ReadonlyMap<string, CommandSpec>;
}

/** A metric of the profile and the unit in which the device sends it (null: the metric's own), or `ignore`. */
export type FieldMapping = { readonly metric: string; readonly unit: string | null } | 'ignore';

/** Who is responsible for services: a department of the city, or another party. */
export const DepartmentSchema = z.object({
  id: z.string(),
  title: LocalTextSchema,
  kind: z.enum(['department', 'contractor', 'community']),
});
export type Department = ShapeOf<typeof DepartmentSchema>;

export interface District {
  readonly id: string;
  readonly title: LocalText;
  /** GeoJSON geometry, WGS 84 [lon, lat]. */
  readonly geometry: { readonly type: 'Polygon' | 'MultiPolygon'; readonly coordinates: unknown };
}

/** How the city publishes its data. */
export interface Publishing {
  /** SPDX name of the licence of public data. */
  readonly licence: string;
  /** Decimals of degrees in public data (3 is about 110 m). */
  readonly coordinateDecimals: number;
  /** Metrics whose readings anybody may see. */
  readonly readings: readonly string[];
  /** Whether anybody may request a service on the public page, without an app and its key. */
  readonly requests: boolean;
  /** What every department may see, whosever it is. */
  readonly shared: Sharing;
}

/** The city's description of its Open311 endpoint (GeoReport v2, service discovery). */
export interface Open311 {
  /** Its `jurisdiction_id`; null: it has none, and clients send none. */
  readonly jurisdiction: string | null;
  /** Whom to contact about it. */
  readonly contact: LocalText | null;
  /** How to get an `api_key`. */
  readonly keyService: LocalText | null;
}

/** What is drawn behind the districts of its maps. */
export interface CityMap {
  /** Address of raster tiles with {z}, {x} and {y}; null: none, and browsers ask no other host for anything. */
  readonly tiles: string | null;
  /** Whose map it is, as its licence asks to be said. */
  readonly attribution: string;
}

/** The description of the city, on which admission, validation, rules, tickets and publication are based. */
export interface City {
  /** SHA-256 of the folder's files, hex. */
  readonly version: string;
  readonly name: LocalText;
  /** IANA zone. */
  readonly timezone: string;
  /** How far before and after the time of receipt the time of a reading may be, ms. */
  readonly accepts: { readonly pastMs: number; readonly aheadMs: number };
  readonly publication: Publishing;
  readonly open311: Open311;
  readonly map: CityMap;
  readonly metrics: ReadonlyMap<string, Metric>;
  readonly profiles: ReadonlyMap<string, Profile>;
  /** Payload formats that the city declares beside the built-in ones. */
  readonly formats: ReadonlyMap<string, DeclaredFormat>;
  /** Programs of LoRaWAN codecs by their names. */
  readonly codecs: ReadonlyMap<string, string>;
  /** Other brokers from which messages are taken. */
  readonly bridges: ReadonlyMap<string, CityBridge>;
  readonly departments: ReadonlyMap<string, Department>;
  readonly services: ReadonlyMap<string, Service>;
  readonly districts: ReadonlyMap<string, District>;
  readonly calendars: ReadonlyMap<string, Calendar>;
  readonly inhibitions: readonly Inhibition[];
  /** Poles, bins, manholes; by id. */
  readonly assets: ReadonlyMap<string, Asset>;
}

/** A mistake in the city folder or in the text of a rule, and its place. */
export const CityProblemSchema = z
  .object({
    file: z.string().describe('Path relative to the city folder'),
    line: z.int().describe('From 1'),
    column: z.int().describe('From 1'),
    message: z.string(),
  })
  .meta({ id: 'Mistake' });
export type CityProblem = ShapeOf<typeof CityProblemSchema>;
