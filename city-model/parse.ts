import type { z } from 'zod';
import type { Asset, Calendar, City, CityControl, CityProblem, District, Profile } from '../domain/index.ts';
import { BridgesSchema, bridgesOf, checkBridges } from './bridges.ts';
import { checkCodecs, codecsOf } from './codecs.ts';
import { checkFormats, FormatsSchema, formatsOf, protosOf } from './formats.ts';
import {
  checkAssets,
  checkDistricts,
  checkEnrolments,
  checkFaultCodes,
  checkFields,
  checkInhibitions,
  checkOwners,
  checkProfiles,
  checkPublication,
  checkServices,
} from './references.ts';
import {
  AssetsSchema,
  CalendarsSchema,
  CityFileSchema,
  DepartmentsSchema,
  DistrictsSchema,
  MetricsSchema,
  ProfilesSchema,
  WEEKDAYS,
} from './schema.ts';
import { InhibitionsSchema, inhibitionsOf, ServicesSchema, serviceOf } from './services.ts';
import { check, openSource } from './source.ts';

/** A city, or every mistake in its folder. */
export type ParsedCity =
  | { readonly city: City; readonly problems: readonly [] }
  | { readonly city: null; readonly problems: CityProblem[] };

/** Parses the files of a city folder (all but `rules/`) into a city. Pure. */
export function parseCity(control: CityControl): ParsedCity {
  const problems: CityProblem[] = [];
  const open = <T extends z.ZodType>(path: string, schema: T, optional?: string) => {
    const file = control.files.find((one) => one.path === path) ?? (optional && { path, text: optional });
    if (!file) {
      problems.push({ file: path, line: 1, column: 1, message: 'the file is missing' });
      return null;
    }
    const source = openSource(file);
    return { source, data: check(source, schema, problems) };
  };
  const base = open('city.yaml', CityFileSchema);
  const metrics = open('metrics.yaml', MetricsSchema);
  const profiles = open('profiles.yaml', ProfilesSchema);
  const departments = open('departments.yaml', DepartmentsSchema);
  const services = open('services.yaml', ServicesSchema);
  const calendars = open('calendars.yaml', CalendarsSchema);
  const districts = open('districts.geojson', DistrictsSchema);
  const formats = open('formats.yaml', FormatsSchema, '{}');
  const bridges = open('bridges.yaml', BridgesSchema, '{}');
  const protos = protosOf(control.files);
  const inhibitions = open('inhibitions.yaml', InhibitionsSchema, '[]');
  const assets = open('assets.geojson', AssetsSchema, '{"type":"FeatureCollection","features":[]}');

  if (profiles && metrics) {
    checkProfiles(profiles.source, metrics.source, problems);
    checkFaultCodes(profiles.source, problems);
    checkEnrolments(profiles.source, problems);
    checkFields(profiles.source, metrics.source, problems);
  }
  const codecs = codecsOf(control.files);
  if (profiles) checkCodecs(profiles.source, profiles.data ?? {}, codecs, problems);
  if (base && metrics) checkPublication(base.source, metrics.source, problems);
  if (profiles && departments) checkOwners(profiles.source, departments.source, problems);
  if (services && departments && calendars && profiles) {
    const of = { departments: departments.source, calendars: calendars.source, profiles: profiles.source };
    checkServices(services.source, of, problems);
  }
  if (inhibitions && services && districts) {
    const sources = { services: services.source, districts: districts.source };
    checkInhibitions(inhibitions.source, sources, problems);
  }
  if (formats?.data) checkFormats(formats.source, formats.data, protos, problems);
  if (bridges?.data) checkBridges(bridges.source, bridges.data, formats?.data ?? {}, problems);
  if (districts) checkDistricts(districts.source, problems);
  if (assets && services) checkAssets(assets.source, services.source, problems);
  if (problems.length > 0) return { city: null, problems };

  const { name, timezone, accepts, publication, open311, map } = base!.data!;
  const city: City = {
    version: control.version,
    name,
    timezone,
    accepts: { pastMs: accepts.past, aheadMs: accepts.ahead },
    publication: publishingOf(publication),
    map,
    open311: { jurisdiction: open311.jurisdiction, contact: open311.contact, keyService: open311.key_service },
    metrics: mapOf(metrics!.data!, (metric) => metric),
    profiles: mapOf(profiles!.data!, profileOf),
    formats: formatsOf(formats!.data!, protos),
    codecs,
    bridges: bridgesOf(bridges!.data!),
    departments: mapOf(departments!.data!, (department) => department),
    services: mapOf(services!.data!, serviceOf),
    inhibitions: inhibitionsOf(inhibitions!.data!),
    calendars: new Map(Object.entries(calendars!.data!).map(([id, one]) => [id, calendarOf(id, one, timezone)])),
    districts: new Map(districts!.data!.features.map((feature) => [feature.id, districtOf(feature)])),
    assets: new Map(assets!.data!.features.map((feature) => [feature.id, assetOf(feature)])),
  };
  return { city, problems: [] };
}

/** Formats problems as `file:line:column message`, one per line. */
export function formatProblems(problems: readonly CityProblem[]): string {
  return problems.map(({ file, line, column, message }) => `${file}:${line}:${column} ${message}`).join('\n');
}

function publishingOf({ coordinate_decimals, ...published }: z.output<typeof CityFileSchema>['publication']) {
  return { ...published, coordinateDecimals: coordinate_decimals };
}

function profileOf(written: z.output<typeof ProfilesSchema>[string]): Omit<Profile, 'id'> {
  const { interval, limits, fields, invalid, codec: codecs, commands, ...profile } = written;
  return {
    ...profile,
    codecs,
    intervalMs: interval,
    limits: { messagesPerSecond: limits.messages_per_second, bytesPerSecond: limits.bytes_per_second },
    invalid: new Map(Object.entries(invalid)),
    fields: new Map(Object.entries(fields)),
    commands: mapOf(commands, ({ title, parameters, automatic, downlink, valid_for }) => ({
      ...{ title, automatic, downlink, validForMs: valid_for },
      parameters: new Map(Object.entries(parameters)),
    })),
  };
}

function calendarOf(id: string, written: z.output<typeof CalendarsSchema>[string], timezone: string): Calendar {
  const { title, zone, weekdays, from, to, holidays, workdays } = written;
  const spans = written.spans ?? [{ weekdays: weekdays!, from: from!, to: to! }];
  const dayOf = (name: (typeof WEEKDAYS)[number]) => WEEKDAYS.indexOf(name) + 1;
  const minutesOf = (time: string) => 60 * Number(time.slice(0, 2)) + Number(time.slice(3));
  return {
    id,
    title,
    zone: zone ?? timezone,
    spans: spans.map((span) => ({
      weekdays: span.weekdays.map(dayOf),
      fromMin: minutesOf(span.from),
      toMin: minutesOf(span.to),
    })),
    holidays,
    workdays: workdays.map(({ date, as }) => ({ date, weekday: dayOf(as) })),
  };
}

function districtOf({ id, properties, geometry }: z.output<typeof DistrictsSchema>['features'][number]): District {
  return { id, title: properties.title, geometry };
}

function assetOf({ id, properties, geometry }: z.output<typeof AssetsSchema>['features'][number]): Asset {
  const [lon, lat] = geometry.coordinates as [number, number];
  return { id, ...properties, location: { lat, lon } };
}

function mapOf<T, R>(record: Record<string, T>, make: (value: T) => R): Map<string, R & { id: string }> {
  return new Map(Object.entries(record).map(([id, value]) => [id, { id, ...make(value) }]));
}
