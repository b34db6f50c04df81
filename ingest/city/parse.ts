import type { z } from 'zod';
import type { City, CityControl, CityProblem, District, Profile } from '../../domain/index.ts';
import { check } from './check.ts';
import { DistrictsSchema } from './geojson.ts';
import { checkDistricts, checkFields, checkProfiles, checkServices } from './references.ts';
import {
  CalendarsSchema,
  CityFileSchema,
  DepartmentsSchema,
  MetricsSchema,
  ProfilesSchema,
  ServicesSchema,
} from './schema.ts';
import { openSource } from './source.ts';

/** A city, or every mistake that keeps its folder from being one. */
export type ParsedCity =
  | { readonly city: City; readonly problems: readonly [] }
  | { readonly city: null; readonly problems: CityProblem[] };

/** Makes a city of its folder's files (all but `rules/`). Pure. */
export function parseCity(control: CityControl): ParsedCity {
  const problems: CityProblem[] = [];
  const open = <T extends z.ZodType>(path: string, schema: T) => {
    const file = control.files.find((one) => one.path === path);
    if (file === undefined) {
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
  open('calendars.yaml', CalendarsSchema);
  const districts = open('districts.geojson', DistrictsSchema);

  if (profiles && metrics) {
    checkProfiles(profiles.source, metrics.source, problems);
    checkFields(profiles.source, metrics.source, problems);
  }
  if (services && departments) checkServices(services.source, departments.source, problems);
  if (districts) checkDistricts(districts.source, problems);
  if (problems.length > 0) return { city: null, problems };

  const { name, timezone, accepts } = base!.data!;
  const city: City = {
    version: control.version,
    name,
    timezone,
    accepts: { pastMs: accepts.past, aheadMs: accepts.ahead },
    metrics: mapOf(metrics!.data!, (metric) => metric),
    profiles: mapOf(profiles!.data!, profileOf),
    departments: mapOf(departments!.data!, (department) => department),
    services: mapOf(services!.data!, ({ deadline, ...service }) => ({ ...service, deadlineMs: deadline })),
    districts: new Map(districts!.data!.features.map((feature) => [feature.id, districtOf(feature)])),
  };
  return { city, problems: [] };
}

/** `file:line:column message`, a line each. */
export function formatProblems(problems: readonly CityProblem[]): string {
  return problems.map(({ file, line, column, message }) => `${file}:${line}:${column} ${message}`).join('\n');
}

function profileOf({ interval, fields, ...profile }: z.output<typeof ProfilesSchema>[string]): Omit<Profile, 'id'> {
  return { ...profile, intervalMs: interval, fields: new Map(Object.entries(fields)) };
}

function districtOf({ id, properties, geometry }: z.output<typeof DistrictsSchema>['features'][number]): District {
  return { id, title: properties.title, geometry };
}

function mapOf<T, R>(record: Record<string, T>, make: (value: T) => R): Map<string, R & { id: string }> {
  return new Map(Object.entries(record).map(([id, value]) => [id, { id, ...make(value) }]));
}
