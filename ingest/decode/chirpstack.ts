import type { Rejection } from '../../domain/index.ts';
import { flatten } from './flatten.ts';
import { type Decoded, type Format, isObject, kindOf, readJson } from './format.ts';

/**
 * ChirpStack's uplink events (`application/{id}/device/{devEui}/event/up`): version 4 (`object`), and version 3
 * (`objectJSON`, a JSON text). Fields are the dotted paths of the object that the codec returned.
 */
export const chirpstack: Format = { name: 'chirpstack', decode };

type Body = Readonly<Record<string, unknown>>;

function decode(payload: Buffer): Decoded | Rejection {
  const json = readJson(payload.toString('utf8'));
  if ('reason' in json) return json;
  const body = json.value;
  if (!isObject(body))
    return { reason: 'wrong-shape', path: '$', detail: `${kindOf(body)} found; an uplink is an object` };
  const found = objectOf(body);
  if ('reason' in found) return found;
  const { object, path } = found;
  if (object === null) return withoutObject(body);
  const { rejections, ...flat } = flatten(object, path);
  const reading = { path, units: null, ...timeOf(body), ...flat };
  return { readings: [reading], rejections, ...uplinkOf(body) };
}

function objectOf(body: Body): { object: Record<string, unknown> | null; path: string } | Rejection {
  if (body.object === undefined && typeof body.objectJSON === 'string') return objectOfText(body.objectJSON);
  return checked(body.object ?? null, '$.object');
}

function objectOfText(text: string): ReturnType<typeof objectOf> {
  const path = '$.objectJSON';
  if (text === '') return { object: null, path };
  const json = readJson(text, path);
  return 'reason' in json ? json : checked(json.value, path);
}

function checked(object: unknown, path: string): ReturnType<typeof objectOf> {
  if (object === null || isObject(object)) {
    return { object: object === null || Object.keys(object).length === 0 ? null : object, path };
  }
  return { reason: 'wrong-shape', path, detail: `${kindOf(object)} found; a codec returns an object of fields` };
}

/** Frames without a payload are valid (they carry MAC commands only); frames with a payload need a codec. */
function withoutObject(body: Body): Decoded | Rejection {
  if (typeof body.data === 'string' && body.data !== '') {
    const detail =
      'no object beside the raw frame; configure a payload codec in the device profile of ChirpStack, or look why it failed';
    return { reason: 'not-decoded', path: '$.data', detail };
  }
  if (isObject(body.deviceInfo) || typeof body.devEUI === 'string') return { readings: [], rejections: [] };
  return {
    reason: 'wrong-shape',
    path: '$',
    detail: 'neither deviceInfo nor devEUI in it; not an uplink of ChirpStack',
  };
}

/** `time` may be absent; version 3 has a time for each gateway only. */
function timeOf(body: Body): { ts: unknown; timePath: string } {
  const gateways = Array.isArray(body.rxInfo) ? body.rxInfo : [];
  const at = gateways.findIndex((one) => isObject(one) && typeof one.time === 'string');
  if (body.time != null || at === -1) return { ts: body.time ?? undefined, timePath: '$.time' };
  return { ts: (gateways[at] as Body).time, timePath: `$.rxInfo[${at}].time` };
}

/**
 * Proto3 JSON omits zero: without fCnt it is the first frame. A counter without the session's address has no meaning.
 */
function uplinkOf({ devAddr, fCnt = 0 }: Body): { uplink?: string } {
  if (typeof devAddr !== 'string' || devAddr === '' || !Number.isInteger(fCnt)) return {};
  return { uplink: `${devAddr}:${fCnt}` };
}
