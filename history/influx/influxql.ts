import { LamppostError, type ReadingColumns, type ReadingsFilter } from '../../domain/index.ts';
import { hostOf, type InfluxConnection, type InfluxSettings, isHttpError, responseOf } from './connection.ts';
import { remedyFor, sentence } from './responses.ts';

/** One part of a series as the server sends it: long series come in several parts. */
export interface ResultSeries {
  readonly name: string;
  readonly tags?: Readonly<Record<string, string>>;
  readonly columns: readonly string[];
  readonly values: readonly (readonly unknown[])[];
}

interface Result {
  readonly series?: readonly ResultSeries[];
  readonly partial?: boolean;
  readonly error?: string;
}

/** Runs one InfluxQL statement and yields the parts of its series. */
export type Ask = (statement: string, signal?: AbortSignal) => AsyncIterable<ResultSeries>;

/** The longest line of a response, characters: a server that knows `chunk_size` sends a hundredth of it. */
const LONGEST_LINE = 16 * 1024 * 1024;

/**
 * Runs statements at `/query` of InfluxDB 1, 2 (through its DBRP mappings) and 3, and reads the response piece by
 * piece. Throws `history`, retryable, with a hint at the remedy.
 */
export function createAsk(connection: InfluxConnection, settings: InfluxSettings): Ask {
  const fault = (why: string, cause?: unknown) =>
    new LamppostError('history', `InfluxDB at ${hostOf(settings)} ${why}`, { retryable: true, cause });

  function faultOf(error: unknown): unknown {
    if (!isHttpError(error)) return error;
    return fault(`${remedyFor(error.statusCode, settings)} (${sentence(responseOf(error))})`, error);
  }

  function resultsOf(line: string): readonly Result[] {
    let response: { results?: readonly Result[]; error?: string };
    try {
      response = JSON.parse(line) as typeof response;
    } catch (error) {
      throw fault('sent a response that is not JSON, or is incomplete', error);
    }
    if (response.error !== undefined) throw fault(`says: ${response.error}`);
    return response.results ?? [];
  }

  return async function* ask(statement, signal) {
    let partial = false;
    try {
      for await (const line of linesOf(connection.query(statement, signal))) {
        for (const { series = [], error, partial: more = false } of resultsOf(line)) {
          if (error !== undefined) throw fault(queryFault(error, settings));
          yield* series;
          partial = more;
        }
      }
    } catch (error) {
      throw error instanceof RangeError ? fault(`sent ${error.message}`) : faultOf(error);
    }
    if (partial) throw fault('sent an incomplete response');
  };
}

function queryFault(error: string, { bucket, api }: InfluxSettings): string {
  const hint = `; for queries, InfluxDB 2 needs a DBRP mapping of the database "${bucket}" to the bucket`;
  return `says: ${error}${api === 'v2' && /not found/i.test(error) ? hint : ''}`;
}

/** Throws a RangeError where a line is too long to be parsed at once. */
async function* linesOf(chunks: AsyncIterable<Uint8Array>): AsyncIterable<string> {
  const decoder = new TextDecoder();
  let rest: string[] = [];
  let length = 0;
  for await (const chunk of chunks) {
    const lines = decoder.decode(chunk, { stream: true }).split('\n');
    for (const [at, text] of lines.entries()) {
      rest.push(text);
      length += text.length;
      if (length > LONGEST_LINE) throw new RangeError(`a line of more than ${LONGEST_LINE} characters`);
      if (at === lines.length - 1) continue;
      const line = rest.join('');
      [rest, length] = [[], 0];
      if (line.trim() !== '') yield line;
    }
  }
  const line = rest.join('');
  if (line.trim() !== '') yield line;
}

/** Quotes a name for a statement. */
export function identifier(name: string): string {
  return `"${name.replace(/["\\]/g, '\\$&').replaceAll('\n', '\\n')}"`;
}

/** Quotes a text for a statement. */
export function literal(text: string): string {
  return `'${text.replace(/['\\]/g, '\\$&').replaceAll('\n', '\\n')}'`;
}

// The limit of InfluxDB's times: nanoseconds in 64 bits.
const FARTHEST_MS = 9_223_372_036_854;

/** Formats a time, epoch ms, for a statement; limited to what InfluxDB can express. */
export function instant(ms: number): string {
  return `${Math.max(-FARTHEST_MS, Math.min(FARTHEST_MS, Math.ceil(ms)))}ms`;
}

/**
 * The present and former districts of devices. Readings have the district in which they were measured as a tag, but a
 * query for a district means the devices that are there now, with all their readings.
 */
export class Places {
  readonly #now = new Map<string, string>();
  /** Every district of the devices that moved. */
  readonly #moved = new Map<string, Set<string>>();

  /** Adds the devices of a batch; the last district named is the present one. */
  learn(batches: readonly ReadingColumns[]): void {
    for (const { length, device } of batches) {
      for (let row = 0; row < length; row++) {
        const one = device[row]!;
        if (row > 0 && one === device[row - 1]) continue;
        if (this.#now.get(one.id) !== one.district) this.#move(one.id, one.district, true);
      }
    }
  }

  /**
   * Adds a district from the database; with `newest` it is the present one, unless a batch has named a district
   * already.
   */
  load(device: string, district: string, newest: boolean): void {
    this.#move(device, district, newest && !this.#now.has(device));
  }

  /** The present district of a device. */
  of(device: string): string | undefined {
    return this.#now.get(device);
  }

  /** Returns devices and district of a filter as a condition on tags; null where nothing can match. */
  condition({ devices, district }: ReadingsFilter): string | null {
    if (devices?.length === 0) return null;
    const parts = [devices === undefined ? `"device" != ''` : oneOf(devices)];
    if (district !== undefined) parts.push(this.#inDistrict(district));
    return parts.join(' and ');
  }

  #inDistrict(district: string): string {
    const here: string[] = [];
    const gone: string[] = [];
    for (const [device, districts] of this.#moved) {
      if (this.#now.get(device) === district) here.push(device);
      else if (districts.has(district)) gone.push(`"device" != ${literal(device)}`);
    }
    const tagged = [`"district" = ${literal(district)}`, ...gone].join(' and ');
    return here.length === 0 ? `(${tagged})` : `((${tagged}) or ${oneOf(here)})`;
  }

  #move(device: string, district: string, present: boolean): void {
    const before = this.#now.get(device);
    if (present) this.#now.set(device, district);
    if (before === undefined || before === district) return;
    const known = this.#moved.get(device) ?? new Set([before]);
    this.#moved.set(device, known.add(district));
  }
}

function oneOf(devices: readonly string[]): string {
  return `(${devices.map((device) => `"device" = ${literal(device)}`).join(' or ')})`;
}
