import { beginPaths, isTrue, type Path, PathExcess, resolveParts, type TopicParts } from '../../city-model/index.ts';
import type { DeclaredFormat, Rejection } from '../../domain/index.ts';
import type { Codec } from '../codecs/index.ts';
import { type Decoded, type Format, type Past, type RawReading, shown } from '../decode/format.ts';
import { type Content, contentOf } from './contents.ts';
import { timeReader } from './times.ts';
import { type Found, pathOf, shownPath, type Values, valuesOf } from './values.ts';

const MOST_ROWS = 8_192;
const LONGEST_ID = 256;

/** One declared format, compiled for a topic. */
export class DeclaredDecoder implements Format {
  readonly name: string;
  readonly #format: DeclaredFormat;
  readonly #content: Content;
  readonly #rows: Path | null;
  readonly #where: Path | null;
  readonly #device: Path | null;
  readonly #time: { readonly path: Path; readonly read: (value: unknown) => unknown } | null;
  /** The path of the time in a message of one row. */
  readonly #timePath: string;
  readonly #ids: readonly Path[];
  readonly #values: readonly Values[];
  /** The newest payload and what it is: who asks for its device decodes it next. */
  #last: { readonly payload: Buffer; readonly decoded: Decoded | Rejection } | null = null;

  constructor(format: DeclaredFormat, cityZone: string, parts: TopicParts = {}) {
    const optional = (text: string | null) => (text === null ? null : pathOf(text));
    this.name = format.id;
    this.#format = format;
    this.#content = contentOf(format);
    this.#rows = optional(format.rows);
    this.#where = optional(format.where);
    this.#device = format.device === null || format.device.includes('{') ? null : pathOf(format.device);
    this.#timePath = format.time === null ? '' : shownPath(pathOf(format.time.at), '$');
    this.#time =
      format.time === null ? null : { path: pathOf(format.time.at), read: timeReader(format.time, cityZone) };
    this.#ids = format.id_at.map(pathOf);
    this.#values = valuesOf(format, (text) => resolveParts(text, parts));
  }

  decode(payload: Buffer, _receivedAt = 0, _codec: Codec | null = null, past: Past | null = null): Decoded | Rejection {
    const last = this.#last;
    if (last?.payload === payload) {
      this.#last = null;
      return last.decoded;
    }
    return this.#decode(payload, past);
  }

  /** The wanted device, where a row names it; else that of all rows, and null where they name several. */
  readonly deviceOf = (payload: Buffer, wanted?: string): string | null => {
    if (this.#device === null) return null;
    const decoded = this.#decode(payload, null);
    this.#last = { payload, decoded };
    if ('reason' in decoded) return null;
    const devices = decoded.readings.map(({ device }) => device);
    if (devices.includes(wanted)) return wanted!;
    return devices.every((one) => one === devices[0]) ? (devices[0] ?? null) : null;
  };

  #decode(payload: Buffer, past: Past | null): Decoded | Rejection {
    // Before the content: the path of a frame is read with it, and what it may look at depends on this message alone.
    beginPaths();
    const content = this.#content(payload, past);
    if ('reason' in content) return content;
    try {
      return this.#read(content.value, content.faults ?? []);
    } catch (error) {
      if (!(error instanceof PathExcess)) throw error;
      return { reason: 'wrong-shape', path: '$', detail: `the format ${this.name} refuses it: ${error.message}` };
    }
  }

  #read(message: unknown, faults: readonly Rejection[]): Decoded | Rejection {
    const rows = this.#rowsOf(message);
    if ('reason' in rows) return rows;
    const readings: RawReading[] = [];
    const rejections: Rejection[] = [...faults];
    let counted = 0;
    for (const [i, row] of rows.items.entries()) {
      // Refused already.
      if (row === undefined) continue;
      if (this.#where !== null && !isTrue(this.#where.read(row))) continue;
      counted++;
      const reading = this.#readRow(row, rows.single ? rows.at : `${rows.at}[${i}]`, rejections);
      if (reading !== null) readings.push(reading);
    }
    if (counted > 0 && readings.length === 0 && rejections.length === 0) return this.#nothing();
    return { readings, rejections, ...this.#identityOf(message) };
  }

  #rowsOf(message: unknown): { items: readonly unknown[]; at: string; single: boolean } | Rejection {
    const found = this.#rows === null ? message : this.#rows.read(message);
    const at = this.#rows === null ? '$' : shownPath(this.#rows, '$');
    if (found === null || found === undefined) {
      return { reason: 'wrong-shape', path: at, detail: `nothing found; ${this.name} expects its rows here` };
    }
    if (!Array.isArray(found)) return { items: [found], at, single: true };
    if (found.length <= MOST_ROWS) return { items: found, at, single: false };
    return { reason: 'wrong-shape', path: at, detail: `${found.length} rows; at most ${MOST_ROWS} in one message` };
  }

  #readRow(row: unknown, at: string, rejections: Rejection[]): RawReading | null {
    const device = this.#device === null ? null : this.#device.read(row);
    if (this.#device !== null && !isName(device)) {
      const path = shownPath(this.#device, at);
      rejections.push({
        reason: 'wrong-shape',
        path,
        detail: `${shown(device ?? undefined)} found; the id of a device is expected`,
      });
      return null;
    }
    const found: Found = { at, metrics: {}, paths: {}, units: null, quality: null, rejections };
    for (const read of this.#values) read(row, found);
    for (const _ in found.metrics) return this.#readingOf(row, found, device);
    return null;
  }

  #readingOf(row: unknown, { at, metrics, paths, units, quality }: Found, device: unknown): RawReading {
    const ofDevice = {
      ...(this.#device === null ? {} : { device: String(device) }),
      ...(quality === null ? {} : { quality }),
    };
    if (this.#time === null) return { path: at, ts: undefined, metrics, units, paths, ...ofDevice };
    const written = this.#time.path.read(row);
    const ts = written === null || written === undefined ? undefined : this.#time.read(written);
    return {
      path: at,
      ts,
      timePath: at === '$' ? this.#timePath : shownPath(this.#time.path, at),
      metrics,
      units,
      paths,
      ...ofDevice,
    };
  }

  /** What identifies the message, if all its parts are there. */
  #identityOf(message: unknown): { uplink?: string } {
    if (this.#ids.length === 0) return {};
    const parts = this.#ids.map((path) => path.read(message));
    return parts.every(isName) ? { uplink: `${this.name}:${parts.join(':')}` } : {};
  }

  #nothing(): Rejection {
    const { values, entries, flatten } = this.#format;
    const looked = [...Object.values(values).map(({ at }) => at), ...entries.map(({ of }) => of), flatten ?? []].flat();
    const detail = `no value found; ${this.name} looks for ${looked.slice(0, 5).join(', ')}`;
    return { reason: 'wrong-shape', path: '$', detail: detail.slice(0, 300) };
  }
}

function isName(value: unknown): value is string | number {
  return (typeof value === 'string' && value !== '' && value.length <= LONGEST_ID) || typeof value === 'number';
}
