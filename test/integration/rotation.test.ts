import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import mqtt, { type MqttClient } from 'mqtt';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Ticket } from '../../domain/index.ts';
import { totpCode } from '../../registry/totp.ts';
import { certificate } from '../kit/broker/certificate.ts';
import { Visit } from '../kit/browser-like.ts';
import { freePort } from '../kit/ports.ts';
import { WebhookReceiver } from '../kit/receiver.ts';
import { ADMIN_KEY, ServerProcess } from '../kit/server.ts';
import { pause, until } from '../kit/wait.ts';

/** Rotations of one secret. */
const ROUNDS = 3;
/** Messages that are acknowledged before and after each change. */
const SOME = 20;
const SPAN_MS = 10;
const FROM_MS = Date.now() - 3_600_000;
const EUI = '70b3d57ed0000001';
const OTHER_ADMIN_KEY = 'another-key-for-tests-that-is-long-enough-987';

const server = new ServerProcess(undefined, { WEBHOOK_ALLOW_PRIVATE: 'true' });
const city = certificate('The city');
let mqttsPort = 0;

interface Secret {
  readonly id: string;
  readonly secret: string;
}
interface Points {
  readonly series: readonly { readonly points: readonly (readonly [number, number])[] }[];
}

let adminKey = ADMIN_KEY;
const get = <T>(path: string) => server.get<T>(path, adminKey);
async function ask<T>(method: string, path: string, body?: unknown): Promise<T> {
  const json = body === undefined ? {} : { 'content-type': 'application/json' };
  const response = await fetch(`http://127.0.0.1:${server.httpPort}${path}`, {
    method,
    headers: { authorization: `Bearer ${adminKey}`, ...json },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${path}: ${response.status} ${text}`);
  return (text && JSON.parse(text)) as T;
}
const post = <T>(path: string, body?: unknown) => ask<T>('POST', path, body);

/** Sends one message after another, each until it is acknowledged, with the secret that it has at that moment. */
abstract class Sender {
  readonly id: string;
  secret: string;
  acknowledged = 0;
  /** How often it was refused or cut. */
  broken = 0;
  #over = false;
  #running: Promise<void> | null = null;

  constructor({ id, secret }: Secret) {
    this.id = id;
    this.secret = secret;
  }

  /** Sends message `n`; resolves to whether it was acknowledged. */
  protected abstract send(n: number): Promise<boolean>;
  protected async close(): Promise<void> {}

  start(): void {
    this.#running = (async () => {
      while (!this.#over) {
        if (await this.send(this.acknowledged)) this.acknowledged++;
        else this.broken++;
        await pause(5);
      }
    })();
  }

  async stop(): Promise<void> {
    this.#over = true;
    await this.#running;
    await this.close();
  }

  /** Resolves once some more messages are acknowledged. */
  async more(): Promise<void> {
    const before = this.acknowledged;
    await until(
      () => this.acknowledged >= before + SOME,
      () => `messages of ${this.id} after ${before}, ${this.acknowledged} now, broken ${this.broken} times`,
    );
  }
}

const readingOf = (n: number) => JSON.stringify({ ts: FROM_MS + n * SPAN_MS, metrics: { fill: n % 90 } });

/** A device or key over MQTT. */
class OverMqtt extends Sender {
  options: mqtt.IClientOptions = {};
  topic = `devices/${this.id}/readings`;
  payload = readingOf;
  #client: MqttClient | null = null;

  protected async send(n: number): Promise<boolean> {
    try {
      this.#client ??= await this.#connect();
      await this.#client.publishAsync(this.topic, this.payload(n), { qos: 1 });
      return true;
    } catch {
      this.#client?.end(true);
      this.#client = null;
      return false;
    }
  }

  #connect(): Promise<MqttClient> {
    const login = { clientId: this.id, username: this.id, password: this.secret, reconnectPeriod: 0 };
    const url =
      this.options.cert === undefined ? `mqtt://127.0.0.1:${server.mqttPort}` : `mqtts://127.0.0.1:${mqttsPort}`;
    return mqtt.connectAsync(url, { ...login, ...this.options }).then((client) => {
      client.on('error', () => {});
      // What waits for its PUBACK when the connection ends is sent again over the next one.
      client.on('close', () => client.end(true));
      return client;
    });
  }

  /** Leaves, and comes back with whatever secret it has then. */
  reconnect(): void {
    this.#client?.end(true);
    this.#client = null;
  }

  protected override async close(): Promise<void> {
    await this.#client?.endAsync();
  }
}

/** A device that posts. */
class OverHttp extends Sender {
  protected async send(n: number): Promise<boolean> {
    const response = await fetch(`http://127.0.0.1:${server.httpPort}/ingest/${this.id}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${this.secret}`, 'content-type': 'application/json' },
      body: readingOf(n),
    }).catch(() => null);
    return response?.status === 200;
  }
}

