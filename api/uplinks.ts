import { LamppostError } from '../domain/index.ts';
import { readJson } from '../ingest/index.ts';

/** The topic of an uplink that a network server posted; null: it is another event, which nobody here needs. */
export type UplinkTopic = (payload: Buffer, query: unknown) => string | null;

/** A level of a topic. */
const APPLICATION = /^[\w.-]{1,64}$/;
const EUI = /^[0-9A-Fa-f]{16}$/;

type Body = Readonly<Record<string, unknown>>;

/**
 * The HTTP integrations of network servers, by the last level of `POST /ingest/http/{format}`: their messages go the
 * way of those over MQTT, under the same topics. Each throws `invalid` for what is no JSON of its server.
 */
export const UPLINK_WEBHOOKS: ReadonlyMap<string, UplinkTopic> = new Map([
  ['chirpstack', chirpstack],
  ['tts', thingsStack],
  ['things-stack', thingsStack],
]);

/** ChirpStack 4: the kind of event is in the query. */
function chirpstack(payload: Buffer, query: unknown): string | null {
  const { event = 'up' } = query as { event?: unknown };
  if (event !== 'up') return null;
  const { applicationId, devEui } = objectIn(bodyOf(payload), 'deviceInfo');
  if (!isText(applicationId, APPLICATION) || !isText(devEui, EUI))
    throw wrong('no uplink of ChirpStack 4: deviceInfo has no applicationId and devEui; its marshaler must be JSON');
  return `application/${applicationId}/device/${devEui}/event/up`;
}

/** The Things Stack 3: all kinds of messages have the same beginning. */
function thingsStack(payload: Buffer): string | null {
  const body = bodyOf(payload);
  const ids = objectIn(body, 'end_device_ids');
  const { application_id: application } = objectIn(ids, 'application_ids');
  const { device_id: device } = ids;
  if (!isText(application, APPLICATION) || !isText(device, APPLICATION))
    throw wrong('no message of The Things Stack: end_device_ids has no device_id and application_id; choose JSON');
  return 'uplink_message' in body ? `v3/${application}/devices/${device}/up` : null;
}

function bodyOf(payload: Buffer): Body {
  const json = readJson(payload);
  if ('reason' in json) throw wrong(json.detail.slice(0, 200));
  return objectIn({ body: json.value }, 'body');
}

function objectIn(body: Body, name: string): Body {
  const found = body[name];
  return typeof found === 'object' && found !== null && !Array.isArray(found) ? (found as Body) : {};
}

const isText = (value: unknown, form: RegExp): value is string => typeof value === 'string' && form.test(value);

const wrong = (message: string) => new LamppostError('invalid', message);
