import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer, type Server as HttpServer, type IncomingMessage } from 'node:http';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Aedes } from 'aedes';
import { afterEach, beforeEach, expect, onTestFinished, test } from 'vitest';
import { systemClock } from '../../domain/index.ts';
import {
  createSimulator,
  planCity,
  readCityFolder,
  runLoad,
  SIMULATED_PROFILES,
  simulate,
} from '../../simulators/index.ts';
import { simulateFlags } from '../kit/cli/flags.ts';
import { freePort } from '../kit/ports.ts';
import { districts } from '../kit/simulators/districts.ts';
import { until } from '../kit/wait.ts';

const KEY = 'an-admin-key-of-thirty-two-characters';

interface Message {
  readonly client: string;
  readonly topic: string;
  readonly payload: string;
}

/** A broker for registered devices only, and a registry with the three requests that simulators send. */
interface World {
  readonly port: number;
  readonly api: string;
  readonly secrets: Map<string, string>;
  readonly profiles: Map<string, string>;
  readonly messages: Message[];
  readonly clients: Set<string>;
  /** Resolves as soon as the condition holds; checked at each message. */
  until(condition: () => boolean): Promise<void>;
  close(): Promise<void>;
}

let world: World;
beforeEach(async () => {
  world = await createWorld();
});
afterEach(() => world.close());

async function createWorld(): Promise<World> {
  const secrets = new Map<string, string>();
  const profiles = new Map<string, string>();
  const messages: Message[] = [];
  const clients = new Set<string>();
  const waiting = new Set<() => void>();
  const aedes = await Aedes.createBroker();
  aedes.authenticate = (client, username, password, done) => {
    const anonymous = username === undefined && client.id.startsWith('load-');
    const known = username === client.id && secrets.get(client.id) === password?.toString();
    done(
      anonymous || known ? null : Object.assign(new Error('refused'), { returnCode: 4 as const }),
      anonymous || known,
    );
  };
  aedes.on('client', (client) => clients.add(client.id));
  aedes.on('publish', (packet, client) => {
    if (!client) return;
    messages.push({ client: client.id, topic: packet.topic, payload: packet.payload.toString() });
    for (const check of waiting) check();
  });
  const mqttServer = createServer({ highWaterMark: 256 * 1024 }, aedes.handle);
  const httpServer = createRegistry(secrets, profiles);
  const port = await listen(mqttServer);
  const api = `http://127.0.0.1:${await listen(httpServer)}`;
  const until = (condition: () => boolean): Promise<void> =>
    new Promise((resolve) => {
      const check = (): void => {
        if (condition()) {
          waiting.delete(check);
          resolve();
        }
      };
      waiting.add(check);
      check();
    });
  const close = async (): Promise<void> => {
    await new Promise<void>((resolve) => aedes.close(() => resolve()));
    await Promise.all([mqttServer, httpServer].map((server) => new Promise((resolve) => server.close(resolve))));
  };
  return { port, api, secrets, profiles, messages, clients, until, close };
}

function createRegistry(secrets: Map<string, string>, profiles: Map<string, string>): HttpServer {
  let issued = 0;
  const grant = (id: string): { id: string; secret: string } => {
    const secret = `secret-${issued++}`;
    secrets.set(id, secret);
    return { id, secret };
  };
  const respond = (request: IncomingMessage, body: string): [number, unknown] => {
    if (request.headers.authorization !== `Bearer ${KEY}`) return [401, { detail: 'who are you' }];
    const rotate = /^\/api\/v1\/devices\/([^/]+)\/rotate$/.exec(request.url ?? '');
    if (rotate) return secrets.has(rotate[1]!) ? [200, grant(rotate[1]!)] : [404, { title: 'no such device' }];
    const parsed = JSON.parse(body) as { id: string; profile: string } | { id: string; profile: string }[];
    const wanted = Array.isArray(parsed) ? parsed : [parsed];
    if (wanted.some(({ id }) => secrets.has(id))) return [409, { title: 'known' }];
    for (const { id, profile } of wanted) profiles.set(id, profile);
    const granted = wanted.map(({ id }) => grant(id));
    return [201, Array.isArray(parsed) ? granted : granted[0]];
  };
  return createHttpServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => {
      body += chunk;
    });
    request.on('end', () => {
      const [status, json] = respond(request, body);
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(json));
    });
  });
}

