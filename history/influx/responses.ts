import { LamppostError } from '../../domain/index.ts';
import { hostOf, type InfluxSettings, type Response } from './connection.ts';

/** Why points were refused; others of the same request may be stored. */
export interface Refusal {
  /** The message of the server. */
  readonly said: string;
  /** Whether the message is about points; otherwise the setup may be at fault. */
  readonly ofPoints: boolean;
  /** Whether the message is about whole lines, not one field of them. */
  readonly ofLines: boolean;
  /** How many lines were dropped, where the server counts them. */
  readonly dropped: number | null;
  /** The one field that does not fit, where the server names it. */
  readonly field: { readonly measurement: string; readonly name: string } | null;
  /** The lines that were dropped, from 0, where the server lists them. */
  readonly lines: readonly number[] | null;
}

/** The meaning of a response to a write. */
export type Verdict =
  | { readonly kind: 'stored' }
  /** `error` is thrown where the setup turns out to be at fault. */
  | { readonly kind: 'refused'; readonly refusal: Refusal; readonly error: LamppostError }
  | { readonly kind: 'too-large' }
  | { readonly kind: 'wait'; readonly error: LamppostError };

// A server that asks for a longer delay is tried again after this time: it may have been repaired.
const LONGEST_MS = 300_000;
const LONGEST_TEXT = 300;

/** Returns what to do after a response to a write; see docs/influxdb.md. */
export function verdictOf(response: Response, settings: InfluxSettings, nowMs: number): Verdict {
  const { status, body } = response;
  if (status === 413) return { kind: 'too-large' };
  // Hosted InfluxDB 3 responds with 201 where it stored some lines, and lists the others.
  if (status === 204 || (status === 201 && body === '')) return { kind: 'stored' };
  const error = waitFor(response, settings, nowMs);
  const refused = status === 201 || ((status === 400 || status === 422) && !isPage(response));
  return refused ? { kind: 'refused', refusal: refusalOf(response), error } : { kind: 'wait', error };
}

/** An HTML page comes from a proxy in front of the database, and says nothing about points. */
function isPage({ headers, body }: Response): boolean {
  return String(headers['content-type'] ?? '').includes('html') || body.trimStart().startsWith('<');
}

// The terms of InfluxDB 1 to 3 and VictoriaMetrics for an invalid point or line.
const OF_POINTS =
  /partial write|parse|field type|invalid (field|tag|measurement|line|point)|beyond retention|out(side| of) (the )?range|max-(series|values)|schema|original_line/i;

// The reasons of InfluxDB 1 and 2 that concern the time and the tags.
const OF_LINES = /beyond retention policy|max-(series|values)-per/i;

function refusalOf({ body }: Response): Refusal {
  const said = saidIn(body);
  const dropped = /dropped=(\d+)/.exec(said)?.[1];
  const field = /input field "(.+?)" on measurement "(.+?)"/.exec(said);
  return {
    said: shortened(said),
    ofPoints: OF_POINTS.test(said) || OF_POINTS.test(body),
    ofLines: OF_LINES.test(said),
    dropped: dropped === undefined ? null : Number(dropped),
    field: field === null ? null : { name: field[1]!, measurement: field[2]! },
    lines: linesIn(body),
  };
}

/** InfluxDB 3: `data: [{ line_number, original_line, error_message }]`, numbered from 1. */
function linesIn(body: string): number[] | null {
  const data = parsed(body)?.data;
  if (!Array.isArray(data)) return null;
  const numbers = data.map((one) => Number((one as { line_number?: unknown } | null)?.line_number) - 1);
  return numbers.length > 0 && numbers.every((n) => Number.isInteger(n) && n >= 0) ? numbers : null;
}

function waitFor(response: Response, settings: InfluxSettings, nowMs: number): LamppostError {
  const message = `InfluxDB at ${hostOf(settings)} ${remedyFor(response.status, settings)} (${sentence(response)})`;
  const retryAfterMs = retryAfterOf(response.headers['retry-after'], nowMs);
  return new LamppostError('history', message, { retryable: true, retryAfterMs });
}

/** Describes a response that is not a success, with the remedy; for reads and writes. */
export function remedyFor(status: number, { token, org, bucket, api }: InfluxSettings): string {
  const where = api === 'v2' ? `bucket "${bucket}" of organization "${org}"` : `database "${bucket}"`;
  if (status === 401) {
    return token === ''
      ? 'asks for a token; set INFLUX_TOKEN'
      : `does not know the token; set INFLUX_TOKEN to one that may read and write the ${where}`;
  }
  if (status === 403)
    return `does not let this token at the ${where}; give it read and write access, or set INFLUX_TOKEN`;
  if (status === 404) {
    return `has no ${where}, or no API ${api}; create it, or set INFLUX_BUCKET, INFLUX_ORG or INFLUX_API`;
  }
  if (status === 429 || status >= 500 || status === 408 || status === 425) return 'cannot take readings now';
  return 'does not respond as InfluxDB does; check INFLUX_URL and INFLUX_API, and any proxy in front';
}

/** `404: database not found: "x"`. */
export function sentence(response: Response): string {
  const said = isPage(response) ? 'an HTML page' : shortened(saidIn(response.body));
  return said === '' ? String(response.status) : `${response.status}: ${said}`;
}

/** RFC 9110, 10.2.3: seconds, or an HTTP date; 0 where there is neither. */
function retryAfterOf(header: string | string[] | undefined, nowMs: number): number {
  const text = Array.isArray(header) ? header[0] : header;
  if (text === undefined) return 0;
  const ms = /^\s*\d+\s*$/.test(text) ? Number(text) * 1_000 : Date.parse(text) - nowMs;
  return Number.isFinite(ms) ? Math.min(Math.max(0, ms), LONGEST_MS) : 0;
}

function saidIn(body: string): string {
  const { error, message } = parsed(body) ?? {};
  if (typeof message === 'string' && message !== '') return message;
  if (typeof error === 'string') return error;
  return body.trim();
}

function parsed(body: string): { error?: unknown; message?: unknown; data?: unknown } | null {
  try {
    return JSON.parse(body) as { error?: unknown } | null;
  } catch {
    return null;
  }
}

function shortened(text: string): string {
  return text.length <= LONGEST_TEXT ? text : `${text.slice(0, LONGEST_TEXT)}…`;
}
