import { LamppostError } from '../../domain/index.ts';
import { shown } from '../decode/format.ts';
import type { RowCollector } from './rows.ts';
import { numberIn, type Precision, TimeReader } from './values.ts';

/** How a text is read. */
export interface TextOptions {
  /** The device of rows that name none; null: each row must. */
  readonly device: string | null;
  /** What a time that is a number counts; null: milliseconds in CSV, nanoseconds in line protocol. */
  readonly precision: Precision | null;
  /** Number of the first line of a part of a file, for reports. */
  readonly firstLine: number;
}

const DEVICE = ['device', 'device_id'];
const TIME = ['ts', 'time', 'timestamp'];
const MOST_COLUMNS = 1_000;

/** Where the columns of a file are; −1: there is none. */
interface Layout {
  readonly names: readonly string[];
  readonly device: number;
  readonly time: number;
  readonly metric: number;
  readonly value: number;
  readonly unit: number;
  /** The columns that are metrics: of a file with a row for each time and device. */
  readonly metrics: readonly number[];
}

/**
 * Reads CSV (RFC 4180, without line breaks in values) with a header into rows: either `device, ts, metric, value[,
 * unit]`, or `device, ts` and a column for each metric, whose empty values are no readings. Throws `invalid` for a
 * header that is neither.
 */
export function readCsv(text: string, options: TextOptions, into: RowCollector): void {
  const lines = new Lines(text);
  if (!lines.next()) throw new LamppostError('invalid', 'there is no header: the first line names the columns');
  const layout = layoutOf(lines.texts(), options);
  const time = new TimeReader(options.precision ?? 'ms');
  let line = options.firstLine;
  for (line++; lines.next(); line++) {
    if (lines.isEmpty()) continue;
    if (lines.count !== layout.names.length) {
      const found = `${lines.count} values found; the header names ${layout.names.length} columns`;
      into.refuse('wrong-shape', '', line, () => found);
    } else readRow(lines, { layout, device: options.device, time }, line, into);
  }
}

function readRow(
  lines: Lines,
  { layout, device, time }: { readonly layout: Layout; readonly device: string | null; readonly time: TimeReader },
  line: number,
  into: RowCollector,
): void {
  const id = layout.device === -1 ? device! : lines.text(layout.device);
  const ts = lines.time(layout.time, time);
  if (Number.isNaN(ts)) {
    const found = lines.text(layout.time);
    into.refuse('bad-timestamp', '', line, () => `${shown(found)} is neither ISO 8601 with a zone nor a whole number`);
    return;
  }
  if (layout.metric !== -1) {
    const unit = layout.unit === -1 ? '' : lines.text(layout.unit);
    addValue(
      lines,
      layout.value,
      { id, field: lines.text(layout.metric), unit: unit === '' ? null : unit, ts, line },
      into,
    );
    return;
  }
  for (const at of layout.metrics) {
    if (!lines.isBlank(at)) addValue(lines, at, { id, field: layout.names[at]!, unit: null, ts, line }, into);
  }
}

interface Found {
  readonly id: string;
  readonly field: string;
  readonly unit: string | null;
  readonly ts: number;
  readonly line: number;
}

function addValue(lines: Lines, at: number, { id, field, unit, ts, line }: Found, into: RowCollector): void {
  const value = lines.number(at);
  if (!Number.isNaN(value)) {
    into.add(id, field, unit, ts, value, line);
    return;
  }
  const found = lines.text(at);
  if (into.addText(id, field, ts, found, line)) return;
  into.refuse('not-a-number', field, line, () => `${field}: ${shown(found)} found; a number is expected`);
}

