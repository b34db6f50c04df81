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
const ReadableCodes = recordOf(z.object({ metrics: z.array(z.unknown()), invalid: recordOf(z.unknown()).default({}) }));
const ReadableOwners = recordOf(z.object({ departments: z.array(z.unknown()).catch([]) }));
const ReadablePublication = z.object({ publication: z.object({ readings: z.array(z.unknown()) }) });
const ReadableUnits = recordOf(z.object({ unit: z.string().optional(), kind: z.unknown().optional() }));
const ToParty = z.object({ to: z.string() }).nullable().catch(null);
const ReadableServices = recordOf(
  z.object({
    department: z.unknown().optional(),
    calendar: z.unknown().optional(),
    escalate: z.array(ToParty).catch([]),
    offer: z.array(ToParty).catch([]),
    command: z.object({ name: z.string() }).nullable().catch(null).default(null),
  }),
);
const Names = z.union([z.string().transform((name) => [name]), z.array(z.string())]).catch([]);
const ReadableInhibitions = z.array(
  z
    .object({ target: z.object({ service: Names, district: Names }).partial().catch({}) })
    .nullable()
    .catch(null),
);
const ReadableCommands = recordOf(z.object({ commands: z.record(z.string(), z.unknown()).catch({}) }));
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

const ReadableEnrolments = recordOf(z.object({ enrol: z.object({ profile: z.string() }).exactOptional() }));

/** Checks that what gateways enrol has a profile. */
export function checkEnrolments(profiles: Source, problems: CityProblem[]): void {
  const readable = ReadableEnrolments.safeParse(profiles.value).data ?? {};
  for (const [id, profile] of Object.entries(readable)) {
    const fault =
      profile?.enrol === undefined ? null : unknownName('profile', profile.enrol.profile, Object.keys(readable));
    if (fault !== null) problems.push(profiles.problem([id, 'enrol', 'profile'], fault));
  }
}

/** Checks that the fault codes of each profile are of its own metrics. */
export function checkFaultCodes(profiles: Source, problems: CityProblem[]): void {
  const readable = ReadableCodes.safeParse(profiles.value).data ?? {};
  for (const [id, profile] of Object.entries(readable)) {
    const known = new Set(profile?.metrics.filter((metric) => typeof metric === 'string'));
    for (const metric of Object.keys(profile?.invalid ?? {})) {
      if (known.has(metric)) continue;
      const fault = `the profile does not measure "${metric}"${suggest(metric, known)}`;
      problems.push(profiles.problem([id, 'invalid', metric], fault));
    }
  }
}

/** Checks that the metrics whose readings are published are known. */
export function checkPublication(base: Source, metrics: Source, problems: CityProblem[]): void {
  const known = keysOf(metrics);
  const units = ReadableUnits.safeParse(metrics.value).data ?? {};
  const published = ReadablePublication.safeParse(base.value).data?.publication.readings ?? [];
  published.forEach((metric, i) => {
    if (typeof metric !== 'string' || known === null) return;
    const isText = units[metric]?.kind === 'text';
    const fault = isText
      ? `${metric} is a text: whatever devices write is not published`
      : unknownName('metric', metric, known);
    if (fault !== null) problems.push(base.problem(['publication', 'readings', i], fault));
  });
}

/** Checks that the departments of each profile are known. */
export function checkOwners(profiles: Source, departments: Source, problems: CityProblem[]): void {
  const known = keysOf(departments);
  const readable = ReadableOwners.safeParse(profiles.value).data ?? {};
  for (const [id, profile] of Object.entries(readable)) {
    profile?.departments.forEach((name, i) => {
      const fault = typeof name === 'string' && known !== null ? unknownName('department', name, known) : null;
      if (fault !== null) problems.push(profiles.problem([id, 'departments', i], fault));
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
        const { unit, kind } = units[field.metric] ?? {};
        const isUnit = (kind === 'state' || kind === 'text') && typeof field.unit === 'string';
        const fault = isUnit ? `a ${kind} has no unit: leave it out` : unitProblem(field.unit, unit);
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
  { departments, calendars, profiles }: { readonly [K in 'departments' | 'calendars' | 'profiles']: Source },
  problems: CityProblem[],
): void {
  const parties = keysOf(departments);
  const known = keysOf(calendars);
  const commands = commandsOf(profiles);
  const readable = ReadableServices.safeParse(services.value).data ?? {};
  for (const [id, service] of Object.entries(readable)) {
    if (service === null) continue;
    const check = (path: readonly PropertyKey[], what: string, name: unknown, all: ReadonlySet<string> | null) => {
      const fault = typeof name === 'string' && all !== null ? unknownName(what, name, all) : null;
      if (fault !== null) problems.push(services.problem([id, ...path], fault));
    };
    check(['department'], 'department', service.department, parties);
    check(['calendar'], 'calendar', service.calendar, known);
    check(['command', 'name'], 'command', service.command?.name, commands);
    for (const key of ['escalate', 'offer'] as const) {
      for (const [i, step] of service[key].entries()) check([key, i, 'to'], 'department', step?.to, parties);
    }
  }
}

/** The commands that any profile declares. */
function commandsOf(profiles: Source): ReadonlySet<string> {
  const readable = ReadableCommands.safeParse(profiles.value).data ?? {};
  return new Set(Object.values(readable).flatMap((profile) => Object.keys(profile?.commands ?? {})));
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

const ReadableAssets = z.object({
  features: z.array(
    z
      .object({ id: z.string(), properties: z.object({ kind: z.string(), services: z.array(z.unknown()).catch([]) }) })
      .nullable()
      .catch(null),
  ),
});
const ReadableKinds = recordOf(
  z.object({
    asset: z
      .object({ kind: z.union([z.string(), z.array(z.string())]) })
      .nullable()
      .catch(null),
  }),
);

/** Checks that no asset is described twice, that its services are known, and that the kinds of services are there. */
export function checkAssets(assets: Source, services: Source, problems: CityProblem[]): void {
  const features = ReadableAssets.safeParse(assets.value).data?.features ?? [];
  const known = keysOf(services);
  const [seen, kinds] = [new Set<string>(), new Set<string>()];
  features.forEach((feature, i) => {
    if (feature === null) return;
    const at = (path: readonly PropertyKey[], message: string) =>
      problems.push(assets.problem(['features', i, ...path], message));
    if (seen.has(feature.id)) at(['id'], `asset "${feature.id}" is described twice`);
    seen.add(feature.id);
    kinds.add(feature.properties.kind);
    feature.properties.services.forEach((service, n) => {
      const fault = typeof service === 'string' && known !== null ? unknownName('service', service, known) : null;
      if (fault !== null) at(['properties', 'services', n], fault);
    });
  });
  for (const [id, service] of Object.entries(ReadableKinds.safeParse(services.value).data ?? {})) {
    for (const kind of [service?.asset?.kind ?? []].flat()) {
      const fault = unknownName('kind of asset', kind, kinds);
      if (fault !== null) problems.push(services.problem([id, 'asset', 'kind'], fault));
    }
  }
}

/** Returns the names that a file describes; null where it cannot be read at all. */
function keysOf({ value }: Source): ReadonlySet<string> | null {
  return typeof value === 'object' && value !== null ? new Set(Object.keys(value)) : null;
}
