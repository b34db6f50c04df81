import type { Rejection } from '../../domain/index.ts';
import { type Decoded, type Format, isObject, kindOf, type RawReading, readJson, shortened } from './format.ts';
import { Unreadable } from './lenient-json.ts';

const KEYS = 'a reading is {"ts": ISO 8601 or epoch ms, "metrics": {name: number}}';

/**
 * Native JSON (`devices/{id}/readings`): `{"ts": …, "metrics": {…}}` or an array of these. Values are in the metric's
 * own unit.
 */
export const native: Format = { name: 'native', decode: decodeNative };

function decodeNative(payload: Buffer): Decoded | Rejection {
  const json = readJson(payload);
  if ('reason' in json) return json;
  const decoded = decodeBody(json.value);
  if ('reason' in decoded || (json.broken === null && json.faults.length === 0)) return decoded;
  if (json.broken !== null && !decoded.readings.some(hasReadable)) return json.broken;
  return { ...decoded, rejections: [...json.faults, ...decoded.rejections] };
}

function decodeBody(body: unknown): Decoded | Rejection {
  if (!Array.isArray(body)) {
    const rejection = shapeOf(body, '$');
    return rejection ?? { readings: [rawOf(body, '$')], rejections: [] };
  }
  if (body.length === 0) return { reason: 'wrong-shape', path: '$', detail: `an empty array; ${KEYS}` };
  return decodeArray(body);
}

function hasReadable({ metrics }: RawReading): boolean {
  return Object.values(metrics).some((value) => !(value instanceof Unreadable));
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
  const { ts, metrics, quality } = item as { ts?: unknown; metrics: Record<string, unknown>; quality?: unknown };
  return quality === undefined ? { path, ts, metrics, units: null } : { path, ts, metrics, units: null, quality };
}

function shapeOf(item: unknown, path: string): Rejection | null {
  if (!isObject(item)) return { reason: 'wrong-shape', path, detail: `${kindOf(item)} found; ${KEYS}` };
  for (const key in item) {
    if (key === 'ts' || key === 'metrics' || key === 'quality') continue;
    const name = shortened(key);
    return { reason: 'wrong-shape', path: `${path}.${name}`, detail: `unknown field "${name}"; ${KEYS}` };
  }
  if (!isObject(item.metrics)) {
    return { reason: 'wrong-shape', path: `${path}.metrics`, detail: `${kindOf(item.metrics)} found; ${KEYS}` };
  }
  for (const _ in item.metrics) return null;
  return { reason: 'wrong-shape', path: `${path}.metrics`, detail: `no metric in it; ${KEYS}` };
}
