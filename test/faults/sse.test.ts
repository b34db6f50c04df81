import mqtt from 'mqtt';
import { expect, test } from 'vitest';
import { createRandom } from '../../simulators/city/random.ts';
import { ADMIN_KEY, ServerProcess } from '../kit/server.ts';
import { createSseReader, type Received } from '../kit/sse-reader.ts';
import { pause, until } from '../kit/wait.ts';

const KILLS = 6;
const BINS = 10;
const SEED = 'sse';
/** A bin that is soon full again reopens its ticket. */
const OPENED = 'city.lamppost.ticket.opened,city.lamppost.ticket.reopened';

/** Publishes a bin as full and empty by turns, whether or not the server is running. */
function publish(server: ServerProcess, id: string, secret: string) {
  const client = mqtt.connect({
    host: '127.0.0.1',
    port: server.mqttPort,
    clientId: id,
    username: id,
    password: secret,
    reconnectPeriod: 50,
  });
  client.on('error', () => {});
  let stopped = false;
  const lane = async () => {
    for (let n = 0; !stopped; n++) {
      const payload = JSON.stringify({ metrics: { fill: n % 2 === 0 ? 95 : 20, battery: 80 } });
      while (!stopped && !(await acknowledged(client.publishAsync(`devices/${id}/readings`, payload, { qos: 1 }))));
      await pause(100);
    }
  };
  const done = lane();
  return async () => {
    stopped = true;
    await client.endAsync(true);
    await done;
  };
}

const acknowledged = (publishing: Promise<unknown>) =>
  Promise.race([publishing.then(() => true), pause(2_000).then(() => false)]).catch(() => false);

test('kill -9 six times - readers that resume get every event exactly once and in order, whether they filter or are slow', async () => {
  const random = createRandom(SEED);
  const server = new ServerProcess();
  await server.start();
  const ids = Array.from({ length: BINS }, (_, i) => `bin-${i}`);
  const registered = await server.post<{ id: string; secret: string }[]>(
    '/api/v1/devices',
    ids.map((id) => ({ id, profile: 'waste-bin', district: 'old-town' })),
  );
  const common = { url: () => `http://127.0.0.1:${server.httpPort}`, key: ADMIN_KEY, last: '0' };
  const readers = {
    all: createSseReader(common),
    opened: createSseReader({ ...common, query: `?type=${OPENED}` }),
    slow: createSseReader({ ...common, delayMs: 150 }),
  };
  const stops = registered.map(({ id, secret }) => publish(server, id, secret));
  for (let kill = 0; kill < KILLS; kill++) {
    await pause(200 + random() * 1_300);
    await server.kill();
    await server.start();
  }
  await until(() => readers.all.received.length > 600, 'events', 50);
  for (const stop of stops) await stop();
  await server.settledLedger();

  const all = await server.all<Received>('/api/v1/events');
  const opened = await server.all<Received>(`/api/v1/events?type=${OPENED}`);
  expect(all.map(({ n }) => n)).toEqual(all.map((_, i) => i + 1));
  const expected = { all, opened, slow: all };
  for (const [name, reader] of Object.entries(readers)) {
    const wanted = expected[name as keyof typeof readers];
    await until(() => reader.received.length >= wanted.length, `every event at ${name}`, 50);
    await reader.end();
    expect(reader.resets, name).toEqual([]);
    expect(
      reader.received.map(({ n }) => n),
      name,
    ).toEqual(wanted.map(({ n }) => n));
    expect(reader.received, name).toEqual(wanted);
    expect(reader.connections(), name).toBeGreaterThanOrEqual(KILLS / 2);
  }
  expect(await server.stop()).toBe(0);
});
