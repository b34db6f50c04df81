import type { CommandResult, Rejection } from '../../domain/index.ts';
import { type Decoded, type Format, isObject, readJson } from './format.ts';

type Body = Readonly<Record<string, unknown>>;

/** ChirpStack's `event/ack`: a device has acknowledged a confirmed downlink, or has not. */
export const chirpstackAck: Format = {
  name: 'chirpstack-ack',
  decode(payload) {
    const body = bodyOf(payload);
    if ('reason' in body) return body as unknown as Rejection;
    const { queueItemId, acknowledged } = body;
    return resultOf(queueItemId, acknowledged === true, 'the device did not acknowledge it');
  },
};

/** By what The Things Stack names our downlinks. */
const OURS = /^lamppost:(.{1,100})$/;

/** The Things Stack's `down/ack`, `down/nack` and `down/failed`. */
export const thingsStackAck: Format = {
  name: 'things-stack-ack',
  decode(payload) {
    const body = bodyOf(payload);
    if ('reason' in body) return body as unknown as Rejection;
    const { downlink_ack: ack, downlink_nack: nack, downlink_failed: failed } = body;
    const error = isObject(failed) && isObject(failed.error) ? failed.error.message_format : undefined;
    const why = typeof error === 'string' ? error.slice(0, 200) : 'the device did not acknowledge it';
    const of = isObject(failed) ? failed.downlink : (ack ?? nack);
    const ids = [body.correlation_ids, isObject(of) ? of.correlation_ids : []].flat();
    const ours = ids.map((id) => OURS.exec(String(id))?.[1]).find((id) => id !== undefined);
    return resultOf(ours, isObject(ack), why);
  },
  deviceOf: (payload) => euiIn(payload),
};

/** The DevEUI of a message of The Things Stack in lower-case hex; null where it has none. */
export function euiIn(payload: Buffer): string | null {
  const json = readJson(payload);
  const ids = 'value' in json && isObject(json.value) ? json.value.end_device_ids : undefined;
  const eui = isObject(ids) ? ids.dev_eui : undefined;
  return typeof eui === 'string' && /^[0-9A-Fa-f]{16}$/.test(eui) ? eui.toLowerCase() : null;
}

function bodyOf(payload: Buffer): Body | Rejection {
  const json = readJson(payload);
  if ('reason' in json) return json;
  return isObject(json.value) ? json.value : {};
}

/** What is no downlink of ours says nothing to anybody here. */
function resultOf(id: unknown, isDone: boolean, why: string): Decoded {
  if (typeof id !== 'string' || id === '' || id.length > 100) return { readings: [], rejections: [] };
  const result: CommandResult = isDone ? { id, status: 'done' } : { id, status: 'failed', message: why };
  return { readings: [], rejections: [], said: (device) => ({ device, result }) };
}