function listen(server: Server): Promise<number> {
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
  });
}

const INTERVALS_MS = new Map(
  ['air-quality', 'noise', 'water-level', 'waste-bin', 'streetlight', 'traffic'].map((id) => [id, 60_000]),
);

function simulatorOptions(devices: number) {
  return {
    url: `mqtt://127.0.0.1:${world.port}`,
    api: world.api,
    key: KEY,
    seed: 'test',
    devices,
    districts,
    intervalsMs: INTERVALS_MS,
    zone: 'UTC',
    format: 'native',
    formats: new Set<string>(),
    speed: 600,
    faults: 0,
    spreadMs: 50,
  };
}

test('simulator - every device connects as itself and its readings arrive, acknowledged, with the time of sending', async () => {
  const startMs = Date.now();
  const simulator = createSimulator({ clock: systemClock }, simulatorOptions(12));
  await simulator.start();
  await world.until(
    () => new Set(world.messages.map(({ client }) => client)).size === 12 && world.messages.length > 40,
  );
  await simulator.stop();
  expect([...world.clients].sort()).toEqual([...world.secrets.keys()].sort());
  for (const { client, topic, payload } of world.messages) {
    expect(topic).toBe(`devices/${client}/readings`);
    const { ts, metrics } = JSON.parse(payload);
    expect(ts).toBeGreaterThanOrEqual(startMs);
    expect(ts).toBeLessThanOrEqual(Date.now());
    expect(Object.keys(metrics).length).toBeGreaterThan(1);
  }
  const stats = simulator.stats();
  expect(stats).toMatchObject({
    sent: world.messages.length,
    acknowledged: world.messages.length,
    failed: 0,
    skipped: 0,
  });
  expect(stats).toMatchObject({ connected: 0, errors: 0, devices: 12 });
});

test('simulator - a second run against the same server rotates secrets and works', async () => {
  const first = createSimulator({ clock: systemClock }, simulatorOptions(6));
  await first.start();
  await world.until(() => world.messages.length > 5);
  await first.stop();
  await first.stop();
  const before = world.messages.length;
  const second = createSimulator({ clock: systemClock }, simulatorOptions(9));
  await second.start();
  // All of them: what a device that is not connected yet would have sent has failed at the stop.
  await world.until(
    () =>
      new Set(world.messages.slice(before).map(({ client }) => client)).size === 9 &&
      world.messages.length > before + 10,
  );
  await second.stop();
  expect(second.stats()).toMatchObject({ errors: 0, failed: 0 });
  expect(world.secrets.size).toBe(9);
});

test('simulator - faults are counted by kind and reach the broker', async () => {
  const simulator = createSimulator({ clock: systemClock }, { ...simulatorOptions(12), faults: 0.5, speed: 3_000 });
  await simulator.start();
  await world.until(() => Object.values(simulator.stats().faults).every((times) => times > 0));
  // One is counted before it has arrived.
  const payloads = () => world.messages.map(({ client, payload }) => client + payload);
  await world.until(() => payloads().length > new Set(payloads()).size);
  await simulator.stop();
});

test('simulate - with a wrong key it exits 1 and shows the response of the server', async () => {
  const lines: string[] = [];
  const deps = { clock: systemClock, out: () => {}, err: (line: string) => lines.push(line) };
  const code = await withCity((city) => {
    const argv = ['--key', 'wrong', '--api', world.api, '--url', `mqtt://127.0.0.1:${world.port}`, '--city', city];
    return simulate(simulateFlags(argv), {}, deps);
  });
  expect(code).toBe(1);
  expect(lines.join()).toMatch(/responds 401: who are you$/);
});

