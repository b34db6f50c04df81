import { compilePath, isTrue, type Path } from '../../city-model/index.ts';
import type { DeclaredFormat, EntryList, Rejection, ValueField } from '../../domain/index.ts';
import { flatten } from '../decode/flatten.ts';
import { isObject, shortened, shown } from '../decode/format.ts';
import { memberOf, Unreadable } from '../decode/lenient-json.ts';

/** The values of one reading, while they are read. */
export interface Found {
  readonly metrics: Record<string, unknown>;
  readonly paths: Record<string, string>;
  units: Record<string, string> | null;
  /** By name; null where the format has none. */
  quality: Record<string, unknown> | null;
  readonly rejections: Rejection[];
  /** Path of the row in the message. */
  readonly at: string;
}

/** Reads values of one row into `found`. */
export type Values = (row: unknown, found: Found) => void;

const MOST_ENTRIES = 4_096;
const MOST_NAME = 256;

/** Returns a compiled path, which the check of the city has accepted. */
export function pathOf(text: string): Path {
  const path = compilePath(text);
  if (typeof path === 'string') throw new Error(path);
  return path;
}

/** The JSON path of a compiled path below a row; of an expression that computes, its text. */
export function shownPath({ steps, text }: Path, at: string): string {
  if (steps === null) return `${at} | ${text}`;
  return at + steps.map((step) => (typeof step === 'number' ? `[${step}]` : memberOf(step))).join('');
}

/** Returns the readers of all values of a format, in their order; `part` resolves `{parts}` of the topic in names. */
export function valuesOf(format: DeclaredFormat, part: (text: string) => string): readonly Values[] {
  const numberOf = format.decimal === ',' ? withComma : withPoint;
  const ignored = ignoring(format.ignore);
  const readers = Object.entries(format.values).map(([name, field]) => oneValue(part(name), field, numberOf));
  for (const entries of format.entries) readers.push(entriesOf(entries, numberOf, ignored));
  // The values of a frame are fields by themselves where nothing else says what to take.
  const below = format.flatten ?? (readers.length > 0 ? null : format.frame === null ? '@' : 'frame');
  if (below !== null) readers.push(flattenOf(pathOf(below), numberOf, ignored));
  return readers;
}

function oneValue(name: string, field: ValueField, numberOf: (text: string) => number | null): Values {
  const path = pathOf(field.at);
  const { read } = path;
  const atRoot = shownPath(path, '$');
  const [when, isGood, unitAt] = [field.when, field.quality, field.unit_at].map((text) => text && pathOf(text).read);
  const { map, scale, offset, unit, qualities } = field;
  const qualityAt = field.quality_at === null ? null : pathOf(field.quality_at).read;
  const mapped = Object.keys(map).length > 0;
  const scaled = scale !== 1 || offset !== 0;
  return (row, found) => {
    const value = read(row);
    if (value === null || value === undefined || Object.hasOwn(found.metrics, name)) return;
    if (when && !isTrue(when(row))) return;
    const where = found.at === '$' ? atRoot : shownPath(path, found.at);
    if (isGood && !isTrue(isGood(row))) {
      found.rejections.push(badQuality(name, field.quality!, where));
      return;
    }
    let number =
      typeof value === 'string' ? (mapped && Object.hasOwn(map, value) ? map[value]! : numberOf(value)) : value;
    if (mapped && typeof value === 'boolean' && Object.hasOwn(map, String(value))) number = map[String(value)]!;
    if (scaled && typeof number === 'number') number = Number((number * scale + offset).toPrecision(12));
    found.metrics[name] = number ?? value;
    found.paths[name] = where;
    const own = unitAt ? unitAt(row) : unit;
    if (typeof own === 'string') putUnit(found, name, own);
    const said = qualityAt?.(row) ?? null;
    if (said === null) return;
    found.quality ??= Object.create(null) as Record<string, unknown>;
    found.quality[name] = Object.hasOwn(qualities, String(said)) ? qualities[String(said)] : said;
  };
}

function badQuality(name: string, quality: string, path: string): Rejection {
  const detail = `${shortened(name)}: the message does not fulfil ${shortened(quality)}`;
  return { reason: 'bad-quality', path, detail };
}

