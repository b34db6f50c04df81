import { EVENT_TYPES } from '../../domain/index.ts';
import { eventName } from '../../events/index.ts';

/** One kind of topic, from Lamppost's point of view: it receives what devices send, and sends everything else. */
export interface Channel {
  readonly address: string;
  readonly summary: string;
  /** Who may publish to it, or subscribe to it. */
  readonly who: string;
  readonly action: 'send' | 'receive';
  readonly qos: 0 | 1;
  readonly retain: boolean;
  /** The names of its messages. */
  readonly messages: readonly string[];
}

const eventNames = (prefix: string) =>
  EVENT_TYPES.filter((type) => type.startsWith(`city.lamppost.${prefix}.`)).map(eventName);
const OWN_DEVICE = 'The device itself';
const NETWORK_SERVER = 'Keys of role network-server';
const READERS = 'Keys that may read';
const OWN_DEPARTMENT = 'Keys that may read; a key of a department only the topics below that department';
const received = { action: 'receive', qos: 1, retain: false } as const;
const sent = { action: 'send', qos: 1, retain: false } as const;

/** Every topic, by name. */
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
  results: {
    ...received,
    address: 'devices/{device}/results',
    summary: 'What a device did about a command',
    who: OWN_DEVICE,
    messages: ['CommandResult'],
  },
  reported: {
    ...received,
    address: 'devices/{device}/reported',
    summary: 'What a device says that it is; it replaces what it said before',
    who: OWN_DEVICE,
    messages: ['ReportedState'],
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
    ...sent,
    qos: 0,
    address: 'devices/{device}/rejections',
    summary: 'What was refused and why',
    who: `${OWN_DEVICE}, and keys with the right devices.listen`,
    messages: ['Rejection'],
  },
  commands: {
    ...sent,
    address: 'devices/{device}/commands',
    summary: 'Commands to a device; the same one may come again, with its id',
    who: `${OWN_DEVICE}, and keys with the right devices.listen`,
    messages: ['Command'],
  },
  desired: {
    ...sent,
    retain: true,
    address: 'devices/{device}/desired',
    summary: 'What a device is wanted to be',
    who: `${OWN_DEVICE}, and keys with the right devices.listen`,
    messages: ['Desired'],
  },
  status: {
    ...sent,
    qos: 0,
    retain: true,
    address: 'devices/{device}/status',
    summary: 'Whether a device is connected',
    who: `${OWN_DEVICE}, and keys that may read`,
    messages: ['DeviceStatus'],
  },
  live: {
    ...sent,
    qos: 0,
    address: 'live/{district}/{device}',
    summary: 'Validated readings',
    who: READERS,
    messages: ['LiveReading'],
  },
  alerts: {
    ...sent,
    address: 'events/alerts/{rule}/{group}',
    summary: 'Alerts that fire or are resolved',
    who: READERS,
    messages: eventNames('alert'),
  },
  tickets: {
    ...sent,
    address: 'events/tickets/{department}/{ticket}',
    summary: 'Changes of tickets, published below each department and party that is notified',
    who: OWN_DEPARTMENT,
    messages: eventNames('ticket'),
  },
  silences: {
    ...sent,
    address: 'events/silences/{silence}',
    summary: 'Silences that are created, hold alerts back, end soon while they do, and have ended',
    who: 'Keys that may read and belong to no department',
    messages: eventNames('silence'),
  },
  sessions: {
    ...sent,
    qos: 0,
    address: 'events/sessions/{key}',
    summary: 'Messages that the persistent session of this key or device lost',
    who: 'Keys that may read and belong to no department',
    messages: eventNames('session'),
  },
  logins: {
    ...sent,
    address: 'events/logins/{source}',
    summary: 'Logins from one address that fail again and again',
    who: 'Keys that may read and belong to no department',
    messages: eventNames('login'),
  },
  clock: {
    ...sent,
    address: 'events/clock',
    summary: 'The wall clock was set, or is not believed',
    who: 'Keys that may read and belong to no department',
    messages: eventNames('clock'),
  },
  commandEvents: {
    ...sent,
    address: 'events/commands/{device}/{command}',
    summary: 'What becomes of a command to a device',
    who: 'Keys that may read and belong to no department',
    messages: eventNames('command'),
  },
  desiredEvents: {
    ...sent,
    address: 'events/desired/{device}',
    summary: 'What a device is wanted to be has changed',
    who: 'Keys that may read and belong to no department',
    messages: eventNames('desired'),
  },
  ticketStates: {
    ...sent,
    retain: true,
    address: 'tickets/{department}/{ticket}',
    summary: 'The state of each open ticket, below the responsible department',
    who: OWN_DEPARTMENT,
    messages: ['TicketState'],
  },
};
