import { once } from 'node:events';
import { createServer } from 'node:http';
import { gunzipSync } from 'node:zlib';
import mqtt, { type MqttClient } from 'mqtt';
import { afterEach, describe, expect, test } from 'vitest';
import type { Page, Quarantined, Series, Ticket } from '../../domain/index.ts';
import { DatabaseProcess, has } from '../kit/databases.ts';
import { ServerProcess } from '../kit/server.ts';
import { pause, until } from '../kit/wait.ts';

const started: { end(): Promise<unknown> }[] = [];
afterEach(async () => {
  for (const one of started.splice(0).reverse()) await one.end();
});

const START = Date.now() - 3_600_000;

async function database(make: () => Promise<DatabaseProcess>): Promise<DatabaseProcess> {
  const one = await make();
  await one.start();
  started.push({ end: () => one.end('SIGKILL') });
  return one;
}

async function lamppost(settings: Record<string, string>): Promise<{ server: ServerProcess; client: MqttClient }> {
  const server = new ServerProcess(undefined, settings);
  await server.start();
  started.push({ end: () => server.stop() });
  const { secret } = await server.post<{ secret: string }>('/api/v1/devices', {
    id: 'bin-1',
    profile: 'waste-bin',
    district: 'harbour',
  });
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${server.mqttPort}`, {
    clientId: 'bin-1',
    username: 'bin-1',
    password: secret,
    clean: false,
    reconnectPeriod: 50,
  });
  client.on('error', () => {});
  started.push({ end: async () => client.end(true) });
  return { server, client };
}

/** Message `n`: the bin is full at every hundredth, empty again at the next. */
const payloadOf = (n: number) =>
  JSON.stringify({ ts: START + n * 100, metrics: { fill: n % 100 === 50 ? 95 : n % 50, battery: 80 } });

/** Messages `from` to `to`, each sent until it is acknowledged. */
async function publish(client: MqttClient, from: number, to: number): Promise<void> {
  const one = async (n: number): Promise<void> => {
    for (;;) {
      const sent = await client.publishAsync('devices/bin-1/readings', payloadOf(n), { qos: 1 }).then(
        () => true,
        () => false,
      );
      if (sent) return;
      await pause(20);
    }
  };
  for (let n = from; n < to; n += 200) {
    await Promise.all(Array.from({ length: Math.min(200, to - n) }, (_, i) => one(n + i)));
  }
}

const influxql = async (db: DatabaseProcess, statement: string) =>
  (
    await fetch(`${db.url}/query?${new URLSearchParams({ db: 'lamppost', q: statement, epoch: 'ms' })}`, {
      method: 'POST',
    })
  ).json() as Promise<{ results: { series?: { values: (number | string)[][] }[] }[] }>;

const rowsOf = async (db: DatabaseProcess) =>
  (await influxql(db, 'select fill from "waste-bin" order by time')).results[0]!.series?.[0]?.values ?? [];

const expected = (count: number) =>
  Array.from({ length: count }, (_, n) => [START + n * 100, n % 100 === 50 ? 95 : n % 50]);

const V1 = (db: DatabaseProcess) => ({ INFLUX_URL: db.url, INFLUX_API: 'v1', INFLUX_BUCKET: 'lamppost' });

describe.skipIf(!has('influxd'))('InfluxDB 1 as history', () => {
  test('an outage loses nothing: tickets go on, and then exactly the accepted readings are stored', async () => {
    const db = await database(() => DatabaseProcess.influx());
    await influxql(db, 'create database lamppost');
    const { server, client } = await lamppost(V1(db));
    await publish(client, 0, 1_000);
    await server.settledLedger();
    expect(await rowsOf(db)).toEqual(expected(1_000));

    const halfway = publish(client, 1_000, 4_000);
    await db.end('SIGKILL');
    await halfway;
    // A bin that is full again soon reopens its ticket.
    await until(async () => {
      const { items } = await server.get<Page<Ticket>>('/api/v1/tickets?rule=bin-full&limit=1000');
      return items.reduce((sum, { reopened }) => sum + 1 + reopened, 0) > 20;
    }, 'tickets while the database is away');
    await db.start();
    const ledger = await server.settledLedger();
    expect(ledger.readings).toMatchObject({ stored: 8_000, duplicate: 0, quarantined: 0 });
    expect(await rowsOf(db)).toEqual(expected(4_000));

    const query = `/api/v1/readings?device=bin-1&metric=fill&from=${START}&to=${START + 400_000}&every=1m&fn=max`;
    const { series } = await server.get<{ series: Series[] }>(query);
    expect(Math.max(...series[0]!.points.map(([, value]) => value!))).toBe(95);
  });

  test('kill -9 of Lamppost and of the database together, three times - nothing lost, nothing twice', async () => {
    const db = await database(() => DatabaseProcess.influx());
    await influxql(db, 'create database lamppost');
    const { server, client } = await lamppost(V1(db));
    for (let kill = 0; kill < 3; kill++) {
      const load = publish(client, kill * 1_500, (kill + 1) * 1_500);
      await pause(100 + Math.random() * 300);
      await Promise.all([server.kill(), db.end('SIGKILL')]);
      await Promise.all([db.start(), server.start()]);
      await load;
    }
    const ledger = await server.settledLedger();
    expect(ledger.readings).toMatchObject({ stored: 9_000, quarantined: 0 });
    expect(await rowsOf(db)).toEqual(expected(4_500));
  });

  test('/ready reports a missing database, and the history goes on by itself once it exists', async () => {
    const db = await database(() => DatabaseProcess.influx());
    const server = new ServerProcess(undefined, V1(db));
    const ready = async () => {
      const response = await fetch(`http://127.0.0.1:${server.httpPort}/ready`).catch(() => null);
      return response === null ? null : ((await response.json()) as { ready: boolean; reasons: string[] });
    };
    // The start waits for readiness in vain; the test reads it meanwhile.
    const starting = server.start();
    started.push({ end: () => server.stop() });
    const reasons = async () => (await ready())?.reasons.join() ?? '';
    await until(async () => /history: .*lamppost/.test(await reasons()), 'the reason', 50);
    await influxql(db, 'create database lamppost');
    await starting;
  });
});

