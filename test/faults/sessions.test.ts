import { connect, createServer, type Socket } from 'node:net';
import mqtt, { type MqttClient } from 'mqtt';
import { expect, test } from 'vitest';
import type { CloudEvent, Ticket } from '../../domain/index.ts';
import { createRandom } from '../../simulators/city/random.ts';
import { hasMosquittoClients, MosquittoSub } from '../kit/mosquitto.ts';
import { ADMIN_KEY, ServerProcess } from '../kit/server.ts';
import { pause, until } from '../kit/wait.ts';

const BINS = 8;
const KILLS = 6;
const SEED = 'sessions';
const TOPICS = ['events/alerts/#', 'events/tickets/#'];
const mosquitto = hasMosquittoClients();

/** A network that can be cut: packets in transit are lost, and neither side is notified. */
async function tornNetwork(to: () => number): Promise<{ port: number; tear: () => void; close: () => void }> {
  const open = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(to(), '127.0.0.1');
    const both = [client, upstream] as const;
    for (const [i, socket] of both.entries()) {
      open.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        open.delete(socket);
        both[1 - i]!.destroy();
      });
    }
    client.pipe(upstream).pipe(client);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const tear = () => {
    for (const socket of open) socket.destroy();
  };
  const close = () => {
    server.close();
    tear();
  };
  return { port: (server.address() as { port: number }).port, tear, close };
}

/** A subscriber of mqtt.js with a kept session: it acknowledges after it has noted a message, and can be killed. */
class Subscriber {
  readonly lines: string[] = [];
  readonly #options: mqtt.IClientOptions;
  #client: MqttClient | null = null;

  constructor(port: number, clientId: string) {
    const identity = { clientId, username: 'admin', password: ADMIN_KEY, clean: false, reconnectPeriod: 50 };
    this.#options = { host: '127.0.0.1', port, ...identity };
  }

