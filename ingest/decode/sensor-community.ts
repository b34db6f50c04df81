import type { Rejection } from '../../domain/index.ts';
import { type Decoded, type Format, faultsUnder, isObject, kindOf, readJson } from './format.ts';

const SHAPE = 'a station sends {"sensordatavalues": [{"value_type": "SDS_P1", "value": "12.3"}, …]}';

/**
 * Push of a sensor.community station (airRohr firmware, "own API"). It has no time, and every value is a text. Fields
 * are the `value_type`s.
 */
export const sensorCommunity: Format = { name: 'sensor-community', decode };

function decode(payload: Buffer): Decoded | Rejection {
  const json = readJson(payload);
  if ('reason' in json) return json;
  const values = isObject(json.value) ? json.value.sensordatavalues : undefined;
  const path = '$.sensordatavalues';
  if (!Array.isArray(values)) return { reason: 'wrong-shape', path, detail: `${kindOf(values)} found; ${SHAPE}` };
  if (values.length === 0) return { reason: 'wrong-shape', path, detail: `no value in it; ${SHAPE}` };
  const decoded = readValues(values, path);
  if ('reason' in decoded) return decoded;
  return { ...decoded, rejections: [...faultsUnder(json, path), ...decoded.rejections] };
}

function readValues(values: readonly unknown[], root: string): Decoded | Rejection {
  const metrics: Record<string, unknown> = Object.create(null);
  const paths: Record<string, string> = Object.create(null);
  const rejections: Rejection[] = [];
  values.forEach((item, i) => {
    const path = `${root}[${i}]`;
    const fault = faultOf(item, path, paths);
    if (fault !== null) {
      rejections.push(fault);
      return;
    }
    const { value_type: field, value } = item as { value_type: string; value: unknown };
    metrics[field] = value;
    paths[field] = `${path}.value`;
  });
  if (rejections.length === values.length) return rejections[0]!;
  const reading = { path: root, ts: undefined, metrics, units: null, paths, numbersAsTexts: true } as const;
  return { readings: [reading], rejections };
}

function faultOf(item: unknown, path: string, paths: Readonly<Record<string, string>>): Rejection | null {
  const field = isObject(item) ? item.value_type : undefined;
  if (typeof field !== 'string' || field.length === 0 || field.length > 256) {
    return { reason: 'wrong-shape', path, detail: `no value_type in it; ${SHAPE}` };
  }
  if (!(field in paths)) return null;
  return { reason: 'ambiguous', path, detail: `"${field}" is also at ${paths[field]}` };
}
