import type { Rejection } from '../../domain/index.ts';
import type { Codec } from '../codecs/index.ts';
import { parseTimestamp } from '../times.ts';
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
  type TimeIn,
} from './format.ts';
import { networkOf } from './network.ts';

/**
 * ChirpStack's uplink events (`application/{id}/device/{devEui}/event/up`): version 4 (`object`), and version 3
 * (`objectJSON`, a JSON text). Fields are the dotted paths of the object that the codec returned: that of the city
 * where the profile names one, else ChirpStack's.
 */
export const chirpstack: Format = { name: 'chirpstack', decode };

type Body = Readonly<Record<string, unknown>>;

function decode(
  payload: Buffer,
  receivedAt: number,
  codec: Codec | null = null,
  past: Past | null = null,
): Decoded | Rejection {
  const decoded = decodeUplink(payload, receivedAt, codec);
  return 'reason' in decoded ? decoded : { ...decoded, ...networkOf(past, 'chirpstack', '/event/up') };
}

function decodeUplink(payload: Buffer, receivedAt: number, codec: Codec | null): Decoded | Rejection {
  const json = readJson(payload);
  if ('reason' in json) return json;
  const body = json.value;
  if (!isObject(body))
    return { reason: 'wrong-shape', path: '$', detail: `${kindOf(body)} found; an uplink is an object` };
  const found = (codec === null ? null : decodedBy(codec, body, receivedAt)) ?? objectOf(body);
  if ('reason' in found) return found;
  const { object, path } = found;
  if (object === null) return withoutObject(body);
  const { rejections, ...flat } = flatten(object, path);
  const reading: RawReading = { path, units: null, ...timeOf(body, receivedAt), ...flat, numbersAsTexts: true };
  const { devAddr: session, fCnt: counter, fPort: port, data: frame } = body;
  const uplink = uplinkOf({ session, counter, port, frame, fields: flat.metrics });
  const faults = [...faultsUnder(json, '$.object'), ...found.faults];
  return { readings: [reading], rejections: [...faults, ...rejections], ...uplink };
}

/** What the codec returned, where it is, and what is wrong in its text. */
interface Coded {
  readonly object: Readonly<Record<string, unknown>> | null;
  readonly path: string;
  readonly faults: readonly Rejection[];
}

/** A codec of the city goes before that of ChirpStack; null where there is no frame. */
function decodedBy(codec: Codec, { data: frame, fPort: port }: Body, receivedAtMs: number): Coded | Rejection | null {
  const coded = codedOf(codec, { frame, path: '$.data', port, receivedAtMs });
  if (coded === null || 'reason' in coded) return coded;
  return { object: coded.data, path: '$.object', faults: [] };
}

function objectOf(body: Body): Coded | Rejection {
  if (body.object === undefined && typeof body.objectJSON === 'string') return objectOfText(body.objectJSON);
  return checked(body.object ?? null, '$.object', []);
}

function objectOfText(text: string): Coded | Rejection {
  const path = '$.objectJSON';
  if (text === '') return { object: null, path, faults: [] };
  const json = readJson(text, path);
  return 'reason' in json ? json : checked(json.value, path, json.faults);
}

function checked(object: unknown, path: string, faults: readonly Rejection[]): Coded | Rejection {
  if (object === null || isObject(object)) {
    return { object: object === null || Object.keys(object).length === 0 ? null : object, path, faults };
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

type Times = Pick<RawReading, 'ts' | 'timePath' | 'otherTimes'>;

/**
 * `time` may be absent, and version 3 has a time for each gateway only. Behind it come the network server's own clock,
 * then those of the gateways, that which is nearest to the receipt first: one without a clock says 1970, or year 1.
 */
function timeOf(body: Body, receivedAt: number): Times {
  const gateways = Array.isArray(body.rxInfo) ? body.rxInfo : [];
  const timesOf = (field: string) =>
    gateways.flatMap((one: unknown, i): TimeIn[] =>
      isObject(one) && typeof one[field] === 'string' ? [{ ts: one[field], timePath: `$.rxInfo[${i}].${field}` }] : [],
    );
  const distance = ({ ts }: TimeIn) => Math.abs(parseTimestamp(ts) - receivedAt);
  const nearest = [...timesOf('time'), ...timesOf('gwTime')].sort((a, b) => distance(a) - distance(b) || 0);
  const own = body.time == null ? [] : [{ ts: body.time, timePath: '$.time' }];
  const [first, ...otherTimes] = [...own, ...timesOf('nsTime'), ...nearest];
  return first === undefined ? { ts: undefined, timePath: '$.time' } : { ...first, otherTimes };
}
