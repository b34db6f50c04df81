import type { Rejection } from '../../domain/index.ts';
import type { Decoded, Format, RawReading } from './format.ts';

const KEYS = 'a reading is {"ts": ISO 8601 or epoch ms, "metrics": {name: number}}';

/** Native JSON (`devices/{id}/readings`): `{"ts": …, "metrics": {…}}` or an array of these; values are in the metric's own unit. */
export const native: Format = { name: 'native', decode: decodeNative };

function decodeNative(payload: Buffer): Decoded | Rejection {
  let body: unknown;
  try {
    body = JSON.parse(payload.toString('utf8'));
  } catch (error) {
    return { reason: 'malformed', path: '$', detail: `not JSON: ${(error as Error).message}` };
  }
  if (!Array.isArray(body)) {
    const rejection = shapeOf(body, '$');
    return rejection ?? { readings: [rawOf(body, '$')], rejections: [] };
  }
  if (body.length === 0) return { reason: 'wrong-shape', path: '$', detail: `an empty array; ${KEYS}` };
  return decodeArray(body);
}

function decodeArray(items: readonly unknown[]): Decoded | Rejection {
  const readings: RawReading[] = [];
  const rejections: Rejection[] = [];
  items.forEach((item, index) => {
    const path = `$[${index}]`;
    const rejection = shapeOf(item, path);
    if (rejection === null) readings.push(rawOf(item, path));
    else rejections.push(rejection);
  });
  return readings.length === 0 ? rejections[0]! : { readings, rejections };
}

function rawOf(item: unknown, path: string): RawReading {
  const { ts, metrics } = item as { ts?: unknown; metrics: Record<string, unknown> };
  return { path, ts, metrics, units: null };
}

function shapeOf(item: unknown, path: string): Rejection | null {
  if (!isObject(item)) return { reason: 'wrong-shape', path, detail: `${kindOf(item)} found; ${KEYS}` };
  for (const key in item) {
    if (key === 'ts' || key === 'metrics') continue;
    return { reason: 'wrong-shape', path: `${path}.${key}`, detail: `unknown field "${key}"; ${KEYS}` };
  }
  if (!isObject(item.metrics)) {
    return { reason: 'wrong-shape', path: `${path}.metrics`, detail: `${kindOf(item.metrics)} found; ${KEYS}` };
  }
  for (const _ in item.metrics) return null;
  return { reason: 'wrong-shape', path: `${path}.metrics`, detail: `no metric in it; ${KEYS}` };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function kindOf(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (value === null) return 'null';
  return Array.isArray(value) ? 'an array' : `a ${typeof value}`;
}
