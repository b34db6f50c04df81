import { HttpError } from '@influxdata/influxdb-client';
import { LamppostError } from '../../domain/index.ts';
import { remedyFor, sentence } from './answers.ts';
import { answerOf, hostOf, type InfluxConnection } from './connection.ts';
import type { InfluxSettings } from './settings.ts';

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
    return fault(`${remedyFor(error.statusCode, settings)} (${sentence(answerOf(error))})`, error);
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
