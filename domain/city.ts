import { z } from 'zod';
import type { Calendar } from './rule.ts';
import type { ShapeOf } from './schema.ts';
import type { Inhibition, Service } from './service.ts';

/** A text for people, in the languages that citizens and operators read. */
export interface LocalText {
  readonly en: string;
  readonly zh: string;
}

/** A quantity that the city measures. */
export interface Metric {
  readonly id: string;
  readonly title: LocalText;
  /** Unit of every stored value, by its UCUM or SenML name (`ug/m3`, `Cel`, `%`). */
  readonly unit: string;
  /** Smallest and largest value that can be true; beyond it a reading is refused. */
  readonly min: number;
  readonly max: number;
}

/** A kind of device. */
export interface Profile {
  readonly id: string;
  readonly title: LocalText;
  /** Ids of the metrics it measures, at most 32. */
  readonly metrics: readonly string[];
  /** How often it normally reports, ms. */
  readonly intervalMs: number;
  /** What its fields stand for, by the names that its format gives them; `*` is every other field, and always ignored. */
  readonly fields: ReadonlyMap<string, FieldMapping>;
}

/** A metric of the profile and the unit that the device sends it in (null: the metric's own), or known and not stored. */
export type FieldMapping = { readonly metric: string; readonly unit: string | null } | 'ignore';

/** Who answers for services: a department of the city, or a party beside it. */
export interface Department {
  readonly id: string;
  readonly title: LocalText;
  readonly kind: 'department' | 'contractor' | 'community';
}

export interface District {
  readonly id: string;
  readonly title: LocalText;
  /** GeoJSON geometry, WGS 84 [lon, lat]. */
  readonly geometry: { readonly type: 'Polygon' | 'MultiPolygon'; readonly coordinates: unknown };
}

/** How the city publishes what it knows. */
export interface Publishing {
  /** SPDX name of the licence of public data. */
  readonly licence: string;
  /** Decimals of degrees in public data (3 is about 110 m). */
  readonly coordinateDecimals: number;
}

/** What the city says of its Open311 endpoint (GeoReport v2, service discovery). */
export interface Open311 {
  /** Its `jurisdiction_id`; null: it has none, and clients name none. */
  readonly jurisdiction: string | null;
  /** Whom to ask about it. */
  readonly contact: LocalText | null;
  /** How to come by an `api_key`. */
  readonly keyService: LocalText | null;
}

/** The one description of the city that admission, validation, rules, tickets and publication follow from. */
export interface City {
  /** SHA-256 of the folder's files, hex. */
  readonly version: string;
  readonly name: LocalText;
  /** IANA zone. */
  readonly timezone: string;
  /** How far in the past and ahead of the time of receipt a reading may lie, ms. */
  readonly accepts: { readonly pastMs: number; readonly aheadMs: number };
  readonly publication: Publishing;
  readonly open311: Open311;
  readonly metrics: ReadonlyMap<string, Metric>;
  readonly profiles: ReadonlyMap<string, Profile>;
  readonly departments: ReadonlyMap<string, Department>;
  readonly services: ReadonlyMap<string, Service>;
  readonly districts: ReadonlyMap<string, District>;
  readonly calendars: ReadonlyMap<string, Calendar>;
  readonly inhibitions: readonly Inhibition[];
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
