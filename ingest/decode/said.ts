import type { z } from 'zod';
import {
  CommandResultSchema,
  type DeviceSaid,
  DeviceStateSchema,
  excessOf,
  type Rejection,
  STATE_BOUNDS,
} from '../../domain/index.ts';
import { type Decoded, type Format, readJson } from './format.ts';

/** What a device says of a command (`devices/{id}/results`): `{"id", "status": "done" | "failed", "message"?}`. */
export const results: Format = {
  name: 'results',
  decode: (payload) => saidOf(payload, CommandResultSchema, (device, result) => ({ device, result })),
};

/** What a device says that it is (`devices/{id}/reported`): an object of names and values, which replaces the last. */
export const reported: Format = {
  name: 'reported',
  decode(payload) {
    if (payload.length > STATE_BOUNDS.bytes) return tooMuch(`${payload.length} bytes`);
    return saidOf(payload, DeviceStateSchema, (device, state) => ({ device, reported: state }));
  },
};

function saidOf<T>(
  payload: Buffer,
  schema: z.ZodType<T>,
  say: (device: string, value: T) => DeviceSaid,
): Decoded | Rejection {
  const json = readJson(payload);
  if ('reason' in json) return json;
  if (json.broken !== null) return json.broken;
  const excess = excessOf(json.value, STATE_BOUNDS.levels, STATE_BOUNDS.values);
  if (excess !== null) return tooMuch(`too much ${excess}`);
  const parsed = schema.safeParse(json.value);
  if (parsed.success) return { readings: [], rejections: [], said: (device) => say(device, parsed.data) };
  const { path, message } = parsed.error.issues[0]!;
  return { reason: 'wrong-shape', path: ['$', ...path].join('.'), detail: message };
}

function tooMuch(found: string): Rejection {
  const { levels, values, bytes } = STATE_BOUNDS;
  const detail = `${found}; a state has at most ${levels} levels, ${values} values and ${bytes} bytes`;
  return { reason: 'wrong-shape', path: '$', detail };
}
