import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import mqtt from 'mqtt';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { totpCode } from '../../registry/totp.ts';
import type { BackupJob } from '../../store/index.ts';
import { Visit } from '../kit/browser-like.ts';
import { Mailbox } from '../kit/mailbox.ts';
import { startProvider } from '../kit/oidc.ts';
import { freePort } from '../kit/ports.ts';
import { WebhookReceiver } from '../kit/receiver.ts';
import { ADMIN_KEY, ServerProcess } from '../kit/server.ts';
import { until } from '../kit/wait.ts';

const SETTINGS = {
  LAMPPOST_ADMIN_KEY: ADMIN_KEY,
  LAMPPOST_SECRETS_KEY: 'what-secrets-are-sealed-with-in-this-run',
  OIDC_CLIENT_SECRET: 'the-secret-of-a-client-of-the-provider',
  SMS_SECRET: `whsec_${Buffer.from('the gateway for messages of this run').toString('base64')}`,
};
const MAIL_PASSWORD = 'the-password-of-the-mail-server';
const backups = mkdtempSync(join(tmpdir(), 'lamppost-backups-'));
// It says everything that it ever says.
const server = new ServerProcess(undefined, {
  ...{ ...SETTINGS, LOG_LEVEL: 'trace', LAMPPOST_BACKUP_DIR: backups, WEBHOOK_ALLOW_PRIVATE: 'true' },
  ...{ OIDC_CLIENT_ID: 'lamppost', OIDC_ROLES: 'staff=viewer', SMS_URL: 'http://127.0.0.1:9/sms' },
});
const mailbox = new Mailbox({
  authOptional: false,
  allowInsecureAuth: true,
  onAuth: (_auth, _session, done) => done(null, { user: 'lamppost' }),
});
const receiver = new WebhookReceiver();
let provider: Awaited<ReturnType<typeof startProvider>>;

/** Everything that must be found nowhere, by what it is. */
const secrets = new Map<string, string>(Object.entries({ ...SETTINGS, MAIL_PASSWORD }));
/** Notes a secret, and returns it. */
function kept(what: string, secret: string): string {
  expect(secret.length, what).toBeGreaterThan(9);
  expect(secrets.has(what), what).toBe(false);
  secrets.set(what, secret);
  return secret;
}
/** Everything that the server wrote to its log. */
let log = '';

const base = () => `http://127.0.0.1:${server.httpPort}`;
const post = <T = { id: string; secret: string }>(path: string, body?: unknown) => server.post<T>(path, body);

async function send(path: string, secret: string, init: RequestInit = {}): Promise<number> {
  const headers = { authorization: `Bearer ${secret}`, 'content-type': 'application/json' };
  return (await fetch(base() + path, { headers, ...init })).status;
}

async function publish(
  id: string,
  password: string,
  topic = `devices/${id}/readings`,
  payload = '{"metrics":{"fill":5}}',
) {
  const login = { clientId: id, username: id, password, reconnectPeriod: 0 };
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${server.mqttPort}`, login);
  await client.publishAsync(topic, payload, { qos: 1 });
  await client.endAsync();
}

/** Every form in which a text might be written down. */
function formsOf(text: string): Buffer[] {
  const bytes = Buffer.from(text);
  // A long one may be cut in two by a page of a file.
  const parts = text.length < 32 ? [text] : [text.slice(0, 16), text.slice(-16)];
  const encoded = (['base64', 'base64url', 'hex'] as const).map((encoding) => bytes.toString(encoding).slice(0, 24));
  const plain = [...parts, ...encoded, encodeURIComponent(text).slice(0, 16)].map((one) => Buffer.from(one));
  // What is random is bytes written as text.
  const raw = /^[\w-]{43}$/.test(text) ? [Buffer.from(text, 'base64url')] : [];
  return [...plain, Buffer.from(text, 'utf16le'), ...raw];
}

/** Returns where a secret is, in any form. */
function foundIn(places: ReadonlyMap<string, Buffer>, secret: string): string[] {
  const forms = formsOf(secret);
  return [...places].filter(([, bytes]) => forms.some((form) => bytes.includes(form))).map(([name]) => name);
}

function filesOf(dir: string): [string, Buffer][] {
  return readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((one) => one.isFile())
    .map((one) => join(one.parentPath, one.name))
    .map((path) => [path.slice(dir.length), readFileSync(path)]);
}

beforeAll(async () => {
  server.onOutput = (text) => {
    log += text;
  };
  server.httpPort = await freePort();
  provider = await startProvider(`http://localhost:${server.httpPort}/auth/oidc/callback`, new Map());
  const url = (await mailbox.start()).replace('smtp://', `smtp://lamppost:${MAIL_PASSWORD}@`);
  Object.assign(server.settings, { SMTP_URL: url, SMTP_FROM: 'lamppost@city.example' });
  Object.assign(server.settings, { LAMPPOST_PUBLIC_URL: `http://localhost:${server.httpPort}` });
  server.settings.OIDC_ISSUER = provider.issuer;
  await server.start();
});
afterAll(async () => {
  if (server.running) await server.kill();
  receiver.stop();
  await provider.stop();
  await mailbox.stop();
});

