import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { HIDDEN, picturesWithSecrets } from '../../kit/hostile/photos.ts';
import { ask, formOf } from '../../kit/hostile/wire.ts';
import { ADMIN_KEY, ServerProcess } from '../../kit/server.ts';
import { pause, until } from '../../kit/wait.ts';

const fixture = (name: string) => readFileSync(new URL(`../../fixtures/photos/${name}`, import.meta.url));
const PICTURES = picturesWithSecrets({ jpeg: fixture('baseline.jpg'), webp: fixture('lossy.webp') });
const backups = mkdtempSync(join(tmpdir(), 'lamppost-backups-'));
const elsewhere = mkdtempSync(join(tmpdir(), 'lamppost-elsewhere-'));
// Every report here comes from one address.
const server = new ServerProcess(undefined, { LAMPPOST_REQUESTS_PER_MINUTE: '0', LAMPPOST_BACKUP_DIR: backups });
let app = '';

beforeAll(async () => {
  await server.start();
  app = (await server.post<{ secret: string }>('/api/v1/keys', { name: 'app', role: 'citizen-app' })).secret;
});
afterAll(async () => {
  await server.kill();
  for (const dir of [server.data, backups, elsewhere]) rmSync(dir, { recursive: true, force: true });
});

const to = () => ({ httpPort: server.httpPort }) as Parameters<typeof ask>[0];

/** Reports a bin with a picture; returns its number, or null where it was refused. */
async function report(picture: Buffer): Promise<string | null> {
  const fields = { api_key: app, service_code: 'waste', lat: '32.06', long: '118.79', first_name: 'Lin' };
  const path = `/open311/v2/requests.json?api_key=${app}`;
  for (;;) {
    const given = await ask(to(), { method: 'POST', path, key: app, ...formOf(fields, [picture]) });
    if (given.status === 200)
      return (JSON.parse(given.text) as { service_request_id: string }[])[0]!.service_request_id;
    if (given.status === 400) return null;
    if (given.status !== 429) throw new Error(`${given.status} ${given.text}`);
    await pause(1_000 * Number(given.headers['retry-after'] ?? 1));
  }
}

/** Every file below a folder, with its mode. */
function modes(dir: string): { readonly path: string; readonly mode: number; readonly isFolder: boolean }[] {
  const all = readdirSync(dir, { recursive: true, withFileTypes: true });
  const found = all.map((one) => ({ path: join(one.parentPath, one.name), isFolder: one.isDirectory() }));
  return [{ path: dir, isFolder: true }, ...found].map((one) => ({ ...one, mode: statSync(one.path).mode & 0o777 }));
}

test('hostile - a photo carries no message of its sender, wherever decoders skip it', async () => {
  const carried: string[] = [];
  for (const [name, picture] of Object.entries(PICTURES)) {
    const id = await report(picture);
    if (id === null) continue;
    const { text } = await ask(to(), { path: `/open311/v2/requests/${id}.json` });
    const url = new URL((JSON.parse(text) as { media_url: string }[])[0]!.media_url);
    const photo = await ask(to(), { path: url.pathname, keep: 2 ** 24 });
    if (photo.status !== 200) carried.push(`${name}: ${photo.status}`);
    else if (photo.text.includes(HIDDEN)) carried.push(name);
  }
  expect(carried.join('\n')).toBe('');
});

test('hostile - nobody else on the machine reads the data', async () => {
  await report(fixture('baseline.jpg'));
  const open = modes(server.data).filter(({ mode, isFolder }) => mode !== (isFolder ? 0o700 : 0o600));
  expect(open.map(({ path, mode }) => `${path.slice(server.data.length)} ${mode.toString(8)}`).join('\n')).toBe('');
});

test('hostile - nobody else on the machine reads a backup', async () => {
  expect((await backup(undefined)).status).toBe(202);
  const isOver = async () => (await server.get<{ state: string }>('/api/v1/backup')).state !== 'running';
  await until(isOver, 'the end of the backup', 100);
  const open = modes(backups)
    .slice(1)
    .filter(({ mode, isFolder }) => mode !== (isFolder ? 0o700 : 0o600));
  expect(open.map(({ path, mode }) => `${path.slice(backups.length)} ${mode.toString(8)}`).join('\n')).toBe('');
  expect(readdirSync(backups)).not.toEqual([]);
});

function backup(path: string | undefined) {
  const headers = { 'content-type': 'application/json' };
  return ask(to(), {
    method: 'POST',
    path: '/api/v1/backup',
    key: ADMIN_KEY,
    headers,
    body: JSON.stringify({ to: path }),
  });
}

test('hostile - a backup goes nowhere but below the configured folder', async () => {
  const taken: string[] = [];
  for (const path of [
    join(elsewhere, 'a'),
    `${backups}/../${elsewhere.split('/').at(-1)}/b`,
    `../${elsewhere.split('/').at(-1)}/c`,
    `${backups}-beside`,
    join(backups, '..', 'lamppost-beside'),
    '/dev/shm/lamppost-beside',
    `${backups}/a\0b`,
    `file://${elsewhere}/d`,
  ]) {
    const { status } = await backup(path);
    await pause(300);
    if (status < 400 || status >= 500 || existsSync(join(elsewhere, 'a'))) taken.push(`${path}: ${status}`);
    if (!path.includes('\0') && !path.startsWith('file:'))
      rmSync(path.startsWith('/') ? path : join(server.data, path), { recursive: true, force: true });
  }
  expect(taken.join('\n')).toBe('');
  expect(existsSync(elsewhere) ? readdirSync(elsewhere) : []).toEqual([]);
});

test('hostile - the Host of a request is repeated nowhere', async () => {
  const repeated: string[] = [];
  const id = await report(fixture('baseline.jpg'));
  for (const path of [
    '/open311/discovery.json',
    '/open311/discovery.xml',
    '/open311/v2/discovery.json',
    '/open311/v2/requests.json',
    `/open311/v2/requests/${id}.xml`,
    '/openapi.json',
    '/asyncapi.json',
    '/nothing',
    '/',
    '/docs',
  ]) {
    for (const headers of [
      { host: 'evil.example' },
      { host: 'evil.example:80@a' },
      { 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'evil.example' },
      { forwarded: 'host=evil.example;proto=http' },
    ]) {
      const { text, headers: answered } = await ask(to(), { path, headers, keep: 2 ** 24 });
      if (`${text}${JSON.stringify(answered)}`.includes('evil.example'))
        repeated.push(`${path} ${JSON.stringify(headers)}`);
    }
  }
  expect(repeated.join('\n')).toBe('');
});

test('hostile - every response has the headers that keep browsers from being used against it', async () => {
  const missing: string[] = [];
  for (const path of [
    '/health',
    '/',
    '/docs',
    '/public',
    '/openapi.json',
    '/api/v1/tickets',
    '/open311/v2/services.xml',
    '/nothing',
    '/open311/nothing',
    '/%ff',
  ]) {
    const { headers, status } = await ask(to(), { path, key: ADMIN_KEY });
    const wanted = [
      'x-content-type-options',
      'referrer-policy',
      'content-security-policy',
      'x-frame-options',
      'cross-origin-opener-policy',
    ];
    for (const name of wanted) if (headers[name] === undefined) missing.push(`${path} ${status}: ${name}`);
    for (const name of ['x-powered-by', 'server'])
      if (headers[name] !== undefined) missing.push(`${path} ${status}: ${name} is sent`);
  }
  expect(missing.join('\n')).toBe('');
});