function layoutOf(header: readonly string[], { device }: TextOptions): Layout {
  const names = header.map((name) => name.trim());
  const indexOf = (known: readonly string[]) => names.findIndex((name) => known.includes(name.toLowerCase()));
  const layout = {
    names,
    device: indexOf(DEVICE),
    time: indexOf(TIME),
    metric: indexOf(['metric']),
    value: indexOf(['value']),
    unit: indexOf(['unit']),
  };
  const fail = (what: string): never => {
    const right = 'write device,ts,metric,value[,unit], or device,ts and one column for each metric';
    throw new LamppostError('invalid', `the header ${shown(header.join(','))} ${what}; ${right}`);
  };
  if (names.length > MOST_COLUMNS) fail(`has more than ${MOST_COLUMNS} columns`);
  if (layout.time === -1) fail('has no column of the time');
  if (layout.device === -1 && device === null) fail('has no column of the device, and none is given');
  if ((layout.metric === -1) !== (layout.value === -1)) fail('has only one of metric and value');
  const taken = new Set([layout.device, layout.time]);
  const metrics = layout.metric === -1 ? [...names.keys()].filter((at) => !taken.has(at)) : [];
  const found = { ...layout, metrics };
  if (layout.metric === -1 && found.metrics.length === 0) fail('names no metric');
  return found;
}

const [COMMA, QUOTE, RETURN] = [0x2c, 0x22, 0x0d];

/** The lines of a CSV text, one after the other; no object is made for a line without quotes. */
class Lines {
  readonly #text: string;
  readonly #from: number[] = [];
  readonly #to: number[] = [];
  /** The values of a line with quotes; null for any other. */
  #values: string[] | null = null;
  #at: number;
  /** The next quote in the text. */
  #quote: number;
  /** How many values the line has. */
  count = 0;

  constructor(text: string) {
    this.#text = text;
    // A byte order mark is not a part of the first name.
    this.#at = text.charCodeAt(0) === 0xfeff ? 1 : 0;
    this.#quote = nextOf(text, '"', 0);
  }

  /** Goes to the next line; false at the end. */
  next(): boolean {
    const text = this.#text;
    if (this.#at >= text.length) return false;
    const end = nextOf(text, '\n', this.#at);
    const to = end > this.#at && text.charCodeAt(end - 1) === RETURN ? end - 1 : end;
    if (this.#quote < this.#at) this.#quote = nextOf(text, '"', this.#at);
    this.#values = this.#quote < to ? quotedValues(text.slice(this.#at, to)) : null;
    this.count = this.#values?.length ?? this.#split(this.#at, to);
    this.#at = end + 1;
    return true;
  }

  #split(from: number, to: number): number {
    const text = this.#text;
    let count = 0;
    this.#from[0] = from;
    for (let i = from; i < to; i++) {
      if (text.charCodeAt(i) !== COMMA) continue;
      this.#to[count++] = i;
      this.#from[count] = i + 1;
    }
    this.#to[count] = to;
    return count + 1;
  }

  isEmpty(): boolean {
    return this.count === 1 && this.isBlank(0);
  }

  isBlank(at: number): boolean {
    return this.#values === null ? this.#from[at] === this.#to[at] : this.#values[at] === '';
  }

  text(at: number): string {
    return this.#values?.[at] ?? this.#text.slice(this.#from[at], this.#to[at]);
  }

  texts(): string[] {
    return Array.from({ length: this.count }, (_, at) => this.text(at));
  }

  number(at: number): number {
    const value = this.#values?.[at];
    return value === undefined
      ? numberIn(this.#text, this.#from[at]!, this.#to[at]!)
      : numberIn(value, 0, value.length);
  }

  time(at: number, reader: TimeReader): number {
    const value = this.#values?.[at];
    return value === undefined
      ? reader.read(this.#text, this.#from[at]!, this.#to[at]!)
      : reader.read(value, 0, value.length);
  }
}

function nextOf(text: string, what: string, from: number): number {
  const at = text.indexOf(what, from);
  return at === -1 ? text.length : at;
}

/** The values of a line that has quotes. */
function quotedValues(line: string): string[] {
  const values: string[] = [];
  for (let at = 0; ; at++) {
    let value = '';
    if (line.charCodeAt(at) === QUOTE) {
      const close = closingQuote(line, at + 1);
      value = line.slice(at + 1, close).replaceAll('""', '"');
      at = Math.min(line.length, close + 1);
    }
    const end = nextOf(line, ',', at);
    values.push(value + line.slice(at, end));
    if (end === line.length) return values;
    at = end;
  }
}

function closingQuote(line: string, from: number): number {
  let at = from;
  while (at < line.length && (line.charCodeAt(at) !== QUOTE || line.charCodeAt(at + 1) === QUOTE))
    at += line.charCodeAt(at) === QUOTE ? 2 : 1;
  return at;
}
