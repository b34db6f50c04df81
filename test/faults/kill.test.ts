import mqtt, { type MqttClient } from 'mqtt';
import { expect, test } from 'vitest';
import type { Page, Quarantined, Series, Ticket } from '../../domain/index.ts';
import { ServerProcess } from '../kit/server.ts';
import { pause } from '../kit/wait.ts';

const CLIENTS = 20;
const KILLS = 10;
const START = Date.now() - 3_600_000;

interface Publisher {
  readonly id: string;
  readonly client: MqttClient;
  /** Numbers of the messages that were acknowledged. */
  readonly acknowledged: Set<number>;
  stopped: boolean;
  readonly done: Promise<void>;
}

/** Message `n` of a bin: the level rises and falls, so that its rule fires every 40 messages; every 25th is broken. */
function payloadOf(n: number): string {
  if (n % 25 === 24) return `{"broken": ${n}`;
  const fill = n % 40 < 20 ? 20 : 95;
  return JSON.stringify({ ts: START + n * 10, metrics: { fill, battery: 80 } });
}

/** Publishes messages, ten at a time, each until it is acknowledged: failed ones are sent again. */
function publish(server: ServerProcess, id: string, secret: string, qos: 1 | 2): Publisher {
  const client = mqtt.connect({
    host: '127.0.0.1',
    port: server.mqttPort,
    clientId: id,
    username: id,
    password: secret,
    reconnectPeriod: 100,
    clean: false,
  });
  client.on('error', () => {});
  const acknowledged = new Set<number>();
  const publisher = { id, client, acknowledged, stopped: false } as Publisher & { done: Promise<void> };
  let next = 0;
  const sent = (n: number) =>
    client.publishAsync(`devices/${id}/readings`, payloadOf(n), { qos }).then(
      () => true,
      () => false,
    );
  const lane = async () => {
    while (!publisher.stopped) {
      const n = next++;
      // mqtt.js gives up a message whose connection breaks at the wrong moment: it was not acknowledged, so it is sent
      // again.
      while (!(await sent(n))) await pause(20);
      acknowledged.add(n);
    }
  };
  (publisher as { done: Promise<void> }).done = Promise.all(Array.from({ length: 10 }, lane)).then(() => {});
  return publisher;
}

async function allQuarantined(server: ServerProcess): Promise<Quarantined[]> {
  const items: Quarantined[] = [];
  let after: string | null = null;
  do {
    const page: Page<Quarantined> = await server.get(
      `/api/v1/quarantine?limit=1000${after === null ? '' : `&after=${after}`}`,
    );
    items.push(...page.items);
    after = page.next;
  } while (after !== null);
  return items;
}

async function allTickets(server: ServerProcess): Promise<Ticket[]> {
  const items: Ticket[] = [];
  let after: string | null = null;
  do {
    const page: Page<Ticket> = await server.get(`/api/v1/tickets?limit=1000${after === null ? '' : `&after=${after}`}`);
    items.push(...page.items);
    after = page.next;
  } while (after !== null);
  return items;
}

test('kill -9 ten times - everything acknowledged is in the history or the quarantine, the ledger balances, tickets are those of an undisturbed run', async () => {
  const server = new ServerProcess();
  await server.start();
  const ids = Array.from({ length: CLIENTS }, (_, i) => `bin-${i}`);
  const registered = await server.post<{ id: string; secret: string }[]>(
    '/api/v1/devices',
    ids.map((id) => ({ id, profile: 'waste-bin', district: 'old-town' })),
  );
  const publishers = registered.map(({ id, secret }, i) => publish(server, id, secret, i % 2 === 0 ? 1 : 2));
  for (let kill = 0; kill < KILLS; kill++) {
    await pause(300 + Math.random() * 900);
    await server.kill();
    await server.start();
  }
  await pause(1_000);
  for (const publisher of publishers) publisher.stopped = true;
  await Promise.all(publishers.map((publisher) => publisher.done));
  await Promise.all(publishers.map(({ client }) => client.endAsync()));

  const ledger = await server.settledLedger();
  const total = publishers.reduce((sum, { acknowledged }) => sum + acknowledged.size, 0);
  expect(total).toBeGreaterThan(1_000);
  expect(ledger.messages.received).toBeGreaterThanOrEqual(total);

  const quarantined = await allQuarantined(server);
  for (const { id, acknowledged } of publishers) {
    await server.settledLedger(id);
    const { series } = await server.get<{ series: Series[] }>(
      `/api/v1/readings?device=${id}&metric=fill&from=${START}&to=${START + 86_400_000}&maxPoints=1000000`,
    );
    const stored = series[0]!.points.map(([ts]) => (ts - START) / 10);
    expect(new Set(stored).size, 'no reading is stored twice').toBe(stored.length);
    const own = quarantined.filter((one) => one.device === id);
    const refused = await Promise.all(own.map((one) => server.refusedText(one.id)));
    const known = new Set([...stored, ...refused.map((raw) => Number(raw.slice(11)))]);
    const missing = [...acknowledged].filter((n) => !known.has(n));
    expect(missing, `${id}: acknowledged, but nowhere`).toEqual([]);
  }

  // An undisturbed server gets the messages of this one's journal in the same order.
  const tickets = await allTickets(server);
  // A bin that is full again soon reopens its ticket.
  expect(tickets.reduce((sum, { reopened }) => sum + 1 + reopened, 0)).toBeGreaterThan(CLIENTS);
  const open = tickets.filter(({ status }) => status === 'open').map(({ rule, group }) => `${rule} ${group}`);
  expect(new Set(open).size, 'one incident, one ticket').toBe(open.length);
  expect(await server.stop()).toBe(0);

  const undisturbed = new ServerProcess();
  await replayInto(undisturbed, server.data);
  await undisturbed.settledLedger();
  const expected = await allTickets(undisturbed);
  const facts = (ticket: Ticket) => [
    ticket.id,
    ticket.rule,
    ticket.group,
    ticket.status,
    ticket.version,
    ticket.openedAt,
    ticket.updatedAt,
  ];
  expect(tickets.map(facts)).toEqual(expected.map(facts));
  expect(await undisturbed.stop()).toBe(0);
});

/** A new server with a copy of the journal alone: it processes everything again, without a crash. */
async function replayInto(server: ServerProcess, from: string): Promise<void> {
  const { cpSync, existsSync } = await import('node:fs');
  for (const name of ['journal.sqlite', 'journal.sqlite-wal', 'registry.sqlite', 'registry.sqlite-wal']) {
    if (existsSync(`${from}/${name}`)) cpSync(`${from}/${name}`, `${server.data}/${name}`);
  }
  await server.start();
}

test('SIGTERM - what was acknowledged is settled, and the process exits 0', async () => {
  const server = new ServerProcess();
  await server.start();
  const { secret } = await server.post<{ secret: string }>('/api/v1/devices', {
    id: 'bin-x',
    profile: 'waste-bin',
    district: 'harbour',
  });
  const publisher = publish(server, 'bin-x', secret, 1);
  await pause(500);
  publisher.stopped = true;
  await publisher.done;
  await publisher.client.endAsync();
  expect(await server.stop()).toBe(0);
  await server.start();
  const ledger = await server.settledLedger();
  expect(ledger.messages.received).toBe(publisher.acknowledged.size);
  expect(await server.stop()).toBe(0);
});
