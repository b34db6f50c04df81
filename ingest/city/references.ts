import { z } from 'zod';
import type { CityProblem } from '../../domain/index.ts';
import { convert, knownUnits, unitFault } from '../units.ts';
import type { Source } from './source.ts';
import { suggest } from './suggest.ts';

/** What can be read of a file that may have mistakes elsewhere, so that one mistake does not hide another. */
const ReadableProfiles = recordOf(z.object({ metrics: z.array(z.unknown()) }));
const ReadableFields = recordOf(
  z.object({
    metrics: z.array(z.unknown()),
    fields: recordOf(z.union([z.literal('ignore'), z.object({ metric: z.string(), unit: z.unknown().optional() })])),
  }),
);
const ReadableUnits = recordOf(z.object({ unit: z.string() }));
const ReadableServices = recordOf(z.object({ department: z.string() }));
const ReadableDistricts = z.object({ features: z.array(z.object({ id: z.string() }).nullable().catch(null)) });

function recordOf<T extends z.ZodType>(schema: T) {
  return z.record(z.string(), schema.nullable().catch(null));
}

/** Metrics that a profile names: each is known, and named once. */
export function checkProfiles(profiles: Source, metrics: Source, problems: CityProblem[]): void {
  const known = keysOf(metrics);
  const readable = ReadableProfiles.safeParse(profiles.value).data ?? {};
  for (const [id, profile] of Object.entries(readable)) {
    profile?.metrics.forEach((metric, i, all) => {
      if (typeof metric !== 'string') return;
      const at = [id, 'metrics', i];
      if (known?.has(metric) === false) problems.push(profiles.problem(at, unknown('metric', metric, known)));
      else if (all.indexOf(metric) < i) problems.push(profiles.problem(at, `metric "${metric}" is named twice`));
    });
  }
}

/** Fields stand for metrics of their own profile, in a unit that the metric's can be made of. */
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

/** The department that answers for a service is known. */
export function checkServices(services: Source, departments: Source, problems: CityProblem[]): void {
  const known = keysOf(departments);
  if (known === null) return;
  const readable = ReadableServices.safeParse(services.value).data ?? {};
  for (const [id, service] of Object.entries(readable)) {
    if (service === null || known.has(service.department)) continue;
    problems.push(services.problem([id, 'department'], unknown('department', service.department, known)));
  }
}

/** No district is described twice. */
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

function unknown(what: string, name: string, known: Iterable<string>): string {
  return `unknown ${what} "${name}"${suggest(name, known)}`;
}

/** Names that a file describes; null where it cannot be read at all. */
function keysOf({ value }: Source): ReadonlySet<string> | null {
  return typeof value === 'object' && value !== null ? new Set(Object.keys(value)) : null;
}
