/**
 * Creates the fixture of a version from a real run of it: `node test/kit/state-fixture.ts
 * test/fixtures/state/<version>`. Run once for each release; test/integration/migrations.test.ts starts a server with
 * every one of them.
 */
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import mqtt from 'mqtt';
import { ServerProcess } from './server.ts';
import { dumpSql } from './sql-dump.ts';
import { until } from './wait.ts';

/** The responses that must stay the same in every later version. */
const SHOWN = {
  ledger: '/api/v1/ledger',
  tickets: '/api/v1/tickets?limit=1000',
  alerts: '/api/v1/alerts?limit=1000',
  events: '/api/v1/events?limit=1000',
  quarantine: '/api/v1/quarantine?limit=1000',
  devices: '/api/v1/devices?limit=1000',
  keys: '/api/v1/keys',
  rule: '/api/v1/rules/bin-nearly-full/history',
  silences: '/api/v1/silences?ended=true',
  webhooks: '/api/v1/webhooks',
};

const PASSING = ['state', 'cursor', 'waiting', 'lastUsedAt'];

/** Returns a response without what changes by itself: the state of a silence, how far a webhook is, a last use. */
function steady(shown: unknown): unknown {
  return JSON.parse(JSON.stringify(shown), (key, value) =>
    PASSING.includes(key) && value !== 'firing' && value !== 'resolved' ? undefined : value,
  );
}

/** A kept session of MQTT that was away when events came. */
export interface KeptSession {
  readonly clientId: string;
  readonly user: string;
  readonly secret: string;
  /** Ids of the events that wait for it, in order. */
  readonly waiting: readonly string[];
}

const RULE =
  'id: bin-nearly-full\ntitle: "{{device.name}} is at {{value}} %"\nwhere: { profile: waste-bin }\nwhen: { metric: fill, last: true, above: 80, clear: 50 }\nseverity: low\n';

async function make(to: string): Promise<void> {
  const server = new ServerProcess();
  await server.start();
  const devices = ['bin-1', 'bin-2', 'bin-3'].map((id) => ({ id, profile: 'waste-bin', district: 'old-town' }));
  const registered = await server.post<{ id: string; secret: string }[]>('/api/v1/devices', devices);
  const secrets = new Map(registered.map(({ id, secret }) => [id, secret]));
  const key = { name: 'clerk', role: 'operator', department: 'waste' };
  const clerk = await server.post<{ id: string; secret: string }>('/api/v1/keys', key);
  await server.post('/api/v1/rules', { text: RULE, note: 'for the fixture' });
  await server.post('/api/v1/webhooks', { url: 'https://city.example/hooks', filter: null });
  const start = Date.now() - 60_000;
  await sendReadings(server, secrets, start);
  const session = await leaveSession(server, clerk);
  await act(server);
  await server.settledLedger();
  // Its event comes with the next look at what is due: a server over the fixture would have one more than was shown.
  const isOut = async () =>
    (await eventsOf(server)).some(({ event }) => event.type === 'city.lamppost.silence.created');
  await until(isOut, 'the event of the silence', 100);
  const waiting = await eventsAfter(server, session.after);
  const shown: Record<string, unknown> = {};
  for (const [name, path] of Object.entries(SHOWN)) shown[name] = steady(await server.get(path));
  await server.stop();
  mkdirSync(to, { recursive: true });
  for (const file of readdirSync(server.data).filter((one) => one.endsWith('.sqlite'))) {
    writeFileSync(join(to, file.replace(/ite$/, '')), dumpSql(join(server.data, file)));
  }
  const { id: user, secret } = clerk;
  const kept: KeptSession = { clientId: session.clientId, user, secret, waiting };
  const found = { paths: SHOWN, shown, secrets: Object.fromEntries(secrets), session: kept, atMs: start };
  writeFileSync(join(to, 'shown.json'), `${JSON.stringify(found, null, 1)}\n`);
}

async function sendReadings(server: ServerProcess, secrets: ReadonlyMap<string, string>, start: number): Promise<void> {
  const send = (id: string, ts: number, fill: number | string) =>
    sendText(id, JSON.stringify({ ts, metrics: { fill } }));
  const sendText = (id: string, body: string) =>
    fetch(`http://127.0.0.1:${server.httpPort}/ingest/${id}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${secrets.get(id)}`, 'content-type': 'application/json' },
      body,
    });
  for (const id of secrets.keys()) await send(id, start, 20);
  for (const id of secrets.keys()) await send(id, start + 10_000, 96);
  await send('bin-1', start + 10_000, 96);
  await send('bin-2', start + 20_000, 10);
  await send('bin-2', start + 30_000, 97);
  await send('bin-3', start + 30_000, 'full');
  await send('bin-3', start + 40_000, 1_000);
  await sendText('bin-3', '{"ts": 1');
  await server.settledLedger();
}

/** Leaves a session behind that subscribes to events of tickets; returns the number of the newest event before. */
async function leaveSession(server: ServerProcess, { id, secret }: { id: string; secret: string }) {
  const clientId = 'control-room';
  const login = { clientId, username: id, password: secret, clean: false };
  const client = await mqtt.connectAsync({ host: '127.0.0.1', port: server.mqttPort, reconnectPeriod: 0, ...login });
  await client.subscribeAsync('events/tickets/waste/#', { qos: 1 });
  await client.endAsync();
  const { items } = await server.get<{ items: { n: number }[] }>('/api/v1/events?limit=1000');
  return { clientId, after: items.length };
}

/** What people do: actions on two tickets, one that is reported by hand, and silences. */
async function act(server: ServerProcess): Promise<void> {
  const { items } = await server.get<{ items: { id: string; group: string }[] }>('/api/v1/tickets?limit=1000');
  const [first, second] = items.toSorted((a, b) => (a.group < b.group ? -1 : 1));
  await server.post(`/api/v1/tickets/${first!.id}/acknowledge`, { note: 'on my way' });
  await server.post(`/api/v1/tickets/${first!.id}/assign`, { assignee: 'Li' });
  await server.post(`/api/v1/tickets/${second!.id}/comment`, { note: 'the key is at the school' });
  const wanted = { service: 'waste', title: 'Broken bin', district: 'harbour' };
  const opened = await server.post<{ id: string }>('/api/v1/tickets', wanted);
  await server.post(`/api/v1/tickets/${opened.id}/start`, { note: 'seen' });
  const endsAt = new Date(Date.now() + 300 * 86_400_000).toISOString();
  await server.post('/api/v1/silences', { matchers: { district: ['harbour'] }, endsAt, comment: 'works at the quay' });
}

async function eventsOf(server: ServerProcess) {
  const { items } = await server.get<{ items: { event: { id: string; type: string } }[] }>('/api/v1/events?limit=1000');
  return items;
}

async function eventsAfter(server: ServerProcess, after: number): Promise<string[]> {
  const ofTickets = (await eventsOf(server))
    .slice(after)
    .filter(({ event }) => event.type.startsWith('city.lamppost.ticket.'));
  return ofTickets.map(({ event }) => event.id);
}

await make(process.argv[2]!);