test('secrets - devices use theirs: made here and brought along, old and new, claimed, wrong', async () => {
  const bin = (id: string, more: object = {}) => ({ id, profile: 'waste-bin', district: 'harbour', ...more });
  const made = await post('/api/v1/devices', bin('bin-made'));
  const first = kept('of a device', made.secret);
  await publish('bin-made', first);
  expect(await send('/ingest/bin-made', first, { method: 'POST', body: '{"metrics":{"fill":6}}' })).toBe(200);
  await post(
    '/api/v1/devices',
    bin('bin-brought', { secret: kept('brought along', 'a-secret-that-the-device-has-already') }),
  );
  await publish('bin-brought', secrets.get('brought along')!);
  const rotated = await post('/api/v1/devices/bin-made/rotate', { overlap: '1h' });
  await publish('bin-made', kept('of a device, new', rotated.secret));
  const replaced = await post('/api/v1/devices/bin-made/replace', {});
  await publish('bin-made', kept('of other hardware', replaced.secret));
  const { code } = await post<{ code: string }>('/api/v1/devices/bin-made/claim-code', { hours: 1 });
  const claimed = await post('/claim', { device: 'bin-made', code: kept('a claim code', code) });
  await publish('bin-made', kept('claimed', claimed.secret));
  // What somebody mistypes is nearly a secret.
  const wrong = kept('mistyped by a device', 'nearly-the-secret-of-this-device');
  await expect(publish('bin-made', wrong)).rejects.toMatchObject({ code: 4 });
  expect(await send('/ingest/bin-made', wrong, { method: 'POST', body: '{}' })).toBe(401);
  const body = JSON.stringify({
    device: 'bin-made',
    code: kept('a wrong claim code', 'nearly-the-code-of-this-device'),
  });
  expect(await send('/claim', '-', { method: 'POST', body })).toBe(403);
});

test('secrets - keys use theirs: in headers, in addresses, in forms and over MQTT', async () => {
  const viewer = await post('/api/v1/keys', { name: 'board', role: 'viewer' });
  expect(await send('/api/v1/tickets', kept('of a key', viewer.secret))).toBe(200);
  const rotated = await post(`/api/v1/keys/${viewer.id}/rotate`, {});
  expect(await send('/api/v1/tickets', kept('of a key, new', rotated.secret))).toBe(200);
  expect(await send('/api/v1/tickets', viewer.secret)).toBe(401);
  const lns = await post('/api/v1/keys', { name: 'lns', role: 'network-server', uplinks: 'all' });
  await publish(
    lns.id,
    kept('of a network server', lns.secret),
    'application/1/device/70b3d57ed0000001/event/up',
    '{}',
  );
  const app = await post('/api/v1/keys', { name: 'app', role: 'citizen-app' });
  const key = kept('of an app', app.secret);
  const fields = { service_code: 'waste', lat: '32.06', long: '118.79', email: 'lin@example.org', description: 'full' };
  for (const [path, form] of [
    [`/open311/v2/requests.json?api_key=${key}`, fields],
    ['/open311/v2/requests.json', { ...fields, api_key: key }],
  ] as const) {
    const response = await fetch(base() + path, { method: 'POST', body: new URLSearchParams(form) });
    const [reported] = (await response.json()) as [{ reporter_token: string }];
    const token = kept(
      `of a reporter (${path.includes('?') ? 'key in the address' : 'key in the form'})`,
      reported.reporter_token,
    );
    expect((await fetch(`${base()}/public/requests/${token}`)).status).toBe(200);
  }
  const wrong = kept('a wrong key', 'nearly-the-key-of-this-program');
  expect(await send('/api/v1/tickets', wrong)).toBe(401);
  const refused = await fetch(`${base()}/open311/v2/requests.json?api_key=${wrong}`, {
    method: 'POST',
    body: new URLSearchParams(fields),
  });
  expect(refused.status).toBe(403);
});

