import { DEVICE_ID, type Reason } from '../../domain/index.ts';
import { shown } from '../decode/format.ts';
import { LONGEST_TEXT } from '../texts.ts';
import { PART_ROWS, type Part, type PartHeader, packPart } from './part.ts';
import { FaultSums } from './report.ts';

/** Beyond this, epoch ms, no time is one: differences of smaller ones are exact. */
const MOST_MS = 4e15;

/** Longer names of fields and units are none. */
const LONGEST_NAME = 200;
const MOST_METRICS = 65_536;

/** What rows are read for. */
export interface RowOptions {
  /** Whether the rules take the readings, too. */
  readonly rules: boolean;
  /** Whether what rules learn of the past is learned from them; without `rules`. */
  readonly train?: boolean | undefined;
  /** Fields whose values may be texts: those of states and texts. */
  readonly states?: readonly string[] | undefined;
  /** Whether the values are as they were measured, so that calibrations apply. */
  readonly measured?: boolean | undefined;
}

/** Gathers the rows that a parser reads, and cuts them into parts. */
export class RowCollector {
  readonly #rules: boolean;
  readonly #train: boolean;
  readonly #states: ReadonlySet<string>;
  readonly #measured: boolean;
  readonly #parts: Part[] = [];
  #ts = new Float64Array(PART_ROWS);
  #value = new Float64Array(PART_ROWS);
  #device = new Uint32Array(PART_ROWS);
  #metric = new Uint16Array(PART_ROWS);
  #line = new Uint32Array(PART_ROWS);
  #rows = 0;
  #devices = new Names();
  #metrics = new Names();
  #faults = new FaultSums();

  constructor({ rules, train = false, states = [], measured = false }: RowOptions) {
    this.#rules = rules;
    this.#train = train && !rules;
    this.#measured = measured;
    this.#states = new Set(states);
  }

  /** Adds a reading of a state or a text; false where the field is neither, or the text cannot be one. */
  addText(device: string, field: string, ts: number, text: string, line: number): boolean {
    if (!this.#states.has(field) || text.length > LONGEST_TEXT || text.includes('\0')) return false;
    this.add(device, field, `\0${text}`, ts, 0, line);
    return true;
  }

  /** Adds a reading; a fault where a name cannot be one. */
  add(device: string, field: string, unit: string | null, ts: number, value: number, line: number): void {
    const known = this.#devices.find(device);
    if (known === -1 && !DEVICE_ID.test(device)) {
      this.refuse('unknown-device', device.slice(0, LONGEST_NAME), line, () => `${shown(device)} is no id of a device`);
      return;
    }
    const metric = this.#metrics.find(unit === null ? field : `${field}\0${unit}`);
    if (metric === -1 && (field === '' || field.length > LONGEST_NAME || (unit?.length ?? 0) > LONGEST_NAME)) {
      this.refuse('unknown-metric', '', line, () => `${shown(field)} is no name of a metric`);
      return;
    }
    if (!(Math.abs(ts) <= MOST_MS)) {
      this.refuse('bad-timestamp', '', line, () => `${ts} ms is no time; say what its numbers count (precision)`);
      return;
    }
    const row = this.#rows++;
    this.#device[row] = known === -1 ? this.#devices.add(device) : known;
    this.#metric[row] = metric === -1 ? this.#metrics.add(unit === null ? field : `${field}\0${unit}`) : metric;
    this.#ts[row] = ts;
    this.#value[row] = value;
    this.#line[row] = line;
    if (this.#rows === PART_ROWS || this.#metrics.size === MOST_METRICS) this.#cut();
  }

  /** Counts a row that cannot be read. Those of one reason and `of` are summed up. */
  refuse(reason: Reason, of: string, line: number, detail: () => string): void {
    this.#faults.add(reason, of, detail, [line]);
  }

  /** Returns the parts; there is at least one, also of a file without a row. */
  finish(): readonly Part[] {
    if (this.#rows > 0 || this.#faults.count > 0 || this.#parts.length === 0) this.#cut();
    return this.#parts;
  }

  #cut(): void {
    const rows = this.#rows;
    const of = <C extends Float64Array | Uint32Array | Uint16Array>(column: C) => column.subarray(0, rows) as C;
    const columns = { ts: of(this.#ts), value: of(this.#value), device: of(this.#device), metric: of(this.#metric) };
    const metrics = this.#metrics.list.map((name): PartHeader['metrics'][number] => {
      const [field = '', unit = null, text] = name.split('\0');
      return text === undefined ? [field, unit] : [field, null, text];
    });
    const [faults, more, rules] = [this.#faults.list(), this.#faults.more, this.#rules];
    const marks = {
      ...(this.#train ? { train: true as const } : {}),
      ...(this.#measured ? { measured: true as const } : {}),
    };
    const header = { rows, devices: this.#devices.list, metrics, rules, ...marks, faults, more };
    this.#parts.push(packPart(header, { ...columns, line: of(this.#line) }));
    this.#rows = 0;
    this.#devices = new Names();
    this.#metrics = new Names();
    this.#faults = new FaultSums();
  }
}

/** Names by number; the one that was asked for last is found without a look-up. */
class Names {
  readonly list: string[] = [];
  readonly #numbers = new Map<string, number>();
  #last = '';
  #lastNumber = -1;

  get size(): number {
    return this.list.length;
  }

  /** Returns the number of a name; −1 where it has none. */
  find(name: string): number {
    if (name === this.#last && this.#lastNumber !== -1) return this.#lastNumber;
    this.#last = name;
    this.#lastNumber = this.#numbers.get(name) ?? -1;
    return this.#lastNumber;
  }

  add(name: string): number {
    this.#numbers.set(name, this.list.length);
    this.#lastNumber = -1;
    return this.list.push(name) - 1;
  }
}
