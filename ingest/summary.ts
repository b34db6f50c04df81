import { deflateSync, inflateSync } from 'node:zlib';
import type { Rejection } from '../domain/index.ts';

/** Faults of one message that are entries of their own; past them all its faults are summed up. */
const MOST_SINGLE = 32;
/** Groups by reason and field; the faults past them are summed up by reason alone. */
const MOST_GROUPS = 64;
const MOST_PATHS = 5;
const LONGEST_DETAIL = 500;
const LONGEST_PATH = 1_024;
const PACKED_FROM = 1_024;

/** The faults that one entry of the quarantine stands for, by what a replay needs to find them again. */
export interface Members {
  /** The names of the readings that were refused. */
  readonly readings: readonly string[];
  /** The paths of faults that belong to no single reading. */
  readonly paths: readonly string[];
}

/** One fault of a message, or several with the same reason. */
export interface Summary extends Rejection {
  /** How many faults it stands for; each is a reading that was received and refused. */
  readonly count: number;
  /** The paths of the first few. */
  readonly paths: readonly string[];
  /** Null where `reading`, or else `path`, names the only one. */
  readonly members: Members | null;
}

/**
 * Sums up the faults of one message, so that no message makes more than about a hundred entries, each with short texts.
 * Up to 32 faults stay as they are. More are grouped by reason and field, in the order in which they were found; each
 * group has the path and the detail of its first fault.
 */
export function summaryOf(faults: readonly Rejection[]): Summary[] {
  if (faults.length <= MOST_SINGLE) return faults.map((fault) => summed([fault]));
  const groups = new Map<string, Rejection[]>();
  for (const fault of faults) {
    const key = `${fault.reason} ${fieldOf(fault)}`;
    const group = groups.get(key);
    if (group !== undefined) group.push(fault);
    else if (groups.size < MOST_GROUPS) groups.set(key, [fault]);
    else groupAt(groups, fault.reason).push(fault);
  }
  return [...groups.values()].map(summed);
}

/** Groups by reason alone are not counted: there are only so many reasons. */
function groupAt(groups: Map<string, Rejection[]>, reason: string): Rejection[] {
  const group = groups.get(reason) ?? [];
  groups.set(reason, group);
  return group;
}

/** The field of a reading that was refused, which is the text behind its path. */
function fieldOf({ reading }: Rejection): string {
  return reading === undefined ? '' : splitName(reading)[1];
}

function summed(faults: readonly Rejection[]): Summary {
  const { reason, path, detail, reading } = faults[0]!;
  const alone = faults.length === 1 && (reading !== undefined || path.length <= LONGEST_PATH);
  return {
    reason,
    path: cut(path, LONGEST_PATH),
    detail: cut(detail, LONGEST_DETAIL),
    ...(alone && reading !== undefined ? { reading } : {}),
    count: faults.length,
    paths: faults.slice(0, MOST_PATHS).map((one) => cut(one.path, LONGEST_PATH)),
    members: alone ? null : membersOf(faults),
  };
}

function membersOf(faults: readonly Rejection[]): Members {
  const readings: string[] = [];
  const paths: string[] = [];
  for (const { reading, path } of faults) {
    if (reading === undefined) paths.push(path);
    else readings.push(reading);
  }
  return { readings, paths };
}

/** Splits the name of a reading into the path of its raw reading, which never has a space, and its field. */
export function splitName(reading: string): [path: string, field: string] {
  const at = reading.indexOf(' ');
  return [reading.slice(0, at), reading.slice(at + 1)];
}

function cut(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, most - 1)}…`;
}

/** Packs members into bytes: JSON, compressed where it is long. */
export function packMembers(members: Members): Uint8Array {
  const json = Buffer.from(JSON.stringify(members));
  return json.length < PACKED_FROM ? json : deflateSync(json, { level: 1 });
}

/** Reads what `packMembers` returned: JSON begins with `{`, which no zlib stream does. */
export function unpackMembers(packed: Uint8Array): Members {
  const json = packed[0] === 0x7b ? Buffer.from(packed) : inflateSync(packed);
  return JSON.parse(json.toString('utf8')) as Members;
}
