import { convert } from '../../city-model/index.ts';
import type { Rejection } from '../../domain/index.ts';
import { type Decoded, isObject, kindOf, type RawReading, shortened, shown } from './format.ts';

type Fields = Readonly<Record<string, unknown>>;

/** Table 1. `vd` is base64url text in JSON and bytes in CBOR. */
const TYPES = {
  bn: 'string',
  bt: 'number',
  bu: 'string',
  bv: 'number',
  bs: 'number',
  n: 'string',
  u: 'string',
  v: 'number',
  vs: 'string',
  vb: 'boolean',
  vd: 'data',
  s: 'number',
  t: 'number',
  ut: 'number',
} as const;
const BASE = ['bn', 'bt', 'bu', 'bv', 'bs'] as const;
const REGULAR = ['n', 'u', 'v', 'vs', 'vb', 'vd', 's', 't', 'ut'] as const;
const VALUES = ['v', 'vs', 'vb', 'vd'] as const;

/** RFC 8428 is version 10; RFC 9100 §4 adds 16 to it for the secondary units of RFC 8798. */
const VERSION = 10;
const VERSION_WITH_SECONDARY_UNITS = 26;
/** §4.5.3: a time below it is relative to now. Seconds. */
const ABSOLUTE = 2 ** 28;
/** §4.5.1. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9:./_-]*$/;
const LONGEST_NAME = 256;
const LONGEST_UNIT = 64;
const DATA = /^[A-Za-z0-9_-]*$/;
const MOST_ENDINGS = 8;
/** RFC 9039 §4.1: the text after the first `_` behind the identifier names a part of the device. */
const DEVICE_PART = /^urn:dev:[A-Za-z0-9]+:[^:/_]+_/;

/** A record with the base fields applied (§4.6). */
interface Resolved {
  readonly path: string;
  readonly name: string;
  readonly unit: string | undefined;
  /** Epoch ms; undefined where the pack has no time. */
  readonly ts: number | undefined;
  readonly values: readonly Value[];
}

interface Value {
  readonly label: string;
  /** Appended to the name of the field: `.sum` for the sum, nothing for the value. */
  readonly suffix: '' | '.sum';
  readonly value: unknown;
}

/**
 * Resolves a SenML pack (RFC 8428 §4) whose records have the labels of JSON. Fields are the resolved names, and
 * `{name}.sum` for sums; records with the same time form one reading. A fault that affects later records (base fields,
 * version, a label that must be understood) refuses the pack; any other fault refuses its record only.
 */
export function resolvePack(pack: unknown, receivedAt: number): Decoded | Rejection {
  if (!Array.isArray(pack)) return fault('$', `${kindOf(pack)} found; a SenML pack is an array of records`);
  if (pack.length === 0) return fault('$', 'an empty array; a SenML pack has at least one record');
  const base: Record<string, unknown> = {};
  const resolved: Resolved[] = [];
  const rejections: Rejection[] = [];
  for (const [i, item] of pack.entries()) {
    const path = `$[${i}]`;
    const refusal = isObject(item) ? packFault(item, pack[0], path) : null;
    if (refusal !== null) return refusal;
    const record = isObject(item)
      ? read(item, base, path, receivedAt)
      : fault(path, `${kindOf(item)} found; a record is an object`);
    if (record === null) continue;
    if ('reason' in record) rejections.push(record);
    else resolved.push(record);
  }
  if (resolved.length === 0 && rejections.length > 0) return rejections[0]!;
  return { readings: readingsOf(resolved), rejections };
}

function packFault(item: Fields, first: unknown, path: string): Rejection | null {
  for (const label in item) {
    // §4.4: an unknown field is ignored, unless its label ends with an underscore.
    if (label.endsWith('_'))
      return fault(path, `the field "${shortened(label)}" must be understood (RFC 8428 §4.4), and is not`);
  }
  const version = isObject(first) ? first.bver : undefined;
  return typeFault(item, BASE, path) ?? lengthFault(item, path) ?? versionFault(item.bver, version, `${path}.bver`);
}

/** Base fields apply to every later record: a long one would be copied that often. */
function lengthFault({ bn, bu }: Fields, path: string): Rejection | null {
  if (String(bn ?? '').length > LONGEST_NAME) return fault(`${path}.bn`, `longer than ${LONGEST_NAME} characters`);
  return String(bu ?? '').length > LONGEST_UNIT ? fault(`${path}.bu`, `longer than ${LONGEST_UNIT} characters`) : null;
}

