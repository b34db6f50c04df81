import type { Rejection } from '../../domain/index.ts';
import type { Codec } from '../codecs/index.ts';
import { euiIn } from './acknowledgements.ts';
import { codedOf, flatten, uplinkOf } from './flatten.ts';
import {
  type Decoded,
  type Format,
  faultsUnder,
  isObject,
  kindOf,
  type Past,
  type RawReading,
  readJson,
} from './format.ts';
import { networkOf } from './network.ts';

/**
 * Uplinks of The Things Stack 3 (`v3/{application}@{tenant}/devices/{id}/up`). Fields are the dotted paths of
 * `decoded_payload`, or of what the codec of the profile returns; the id of the device is its DevEUI in lower-case hex.
 */
export const thingsStack: Format = { name: 'things-stack', decode, deviceOf: euiIn };

type Body = Readonly<Record<string, unknown>>;
const ROOT = '$.uplink_message';

function decode(
  payload: Buffer,
  receivedAt: number,
  codec: Codec | null = null,
  past: Past | null = null,
): Decoded | Rejection {
  const decoded = decodeUplink(payload, receivedAt, codec);
  return 'reason' in decoded ? decoded : { ...decoded, ...networkOf(past, 'things-stack', '/up') };
}

function decodeUplink(payload: Buffer, receivedAt: number, codec: Codec | null): Decoded | Rejection {
  const json = readJson(payload);
  if ('reason' in json) return json;
  const body = isObject(json.value) ? json.value : {};
  const message = body.uplink_message;
  if (!isObject(message)) return wrongShape(ROOT, `${kindOf(message)} found; an uplink has the object uplink_message`);
  if (body.simulated === true) {
    const detail = 'simulated in the console of The Things Stack: no device measured this';
    return { reason: 'simulated', path: '$.simulated', detail };
  }
  const { frm_payload: frame, f_port: port } = message;
  const raw = { frame, path: `${ROOT}.frm_payload`, port, receivedAtMs: receivedAt };
  const coded = codec === null ? null : codedOf(codec, raw);
  if (coded !== null && 'reason' in coded) return coded;
  const decoded = decodeMessage(body, coded === null ? message : { ...message, decoded_payload: coded.data });
  if ('reason' in decoded || json.faults.length === 0) return decoded;
  return { ...decoded, rejections: [...faultsUnder(json, `${ROOT}.decoded_payload`), ...decoded.rejections] };
}

function decodeMessage(body: Body, message: Body): Decoded | Rejection {
  const path = `${ROOT}.decoded_payload`;
  const object = message.decoded_payload ?? {};
  if (!isObject(object)) return wrongShape(path, `${kindOf(object)} found; a formatter returns an object of fields`);
  if (Object.keys(object).length === 0) return withoutObject(message);
  const { rejections, ...flat } = flatten(object, path);
  const reading: RawReading = { path, units: null, ...timeOf(body, message), ...flat, numbersAsTexts: true };
  const { f_cnt: counter, f_port: port, frm_payload: frame } = message;
  const session = message.session_key_id ?? (isObject(body.end_device_ids) ? body.end_device_ids.dev_addr : undefined);
  return { readings: [reading], rejections, ...uplinkOf({ session, counter, port, frame, fields: flat.metrics }) };
}

/** Frames without a payload are valid (they carry MAC commands only); frames with a payload need a formatter. */
function withoutObject(message: Body): Decoded | Rejection {
  if (typeof message.frm_payload !== 'string' || message.frm_payload === '') return { readings: [], rejections: [] };
  const detail =
    'no decoded_payload beside the raw frame; configure an uplink payload formatter in The Things Stack, or look why it failed';
  return { reason: 'not-decoded', path: `${ROOT}.frm_payload`, detail };
}

/** Prefers the network server's clock to the application server's; clocks of gateways are often wrong. */
function timeOf(body: Body, message: Body): Pick<RawReading, 'ts' | 'timePath' | 'otherTimes'> {
  const server = { ts: body.received_at ?? undefined, timePath: '$.received_at' };
  if (message.received_at == null) return server;
  const otherTimes = server.ts === undefined ? [] : [server];
  return { ts: message.received_at, timePath: `${ROOT}.received_at`, otherTimes };
}

function wrongShape(path: string, detail: string): Rejection {
  return { reason: 'wrong-shape', path, detail };
}
