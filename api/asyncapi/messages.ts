import { z } from 'zod';
import {
  CommandResultSchema,
  DeviceStateSchema,
  EVENT_TYPES,
  type EventType,
  ParametersSchema,
  QUALITIES,
  REASONS,
  type Reason,
} from '../../domain/index.ts';
import { eventName } from '../../events/index.ts';

/** One kind of message. `schema` is the name of its payload's schema. */
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

/** Every message, by name. */
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
    summary: 'Readings in SenML CBOR: the same pack with the integer labels of RFC 8428 table 4',
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
    summary: 'What was refused of a message and why; best effort (QoS 0)',
    examples: [
      {
        topic: 'devices/air-1/readings',
        receivedAt: AT,
        refused: [{ scope: 'reading', reason: 'unknown-metric', path: '$.metrics.pm', detail: 'unknown metric "pm"' }],
      },
    ],
  },
  CommandResult: {
    schema: 'CommandResult',
    contentType: JSON_TYPE,
    summary: 'What a device did about a command',
    examples: [{ id: 'c-812-0', status: 'done' }],
  },
  ReportedState: {
    schema: 'DeviceState',
    contentType: JSON_TYPE,
    summary: 'What a device says that it is',
    examples: [{ level: 40, firmware: '2.1' }],
  },
  Command: {
    schema: 'Command',
    contentType: JSON_TYPE,
    summary: 'A command to a device',
    examples: [{ id: 'c-812-0', command: 'dim', parameters: { level: 40 }, validUntil: AT }],
  },
  Desired: {
    schema: 'Desired',
    contentType: JSON_TYPE,
    summary: 'What a device is wanted to be; an empty payload once it is revoked',
    examples: [{ version: 3, desired: { level: 40 } }],
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
    summary: 'Validated readings of a device at one time; best effort (QoS 0)',
    examples: [{ ts: AT, metrics: { pm25: 12.3 } }],
  },
  ...Object.fromEntries(EVENT_TYPES.map(eventMessage)),
  TicketState: {
    schema: 'Ticket',
    contentType: JSON_TYPE,
    summary: 'An open ticket; an empty payload once it is resolved or closed',
  },
};

const metrics = z.record(z.string(), z.number()).describe('Values by metric name, in the unit of the metric');
const time = z.union([z.iso.datetime({ offset: true }), z.number().describe('Epoch ms')]);

const sent = z
  .record(z.string(), z.union([z.number(), z.boolean(), z.string()]))
  .describe('Values by metric name, in the unit of the metric; of a state the name or code of its value');
const quality = z.enum(QUALITIES);
const Reading = z.strictObject({
  ts: time.optional().describe('Default: the time of receipt'),
  metrics: sent,
  quality: z
    .union([quality, z.record(z.string(), quality)])
    .optional()
    .describe('Of all values, or by metric name, where the profile has quality; default: good'),
});

const Record = z.object({
  bn: z.string().optional(),
  bt: z.number().optional(),
  bu: z.string().optional(),
  bv: z.number().optional(),
  bs: z.number().optional(),
  bver: z.int().optional(),
  n: z.string().optional(),
  u: z.string().optional(),
  v: z.number().optional(),
  vs: z.string().optional(),
  vb: z.boolean().optional(),
  vd: z.string().optional(),
  s: z.number().optional(),
  t: z.number().optional(),
  ut: z.number().optional(),
});

const StationValue = z.object({ value_type: z.string(), value: z.union([z.string(), z.number()]) });

const ChirpStackUplink = z.object({
  deviceInfo: z.object({ devEui: z.string() }).optional(),
  time: z.iso.datetime({ offset: true }).optional(),
  devAddr: z.string().optional(),
  fCnt: z.int().optional(),
  fPort: z.int().optional(),
  data: z.string().optional().describe('The frame in base64'),
  object: z.record(z.string(), z.unknown()).optional().describe('The frame as the codec decoded it'),
});

const ThingsStackUplink = z.object({
  end_device_ids: z.object({ dev_eui: z.string() }),
  received_at: z.iso.datetime({ offset: true }).optional(),
  uplink_message: z.object({
    session_key_id: z.string().optional(),
    f_cnt: z.int().optional(),
    f_port: z.int().optional(),
    frm_payload: z.string().optional(),
    decoded_payload: z.record(z.string(), z.unknown()).optional(),
    received_at: z.iso.datetime({ offset: true }).optional(),
  }),
});

const Refused = z.object({
  scope: z.enum(['message', 'reading', 'connection']).describe('A connection is delayed, not refused'),
  reason: z.enum([...(Object.keys(REASONS) as [Reason, ...Reason[]]), 'reserved-topic', 'throttled']),
  path: z.string().describe('JSON path of the fault in the payload'),
  detail: z.string().describe('What was found, and what would be right'),
  count: z.int().exactOptional().describe('How many faults it stands for, where there are several'),
  paths: z.array(z.string()).exactOptional().describe('JSON paths of the first of these, at most five'),
});

/**
 * Payloads other than events and tickets, by name. Those of devices are only described here: `ingest/decode` checks
 * them.
 */
export const PAYLOADS = {
  Readings: z.union([Reading, z.array(Reading).min(1)]).describe('One reading or several'),
  SenmlPack: z.array(Record).min(1).describe('A SenML pack (RFC 8428)'),
  StationPush: z
    .object({ sensordatavalues: z.array(StationValue).min(1) })
    .describe('Push of a sensor.community station'),
  ChirpStackUplink: ChirpStackUplink.describe('An uplink event of ChirpStack 4'),
  ThingsStackUplink: ThingsStackUplink.describe('An uplink message of The Things Stack 3'),
  Rejection: z
    .object({
      topic: z.string(),
      receivedAt: z.iso.datetime(),
      refused: z.array(Refused).min(1),
      omitted: z.int().exactOptional().describe('Faults that did not fit into it'),
    })
    .describe('What was refused of a message and why, in less than 64 KiB'),
  CommandResult: CommandResultSchema.describe('What a device did about a command'),
  DeviceState: DeviceStateSchema,
  Command: z
    .object({ id: z.string(), command: z.string(), parameters: ParametersSchema, validUntil: z.iso.datetime() })
    .describe('A command to a device'),
  Desired: z.object({ version: z.int(), desired: DeviceStateSchema }).describe('What a device is wanted to be'),
  LiveReading: z.object({ ts: z.iso.datetime(), metrics }).describe('Validated readings of a device at one time'),
  DeviceStatus: z.enum(['online', 'offline', 'silent']),
} as const;