function versionFault(found: unknown, first: unknown, path: string): Rejection | null {
  if (found === undefined) return null;
  if (!Number.isInteger(found) || (found as number) < 1)
    return fault(path, `${shown(found)} found; a version is a positive integer`);
  if ((found as number) > VERSION && found !== VERSION_WITH_SECONDARY_UNITS) {
    return fault(path, `version ${found} is not known; up to ${VERSION}, and ${VERSION_WITH_SECONDARY_UNITS}, are`);
  }
  return found === (first ?? VERSION)
    ? null
    : fault(path, `version ${found} behind version ${first ?? VERSION}; a pack has one`);
}

function typeFault(item: Fields, labels: readonly (keyof typeof TYPES)[], path: string): Rejection | null {
  for (const label of labels) {
    const value = item[label];
    if (value !== undefined && !isOfType(value, TYPES[label])) {
      return fault(
        `${path}.${label}`,
        `${shown(value)} found; ${label} is ${TYPES[label] === 'data' ? 'base64url without padding' : `a ${TYPES[label]}`}`,
      );
    }
  }
  return null;
}

function isOfType(value: unknown, type: string): boolean {
  if (type !== 'data') return typeof value === type;
  return value instanceof Uint8Array || (typeof value === 'string' && DATA.test(value));
}

/** Reads a record and adopts its base fields. Returns null where it has no others (§4.2: no measurement). */
function read(
  item: Fields,
  base: Record<string, unknown>,
  path: string,
  receivedAt: number,
): Resolved | Rejection | null {
  for (const label of BASE) if (item[label] !== undefined) base[label] = item[label];
  if (REGULAR.every((label) => item[label] === undefined) && Object.keys(item).some((label) => label[0] === 'b'))
    return null;
  const wrong = typeFault(item, REGULAR, path) ?? valueFault(item, path);
  if (wrong !== null) return wrong;
  const name = `${base.bn ?? ''}${item.n ?? ''}`;
  if (name.length > LONGEST_NAME || !NAME.test(name)) return fault(`${path}.n`, nameFault(name));
  const unit = (item.u ?? base.bu) as string | undefined;
  return { path, name, unit, ts: timeOf(item, base, receivedAt), values: valuesOf(item, base) };
}

function nameFault(name: string): string {
  if (name === '') return 'neither n nor bn; a record has a name';
  const rule = 'a name has A-Z, a-z, 0-9, - : . / _ and begins with a letter or digit (RFC 8428 §4.5.1)';
  return `${shown(name)} found; ${rule}, and at most ${LONGEST_NAME} here`;
}

function valueFault(item: Fields, path: string): Rejection | null {
  const given = VALUES.filter((label) => item[label] !== undefined);
  if (given.length > 1) return fault(path, `${given.join(' and ')} found; a record has one value`);
  if (given.length === 1 || item.s !== undefined) return null;
  return fault(path, 'no value; a record has one of v, vs, vb, vd, or the sum s');
}

/** §4.5.4: a missing part counts as zero; the base sum alone is a sum, too. */
function valuesOf(item: Fields, base: Fields): Value[] {
  const values: Value[] = [];
  const label = VALUES.find((one) => item[one] !== undefined);
  if (label !== undefined) {
    const value = label === 'v' ? add(base.bv, item.v) : item[label];
    values.push({ label, suffix: '', value });
  }
  if (item.s !== undefined || base.bs !== undefined) {
    values.push({ label: 's', suffix: '.sum', value: add(base.bs, item.s) });
  }
  return values;
}

/** §4.5.3. */
function timeOf(item: Fields, base: Fields, receivedAt: number): number | undefined {
  const seconds = add(base.bt, item.t);
  if (seconds === 0) return undefined;
  return Math.round(seconds * 1_000) + (seconds < ABSOLUTE ? receivedAt : 0);
}

function add(base: unknown, own: unknown): number {
  return ((base as number | undefined) ?? 0) + ((own as number | undefined) ?? 0);
}

interface Group extends RawReading {
  readonly metrics: Record<string, unknown>;
  readonly paths: Record<string, string>;
  units: Record<string, string> | null;
  readonly aliases: Record<string, readonly string[]>;
  quantities?: Record<string, readonly string[]>;
}

