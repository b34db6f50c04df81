import type { Rejection } from '../../domain/index.ts';
import { memberOf, Unreadable } from '../decode/lenient-json.ts';

/** Rows of a text format; a text that is none is thrown as an error with its place. */
type Row = Record<string, unknown>;

/** Rows and pairs of one message. */
const MOST_PARTS = 32_768;

function partsOf(text: string, separator: string): string[] {
  const parts = text.split(separator, MOST_PARTS + 1);
  if (parts.length > MOST_PARTS) throw new Error(`more than ${MOST_PARTS} parts`);
  return parts;
}

function linesOf(text: string): string[] {
  return partsOf(text.replaceAll('\r\n', '\n'), '\n').filter((line) => line.trim() !== '');
}

/**
 * Reads the parts of a text: one that cannot be read is refused, undefined is in its place, and the others are kept.
 * Throws the first error where none can be read.
 */
function readEach<T, R>(
  parts: readonly T[],
  read: (part: T, at: number) => R,
  pathOf: (at: number) => string,
  faults: Rejection[],
): (R | undefined)[] {
  const before = faults.length;
  let first: Error | null = null;
  let good = 0;
  const rows = parts.map((part, at) => {
    try {
      const row = read(part, at);
      good++;
      return row;
    } catch (error) {
      first ??= error as Error;
      faults.push({ reason: 'malformed', path: pathOf(at), detail: (error as Error).message });
      return undefined;
    }
  });
  if (first === null || good > 0) return rows;
  faults.length = before;
  throw first as Error;
}

const item = (at: number): string => `$[${at}]`;
const isRead = <T>(one: T | undefined): one is T => one !== undefined;

/** Comma-separated values (RFC 4180) with one value a column; without `columns` the first line names them. */
export function readCsv(
  text: string,
  separator: string,
  columns: readonly string[] | null,
  faults: Rejection[],
): (Row | undefined)[] {
  const lines = linesOf(text);
  const names = columns ?? cellsOf(lines.shift() ?? '', separator);
  const read = (line: string, i: number) => {
    const cells = cellsOf(line, separator);
    if (cells.length > names.length) {
      throw new Error(`line ${i + 1} has ${cells.length} values; there are ${names.length} columns`);
    }
    return rowOf(cells.map((cell, at) => [names[at]!, cell] as const));
  };
  return readEach(lines, read, item, faults);
}

/** Splits a line; a cell in double quotes may hold the separator, and a quote as two of them. */
function cellsOf(line: string, separator: string): string[] {
  if (!line.includes('"')) return line.split(separator).map((cell) => cell.trim());
  const cells: string[] = [];
  let from = 0;
  for (;;) {
    const quoted = line[from] === '"';
    const end = quoted ? endOfQuote(line, from + 1) : from;
    const next = line.indexOf(separator, end);
    const cell = line.slice(from, next === -1 ? line.length : next);
    cells.push(quoted ? line.slice(from + 1, end).replaceAll('""', '"') : cell.trim());
    if (next === -1) return cells;
    from = next + separator.length;
  }
}

function endOfQuote(line: string, from: number): number {
  let end = line.indexOf('"', from);
  while (end !== -1 && line[end + 1] === '"') end = line.indexOf('"', end + 2);
  if (end === -1) throw new Error('a quoted value without its end');
  return end;
}

/** `temperature=21.5;humidity=40`: one row. */
export function readPairs(text: string, separator: string | null, equals: string, faults: Rejection[]): Row {
  const parts = partsOf(text.replaceAll('\r\n', '\n').trim(), separator ?? '\n').map((part) => part.trim());
  const read = (part: string) => {
    const at = part.indexOf(equals);
    if (at <= 0) throw new Error(`"${part.slice(0, 60)}" is no name, ${equals} and value`);
    return [part.slice(0, at).trim(), part.slice(at + equals.length).trim()] as const;
  };
  const filled = parts.filter((part) => part !== '');
  return rowOf(readEach(filled, read, () => '$', faults).filter(isRead), { path: '$', faults });
}