test('simulate - simulates the devices of a city folder until it is interrupted', async () => {
  const lines: string[] = [];
  const interrupt = new AbortController();
  const out = (line: string): void => {
    lines.push(line);
  };
  const deps = { clock: systemClock, out, err: () => {}, signal: interrupt.signal };
  const seen = world.until(() => new Set(world.messages.map(({ client }) => client)).size === 4);
  void seen.then(() => interrupt.abort());
  const code = await withCity((city) => {
    const argv = ['--key', KEY, '--api', world.api, '--url', `mqtt://127.0.0.1:${world.port}`, '--city', city];
    return simulate(simulateFlags([...argv, '--devices', '4', '--speed', '600']), {}, deps);
  });
  expect(code).toBe(0);
  expect(lines[0]).toMatch(/^4 devices in 8 districts/);
  expect(lines[1]).toMatch(/0 failed/);
});

test('simulate - ends by itself after --duration', async () => {
  const deps = { clock: systemClock, out: () => {}, err: () => {} };
  const code = await withCity((city) => {
    const argv = ['--key', KEY, '--api', world.api, '--url', `mqtt://127.0.0.1:${world.port}`, '--city', city];
    return simulate(simulateFlags([...argv, '--devices', '2', '--duration', '200ms']), {}, deps);
  });
  expect(code).toBe(0);
  expect(world.messages.length).toBeGreaterThan(1);
});

const RECORDING = join(import.meta.dirname, '../../simulators/samples/traffic/speed_t4013.csv');

test.each([
  ['a city', ['--devices', '4']],
  ['a replay', ['--replay', RECORDING, '--device', 't4013', '--metric', 'speed']],
])('simulate - of %s, where no broker can be reached, it ends with 1 and the reason', async (_what, flags) => {
  const err: string[] = [];
  const deps = { clock: systemClock, out: () => {}, err: (line: string) => err.push(line) };
  const url = `mqtt://127.0.0.1:${await freePort()}`;
  const code = await withCity((city) => {
    const argv = ['--key', KEY, '--api', world.api, '--url', url, '--city', city];
    return simulate(simulateFlags([...argv, ...flags]), {}, deps);
  });
  expect(code).toBe(1);
  expect(err).toEqual([expect.stringMatching(/^simulate: no device can connect to mqtt:.*ECONNREFUSED.*--url/)]);
});

test('simulate - a broker that goes away and comes back is said once each', async () => {
  const said: string[] = [];
  const interrupt = new AbortController();
  const deps = { clock: systemClock, out: () => {}, err: (line: string) => said.push(line), signal: interrupt.signal };
  const { port, cut, open } = await createCable(world.port);
  const code = await withCity(async (city) => {
    const argv = ['--key', KEY, '--api', world.api, '--url', `mqtt://127.0.0.1:${port}`, '--city', city];
    const running = simulate(simulateFlags([...argv, '--devices', '3', '--speed', '600']), {}, deps);
    await world.until(() => world.clients.size === 3);
    cut();
    await until(() => said.length === 1, 'the line that the broker is away');
    open();
    await until(() => said.length === 2, 'the line that it is back');
    interrupt.abort();
    return running;
  });
  expect(code).toBe(0);
  expect(said).toEqual([
    `simulate: no device is connected to mqtt://127.0.0.1:${port} any more; they go on trying`,
    expect.stringMatching(/^simulate: [123] devices are connected again$/),
  ]);
});

/** A port that leads to another one, for as long as it is not cut. */
async function createCable(to: number) {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    for (const one of [socket, connect(to, '127.0.0.1')]) sockets.add(one.on('error', () => {}));
    const [, far] = [...sockets].slice(-2) as [Socket, Socket];
    socket.pipe(far).pipe(socket);
  });
  onTestFinished(() => void server.close());
  const port = await listen(server);
  const cut = () => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  return { port, cut, open: () => void server.listen(port, '127.0.0.1') };
}

