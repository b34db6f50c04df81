import { EVENT_TYPES } from '../../domain/index.ts';
import { eventName } from '../../events/index.ts';

/** One kind of topic, seen from Lamppost: it receives what devices send, and sends the rest. */
export interface Channel {
  readonly address: string;
  readonly summary: string;
  /** Who may publish there, or subscribe to it. */
  readonly who: string;
  readonly action: 'send' | 'receive';
  readonly qos: 0 | 1;
  readonly retain: boolean;
  /** Names of its messages. */
  readonly messages: readonly string[];
}

const eventNames = (prefix: string) =>
  EVENT_TYPES.filter((type) => type.startsWith(`city.lamppost.${prefix}.`)).map(eventName);
const OWN_DEVICE = 'The device itself';
const NETWORK_SERVER = 'Keys of role network-server';
const READERS = 'Keys that read';
const OWN_DEPARTMENT = 'Keys that read; one of a department only below its own';
const received = { action: 'receive', qos: 1, retain: false } as const;
const told = { action: 'send', qos: 1, retain: false } as const;

/** Every topic that there is, by name. */
export const CHANNELS: Readonly<Record<string, Channel>> = {
  readings: {
    ...received,
    address: 'devices/{device}/readings',
    summary: 'Readings',
    who: OWN_DEVICE,
    messages: ['Readings'],
  },
  senml: {
    ...received,
    address: 'devices/{device}/senml',
    summary: 'Readings',
    who: OWN_DEVICE,
    messages: ['SenmlPack'],
  },
  senmlCbor: {
    ...received,
    address: 'devices/{device}/senml-cbor',
    summary: 'Readings',
    who: OWN_DEVICE,
    messages: ['SenmlCbor'],
  },
  sensorCommunity: {
    ...received,
    address: 'devices/{device}/sensor-community',
    summary: 'Readings',
    who: OWN_DEVICE,
    messages: ['StationPush'],
  },
  chirpStack: {
    ...received,
    address: 'application/{application}/device/{devEui}/event/up',
    summary: 'Uplinks of LoRaWAN devices',
    who: NETWORK_SERVER,
    messages: ['ChirpStackUplink'],
  },
  thingsStack: {
    ...received,
    address: 'v3/{application}/devices/{name}/up',
    summary: 'Uplinks of LoRaWAN devices',
    who: NETWORK_SERVER,
    messages: ['ThingsStackUplink'],
  },
  rejections: {
    ...told,
    qos: 0,
    address: 'devices/{device}/rejections',
    summary: 'What was refused, and why',
    who: `${OWN_DEVICE}, and keys of role admin`,
    messages: ['Rejection'],
  },
  status: {
    ...told,
    qos: 0,
    retain: true,
    address: 'devices/{device}/status',
    summary: 'Whether a device is connected',
    who: `${OWN_DEVICE}, and keys that read`,
    messages: ['DeviceStatus'],
  },
  live: {
    ...told,
    qos: 0,
    address: 'live/{district}/{device}',
    summary: 'Validated readings',
    who: READERS,
    messages: ['LiveReading'],
  },
  alerts: {
    ...told,
    address: 'events/alerts/{rule}/{group}',
    summary: 'Alerts that fire or resolved',
    who: READERS,
    messages: eventNames('alert'),
  },
  tickets: {
    ...told,
    address: 'events/tickets/{department}/{ticket}',
    summary: 'What happens to tickets; once below each department or party that hears of it',
    who: OWN_DEPARTMENT,
    messages: eventNames('ticket'),
  },
  silences: {
    ...told,
    address: 'events/silences/{silence}',
    summary: 'Silences that end while an alert that they silence fires',
    who: 'Keys that read, and are bound to no department',
    messages: eventNames('silence'),
  },
  sessions: {
    ...told,
    qos: 0,
    address: 'events/sessions/{key}',
    summary: 'Messages that a kept session of this key or device lost',
    who: 'Keys that read, and are bound to no department',
    messages: eventNames('session'),
  },
  ticketStates: {
    ...told,
    retain: true,
    address: 'tickets/{department}/{ticket}',
    summary: 'The state of each open ticket, below the department that answers for it',
    who: OWN_DEPARTMENT,
    messages: ['TicketState'],
  },
};
