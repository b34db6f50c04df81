import { createHash } from 'node:crypto';
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import type { ActionRecord } from '../../domain/index.ts';
import type { ImportFault } from './report.ts';

/**
 * A part of an import is one block of the journal: a header, and the columns of its rows, compressed. Little endian:
 *
 * ```
 * body    = headerLength:u32  header (JSON)  columns (zstd)
 * columns = ts:f64[rows]  value:f64[rows]  device:u32[rows]  metric:u16[rows] (padded to 4 bytes)  line:u32[rows]
 * ```
 *
 * `ts` and `line` are differences to the row before: rows in order take a byte or two. `device` and `metric` are
 * positions in the lists of the header.
 */
export interface PartHeader {
  /** SHA-256 of its names and columns, hex: the same rows in the same order are the same part. */
  readonly id: string;
  readonly rows: number;
  readonly devices: readonly string[];
  /**
   * Fields as the file names them; the unit of their values is null where it is that of the profile. With `text`, that
   * is the value of all its rows: the name of a state's value.
   */
  readonly metrics: readonly (readonly [field: string, unit: string | null, text?: string])[];
  /** Whether the rules take the readings, too. */
  readonly rules: boolean;
  /** Whether anomalies and forecasts learn from them, and nothing fires. */
  readonly train?: true;
  /** Whether its values are as devices measured them, stored before: they are corrected as live ones are. */
  readonly measured?: true;
  /** Rows that could not be read, and how many of them are in none of the faults. */
  readonly faults: readonly ImportFault[];
  readonly more: number;
}

/** Columns of a part: row i is `ts[i]`, `value[i]`, and so on. */
export interface PartColumns {
  /** Epoch ms. */
  readonly ts: Float64Array;
  readonly value: Float64Array;
  readonly device: Uint32Array;
  readonly metric: Uint16Array;
  /** Its line in the file. */
  readonly line: Uint32Array;
}

/** A part before it is in the journal. */
export interface Part {
  readonly header: PartHeader;
  /** Compressed. */
  readonly columns: Uint8Array<ArrayBuffer>;
}

/** The most rows of a part: the engine's thread takes some 20 ms for them. */
export const PART_ROWS = 131_072;

const ROW_BYTES = { ts: 8, value: 8, device: 4, line: 4 } as const;

/** Compresses a part, and names it by its content. */
export function packPart(header: Omit<PartHeader, 'id'>, columns: PartColumns): Part {
  const { devices, metrics, rules, train } = header;
  const named = [devices, metrics, rules, ...(train === undefined ? [] : [train])];
  const hash = createHash('sha256').update(JSON.stringify(named));
  for (const column of [columns.ts, columns.value, columns.device, columns.metric]) hash.update(bytesOf(column));
  const id = hash.digest('hex');
  const packed = [differences(columns.ts), columns.value, columns.device, padded(columns.metric)];
  const all = Buffer.concat([...packed, differences(columns.line)].map(bytesOf));
  return { header: { id, ...header }, columns: new Uint8Array(zstdCompressSync(all)) };
}

/** Returns the body of a part's block, with who asked for it. */
export function bodyOfPart({ header, columns }: Part, action: ActionRecord): Uint8Array<ArrayBuffer> {
  const text = Buffer.from(JSON.stringify({ ...header, action }));
  const body = new Uint8Array(4 + text.length + columns.length);
  new DataView(body.buffer).setUint32(0, text.length, true);
  body.set(text, 4);
  body.set(columns, 4 + text.length);
  return body;
}

/** Returns the header of a part's block. */
export function headerOf(body: Uint8Array): PartHeader & { readonly action: ActionRecord } {
  const { buffer, byteOffset, length } = body;
  const end = 4 + new DataView(buffer, byteOffset, length).getUint32(0, true);
  return JSON.parse(Buffer.from(buffer, byteOffset + 4, end - 4).toString('utf8'));
}

/** Returns the columns of a part's block. */
export function columnsOf(body: Uint8Array, rows: number): PartColumns {
  const from = 4 + new DataView(body.buffer, body.byteOffset, body.length).getUint32(0, true);
  const metricBytes = Math.ceil(rows / 2) * 4;
  const maxOutputLength = rows * (ROW_BYTES.ts + ROW_BYTES.value + ROW_BYTES.device + ROW_BYTES.line) + metricBytes;
  // An empty part is a frame without content.
  const raw = zstdDecompressSync(body.subarray(from), { maxOutputLength: Math.max(1, maxOutputLength) });
  if (raw.length !== maxOutputLength) throw new RangeError(`an imported part has not the ${rows} rows of its header`);
  // Memory of its own, which begins at a multiple of eight.
  const { buffer } = new Uint8Array(raw);
  let at = 0;
  const next = (bytes: number) => {
    at += bytes;
    return at - bytes;
  };
  const ts = new Float64Array(buffer, next(rows * ROW_BYTES.ts), rows);
  const value = new Float64Array(buffer, next(rows * ROW_BYTES.value), rows);
  const device = new Uint32Array(buffer, next(rows * ROW_BYTES.device), rows);
  const metric = new Uint16Array(buffer, next(metricBytes), rows);
  const line = new Uint32Array(buffer, next(rows * ROW_BYTES.line), rows);
  for (let row = 1; row < rows; row++) {
    ts[row]! += ts[row - 1]!;
    line[row]! += line[row - 1]!;
  }
  return { ts, value, device, metric, line };
}

type Column = Float64Array | Uint32Array | Uint16Array;

function bytesOf({ buffer, byteOffset, byteLength }: Column): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}

function differences<C extends Float64Array | Uint32Array>(column: C): C {
  const found = column.slice() as C;
  for (let row = column.length - 1; row > 0; row--) found[row] = column[row]! - column[row - 1]!;
  return found;
}

function padded(column: Uint16Array): Uint16Array {
  const found = new Uint16Array(Math.ceil(column.length / 2) * 2);
  found.set(column);
  return found;
}
