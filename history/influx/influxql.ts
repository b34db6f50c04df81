import { HttpError } from '@influxdata/influxdb-client';
import { LamppostError, type ReadingColumns, type ReadingsFilter } from '../../domain/index.ts';
import { hostOf, type InfluxConnection, type InfluxSettings, responseOf } from './connection.ts';
import { remedyFor, sentence } from './responses.ts';

/** One part of a series as the server sends it: long ones come in several. */
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

/** Asks one InfluxQL statement at a time. */
export type Ask = (statement: string) => AsyncIterable<ResultSeries>;

/**
 * Runs statements at `/query`, which InfluxDB 1, 2 (through its DBRP mappings) and 3 answer, and reads the answer piece by piece.
 * Throws `history`, retryable, with what helps.
 */
export function createAsk(connection: InfluxConnection, settings: InfluxSettings): Ask {
  const fault = (why: string, cause?: unknown) =>
    new LamppostError('history', `InfluxDB at ${hostOf(settings)} ${why}`, { retryable: true, cause });

  function faultOf(error: unknown): unknown {
    if (!(error instanceof HttpError)) return error;
    return fault(`${remedyFor(error.statusCode, settings)} (${sentence(responseOf(error))})`, error);
  }

  function resultsOf(line: string): readonly Result[] {
    let answer: { results?: readonly Result[]; error?: string };
    try {
      answer = JSON.parse(line) as typeof answer;
    } catch (error) {
      throw fault('sent an answer that is no JSON, or cut short', error);
    }
    if (answer.error !== undefined) throw fault(`says: ${answer.error}`);
    return answer.results ?? [];
  }

  return async function* ask(statement) {
    let partial = false;
    try {
      for await (const line of linesOf(connection.query(statement))) {
        for (const { series = [], error, partial: more = false } of resultsOf(line)) {
          if (error !== undefined) throw fault(queryFault(error, settings));
          yield* series;
          partial = more;
        }
      }
    } catch (error) {
      throw faultOf(error);
    }
    if (partial) throw fault('sent an answer that is cut short');
  };
}

function queryFault(error: string, { bucket, api }: InfluxSettings): string {
  const hint = `; for queries, InfluxDB 2 needs a DBRP mapping of the database "${bucket}" to the bucket`;
  return `says: ${error}${api === 'v2' && /not found/i.test(error) ? hint : ''}`;
}

async function* linesOf(chunks: AsyncIterable<Uint8Array>): AsyncIterable<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of chunks) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = lines.pop()!;
    for (const line of lines) if (line.trim() !== '') yield line;
  }
  if (rest.trim() !== '') yield rest;
}

/** A name in a statement. */
export function identifier(name: string): string {
  return `"${name.replace(/["\\]/g, '\\$&').replaceAll('\n', '\\n')}"`;
}

/** A text in a statement. */
export function literal(text: string): string {
  return `'${text.replace(/['\\]/g, '\\$&').replaceAll('\n', '\\n')}'`;
}

// Times outside are none to InfluxDB: nanoseconds in 64 bits.
const FARTHEST_MS = 9_223_372_036_854;

/** A moment in a statement, epoch ms. */
export function instant(ms: number): string {
  return `${Math.max(-FARTHEST_MS, Math.min(FARTHEST_MS, Math.ceil(ms)))}ms`;
}

/**
 * In which districts devices are and were: readings keep the district in which they were measured as a tag, but a
 * district is asked for by the devices that are there now, with all their readings.
 */
export class Places {
  readonly #now = new Map<string, string>();
  /** Only those that moved: every district they were in. */
  readonly #moved = new Map<string, Set<string>>();

  /** Takes the devices of a batch; the last district named is the present one. */
  learn(batches: readonly ReadingColumns[]): void {
    for (const { length, device } of batches) {
      for (let row = 0; row < length; row++) {
        const one = device[row]!;
        if (row > 0 && one === device[row - 1]) continue;
        if (this.#now.get(one.id) !== one.district) this.#move(one.id, one.district, true);
      }
    }
  }

  /** Takes what the database remembers: a district in which the device was, the newest of all if nothing newer is known. */
  load(device: string, district: string, newest: boolean): void {
    this.#move(device, district, newest && !this.#now.has(device));
  }

  /** Where the device is. */
  of(device: string): string | undefined {
    return this.#now.get(device);
  }

  /** Devices and district of a filter as a condition on tags; null where nothing can match. */
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