describe.skipIf(!has('victoria-metrics'))('writes with API v2 to VictoriaMetrics', () => {
  test('the accepted readings can be counted there, also after an outage', async () => {
    const db = await database(() => DatabaseProcess.victoria());
    const { server, client } = await lamppost({ INFLUX_URL: db.url, INFLUX_ORG: 'city', INFLUX_BUCKET: 'lamppost' });
    await publish(client, 0, 500);
    const halfway = publish(client, 500, 1_500);
    await db.end('SIGTERM');
    await halfway;
    await db.start();
    await server.settledLedger();
    const from = START / 1000 - 60;
    const look = async () => {
      const text = await (
        await fetch(`${db.url}/api/v1/export?match[]={__name__="waste-bin_fill"}&start=${from}`)
      ).text();
      const rows = text.split('\n').filter(Boolean);
      return rows.flatMap((row) => (JSON.parse(row) as { timestamps: number[] }).timestamps).length;
    };
    await until(async () => (await look()) >= 1_500, 'every reading in VictoriaMetrics', 200);
    expect(await look()).toBe(1_500);
  });
});

test('a point that the database refuses goes to quarantine alone, and is stored once the database accepts it', async () => {
  // No server here refuses single points of a batch; this one speaks HTTP and does.
  const stored = new Map<string, string>();
  let repaired = false;
  const fake = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks);
      const text = (request.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body).toString();
      const lines = text.split('\n').filter(Boolean);
      if (!repaired && lines.some((line) => line.includes('fill=77'))) {
        response.writeHead(400, { 'content-type': 'application/json' });
        response.end('{"code":"invalid","message":"unable to parse: fill=77"}');
        return;
      }
      for (const line of lines) stored.set(line.slice(line.lastIndexOf(' ') + 1), line);
      response.writeHead(204).end();
    });
  }).listen(0, '127.0.0.1');
  await once(fake, 'listening');
  started.push({ end: async () => fake.close() });
  const url = `http://127.0.0.1:${(fake.address() as { port: number }).port}`;
  const { server, client } = await lamppost({ INFLUX_URL: url, INFLUX_ORG: 'city', INFLUX_BUCKET: 'lamppost' });
  const fills = [10, 20, 77, 30, 40];
  await Promise.all(
    fills.map((fill, n) =>
      client.publishAsync('devices/bin-1/readings', JSON.stringify({ ts: START + n, metrics: { fill } }), { qos: 1 }),
    ),
  );
  const before = await server.settledLedger();
  expect(before.readings).toMatchObject({ received: 5, stored: 4, quarantined: 1 });
  expect([...stored.keys()].map(Number).sort()).toEqual([START, START + 1, START + 3, START + 4]);
  const { items } = await server.get<Page<Quarantined>>('/api/v1/quarantine');
  expect(items).toMatchObject([{ reason: 'history-refused', device: 'bin-1', path: '$.metrics.fill' }]);

  repaired = true;
  await server.post('/api/v1/quarantine/replay', { device: 'bin-1' });
  await until(async () => (await server.settledLedger()).readings.quarantined === 0, 'the replay', 20);
  expect((await server.settledLedger()).readings).toMatchObject({ received: 5, stored: 5, quarantined: 0 });
  expect(stored.get(String(START + 2))).toContain('fill=77');
});
