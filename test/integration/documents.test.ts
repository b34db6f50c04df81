import mqtt, { type MqttClient } from 'mqtt';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { CloudEvent, Page, Ticket } from '../../domain/index.ts';
import { type AsyncApiDocument, asyncApiChecker, type Sent } from '../kit/asyncapi.ts';
import { schemaChecker } from '../kit/json-schema.ts';
import { type OpenApiDocument, openApiChecker } from '../kit/openapi.ts';
import { ADMIN_KEY, ServerProcess } from '../kit/server.ts';
import { until } from '../kit/wait.ts';

const server = new ServerProcess();
/** Everything that the broker published during `live`. */
const sent: Sent[] = [];
let secret = '';

beforeAll(async () => {
  await server.start();
  ({ secret } = await server.post<{ secret: string }>('/api/v1/devices', {
    id: 'bin-1',
    profile: 'waste-bin',
    district: 'harbour',
    location: { lat: 31.2, lon: 121.5 },
    tags: { street: 'Pier' },
  }));
  await server.post('/api/v1/devices', { id: 'lamp-1', profile: 'streetlight', district: 'harbour' });
  await live();
});
afterAll(() => server.stop());

const connect = (id: string, password: string, clientId = id) =>
  mqtt.connectAsync({ host: '127.0.0.1', port: server.mqttPort, username: id, password, clientId });
const fill = (value: number) => JSON.stringify({ metrics: { fill: value, battery: 80 } });