let senders: { readonly [name in 'overlapped' | 'sudden' | 'claimed' | 'certified' | 'lns']: OverMqtt } & {
  readonly posting: OverHttp;
};
const receiver = new WebhookReceiver();
let webhook: Secret;
/** Tickets whose events the receiver has to get. */
const opened: string[] = [];

beforeAll(async () => {
  const dir = mkdtempSync(join(tmpdir(), 'lamppost-rotation-'));
  const own = certificate('localhost', city);
  const files = { TLS_CERT: own.cert, TLS_KEY: own.key, TLS_CLIENT_CA: city.cert };
  for (const [name, text] of Object.entries(files)) {
    writeFileSync(join(dir, name), text);
    server.settings[name] = join(dir, name);
  }
  mqttsPort = await freePort();
  Object.assign(server.settings, { MQTTS_PORT: String(mqttsPort), TLS_CLIENT_NAMES: 'true' });
  await server.start();
  const ids = ['overlapped', 'sudden', 'claimed', 'certified', 'posting'];
  const bins = ids.map((id) => ({ id, profile: 'waste-bin', district: 'harbour' }));
  const of = new Map((await post<Secret[]>('/api/v1/devices', bins)).map((one) => [one.id, one]));
  await post('/api/v1/devices', { id: EUI, profile: 'lorawan-climate', district: 'harbour' });
  const bound = { name: 'lns', role: 'network-server', uplinks: { devices: [EUI] } };
  const lns = new OverMqtt(await post<Secret>('/api/v1/keys', bound));
  lns.topic = `application/1/device/${EUI}/event/up`;
  lns.payload = (n) =>
    JSON.stringify({
      ...{ deviceInfo: { devEui: EUI }, devAddr: '00bb', fCnt: n + 1 },
      ...{ time: new Date(FROM_MS + n * SPAN_MS).toISOString(), object: { temperature: 21, humidity: 5 } },
    });
  const device = (id: string) => new OverMqtt(of.get(id)!);
  senders = {
    overlapped: device('overlapped'),
    sudden: device('sudden'),
    claimed: device('claimed'),
    certified: device('certified'),
    lns,
    posting: new OverHttp(of.get('posting')!),
  };
  showCertificate();
  webhook = await post<Secret>('/api/v1/webhooks', { url: await receiver.start() });
  receiver.secrets = [webhook.secret];
  for (const one of Object.values(senders)) one.start();
  await Promise.all(Object.values(senders).map((one) => one.more()));
});
afterAll(async () => {
  receiver.stop();
  if (server.running) expect(await server.stop()).toBe(0);
});

/** Gives a device a new certificate of its name in place of a password. */
function showCertificate(): void {
  const { cert, key } = certificate('certified', city);
  senders.certified.options = {
    ...{ cert, key, ca: city.cert, servername: 'localhost' },
    ...({ password: undefined } as object),
  };
}

/** Opens a ticket, and waits until the receiver has its event, with a signature that it accepts. */
async function ticketArrives(): Promise<void> {
  const { id } = await post<Ticket>('/api/v1/tickets', { service: 'waste', title: 'Full', district: 'harbour' });
  opened.push(id);
  await until(
    () => receiver.arrivals.some(({ body }) => body.includes(id)),
    () => `the event of ${id}; ${receiver.bad.length} with a wrong signature`,
  );
}