/** What a pack says of a name, in all its records. */
interface Naming {
  readonly endings: ReadonlyMap<string, readonly string[]>;
  /** Units of each name that measure different quantities; no entry where they all measure the same. */
  readonly quantities: ReadonlyMap<string, readonly string[]>;
}

/** Joins records of one time into one reading. A name that occurs again at that time starts another reading. */
function readingsOf(resolved: readonly Resolved[]): RawReading[] {
  const naming = { endings: uniqueEndings(resolved.map(({ name }) => name)), quantities: quantitiesOf(resolved) };
  const groups: Group[] = [];
  const open = new Map<number | undefined, Group>();
  for (const record of resolved) {
    for (const value of record.values) {
      const field = record.name + value.suffix;
      let group = open.get(record.ts);
      if (group === undefined || field in group.metrics) {
        group = groupOf(record);
        groups.push(group);
        open.set(record.ts, group);
      }
      put(group, field, record, value, naming);
    }
  }
  return groups;
}

function groupOf({ path, ts }: Resolved): Group {
  const empty = <T>(): Record<string, T> => Object.create(null);
  return {
    path,
    ts,
    timePath: `${path}.t`,
    timeUnit: 'seconds',
    metrics: empty(),
    paths: empty(),
    units: null,
    aliases: empty(),
  };
}

function put(
  group: Group,
  field: string,
  { name, path, unit }: Resolved,
  { label, suffix, value }: Value,
  { endings, quantities }: Naming,
): void {
  const shorter = endings.get(name)!;
  group.metrics[field] = value;
  group.paths[field] = `${path}.${label}`;
  group.aliases[field] = suffix === '' ? shorter : shorter.map((one) => one + suffix);
  if (unit === undefined) return;
  group.units ??= Object.create(null) as Record<string, string>;
  // §4.2: the unit of a sum is the unit of the value times seconds, in the notation of UCUM.
  group.units[field] = suffix === '' ? unit : `${unit}.s`;
  const several = suffix === '' ? quantities.get(name) : undefined;
  if (several === undefined) return;
  group.quantities ??= Object.create(null) as Record<string, readonly string[]>;
  group.quantities[field] = several;
}

/** At most so many quantities of one name are kept apart. */
const MOST_QUANTITIES = 8;

/** Returns one unit of each quantity, in their order, of names that have several (§5.1.3: a sensor that moves). */
function quantitiesOf(resolved: readonly Resolved[]): ReadonlyMap<string, readonly string[]> {
  const units = new Map<string, string[]>();
  for (const { name, unit } of resolved) {
    if (unit === undefined) continue;
    const known = units.get(name);
    if (known === undefined) units.set(name, [unit]);
    else if (known.includes(unit)) continue;
    else if (known.length < MOST_QUANTITIES && known.every((one) => typeof convert(unit, one) === 'string'))
      known.push(unit);
  }
  for (const [name, known] of units) if (known.length === 1) units.delete(name);
  return units;
}

/**
 * Returns the short forms of a SenML name: its ends behind each `:` and `/`, the longest first, at most 8.
 * `urn:dev:mac:0024be:indoor/temp` is also `mac:0024be:indoor/temp`, … `indoor/temp` and `temp`.
 */
function endingsOf(name: string): readonly string[] {
  const endings: string[] = [];
  const part = DEVICE_PART.exec(name)?.[0].length ?? -1;
  for (let at = name.length - 1; at > 0 && endings.length < MOST_ENDINGS; at--) {
    const before = name[at - 1];
    if (before === ':' || before === '/' || at === part) endings.push(name.slice(at));
  }
  return endings.reverse();
}

/** Returns the endings of each name that no other name of the pack shares. */
function uniqueEndings(names: Iterable<string>): ReadonlyMap<string, readonly string[]> {
  const endings = new Map<string, readonly string[]>();
  const owners = new Map<string, string | null>();
  for (const name of names) {
    if (endings.has(name)) continue;
    const own = endingsOf(name);
    endings.set(name, own);
    for (const one of [name, ...own]) owners.set(one, owners.has(one) ? null : name);
  }
  for (const [name, own] of endings) {
    endings.set(
      name,
      own.filter((one) => owners.get(one) === name),
    );
  }
  return endings;
}

function fault(path: string, detail: string): Rejection {
  return { reason: 'wrong-shape', path, detail };
}
