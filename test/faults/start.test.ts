import { once } from 'node:events';
import { renameSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import mqtt, { type MqttClient } from 'mqtt';
import { afterEach, expect, test } from 'vitest';
import type { Readiness } from '../../api/readiness.ts';
import type { Ledger } from '../../domain/index.ts';
import { openJournal } from '../kit/journal/kit.ts';
import { ServerProcess } from '../kit/server.ts';

/** More than the rules take while a device connects and sends: that is what stalls them in these tests. */
const BACKLOG = 150_000;
const FROM = Date.now() - 3_600_000;
const SLOW = 240_000;

const ended: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ended.splice(0).reverse()) await end();
});

/** A server with one bin, stopped, and the bin's secret. */
async function serverWithBin(): Promise<{ server: ServerProcess; secret: string }> {
  const server = new ServerProcess();
  server.startWithinMs = SLOW;
  ended.push(() => server.running && server.kill());
  await server.start();
  const bins = [{ id: 'bin-1', profile: 'waste-bin', district: 'old-town' }];
  const [bin] = await server.post<{ secret: string }[]>('/api/v1/devices', bins);
  expect(await server.stop()).toBe(0);
  return { server, secret: bin!.secret };
}

/** Adds messages to the log of a server that is down, as a kill -9 under load leaves them. */
async function addBacklog(server: ServerProcess): Promise<void> {
  const journal = openJournal(server.data);
  const route = journal.appender.route('bin-1', 'devices/bin-1/readings');
  await new Promise<void>((resolve, reject) => {
    let waiting = BACKLOG;
    for (let n = 0; n < BACKLOG; n++) {
      const payload = Buffer.from(JSON.stringify({ ts: FROM + n, metrics: { fill: n % 50 } }));
      journal.appender.append(route, payload, (error) => {
        if (error !== null) reject(error);
        else if (--waiting === 0) resolve();
      });
    }
  });
  journal.close();
}

/** Starts a server without waiting until it is ready; resolves once it listens for devices. */
async function startWithout(server: ServerProcess): Promise<void> {
  const starting = server.start().catch(() => {});
  ended.push(() => starting);
  const accepts = async () => {
    const socket = connect(server.mqttPort, '127.0.0.1');
    const connected = await once(socket, 'connect').then(
      () => true,
      () => false,
    );
    socket.destroy();
    return connected;
  };
  while (!(await accepts())) await new Promise((resolve) => setTimeout(resolve, 20));
}

/** The messages that the ledger of a killed server has counted. */
function countedIn(server: ServerProcess): number {
  const db = new DatabaseSync(join(server.data, 'state.sqlite'), { readOnly: true });
  const row = db.prepare('select messages from ledger_cursor').get();
  db.close();
  return Number(row?.messages ?? 0);
}

async function device({ mqttPort }: ServerProcess, secret: string): Promise<MqttClient> {
  const url = `mqtt://127.0.0.1:${mqttPort}`;
  const client = await mqtt.connectAsync(url, { clientId: 'bin-1', username: 'bin-1', password: secret });
  client.on('error', () => {});
  ended.push(() => client.end(true));
  return client;
}

/** Resolves when it is acknowledged. */
const send = (client: MqttClient, n: number) =>
  client.publishAsync('devices/bin-1/readings', JSON.stringify({ ts: FROM - 1 - n, metrics: { fill: 1 } }), { qos: 1 });

async function ready({ httpPort }: ServerProcess, query = ''): Promise<{ status: number; found: Readiness } | null> {
  const response = await fetch(`http://127.0.0.1:${httpPort}/ready${query}`).catch(() => null);
  return response === null ? null : { status: response.status, found: (await response.json()) as Readiness };
}

/** Resolves to the first response of /ready with which `wanted` agrees. */
async function readyUntil(server: ServerProcess, wanted: (found: Readiness) => boolean) {
  for (;;) {
    const response = await ready(server);
    if (response !== null && wanted(response.found)) return response;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Whether anything that was in the log at the start is not processed yet. */
const isBehind = ({ parts: { rules, history } }: Readiness) =>
  [rules, history].some(({ state, behindBlocks }) => state !== 'ready' && behindBlocks > 0);

test('a start with a large backlog acknowledges devices before the rules have caught up, and becomes ready', async () => {
  const { server, secret } = await serverWithBin();
  await addBacklog(server);
  await startWithout(server);
  await send(await device(server, secret), 0);
  expect(countedIn(server), 'it came before everything was counted').toBeLessThan(BACKLOG);
  const last = await readyUntil(server, (now) => now.ready && !isBehind(now));
  expect(last.status).toBe(200);
  const { messages, readings } = await server.settledLedger();
  expect(messages).toMatchObject({ received: BACKLOG + 1, decoded: BACKLOG + 1 });
  expect(readings.stored).toBe(BACKLOG + 1);
}, 300_000);

test('kill -9 in the middle of such a start, twice - nothing acknowledged is lost, and the ledger balances', async () => {
  const { server, secret } = await serverWithBin();
  let sent = 0;
  for (let kill = 1; kill <= 2; kill++) {
    await addBacklog(server);
    await startWithout(server);
    const client = await device(server, secret);
    await Promise.all(Array.from({ length: 20 }, () => send(client, sent++)));
    await server.kill();
    client.end(true);
    expect(countedIn(server), 'the kill came before everything was counted').toBeLessThan(kill * BACKLOG + sent);
  }
  await server.start();
  await readyUntil(server, (now) => !isBehind(now));
  const { messages, readings } = await server.settledLedger();
  const all = 2 * BACKLOG + sent;
  expect(messages).toMatchObject({ received: all, decoded: all, pending: 0 });
  // The second backlog repeats the first.
  expect(readings).toMatchObject({ stored: BACKLOG + sent, duplicate: BACKLOG });
}, 300_000);

test('a history that does not open - readings are acknowledged and wait in the log, the rules go on, /ready says so', async () => {
  const { server, secret } = await serverWithBin();
  const path = join(server.data, 'history.duckdb');
  renameSync(path, `${path}.good`);
  writeFileSync(path, 'a file that is no database'.repeat(1_000));
  await startWithout(server);
  await send(await device(server, secret), 0);
  const { status, found } = await readyUntil(server, ({ parts }) => parts.history.state === 'trouble');
  expect(status).toBe(503);
  expect(found.reasons.join()).toMatch(/^history: the history .*history\.duckdb cannot be opened/);
  expect(await ready(server, '?for=devices')).toMatchObject({ status: 200 });
  await readyUntil(server, ({ parts }) => parts.rules.state === 'ready' && parts.rules.behindBlocks < 3);
  expect((await server.get<Ledger>('/api/v1/ledger')).messages).toMatchObject({ received: 1, pending: 1 });
  await expect(server.get('/api/v1/readings/latest')).rejects.toThrow(/503 .*the history is not open yet/);
  expect(await server.stop()).toBe(0);
  renameSync(`${path}.good`, path);
  await server.start();
  expect(await server.settledLedger()).toMatchObject({ messages: { decoded: 1 }, readings: { stored: 1 } });
}, 120_000);