/** A bin fills up, sends a bad reading, is dealt with and emptied; an administrator receives everything. */
async function live(): Promise<void> {
  const admin = await connect('admin', ADMIN_KEY, 'documents');
  admin.on('message', (topic, payload, { qos, retain }) => {
    // A retained message that is published while subscribed arrives without its flag (MQTT 3.1.1 §3.3.1.3).
    sent.push({ topic, payload: payload.toString(), qos, ...(retain ? { retain } : {}) });
  });
  await admin.subscribeAsync('#', { qos: 1 });
  const bin = await connect('bin-1', secret);
  const received = (topic: string) => until(() => sent.find((one) => one.topic.startsWith(topic)), topic);
  await until(async () => {
    await publish(bin, fill(30));
    return sent.find(({ topic }) => topic === 'live/harbour/bin-1');
  }, 'a live reading');
  // Notes of what was refused are best effort: one may be left out while others are published.
  await until(async () => {
    await publish(bin, '{"metrics": {"fill": 30, "pm": 1}}');
    return sent.find(({ topic }) => topic === 'devices/bin-1/rejections');
  }, 'a note of what was refused');
  await publish(bin, fill(95));
  await received('tickets/waste/');
  const { items } = await server.get<Page<Ticket>>('/api/v1/tickets');
  const ticket = `/api/v1/tickets/${items[0]!.id}`;
  await server.post(`${ticket}/acknowledge`, {});
  await server.post(`${ticket}/assign`, { to: 'waste', assignee: 'Li' });
  await server.post(`${ticket}/comment`, { note: 'on my way' });
  await server.post(`${ticket}/parts`, { department: 'maintenance', note: 'the lid is loose' });
  await server.post('/api/v1/silences', {
    matchers: { device: ['bin-1'] },
    endsAt: new Date(Date.now() + 3_600_000).toISOString(),
    comment: 'works',
  });
  await received('events/silences/');
  await server.post('/api/v1/devices/lamp-1/commands', { command: 'dim', parameters: { level: 40 } });
  await fetch(`http://127.0.0.1:${server.httpPort}/api/v1/devices/lamp-1/desired`, {
    ...{ method: 'PUT', body: JSON.stringify({ level: 40 }) },
    headers: { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json' },
  });
  await received('events/desired/');
  await publish(bin, fill(10));
  await until(
    () => sent.find(({ payload }) => payload.includes('"city.lamppost.alert.resolved"')),
    'the end of the alert',
  );
  await bin.endAsync();
  await until(() => sent.find(({ payload }) => payload === 'offline'), 'the end of the connection');
  await admin.endAsync();
}

const publish = (client: MqttClient, payload: string) =>
  client.publishAsync('devices/bin-1/readings', payload, { qos: 1 });

test('asyncapi - what a real broker publishes conforms to the document', async () => {
  const document = await server.get<AsyncApiDocument>('/asyncapi.json');
  const check = asyncApiChecker(document);
  for (const { retain: _, ...one } of sent) expect(check(one), one.topic).toEqual([]);
  const kinds = new Set(
    sent.map(({ topic }) => topic.replace(/^(events\/\w+|\w+)\/.*?(\/(rejections|status|commands|desired))?$/, '$1$2')),
  );
  expect([...kinds].sort()).toEqual([
    'devices/commands',
    'devices/desired',
    'devices/rejections',
    'devices/status',
    'events/alerts',
    'events/commands',
    'events/desired',
    'events/silences',
    'events/tickets',
    'live',
    'tickets',
  ]);
});

test('schemas - every event of a real server conforms to the schema of its type', async () => {
  // A silence is announced at the tick after it was made.
  const items = await until(async () => {
    const { items } = await server.get<Page<{ event: CloudEvent }>>('/api/v1/events?limit=1000');
    return items.some(({ event }) => event.type === 'city.lamppost.silence.created') ? items : undefined;
  }, 'the event of the silence');
  const check = schemaChecker();
  const any = await server.get<Record<string, unknown>>('/schemas/event.json');
  const types = new Set(items.map(({ event }) => event.type.slice('city.lamppost.'.length)));
  expect([...types].sort()).toEqual([
    'alert.firing',
    'alert.resolved',
    'command.queued',
    'desired.changed',
    'silence.created',
    'ticket.acknowledged',
    'ticket.assigned',
    'ticket.commented',
    'ticket.opened',
    'ticket.split',
    // Its alert resolved, and another department still has a part.
    'ticket.updated',
  ]);
  for (const { event } of items) {
    expect(check(any, event), event.type).toEqual([]);
    const own = await server.get<Record<string, unknown>>(`/schemas/${event.type}.json`);
    expect(own.$id).toBe(event.dataschema);
    expect(schemaChecker()(own, event.data), event.type).toEqual([]);
  }
});

const ROUTES = [
  '/health',
  '/ready',
  '/api/v1/ledger',
  '/api/v1/devices',
  '/api/v1/devices/bin-1',
  '/api/v1/devices/bin-1/explain',
  '/api/v1/devices/lamp-1/commands',
  '/api/v1/devices/lamp-1/desired',
  '/api/v1/readings?device=bin-1',
  '/api/v1/readings/latest',
  '/api/v1/quarantine',
  '/api/v1/rules',
  '/api/v1/rules/bin-full',
  '/api/v1/rules/bin-full/history',
  '/api/v1/alerts',
  '/api/v1/alerts/bin-full/bin-1',
  '/api/v1/alerts/frost/bin-1',
  '/api/v1/tickets',
  '/api/v1/tickets/waiting',
  '/api/v1/silences',
  '/api/v1/events',
  '/api/v1/keys',
  '/api/v1/oversight',
  '/api/v1/webhooks',
  '/public/oversight.json',
  '/public/tickets.geojson',
  '/api/v1/nothing',
];

test('openapi - responses of a real server conform to the document', async () => {
  const check = openApiChecker(await server.get<OpenApiDocument>('/openapi.json'));
  for (const path of ROUTES) {
    const response = await fetch(`http://127.0.0.1:${server.httpPort}${path}`, {
      headers: { authorization: `Bearer ${ADMIN_KEY}` },
    });
    const type = response.headers.get('content-type') ?? '';
    const said = { method: 'get', path, status: response.status, type, text: await response.text() };
    expect(check(said), path).toEqual([]);
  }
});