/** UltraLight 2.0: `t|15|k|abc`, several groups behind `#`, a time before each; the time is the value `TimeInstant`. */
export function readUltraLight(text: string, faults: Rejection[]): (Row | undefined)[] {
  const read = (group: string, index: number) => {
    const parts = partsOf(group, '|');
    const time = parts.length % 2 === 1 ? parts.shift()! : null;
    if (parts.length === 0) throw new Error('no name|value in it');
    const pairs: (readonly [string, string])[] = time === null ? [] : [['TimeInstant', time]];
    for (let i = 0; i < parts.length; i += 2) pairs.push([parts[i]!, parts[i + 1]!]);
    return rowOf(pairs, { path: item(index), faults });
  };
  return readEach(partsOf(text.trim(), '#'), read, item, faults);
}

/** InfluxDB's line protocol: rows of `measurement`, `tags`, `fields`, and `timestamp` as a text. */
export function readLineProtocol(text: string, faults: Rejection[]): (Row | undefined)[] {
  const lines = linesOf(text).filter((line) => !line.startsWith('#'));
  return readEach(lines, (line, at) => lineOf(line, `${item(at)}.fields`, faults), item, faults);
}

function lineOf(line: string, path: string, faults: Rejection[]): Row {
  const [key = '', fields = '', timestamp, more] = splitOutside(line.trim(), ' ').filter((part) => part !== '');
  if (fields === '' || more !== undefined) throw new Error(`"${line.slice(0, 60)}" is no line of the protocol`);
  const [measurement = '', ...tags] = splitOutside(key, ',');
  const pairs = readEach(splitOutside(fields, ','), pairOf, () => path, faults).filter(isRead);
  return {
    measurement: plain(measurement),
    tags: rowOf(tags.map(pairOf).map(([name, value]) => [name, plain(value)] as const)),
    fields: rowOf(
      pairs.map(([name, value]) => [name, fieldValue(value)] as const),
      { path, faults },
    ),
    ...(timestamp === undefined ? {} : { timestamp }),
  };
}

/** Splits at a character that is neither escaped nor within double quotes. */
function splitOutside(text: string, separator: string): string[] {
  const parts: string[] = [];
  let from = 0;
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const one = text[i];
    if (one === '\\') i++;
    else if (one === '"') quoted = !quoted;
    else if (one === separator && !quoted) {
      parts.push(text.slice(from, i));
      from = i + 1;
      if (parts.length > MOST_PARTS) throw new Error(`more than ${MOST_PARTS} parts`);
    }
  }
  if (quoted) throw new Error('a quoted value without its end');
  return [...parts, text.slice(from)];
}

function pairOf(text: string): readonly [string, string] {
  const [name = '', ...value] = splitOutside(text, '=');
  if (name === '' || value.length === 0) throw new Error(`"${text.slice(0, 60)}" is no name=value`);
  return [plain(name), value.join('=')];
}

const plain = (text: string): string => text.replace(/\\([,= \\"])/g, '$1');

/** `1.5`, `3i`, `3u`, `t`, `true`, `"text"`; any other is unreadable. */
function fieldValue(text: string): unknown {
  if (text[0] === '"') return plain(text.slice(1, -1));
  if (/^(t|true)$/i.test(text)) return true;
  if (/^(f|false)$/i.test(text)) return false;
  const number = Number(/^-?\d+[iu]$/.test(text) ? text.slice(0, -1) : text);
  return text === '' || Number.isNaN(number) ? new Unreadable(text) : number;
}

/** Of two values of one name the first counts; with `of` another value is refused. */
function rowOf(
  pairs: readonly (readonly [string, unknown])[],
  of?: { readonly path: string; readonly faults: Rejection[] },
): Row {
  const row: Row = Object.create(null);
  for (const [name, value] of pairs) {
    if (!(name in row)) row[name] = value;
    else if (of !== undefined && !Object.is(row[name], value)) {
      const detail = 'this name is there more than once; the first value counts';
      of.faults.push({ reason: 'ambiguous', path: `${of.path}${memberOf(name)}`, detail });
    }
  }
  return row;
}
