import type { Rejection, ReplayItem } from '../domain/index.ts';
import type { Decoded, RawReading } from './decode/index.ts';
import { type Members, type Summary, splitName, summaryOf, unpackMembers } from './summary.ts';
import type { Checked } from './validate.ts';

/** An entry of the quarantine that is replayed. */
export type ReplayEntry = ReplayItem['entries'][number];

/** The readings that an entry stands for. */
export function membersOf({ reading, path, members }: ReplayEntry): Members {
  if (members !== undefined) return unpackMembers(Buffer.from(members, 'base64'));
  return reading === null ? { readings: [], paths: [path] } : { readings: [reading], paths: [] };
}

/** An entry that is refused once more because its whole message cannot be read now: it stands for the same readings. */
export function refusedAgain(fault: Rejection, entry: ReplayEntry): Summary {
  const { path, detail, reason } = summaryOf([fault])[0]!;
  return { reason, path, detail, count: entry.count ?? 1, paths: [path], members: membersOf(entry) };
}

/**
 * Faults of the decoder that an entry stands for: those that it finds again, and, for the others, the readings that it
 * makes now of what is above their paths.
 */
export function pathsAgain(decoded: Decoded, paths: readonly string[]): Decoded {
  if (paths.length === 0) return { readings: [], rejections: [] };
  // A path may have several faults: an entry stands for as many as it names.
  const left = new Map<string, number>();
  for (const path of paths) left.set(path, (left.get(path) ?? 0) + 1);
  const missing = new Set(paths);
  const rejections = decoded.rejections.filter(({ path }) => {
    const count = left.get(path) ?? 0;
    if (count > 0) left.set(path, count - 1);
    missing.delete(path);
    return count > 0;
  });
  const above = new Set([...missing].flatMap(pathsAbove));
  return { readings: decoded.readings.filter(({ path }) => above.has(path)), rejections };
}

/** A path, and all that end before one of its dots. */
function pathsAbove(path: string): string[] {
  const paths = [path];
  for (let at = path.indexOf('.'); at !== -1; at = path.indexOf('.', at + 1)) paths.push(path.slice(0, at));
  return paths;
}

/** The raw readings in which there are the named readings, and which of their fields these are. */
export function namedIn(
  readings: readonly string[],
  byPath: ReadonlyMap<string, readonly RawReading[]>,
): { readonly fields: ReadonlySet<string>; readonly among: readonly RawReading[] }[] {
  const names = Map.groupBy(readings.map(splitName), ([path]) => path);
  return [...names].map(([path, some]) => ({
    fields: new Set(some.map(([, field]) => field)),
    among: byPath.get(path) ?? [],
  }));
}

export function keepOnly(checked: Checked, path: string, fields: ReadonlySet<string>): void {
  let kept = 0;
  for (let i = 0; i < checked.length; i++) {
    if (!fields.has(checked.field[i]!)) continue;
    checked.metric[kept] = checked.metric[i]!;
    checked.value[kept] = checked.value[i]!;
    checked.measured[kept] = checked.measured[i]!;
    checked.raw[kept] = checked.raw[i]!;
    checked.keepsRaw[kept] = checked.keepsRaw[i]!;
    checked.quality[kept] = checked.quality[i]!;
    checked.keepsQuality[kept] = checked.keepsQuality[i]!;
    checked.field[kept++] = checked.field[i]!;
  }
  checked.length = kept;
  const isOf = (reading: string) => reading.startsWith(`${path} `) && fields.has(reading.slice(path.length + 1));
  checked.rejections = checked.rejections.filter(({ reading }) => reading !== undefined && isOf(reading));
}
