import type { KnownDevice, ReadingColumns } from '../domain/index.ts';

/** Columns that grow as typed arrays: growing plain arrays row by row took a fifth of the engine's time. */
export interface TypedColumns extends ReadingColumns {
  metric: Int32Array;
  ts: Float64Array;
  value: Float64Array;
}

/** Empty columns with room for so many rows. */
export function createColumns(rows: number): TypedColumns {
  return {
    length: 0,
    device: [],
    metric: new Int32Array(rows),
    ts: new Float64Array(rows),
    value: new Float64Array(rows),
  };
}

/** Adds one row. */
export function pushReading(
  columns: TypedColumns,
  device: KnownDevice,
  metric: number,
  ts: number,
  value: number,
): void {
  const i = columns.length++;
  if (i === columns.ts.length) widen(columns);
  columns.device.push(device);
  columns.metric[i] = metric;
  columns.ts[i] = ts;
  columns.value[i] = value;
}

function widen(columns: TypedColumns): void {
  const { metric, ts, value } = columns;
  const wider = createColumns(Math.max(16, ts.length * 2));
  wider.metric.set(metric);
  wider.ts.set(ts);
  wider.value.set(value);
  columns.metric = wider.metric;
  columns.ts = wider.ts;
  columns.value = wider.value;
}
