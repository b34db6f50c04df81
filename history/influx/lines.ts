import type { KnownDevice, MetricTable, ReadingColumns, RefusedRow } from '../../domain/index.ts';
import type { RowPlace } from '../columns.ts';

/** Rows of several batches, numbered from 0. */
export class Rows {
  readonly of: RefusedRow['of'];
  readonly batches: readonly ReadingColumns[];
  readonly length: number;
  readonly #batch: Int32Array;
  readonly #row: Int32Array;

  /** All rows of the batches, or those at `places`. */
  constructor(of: RefusedRow['of'], batches: readonly ReadingColumns[], places?: readonly RowPlace[]) {
    this.of = of;
    this.batches = batches;
    this.length = places?.length ?? batches.reduce((sum, { length }) => sum + length, 0);
    this.#batch = new Int32Array(this.length);
    this.#row = new Int32Array(this.length);
    if (places === undefined) this.#takeAll(batches);
    else for (const [i, { batch, row }] of places.entries()) this.#take(i, batch, row);
  }

  #take(i: number, batch: number, row: number): void {
    this.#batch[i] = batch;
    this.#row[i] = row;
  }

  #takeAll(batches: readonly ReadingColumns[]): void {
    let i = 0;
    for (const [batch, { length }] of batches.entries()) {
      for (let row = 0; row < length; row++) this.#take(i++, batch, row);
    }
  }

  batch(i: number): number {
    return this.#batch[i]!;
  }

  row(i: number): number {
    return this.#row[i]!;
  }

  columns(i: number): ReadingColumns {
    return this.batches[this.#batch[i]!]!;
  }

  device(i: number): KnownDevice {
    return this.columns(i).device[this.#row[i]!]!;
  }

  metric(i: number): number {
    return this.columns(i).metric[this.#row[i]!]!;
  }
}

/** Lines, and the rows in each of them: line `n` has `rows[first[n]]` up to, not including, `rows[first[n + 1]]`. */
export interface Lines {
  readonly text: readonly string[];
  readonly first: readonly number[];
  readonly rows: Int32Array;
}

/** Converts rows to lines. */
export interface LineBuilder {
  /** Adjacent rows of the same device and time become one line, with a field for each metric. */
  build(rows: Rows, picked: Int32Array): Lines;
  /** Returns the name of a metric's field. */
  field(metric: number): string;
}

/**
 * Line protocol: `{profile},device={id},district={district} {metric}={value},… {ts}`, timestamps in ms. Names are
 * escaped once, values are floats.
 */
export function createLineBuilder(metrics: MetricTable): LineBuilder {
  const fields: string[] = [];
  const heads: ({ device: KnownDevice; text: string } | undefined)[] = [];

  function keyOf(metric: number): string {
    fields[metric] ??= `${escapeTag(fieldOf(metrics.idOf(metric)))}=`;
    return fields[metric];
  }

  function headOf(device: KnownDevice): string {
    const known = heads[device.index];
    if (known?.device === device) return known.text;
    const tags = `device=${escapeTag(device.id)},district=${escapeTag(device.district)}`;
    const text = `${escapeMeasurement(device.profile)},${tags} `;
    heads[device.index] = { device, text };
    return text;
  }

  return {
    field: (metric) => fieldOf(metrics.idOf(metric)),
    build(rows, picked) {
      const text: string[] = [];
      const first: number[] = [];
      let line = '';
      let device: KnownDevice | null = null;
      let ts = 0;
      for (let n = 0; n < picked.length; n++) {
        const columns = rows.columns(picked[n]!);
        const row = rows.row(picked[n]!);
        const field = `${keyOf(columns.metric[row]!)}${columns.value[row]!}`;
        if (columns.device[row] === device && columns.ts[row] === ts) {
          line += `,${field}`;
          continue;
        }
        if (device !== null) text.push(`${line} ${ts}`);
        first.push(n);
        device = columns.device[row]!;
        ts = columns.ts[row]!;
        line = headOf(device) + field;
      }
      if (device !== null) text.push(`${line} ${ts}`);
      first.push(picked.length);
      return { text, first, rows: picked };
    },
  };
}

// A field with the name of a tag hides the tag in every condition, and InfluxDB refuses a field named time.
const TAKEN = new Set(['time', 'device', 'district']);
// No id of a metric has a dot.
const SUFFIX = '.value';

/** Returns the field of a metric: its id, except for the few names that are taken. */
export function fieldOf(metric: string): string {
  return TAKEN.has(metric) ? `${metric}${SUFFIX}` : metric;
}

/** Returns the metric of a field. */
export function metricOf(field: string): string {
  const metric = field.slice(0, -SUFFIX.length);
  return field.endsWith(SUFFIX) && TAKEN.has(metric) ? metric : field;
}

/** Escapes tag keys, tag values and field keys. */
function escapeTag(text: string): string {
  return plain(text).replace(/[,= ]/g, '\\$&');
}

/** Escapes names of measurements. */
function escapeMeasurement(text: string): string {
  return plain(text).replace(/[, ]/g, '\\$&');
}

/** Line protocol cannot express a line break, nor a backslash before an escaped character; no id has either. */
function plain(text: string): string {
  return text.replace(/[\\\n\r]/g, '_');
}
