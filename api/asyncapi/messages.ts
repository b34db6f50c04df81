import { EVENT_TYPES, type EventType } from '../../domain/index.ts';
import { eventName } from '../../events/index.ts';

/** One kind of message: the name of its payload's schema, and examples. */
export interface Message {
  readonly schema: string;
  readonly contentType: string;
  readonly summary: string;
  readonly examples?: readonly unknown[];
}

const JSON_TYPE = 'application/json';
const eventMessage = (type: EventType): [string, Message] => [
  eventName(type),
  { schema: eventName(type), contentType: 'application/cloudevents+json', summary: type },
];

const AT = '2026-01-31T12:00:00Z';

/** Every message by its name. */
export const MESSAGES: Readonly<Record<string, Message>> = {
  Readings: {
    schema: 'Readings',
    contentType: JSON_TYPE,
    summary: 'Readings in native JSON',
    examples: [{ metrics: { pm25: 12.3, temperature: 21.5 } }, [{ ts: AT, metrics: { pm25: 12.3 } }]],
  },
  SenmlPack: {
    schema: 'SenmlPack',
    contentType: 'application/senml+json',
    summary: 'Readings in SenML JSON',
    examples: [[{ bt: -60, n: 'temperature', u: 'K', v: 294.65 }]],
  },
  SenmlCbor: {
    schema: 'SenmlCbor',
    contentType: 'application/senml+cbor',
    summary: 'Readings in SenML CBOR: the same pack with the labels of RFC 8428 table 4',
  },
  StationPush: {
    schema: 'StationPush',
    contentType: JSON_TYPE,
    summary: 'Push of a sensor.community station',
    examples: [{ sensordatavalues: [{ value_type: 'SDS_P1', value: '12.30' }] }],
  },
  ChirpStackUplink: {
    schema: 'ChirpStackUplink',
    contentType: JSON_TYPE,
    summary: 'Uplink of ChirpStack',
    examples: [
      { deviceInfo: { devEui: '70b3d57ed0001234' }, devAddr: '00189440', fCnt: 1, object: { temperature: 21.5 } },
    ],
  },
  ThingsStackUplink: {
    schema: 'ThingsStackUplink',
    contentType: JSON_TYPE,
    summary: 'Uplink of The Things Stack',
    examples: [
      {
        end_device_ids: { dev_eui: '70B3D57ED0001234' },
        uplink_message: { session_key_id: 'AXA5', f_cnt: 1, decoded_payload: { temperature: 21.5 } },
      },
    ],
  },
  Rejection: {
    schema: 'Rejection',
    contentType: JSON_TYPE,
    summary: 'What was refused of a message, and why; best effort',
    examples: [
      {
        topic: 'devices/air-1/readings',
        receivedAt: AT,
        refused: [{ scope: 'reading', reason: 'unknown-metric', path: '$.metrics.pm', detail: 'unknown metric "pm"' }],
      },
    ],
  },
  DeviceStatus: {
    schema: 'DeviceStatus',
    contentType: 'text/plain',
    summary: 'Whether a device is connected',
    examples: ['online'],
  },
  LiveReading: {
    schema: 'LiveReading',
    contentType: JSON_TYPE,
    summary: 'Validated readings of a device at one time; best effort',
    examples: [{ ts: AT, metrics: { pm25: 12.3 } }],
  },
  ...Object.fromEntries(EVENT_TYPES.map(eventMessage)),
  TicketState: {
    schema: 'Ticket',
    contentType: JSON_TYPE,
    summary: 'An open ticket; an empty payload once it is done',
  },
};