describe('while devices send without a pause', () => {
  test('rotation - with an overlap nothing is refused: devices and network servers change to the new secret when they like', async () => {
    const { overlapped, lns, posting } = senders;
    const brokenBefore = posting.broken;
    for (let round = 0; round < ROUNDS; round++) {
      for (const [one, list] of [
        [overlapped, 'devices'],
        [lns, 'keys'],
        [posting, 'devices'],
      ] as const) {
        const { secret } = await post<Secret>(`/api/v1/${list}/${one.id}/rotate`, { overlap: '1h' });
        await one.more();
        one.secret = secret;
        if (one instanceof OverMqtt) one.reconnect();
        await one.more();
        await post(`/api/v1/${list}/${one.id}/confirm`);
        await one.more();
      }
    }
    expect(posting.broken).toBe(brokenBefore);
  });

  test('rotation - without one the connection ends, and what was not acknowledged comes with the new secret', async () => {
    const { sudden } = senders;
    for (let round = 0; round < ROUNDS; round++) {
      const broken = sudden.broken;
      const { secret } = await post<Secret>(`/api/v1/devices/sudden/${round === 1 ? 'replace' : 'rotate'}`, {});
      await until(() => sudden.broken > broken, 'the end of the connection');
      sudden.secret = secret;
      await sudden.more();
    }
  });

  test('rotation - a claim code brings a new secret, and ends the one before', async () => {
    const { claimed } = senders;
    for (let round = 0; round < ROUNDS; round++) {
      const { code } = await post<{ code: string }>('/api/v1/devices/claimed/claim-code', { hours: 1 });
      await claimed.more();
      claimed.secret = (await post<Secret>('/claim', { device: 'claimed', code })).secret;
      await claimed.more();
    }
  });

  test('rotation - a device shows a new certificate of its name', async () => {
    for (let round = 0; round < ROUNDS; round++) {
      showCertificate();
      senders.certified.reconnect();
      await senders.certified.more();
    }
  });

  test('rotation - the secret of a webhook signs beside the one before, so that no event is lost', async () => {
    await ticketArrives();
    for (let round = 0; round < ROUNDS; round++) {
      const { secret } = await post<Secret>(`/api/v1/webhooks/${webhook.id}/rotate`);
      await ticketArrives();
      receiver.secrets = [secret];
      await ticketArrives();
    }
    expect(receiver.bad).toEqual([]);
  });

  test('rotation - a person has a new password and another authenticator', async () => {
    const roles = [{ role: 'operator', department: null }];
    const person = await post<{ id: string }>('/api/v1/users', { name: 'Mei', email: 'mei@city.example', roles });
    const { path } = await post<{ path: string }>(`/api/v1/users/${person.id}/link`);
    let visit = new Visit(server);
    await visit.send('POST', '/auth/link', { token: path.split('#')[1] });
    let password = 'a lantern in the harbour';
    expect((await visit.send('POST', '/auth/password', { password })).status).toBe(200);
    for (let round = 0; round < ROUNDS; round++) {
      const next = `lantern number ${round} of the harbour`;
      const set = await visit.send('POST', '/auth/password', { password: next, current: password });
      expect(set.status).toBe(200);
      expect((await new Visit(server).login('mei@city.example', password)).status).toBe(403);
      password = next;
      const { body } = await visit.send<{ secret: string }>('POST', '/auth/totp');
      const step = () => Math.floor(Date.now() / 30_000);
      const proof = { secret: body.secret, code: totpCode(body.secret, step()) };
      expect((await visit.send('PUT', '/auth/totp', proof)).status).toBe(200);
      await ask('DELETE', `/api/v1/users/${person.id}/totp`);
      // That ended the sessions.
      visit = new Visit(server);
      expect((await visit.login('mei@city.example', password)).status).toBe(200);
    }
  });

  test('rotation - the keys of the settings change with a restart', async () => {
    await server.stop();
    Object.assign(server.settings, { LAMPPOST_ADMIN_KEY: OTHER_ADMIN_KEY, LAMPPOST_SECRETS_KEY: 'k'.repeat(32) });
    await server.start();
    await expect(server.get('/api/v1/tickets')).rejects.toThrow(/401/);
    adminKey = OTHER_ADMIN_KEY;
    await Promise.all(Object.values(senders).map((one) => one.more()));
    // What was sealed with the key before is sealed anew, and what waited meanwhile is sent.
    const { id } = await post<Ticket>('/api/v1/tickets', { service: 'waste', title: 'Waits', district: 'harbour' });
    opened.push(id);
    const { secret } = await post<Secret>(`/api/v1/webhooks/${webhook.id}/rotate`);
    receiver.secrets = [secret];
    await ticketArrives();
  });
});

test('rotation - after all of it every acknowledged message is there, and every event arrived', async () => {
  for (const one of Object.values(senders)) await one.stop();
  const [from, to] = [FROM_MS, Date.now()].map((ms) => new Date(ms).toISOString());
  for (const [name, { id, acknowledged }] of Object.entries(senders)) {
    const device = name === 'lns' ? EUI : id;
    const metric = name === 'lns' ? 'temperature' : 'fill';
    await until(async () => {
      const { messages } = await get<{ messages: { pending: number } }>(`/api/v1/ledger?device=${device}`);
      return messages.pending === 0;
    }, `the ledger of ${name}`);
    const query = `device=${device}&metric=${metric}&from=${from}&to=${to}&maxPoints=1000000`;
    const { series } = await get<Points>(`/api/v1/readings?${query}`);
    const stored = new Set(series[0]!.points.map(([ts]) => ts));
    const lost = Array.from({ length: acknowledged }, (_, n) => n).filter((n) => !stored.has(FROM_MS + n * SPAN_MS));
    expect(lost, name).toEqual([]);
    expect(acknowledged, name).toBeGreaterThan(ROUNDS * SOME);
  }
  await until(
    () => opened.every((id) => receiver.arrivals.some(({ body }) => body.includes(id))),
    'the events of all tickets',
  );
});
