import { z } from 'zod';
import { type CityProblem, suggest, unknownName } from '../domain/index.ts';
import type { Source } from './source.ts';
import { convert, knownUnits, unitFault } from './units.ts';

// These schemas read what is readable of a file with mistakes elsewhere, so that one mistake does not hide another.
const ReadableProfiles = recordOf(z.object({ metrics: z.array(z.unknown()) }));
const ReadableFields = recordOf(
  z.object({
    metrics: z.array(z.unknown()),
    fields: recordOf(z.union([z.literal('ignore'), z.object({ metric: z.string(), unit: z.unknown().optional() })])),
  }),
);
const ReadableUnits = recordOf(z.object({ unit: z.string() }));
const ToParty = z.object({ to: z.string() }).nullable().catch(null);
const ReadableServices = recordOf(
  z.object({
    department: z.unknown().optional(),
    calendar: z.unknown().optional(),
    escalate: z.array(ToParty).catch([]),
    offer: z.array(ToParty).catch([]),
  }),
);
const Names = z.union([z.string().transform((name) => [name]), z.array(z.string())]).catch([]);
const ReadableInhibitions = z.array(
  z
    .object({ target: z.object({ service: Names, district: Names }).partial().catch({}) })
    .nullable()
    .catch(null),
);
const ReadableDistricts = z.object({ features: z.array(z.object({ id: z.string() }).nullable().catch(null)) });

function recordOf<T extends z.ZodType>(schema: T) {
  return z.record(z.string(), schema.nullable().catch(null));
}

/** Checks that each metric of a profile is known and listed once. */
export function checkProfiles(profiles: Source, metrics: Source, problems: CityProblem[]): void {
  const known = keysOf(metrics);
  const readable = ReadableProfiles.safeParse(profiles.value).data ?? {};
  for (const [id, profile] of Object.entries(readable)) {
    profile?.metrics.forEach((metric, i, all) => {
      if (typeof metric !== 'string') return;
      const at = [id, 'metrics', i];
      const fault = known && unknownName('metric', metric, known);
      if (fault !== null) problems.push(profiles.problem(at, fault));
      else if (all.indexOf(metric) < i) problems.push(profiles.problem(at, `metric "${metric}" is named twice`));
    });
  }
}

/** Checks that fields map to metrics of their own profile, in a unit that converts to the metric's. */
export function checkFields(profiles: Source, metrics: Source, problems: CityProblem[]): void {
  const units = ReadableUnits.safeParse(metrics.value).data ?? {};
  const readable = ReadableFields.safeParse(profiles.value).data ?? {};
  for (const [id, profile] of Object.entries(readable)) {
    const known = new Set(profile?.metrics.filter((metric) => typeof metric === 'string'));
    for (const [name, field] of Object.entries(profile?.fields ?? {})) {
      const at = (path: readonly string[], message: string) =>
        problems.push(profiles.problem([id, 'fields', name, ...path], message));
      if (field === null || field === 'ignore') continue;
      if (name === '*') at([], '"*" stands for every other field; it can only be ignored');
      else if (!known.has(field.metric))
        at(['metric'], `the profile does not measure "${field.metric}"${suggest(field.metric, known)}`);
      else if (Object.hasOwn(units, field.metric)) {
        const fault = unitProblem(field.unit, units[field.metric]?.unit);
        if (fault !== null) at(['unit'], fault);
      }
    }
  }
}

function unitProblem(from: unknown, to: string | undefined): string | null {
  if (typeof from !== 'string' || to === undefined) return null;
  const conversion = convert(from, to);
  if (typeof conversion !== 'string') return null;
  return unitFault(from, to) + (knownUnits.includes(from) ? '' : suggest(from, knownUnits));
}

/** Checks that the departments, parties and calendar of each service are known. */
export function checkServices(
  services: Source,
  { departments, calendars }: { readonly departments: Source; readonly calendars: Source },
  problems: CityProblem[],
): void {
  const parties = keysOf(departments);
  const known = keysOf(calendars);
  const readable = ReadableServices.safeParse(services.value).data ?? {};
  for (const [id, service] of Object.entries(readable)) {
    if (service === null) continue;
    const check = (path: readonly PropertyKey[], what: string, name: unknown, all: ReadonlySet<string> | null) => {
      const fault = typeof name === 'string' && all !== null ? unknownName(what, name, all) : null;
      if (fault !== null) problems.push(services.problem([id, ...path], fault));
    };
    check(['department'], 'department', service.department, parties);
    check(['calendar'], 'calendar', service.calendar, known);
    for (const key of ['escalate', 'offer'] as const) {
      for (const [i, step] of service[key].entries()) check([key, i, 'to'], 'department', step?.to, parties);
    }
  }
}

/** Checks that the services and districts of each inhibition are known. */
export function checkInhibitions(
  inhibitions: Source,
  { services, districts }: { readonly services: Source; readonly districts: Source },
  problems: CityProblem[],
): void {
  const features = ReadableDistricts.safeParse(districts.value).data?.features ?? [];
  const known = { service: keysOf(services), district: new Set(features.flatMap((one) => one?.id ?? [])) };
  const readable = ReadableInhibitions.safeParse(inhibitions.value).data ?? [];
  for (const [i, inhibition] of readable.entries()) {
    for (const key of ['service', 'district'] as const) {
      for (const name of inhibition?.target[key] ?? []) {
        const names = known[key];
        const fault = names && unknownName(key, name, names);
        if (fault !== null) problems.push(inhibitions.problem([i, 'target', key], fault));
      }
    }
  }
}

/** Checks that no district is described twice. */
export function checkDistricts(districts: Source, problems: CityProblem[]): void {
  const seen = new Set<string>();
  const features = ReadableDistricts.safeParse(districts.value).data?.features ?? [];
  features.forEach((feature, i) => {
    if (feature === null) return;
    if (seen.has(feature.id))
      problems.push(districts.problem(['features', i, 'id'], `district "${feature.id}" is described twice`));
    seen.add(feature.id);
  });
}

/** Returns the names that a file describes; null where it cannot be read at all. */
function keysOf({ value }: Source): ReadonlySet<string> | null {
  return typeof value === 'object' && value !== null ? new Set(Object.keys(value)) : null;
}