  start(): void {
    const client = mqtt.connect(this.#options);
    client.on('error', () => {});
    client.on('message', (_topic, payload) => this.lines.push(payload.toString()));
    client.on('connect', () => void client.subscribeAsync(TOPICS, { qos: 1 }).catch(() => {}));
    this.#client = client;
  }

  /** Ends without DISCONNECT. */
  async kill(): Promise<void> {
    this.#client!.stream.destroy();
    await this.#client!.endAsync(true);
  }
}

/** A bin that fills and empties continuously: each change opens or resolves a ticket. */
function fillAndEmpty(port: number, id: string, secret: string): { stop: () => Promise<void> } {
  const login = { clientId: id, username: id, password: secret, reconnectPeriod: 50, clean: false };
  const client = mqtt.connect({ host: '127.0.0.1', port, ...login });
  client.on('error', () => {});
  let stopped = false;
  const running = (async () => {
    for (let n = 0; !stopped; n++) {
      const payload = JSON.stringify({ ts: Date.now(), metrics: { fill: n % 2 === 0 ? 95 : 20 } });
      const sent = client.publishAsync(`devices/${id}/readings`, payload, { qos: 1 }).catch(() => {});
      await Promise.race([sent, pause(1_000)]);
      await pause(20);
    }
  })();
  return {
    async stop() {
      stopped = true;
      await running;
      await client.endAsync(true);
    },
  };
}

/** Events by id in the order of their first arrival; one that came again must be the same. */
function arrived(lines: readonly string[]): Map<string, CloudEvent> {
  const events = new Map<string, CloudEvent>();
  for (const line of lines) {
    const event = JSON.parse(line) as CloudEvent;
    const before = events.get(event.id);
    if (before === undefined) events.set(event.id, event);
    else expect(event, 'what comes twice is the same').toEqual(before);
  }
  return events;
}

async function retainedTickets(server: ServerProcess): Promise<Map<string, string>> {
  const login = { clientId: 'looks', username: 'admin', password: ADMIN_KEY };
  const client = await mqtt.connectAsync({ host: '127.0.0.1', port: server.mqttPort, ...login });
  const found = new Map<string, string>();
  client.on('message', (_topic, payload) => {
    const ticket = JSON.parse(payload.toString()) as Ticket;
    found.set(ticket.id, ticket.status);
  });
  const open = await server.all<Ticket>('/api/v1/tickets?status=open');
  await client.subscribeAsync('tickets/#', { qos: 1 });
  await until(
    () => found.size >= open.length,
    () => `${found.size} of ${open.length} retained tickets`,
  );
  await client.endAsync();
  return found;
}

test.skipIf(!mosquitto)(
  'kill -9 six times - subscribers with a kept session get every event at least once, in order per ticket, twice only as the same',
  async () => {
    const random = createRandom(SEED);
    const server = new ServerProcess();
    await server.start();
    const network = await tornNetwork(() => server.mqttPort);
    const ids = Array.from({ length: BINS }, (_, i) => `bin-${i}`);
    const devices = ids.map((id) => ({ id, profile: 'waste-bin', district: 'old-town' }));
    const registered = await server.post<{ id: string; secret: string }[]>('/api/v1/devices', devices);

    const login = { username: 'admin', password: ADMIN_KEY, topics: TOPICS };
    const native = new MosquittoSub({ ...login, port: network.port, clientId: 'mosquitto' });
    const subscribers = {
      native,
      script: new Subscriber(server.mqttPort, 'script'),
      torn: new Subscriber(network.port, 'torn'),
    };
    for (const subscriber of Object.values(subscribers)) subscriber.start();
    await until(async () => (await brokerMetric(server, 'sessions_connected')) === 3, 'three sessions');
    const bins = registered.map(({ id, secret }) => fillAndEmpty(server.mqttPort, id, secret));

    for (let kill = 0; kill < KILLS; kill++) {
      await pause(200 + random() * 600);
      if (random() < 0.5) network.tear();
      if (random() < 0.5) await subscribers.script.kill().then(() => subscribers.script.start());
      await pause(random() * 400);
      await server.kill();
      // Mosquitto acknowledges before it prints: killed while messages come, it could lose one by itself.
      if (random() < 0.5) {
        await pause(100);
        await native.kill();
        native.start();
      }
      await server.start();
    }
    await until(() => new Set(subscribers.script.lines).size > 600, 'events', 50);
    for (const bin of bins) await bin.stop();
    await server.settledLedger();

    const events = await server.all<{ n: number; event: CloudEvent }>('/api/v1/events');
    const published = events.map(({ event }) => event);
    for (const [name, { lines }] of Object.entries(subscribers)) {
      await until(() => arrived(lines).size >= published.length, `every event at ${name}`, 100);
      const got = arrived(lines);
      const missing = published.filter(({ id }) => !got.has(id)).map(({ id }) => id);
      expect(missing, `${name}: never came`).toEqual([]);
      expect(got.size, `${name}: unknown events`).toBe(published.length);
      expect(bySubject(got.values()), `${name}: in the order of each ticket and alert`).toEqual(bySubject(published));
      console.log(`${name}: ${lines.length} messages for ${published.length} events`);
    }
    await until(async () => (await brokerMetric(server, 'queued_messages')) === 0, 'empty queues');
    const open = await server.all<Ticket>('/api/v1/tickets?status=open');
    const retained = await retainedTickets(server);
    expect([...retained.keys()].toSorted()).toEqual(open.map(({ id }) => id).toSorted());

    for (const subscriber of Object.values(subscribers)) await subscriber.kill();
    network.close();
    expect(await server.stop()).toBe(0);
  },
);

/** Ids of the events of each subject, in order. */
function bySubject(events: Iterable<CloudEvent>): Record<string, string[]> {
  const groups = Object.groupBy(events, ({ subject }) => subject);
  return Object.fromEntries(Object.entries(groups).map(([subject, those]) => [subject, those!.map(({ id }) => id)]));
}

/** Reads a metric of the broker. */
async function brokerMetric(server: ServerProcess, name: string): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${server.httpPort}/metrics`, {
    headers: { authorization: `Bearer ${ADMIN_KEY}` },
  });
  return Number(new RegExp(`^lamppost_broker_${name} (\\d+)$`, 'm').exec(await response.text())?.[1]);
}
