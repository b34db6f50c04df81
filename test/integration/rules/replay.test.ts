import { rmSync } from 'node:fs';
import { join } from 'node:path';
import mqtt, { type MqttClient } from 'mqtt';
import pino from 'pino';
import { expect, test } from 'vitest';
import { verifyState } from '../../../app/verify.ts';
import { systemClock } from '../../../domain/index.ts';
import { full, RulesServer } from '../../kit/rules/server.ts';
import { ADMIN_KEY } from '../../kit/server.ts';

/** `REPLAY_KILLS` makes a longer run. */
const KILLS = Number(process.env.REPLAY_KILLS ?? 5);
const IDS = Array.from({ length: 12 }, (_, i) => `bin-${i}`);

const calendar = (from: string, to: string) =>
  `office: { title: { en: Office, zh: 上班 }, weekdays: [mon, tue, wed, thu, fri, sat, sun], from: "${from}", to: "${to}" }\n`;
const ticket = 'ticket: { service: waste }\n';

/** Rules whose times are seconds, so that alerts are pending, kept and silent when the process is killed. */
const RULES = {
  at_once: full('at_once', 80, ticket),
  held: full('held', 50, `for: 1s\nkeep_firing_for: 2s\n${ticket}`),
  steady: full('steady', 20),
  busy: full('busy', 60, `active: office\n${ticket}`),
  silent: 'id: silent\ntitle: "{{device.name}}"\nwhen: { absent: 3s }\nseverity: low\n',
  crowd:
    'id: crowd\ntitle: "{{district}}"\nwhen: { metric: fill, mean: 5s, above: 55, quorum: { at_least: 3, of: district } }\n' +
    `severity: high\n${ticket}`,
};

/** What happens to the city folder or to devices before a kill, one after the other. */
const CHANGES: readonly ((server: RulesServer) => unknown)[] = [
  (server) => request(server, '0'),
  (server) => server.write('rules/at_once.yaml', full('at_once', 70, ticket)),
  (server) => rmSync(join(server.city, 'rules/held.yaml'), { force: true }),
  (server) =>
    server.write('rules/crowd.yaml', RULES.crowd.replace('of: district', 'of: city').replace('{{district}}', 'all')),
  (server) => server.write('calendars.yaml', calendar('00:00', '00:01') + CALENDARS),
  (server) => server.ask('PATCH', `/api/v1/devices/${IDS[0]}`, { district: 'old-town' }),
  (server) => server.ask('POST', '/api/v1/rules', full('by-api', 40, ticket)),
  (server) => server.write('rules/held.yaml', RULES.held),
  (server) => request(server, '1'),
  (server) => server.ask('DELETE', `/api/v1/devices/${IDS[1]}`),
  (server) => server.write('calendars.yaml', calendar('00:00', '23:59') + CALENDARS),
  (server) => server.write('rules/crowd.yaml', RULES.crowd),
  (server) => server.write('rules/at_once.yaml', RULES.at_once),
];
const CALENDARS = 'working-hours: { title: { en: W, zh: 工 }, weekdays: [mon], from: "09:00", to: "17:00" }\n';

/** A citizen asks for something. */
async function request(server: RulesServer, name: string): Promise<void> {
  const body = new URLSearchParams({ service_code: 'waste', lat: '32.015', long: '118.76', description: 'full' });
  const headers = { authorization: `Bearer ${ADMIN_KEY}`, 'idempotency-key': name };
  const url = `http://127.0.0.1:${server.httpPort}/open311/v2/requests.json`;
  const response = await fetch(url, { method: 'POST', body, headers });
  expect(response.status, await response.text()).toBe(200);
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** A device that sends rising and falling levels, some late, some twice, from its start to its stop. */
function sender(server: RulesServer, id: string, secret: string, phase: number) {
  const at = { host: '127.0.0.1', port: server.mqttPort, reconnectPeriod: 100 };
  const client: MqttClient = mqtt.connect({ ...at, clientId: id, username: id, password: secret, clean: false });
  client.on('error', () => {});
  let stopped = false;
  const send = async () => {
    for (let n = 0; !stopped; n++) {
      const fill = Math.round(50 + 50 * Math.sin((n + phase) / 8));
      const ts = Date.now() - (n % 9 === 0 ? 4_000 : 0);
      const payload = JSON.stringify({ ts, metrics: { fill } });
      for (let again = n % 7 === 0 ? 2 : 1; again > 0; again--) {
        void client.publishAsync(`devices/${id}/readings`, payload, { qos: 1 }).catch(() => {});
      }
      // Some fall silent for longer than `silent` allows.
      await pause(n % 50 === 49 ? 3_500 : 60);
    }
    await client.endAsync(true);
  };
  const done = send();
  return {
    stop() {
      stopped = true;
      return done;
    },
  };
}

test('kill -9 among changes of the city, rules and devices - a state made anew from the journal is equal, table by table', async () => {
  const server = new RulesServer(RULES);
  server.startWithinMs = 300_000;
  server.write('calendars.yaml', calendar('00:00', '23:59') + CALENDARS);
  await server.start();
  const registered = await server.post<{ id: string; secret: string }[]>(
    '/api/v1/devices',
    IDS.map((id, i) => ({ id, profile: 'waste-bin', district: i % 3 === 0 ? 'harbour' : 'old-town' })),
  );
  const senders = registered.map(({ id, secret }, i) => sender(server, id, secret, 5 * i));
  for (let kill = 0; kill < KILLS; kill++) {
    await pause(800 + Math.random() * 3_000);
    for (const change of [2 * kill, 2 * kill + 1]) await CHANGES[change % CHANGES.length]!(server);
    // Every other one is read by the next start.
    if (kill % 2 === 0) await server.ask('POST', '/api/v1/city/reload');
    await pause(Math.random() * 500);
    await server.kill();
    await server.start();
  }
  await Promise.all(senders.map((one) => one.stop()));
  await server.settledLedger();
  const { items } = await server.get<{ items: unknown[] }>('/api/v1/alerts?limit=1000');
  expect(items.length).toBeGreaterThan(IDS.length);
  expect(await server.stop()).toBe(0);
  const deps = { clock: systemClock, log: pino({ level: 'silent' }), backup: null };
  expect((await verifyState(server.data, deps)).differences).toEqual([]);
}, 900_000);