function entriesOf(entries: EntryList, numberOf: (text: string) => number | null, ignored: Ignored): Values {
  const list = pathOf(entries.of);
  const value = pathOf(entries.value);
  const [key, unit, when] = [entries.key, entries.unit, entries.when].map((text) => text && pathOf(text).read);
  return (row, found) => {
    const items = list.read(row);
    if (typeof items !== 'object' || items === null) return;
    const isList = Array.isArray(items);
    let left = MOST_ENTRIES;
    const root = shownPath(list, found.at);
    for (const [at, item] of Object.entries(items as Record<string, unknown>)) {
      const one = value.read(item);
      if (one === null || one === undefined || (when && !isTrue(when(item)))) continue;
      const path = shownPath(value, root + (isList ? `[${at}]` : memberOf(at)));
      if (left-- === 0) {
        found.rejections.push(refusedEntry(path, `more than ${MOST_ENTRIES} entries; from here on nothing was read`));
        return;
      }
      const name = key ? key(item) : isList ? null : at;
      if (typeof name === 'object' || typeof name === 'boolean' || String(name).length > MOST_NAME) {
        found.rejections.push(refusedEntry(path, `${shown(name)} found as its name; a text or number is expected`));
      } else put(String(name), one, path, unit ? unit(item) : null, found, { numberOf, ignored });
    }
  };
}

interface How {
  readonly numberOf: (text: string) => number | null;
  readonly ignored: Ignored;
}

function put(name: string, value: unknown, path: string, unit: unknown, found: Found, how: How): void {
  // A name that no metric has, and that no object can have as its own.
  if (how.ignored(name) || name === '__proto__') return;
  if (Object.hasOwn(found.metrics, name)) {
    const detail = `"${shortened(name)}" is also at ${found.paths[name]}`;
    found.rejections.push({ reason: 'ambiguous', path, detail });
    return;
  }
  found.metrics[name] = typeof value === 'string' ? (how.numberOf(value) ?? value) : value;
  found.paths[name] = path;
  if (typeof unit === 'string') putUnit(found, name, unit);
}

function putUnit(found: Found, name: string, unit: string): void {
  found.units ??= Object.create(null) as Record<string, string>;
  found.units[name] = unit;
}

function refusedEntry(path: string, detail: string): Rejection {
  return { reason: 'wrong-shape', path, detail };
}

/** All numbers below a path, and what stands for one that is none; texts count where they are numbers. */
function flattenOf(path: Path, numberOf: (text: string) => number | null, ignored: Ignored): Values {
  const atRoot = shownPath(path, '$');
  return (row, found) => {
    const below = path.read(row);
    if (!isObject(below)) return;
    const root = found.at === '$' ? atRoot : shownPath(path, found.at);
    if (isFlat(below)) {
      for (const name in below) {
        if (isTaken(name, below[name], found)) found.paths[name] = root + cachedMember(name);
      }
      return;
    }
    const { metrics, paths, rejections } = flatten(below, root);
    found.rejections.push(...rejections);
    for (const name in metrics) {
      if (isTaken(name, metrics[name], found)) found.paths[name] = paths[name]!;
    }
  };

  function isTaken(name: string, given: unknown, { metrics }: Found): boolean {
    const value = typeof given === 'string' ? (numberOf(given) ?? given) : given;
    if ((typeof value !== 'number' && typeof value !== 'boolean' && !isNoNumber(value)) || name === '__proto__')
      return false;
    if (ignored(name) || Object.hasOwn(metrics, name)) return false;
    metrics[name] = value;
    return true;
  }
}

const NO_NUMBER = /^\s*[+-]?(nan|inf|infinity)\s*$/i;

/** Whether a value is what a program writes where it has no number. It is refused where it is. */
function isNoNumber(value: unknown): boolean {
  if (typeof value === 'string') return NO_NUMBER.test(value);
  return value instanceof Unreadable && !value.text.startsWith('"');
}

/** The most common shape: few fields with short names, and nothing below them. */
function isFlat(object: Record<string, unknown>): boolean {
  let fields = 0;
  for (const name in object) {
    const value = object[name];
    if (++fields > MOST_CACHED || name.length > MOST_CACHED || (typeof value === 'object' && value !== null))
      return false;
  }
  return true;
}

const MOST_CACHED = 64;
const members = new Map<string, string>();

/** The part of a path for a name that comes with every message. */
function cachedMember(name: string): string {
  let member = members.get(name);
  if (member === undefined) {
    if (members.size > MOST_CACHED ** 2) members.clear();
    member = memberOf(name);
    members.set(name, member);
  }
  return member;
}

type Ignored = (name: string) => boolean;

function ignoring(names: readonly string[]): Ignored {
  if (names.length === 0) return () => false;
  const exact = new Set(names.filter((name) => !name.endsWith('*')));
  const starts = names.filter((name) => name.endsWith('*')).map((name) => name.slice(0, -1));
  return (name) => exact.has(name) || starts.some((start) => name.startsWith(start));
}

const LONGEST_NUMBER = 64;
const POINT = /^\s*[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?\s*$/i;
const COMMA = /^\s*[+-]?(\d+(,\d*)?|,\d+)(e[+-]?\d+)?\s*$/i;

function withPoint(text: string): number | null {
  return text.length <= LONGEST_NUMBER && POINT.test(text) ? Number(text) : null;
}

function withComma(text: string): number | null {
  return text.length <= LONGEST_NUMBER && COMMA.test(text) ? Number(text.replace(',', '.')) : null;
}