test('simulate - the folder of the sample city can be read', () => {
  const city = readCityFolder(join(import.meta.dirname, '../../city'));
  expect(city.districts.length).toBeGreaterThanOrEqual(8);
  expect(SIMULATED_PROFILES.every((profile) => (city.intervalsMs.get(profile) ?? 0) > 0)).toBe(true);
  expect(planCity({ seed: '1', devices: 120, districts: city.districts })).toHaveLength(120);
});

test('simulate - a recording arrives in order and in the unit of the city, its last reading now', async () => {
  const deps = { clock: { now: () => 1_750_000_000_000 }, out: () => {}, err: () => {} };
  const to = ['--key', KEY, '--api', world.api, '--url', `mqtt://127.0.0.1:${world.port}`, '--district', 'd0'];
  const what = [
    '--replay',
    RECORDING,
    '--device',
    't4013',
    '--metric',
    'speed',
    '--unit',
    'mph',
    '--zone',
    'America/Chicago',
  ];
  expect(await simulate(simulateFlags([...to, ...what]), {}, deps)).toBe(0);
  expect(world.profiles.get('t4013')).toBe('traffic');
  const readings = world.messages.map(({ payload }) => JSON.parse(payload));
  expect(readings).toHaveLength(2_500 - 5);
  expect(readings[0].metrics).toEqual({ speed: 93.34 });
  expect(readings.at(-1).ts).toBe(1_750_000_000_000);
  expect(readings.every(({ ts }, index) => index === 0 || ts >= readings[index - 1].ts)).toBe(true);
});

test('load - all messages are acknowledged, none is a duplicate, and the report adds up', async () => {
  const identities = Array.from({ length: 5 }, (_, index) => ({ id: `dev-${index}`, secret: `s${index}` }));
  for (const { id, secret } of identities) world.secrets.set(id, secret);
  const target = { host: '127.0.0.1', port: world.port, connections: 5, window: 20, identities };
  const report = await runLoad({ ...target, messages: 3_001, startTsMs: 1_700_000_000_000 });
  expect(report).toMatchObject({ sent: 3_001, acknowledged: 3_001, unacknowledged: 0, closed: {} });
  expect(report.steady).toMatchObject({ acknowledged: 3_001 });
  const keys = world.messages.map(({ client, payload }) => `${client} ${JSON.parse(payload).ts}`);
  expect(keys).toHaveLength(3_001);
  expect(new Set(keys).size).toBe(3_001);
  expect(Math.max(...world.messages.map(({ payload }) => JSON.parse(payload).ts))).toBe(report.nextTsMs - 1);
});

test('load - keeps a rate over all connections', async () => {
  const target = { host: '127.0.0.1', port: world.port, connections: 10, window: 5 };
  const report = await runLoad({ ...target, messages: 500, rate: 1_000 });
  expect(report.acknowledged).toBe(500);
  expect(report.steady.perSecond).toBeLessThan(1_020);
  expect(report.steady.perSecond).toBeGreaterThan(500);
});

test('load - a refused connection ends the run with its reason', async () => {
  const identities = [{ id: 'unknown', secret: 'x' }];
  const run = runLoad({ host: '127.0.0.1', port: world.port, connections: 1, window: 1, messages: 1, identities });
  await expect(run).rejects.toThrow(/unknown: the server refused the connection \(CONNACK 4\)/);
});

async function withCity<T>(use: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'lamppost-city-'));
  const features = districts.map(({ id, name, polygons }) => ({
    type: 'Feature',
    id,
    properties: { title: { en: name, zh: name } },
    geometry: { type: 'Polygon', coordinates: polygons[0] },
  }));
  try {
    writeFileSync(join(folder, 'city.yaml'), 'timezone: Asia/Shanghai\n');
    writeFileSync(join(folder, 'districts.geojson'), JSON.stringify({ type: 'FeatureCollection', features }));
    writeFileSync(
      join(folder, 'profiles.yaml'),
      [...INTERVALS_MS.keys()].map((id) => `${id}: { interval: 60s }`).join('\n'),
    );
    return await use(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