test('secrets - people use theirs: links, passwords, authenticators, cookies, and a provider', async () => {
  const roles = [{ role: 'viewer', department: null }];
  const { id } = await post('/api/v1/users', { name: 'Mei', email: 'mei@city.example', roles });
  const { path } = await post<{ path: string }>(`/api/v1/users/${id}/link`);
  const visit = new Visit(server);
  await visit.send('POST', '/auth/link', { token: kept('of a link', path.split('#')[1]!) });
  kept('of a session by a link', visit.cookie.split('=')[1]!);
  const unused = await post<{ path: string }>(`/api/v1/users/${id}/link`);
  kept('of a link that nobody used', unused.path.split('#')[1]!);
  const password = kept('a password', 'a lantern in the harbour');
  expect((await visit.send('POST', '/auth/password', { password })).status).toBe(200);
  const wrong = kept('a mistyped password', 'a lantern in teh harbour');
  expect((await visit.login('mei@city.example', wrong)).status).toBe(403);
  const { body } = await visit.send<{ secret: string }>('POST', '/auth/totp');
  const secret = kept('of an authenticator', body.secret);
  const step = () => Math.floor(Date.now() / 30_000);
  expect((await visit.send('PUT', '/auth/totp', { secret, code: totpCode(secret, step()) })).status).toBe(200);
  const again = new Visit(server);
  expect((await again.login('mei@city.example', password, totpCode(secret, step() + 1))).status).toBe(200);
  kept('of a session by a password', again.cookie.split('=')[1]!);
  const next = kept('a new password', 'another lantern at the quay');
  expect((await again.send('POST', '/auth/password', { password: next, current: password })).status).toBe(200);
  const began = await new Visit(server).send('GET', '/auth/oidc/start');
  const { searchParams } = new URL(began.headers.get('location')!);
  kept('of the way to the provider', began.headers.getSetCookie()[0]!.split(';')[0]!.split('=')[1]!);
  const code = kept('of a provider', 'a-code-that-the-provider-did-not-give');
  const back = await new Visit(server).send(
    'GET',
    `/auth/oidc/callback?code=${code}&state=${searchParams.get('state')}`,
  );
  expect(back.status).toBe(302);
});

test('secrets - webhooks and mail use theirs', async () => {
  const authorization = kept('what a webhook sends', 'Bearer of-the-program-that-gets-the-events');
  const made = await post('/api/v1/webhooks', { url: await receiver.start(), authorization });
  receiver.secrets = [kept('of a webhook', made.secret)];
  const ping = () => post<{ state: string }>(`/api/v1/webhooks/${made.id}/ping`);
  expect((await ping()).state).toBe('delivered');
  expect(receiver.arrivals[0]!.headers.authorization).toBe(authorization);
  const rotated = await post(`/api/v1/webhooks/${made.id}/rotate`);
  receiver.secrets = [kept('of a webhook, new', rotated.secret)];
  expect((await ping()).state).toBe('delivered');
  const filter = { departments: ['waste'] };
  const mail = { channel: 'email', to: 'mei@city.example', party: 'waste', filter };
  await post('/api/v1/subscriptions', mail);
  await post('/api/v1/tickets', { service: 'waste', title: 'Full', district: 'harbour' });
  await until(() => mailbox.mails.length > 0, 'a mail');
});

test('secrets - none of them is in a log, a file or a backup, but as hashes', async () => {
  await server.settledLedger();
  await post('/api/v1/backup', {});
  await until(async () => (await server.get<BackupJob>('/api/v1/backup')).state === 'done', 'the backup', 50);
  const running = filesOf(server.data);
  await server.kill();
  await server.start();
  await server.stop();
  const places = new Map<string, Buffer>([
    ...running.map(([name, bytes]) => [`the running server's ${name}`, bytes] as const),
    ...filesOf(server.data).map(([name, bytes]) => [`the stopped server's ${name}`, bytes] as const),
    ...filesOf(backups).map(([name, bytes]) => [`the backup's ${name}`, bytes] as const),
    ['the log', Buffer.from(log)] as const,
  ]);
  expect(secrets.size).toBeGreaterThan(25);
  const found = [...secrets].flatMap(([what, secret]) => foundIn(places, secret).map((where) => `${what}: ${where}`));
  expect(found).toEqual([]);
  // What is looked for would be found: names, and the hash of a secret.
  const hash = createHash('sha256').update(secrets.get('claimed')!).digest();
  for (const file of ["the stopped server's /state.sqlite", "the stopped server's /journal.sqlite"])
    expect(places.get(file)!.includes('bin-made'), file).toBe(true);
  const state = places.get("the stopped server's /state.sqlite")!;
  expect([hash, hash.toString('hex'), hash.toString('base64url')].some((form) => state.includes(form))).toBe(true);
  expect(log.length).toBeGreaterThan(1_000);
});
