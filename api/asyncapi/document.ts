import { z } from 'zod';
import { EVENT_TYPES } from '../../domain/index.ts';
import { componentsOf, EVENT_SCHEMAS, eventName, NAMED_SCHEMAS } from '../../events/index.ts';
import packaged from '../../package.json' with { type: 'json' };
import { CHANNELS, type Channel } from './channels.ts';
import { MESSAGES, type Message, PAYLOADS } from './messages.ts';

/** What a parameter of a topic is, and an example. */
const PARAMETERS: Readonly<Record<string, readonly [words: string, example: string]>> = {
  device: ['Id of a device', 'bin-0017'],
  application: ['Id of an application of the network server', 'parking'],
  devEui: ['DevEUI of a device, 16 hex digits', '70b3d57ed0041abc'],
  name: ['Name of a device at the network server', 'space-12'],
  district: ['Id of a district', 'old-town'],
  rule: ['Id of a rule', 'bin-nearly-full'],
  group: ['Id of a device or district, or `city`; `~limit` and `~fault` concern the rule itself', 'bin-0017'],
  department: ['Id of a department, contractor or group', 'waste'],
  ticket: ['Id of a ticket', 't-2000-0'],
  silence: ['Id of a silence', 's-17'],
  command: ['Id of a command', 'c-17'],
  key: ['Id of the key or device that owns the session', 'control-room'],
  source: ['An IPv4 address, or the /64 of an IPv6 address as `2001:db8:0:1::-64`', '192.0.2.1'],
};

const MQTT = { protocol: 'mqtt', protocolVersion: '3.1.1', security: [{ $ref: '#/components/securitySchemes/user' }] };
const HOST = { default: 'localhost', description: 'Where Lamppost runs' };
const SERVERS = {
  tcp: { ...MQTT, host: '{host}:1883', variables: { host: HOST }, description: 'MQTT over TCP' },
  tls: {
    ...MQTT,
    protocol: 'mqtts',
    host: '{host}:8883',
    variables: { host: HOST },
    description: 'If MQTTS_PORT is set',
  },
  websocket: { ...MQTT, protocol: 'ws', host: '{host}:8080', pathname: '/mqtt', variables: { host: HOST } },
};

const BINDING = '0.2.0';

/**
 * Everything that goes over MQTT (AsyncAPI 3.0): topics, messages, and who may use them. It is the same for every city.
 */
export const ASYNCAPI = {
  asyncapi: '3.0.0',
  info: {
    title: 'Lamppost',
    version: packaged.version,
    description:
      "The backend of a city's sensors: what goes over MQTT. Lamppost subscribes to `receive` channels and publishes to `send` channels.",
  },
  id: 'urn:lamppost:asyncapi',
  defaultContentType: 'application/json',
  servers: SERVERS,
  channels: mapped(CHANNELS, channelOf),
  operations: Object.fromEntries(Object.entries(CHANNELS).map(operationOf)),
  components: {
    messages: mapped(MESSAGES, messageOf),
    schemas: componentsOf({
      ...NAMED_SCHEMAS,
      ...PAYLOADS,
      SenmlCbor: z.string().describe('CBOR'),
      ...Object.fromEntries(EVENT_TYPES.map((type) => [eventName(type), EVENT_SCHEMAS[type]])),
    }),
    securitySchemes: {
      user: { type: 'userPassword', description: 'User name: the id of a device or key; password: its secret' },
    },
  },
};

function mapped<T, R>(values: Readonly<Record<string, T>>, of: (value: T, name: string) => R): Record<string, R> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, of(value, name)]));
}

function channelOf({ address, summary, who, messages }: Channel) {
  const names = [...address.matchAll(/\{(\w+)\}/g)].map(([, name]) => name!);
  return {
    address,
    summary,
    description: `Who: ${who}.`,
    parameters: Object.fromEntries(names.map((name) => [name, parameterOf(name)])),
    messages: Object.fromEntries(messages.map((name) => [name, { $ref: `#/components/messages/${name}` }])),
  };
}

function parameterOf(name: string) {
  const [description, example] = PARAMETERS[name]!;
  return { description, examples: [example] };
}

/** Returns what happens on a channel, and who is on its other end. */
function wordsOf({ action, qos, retain, who }: Channel): string {
  const [does, other] = action === 'send' ? ['publishes', 'subscribe'] : ['receives', 'publish'];
  return `Lamppost ${does} it with QoS ${qos}${retain ? ', retained' : ''}. Who may ${other}: ${who}.`;
}

function operationOf([name, topic]: [string, Channel]) {
  const { action, qos, retain, messages, summary } = topic;
  const channel = `#/channels/${name}`;
  return [
    `${action}${name[0]!.toUpperCase()}${name.slice(1)}`,
    {
      action,
      summary,
      description: wordsOf(topic),
      channel: { $ref: channel },
      messages: messages.map((message) => ({ $ref: `${channel}/messages/${message}` })),
      bindings: { mqtt: { qos, retain, bindingVersion: BINDING } },
    },
  ];
}

function messageOf({ schema, contentType, summary, examples = [] }: Message, name: string) {
  return {
    name,
    summary,
    contentType,
    payload: { $ref: `#/components/schemas/${schema}` },
    ...(examples.length === 0 ? {} : { examples: examples.map((payload) => ({ payload })) }),
  };
}
