import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import pino from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { verifyState } from '../../app/verify.ts';
import { type Person, systemClock } from '../../domain/index.ts';
import { totpCode } from '../../registry/totp.ts';
import { Visit } from '../kit/browser-like.ts';
import { expectPlain, lamppost } from '../kit/cli/commands.ts';
import { ADMIN_KEY, ServerProcess } from '../kit/server.ts';
import { until } from '../kit/wait.ts';

/** In a cluster, a link names the person as well. */
const LINK = /\/auth\/link#([\w-]{43}(?:\.[\w-]+)?)$/m;
const PASSWORD = 'a lantern in the harbour';
// Guesses come from several addresses.
const server = new ServerProcess(undefined, { LAMPPOST_TRUSTED_PROXIES: '127.0.0.1' });
beforeAll(() => server.start());
afterAll(() => server.kill());

interface Entry {
  readonly actor: string;
  readonly action: string;
  readonly target: string;
  readonly result: string;
}

const url = () => `http://127.0.0.1:${server.httpPort}`;
const command = (...args: string[]) => lamppost(['user', ...args, '--url', url()], { LAMPPOST_ADMIN_KEY: ADMIN_KEY });
const trail = async () => (await server.get<{ items: Entry[] }>('/api/v1/audit?limit=1000')).items;
const brief = ({ actor, action, target, result }: Entry) => [actor, action, target, result].join(' ');
const add = (email: string, role: string, department: string | null = null) =>
  server.post<Person>('/api/v1/users', { name: `Name of ${email}`, email, roles: [{ role, department }] });

/** Adds a person with a password, and signs them in. */
async function somebody(email: string, role: string, department: string | null = null) {
  const person = await add(email, role, department);
  const visit = new Visit(server);
  await visit.send('POST', '/auth/link', { token: await linkOf(person.id) });
  expect(await visit.send('POST', '/auth/password', { password: PASSWORD })).toMatchObject({ status: 200 });
  return { person, visit };
}

async function linkOf(id: string): Promise<string> {
  const { path } = await server.post<{ path: string }>(`/api/v1/users/${id}/link`);
  return path.split('#')[1]!;
}

/** Opens the events as a browser does; resolves when the server ends them. */
async function follow(visit: Visit): Promise<{ readonly ended: Promise<void> }> {
  const headers = { cookie: visit.cookie, accept: 'text/event-stream' };
  const response = await fetch(`${url()}/api/v1/events`, { headers });
  expect(response.status).toBe(200);
  const reader = response.body!.getReader();
  await reader.read();
  const drain = async () => {
    while (!(await reader.read()).done);
  };
  return { ended: drain() };
}

test('people - nobody can sign in at first, and the start says how to make that otherwise', async () => {
  // It says so once everything is started, and serves before.
  const says = 'nobody can sign in yet: lamppost user add <e-mail> --name "<name>" --role admin';
  await until(() => server.output.includes(says), says);
});

test('people - the command adds a person and prints a link that signs in once', async () => {
  const added = await command('add', 'Mei@City.example', '--name', 'Chen Mei', '--role', 'operator@waste');
  expect(added).toMatchObject({ code: 0, out: expect.stringMatching(LINK) });
  const [, token] = LINK.exec(added.out)!;
  const visit = new Visit(server);
  const me = await visit.send('POST', '/auth/link', { token });
  expect(me.body).toMatchObject({ kind: 'person', name: 'Chen Mei', role: 'operator', department: 'waste' });
  expect(me.headers.get('set-cookie')).toMatch(/^lamppost-session=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict$/);
  const again = await new Visit(server).send('POST', '/auth/link', { token });
  expect(again).toMatchObject({ status: 403, body: { reason: 'link-used' } });

  expect((await visit.send('POST', '/auth/password', { password: 'short' })).body.detail).toContain('12 to 200');
  expect((await visit.send('POST', '/auth/password', { password: PASSWORD })).status).toBe(200);
  expect(await new Visit(server).login('mei@city.example', PASSWORD)).toMatchObject({ status: 200 });
  expect(await new Visit(server).login('mei@city.example', 'a lamp in the harbour')).toMatchObject({
    status: 403,
    body: { reason: 'wrong-password' },
  });
  expect((await new Visit(server).login('nobody@city.example', PASSWORD)).body).toMatchObject({
    reason: 'wrong-password',
  });
  expect((await command('list')).out).toContain('mei@city.example  Chen Mei  operator@waste');
  expectPlain(
    await command('add', 'mei@city.example', '--name', 'Other', '--role', 'viewer'),
    'has this e-mail address',
  );
  expectPlain(await command('add', 'x@city.example', '--name', 'X', '--role', 'viewer@waist'), /waist.*waste/);

  const id = String((me.body.person as Person).id);
  expect((await trail()).map(brief)).toEqual(
    expect.arrayContaining([
      `admin person.add person ${id} done`,
      `person:${id} sign-in.link person ${id} done`,
      'sign-in sign-in.link person link-used',
      `person:${id} person.password person ${id} done`,
      `person:${id} sign-in.password person ${id} done`,
      `sign-in sign-in.password person ${id} wrong-password`,
      'sign-in sign-in.password person wrong-password',
    ]),
  );
});

test('people - what a person does carries their name, and their role and department count', async () => {
  const { visit, person } = await somebody('wei@city.example', 'operator', 'waste');
  const viewer = await somebody('viewer@city.example', 'viewer');
  const ticket = { service: 'waste', title: 'A bin is full', district: 'harbour' };
  const refused = await viewer.visit.send('POST', '/api/v1/tickets', ticket);
  expect(refused).toMatchObject({ status: 403, body: { detail: expect.stringContaining('yours is viewer') } });
  const opened = await visit.send<{ id: string }>('POST', '/api/v1/tickets', ticket);
  expect(opened.status).toBe(201);
  const shown = await viewer.visit.send<{ history: object[] }>('GET', `/api/v1/tickets/${opened.body.id}`);
  expect(shown.body.history[0]).toMatchObject({ by: `person:${person.id}`, byName: 'Name of wei@city.example' });
  const history = await visit.send<{ items: object[] }>('GET', `/api/v1/tickets/${opened.body.id}/history`);
  expect(history.body.items[0]).toMatchObject({ byName: 'Name of wei@city.example' });
  const other = await somebody('road@city.example', 'operator', 'water');
  expect((await other.visit.send('GET', `/api/v1/tickets/${opened.body.id}`)).status).toBe(404);

  await server.get('/api/v1/users');
  const path = `/api/v1/users/${person.id}`;
  const change = (key: string) =>
    fetch(url() + path, {
      method: 'PATCH',
      headers: {
        ...{ authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json' },
        ...{ 'if-match': '"1"', 'idempotency-key': key },
      },
      body: JSON.stringify({ roles: [{ role: 'viewer', department: null }] }),
    });
  const changed = await change('once');
  expect([changed.status, changed.headers.get('etag')]).toEqual([200, '"2"']);
  const again = await change('once');
  expect([again.status, again.headers.get('etag')]).toEqual([200, '"2"']);
  const late = await change('another');
  expect([late.status, await late.json()]).toMatchObject([412, { reason: 'person-changed' }]);
  expect((await visit.send('POST', '/api/v1/tickets', ticket)).status).toBe(403);
  expect((await visit.send('GET', '/api/v1/users')).status).toBe(403);
});

test('people - another website cannot use the cookie', async () => {
  const { visit } = await somebody('origin@city.example', 'operator');
  const ticket = { service: 'waste', title: 'Forged', district: 'harbour' };
  const post = (headers: Record<string, string>) => visit.send('POST', '/api/v1/tickets', ticket, headers);
  const forged = { status: 403, body: { reason: 'cross-site' } };
  expect(await post({ 'sec-fetch-site': 'cross-site' })).toMatchObject(forged);
  expect(await post({ 'sec-fetch-site': 'same-site', origin: url() })).toMatchObject(forged);
  expect(await post({ origin: 'https://evil.example' })).toMatchObject(forged);
  expect(await post({ origin: 'null' })).toMatchObject(forged);
  expect(await post({})).toMatchObject(forged);
  expect((await post({ origin: url() })).status).toBe(201);
  expect((await visit.send('GET', '/auth/me', undefined, {})).status).toBe(200);
  const login = { email: 'origin@city.example', password: PASSWORD };
  const from = { 'sec-fetch-site': 'cross-site' };
  expect(await new Visit(server).send('POST', '/auth/login', login, from)).toMatchObject(forged);
  expect((await new Visit(server).send('POST', '/auth/login', login, {})).status).toBe(200);
});

test('people - with an authenticator a password is not enough, and each code counts once', async () => {
  const { visit, person } = await somebody('totp@city.example', 'viewer');
  const { body } = await visit.send<{ secret: string; uri: string }>('POST', '/auth/totp');
  expect(body.uri).toContain(`secret=${body.secret}&issuer=Lamppost%20Linjiang`);
  const step = () => Math.floor(Date.now() / 30_000);
  expect((await visit.send('PUT', '/auth/totp', { secret: body.secret, code: '000000' })).body.reason).toBe(
    'wrong-code',
  );
  expect(
    (await visit.send('PUT', '/auth/totp', { secret: body.secret, code: totpCode(body.secret, step()) })).status,
  ).toBe(200);
  // A session alone, which may be stolen, does not take its place.
  const other = (await visit.send<{ secret: string }>('POST', '/auth/totp')).body.secret;
  const replace = (more: object) =>
    visit.send('PUT', '/auth/totp', { secret: other, code: totpCode(other, step()), ...more });
  expect((await replace({})).body.detail).toContain('password: send the password');
  expect((await replace({ password: 'not the password' })).body.reason).toBe('wrong-password');
  const login = (code?: string) => new Visit(server).login('totp@city.example', PASSWORD, code);
  expect(await login()).toMatchObject({ status: 403, body: { reason: 'code-needed' } });
  const next = totpCode(body.secret, step() + 1);
  const first = await login(next);
  expect([first.status, (await login(next)).body.reason]).toEqual([200, 'wrong-code']);
  expect((await command('reset-totp', 'totp@city.example')).out).toContain('done');
  expect((await login()).status).toBe(200);
  expect((await server.get<Person>(`/api/v1/users/${person.id}`)).hasTotp).toBe(false);
});

test('people - a session that is ended loses its requests and its events at once', async () => {
  const { visit: office } = await somebody('two@city.example', 'viewer');
  const home = new Visit(server);
  await home.login('two@city.example', PASSWORD);
  const { items } = (await office.send<{ items: { id: string; how: string }[] }>('GET', '/auth/sessions')).body;
  expect(items.map(({ how }) => how)).toEqual(['password', 'password']);
  const events = await follow(home);
  const { session } = (await home.send('GET', '/auth/me')).body;
  expect((await office.send('DELETE', `/auth/sessions/${session}`)).status).toBe(204);
  await events.ended;
  expect((await home.send('GET', '/auth/me')).status).toBe(401);
  expect((await office.send('GET', '/auth/me')).status).toBe(200);

  await home.login('two@city.example', PASSWORD);
  const both = await Promise.all([follow(home), follow(office)]);
  expect((await office.send('DELETE', '/auth/sessions')).status).toBe(204);
  await Promise.all(both.map(({ ended }) => ended));
  expect((await home.send('GET', '/auth/me')).status).toBe(401);
  await home.login('two@city.example', PASSWORD);
  expect((await home.send('POST', '/auth/logout')).status).toBe(204);
  expect((await home.send('GET', '/auth/me')).status).toBe(401);
});

test('people - an administrator ends one session of a person, and suspends them until they are resumed', async () => {
  const { visit: office, person } = await somebody('three@city.example', 'viewer');
  const home = new Visit(server);
  await home.login('three@city.example', PASSWORD);
  const { session } = (await home.send('GET', '/auth/me')).body;
  const ask = (method: string, path: string) =>
    fetch(`${url()}/api/v1/users/${person.id}${path}`, { method, headers: { authorization: `Bearer ${ADMIN_KEY}` } });
  const events = await follow(home);
  expect((await ask('DELETE', `/sessions/${session}`)).status).toBe(204);
  await events.ended;
  expect((await ask('DELETE', `/sessions/${session}`)).status).toBe(404);
  expect((await home.send('GET', '/auth/me')).status).toBe(401);
  expect((await office.send('GET', '/auth/me')).status).toBe(200);
  expect((await office.send('DELETE', `/api/v1/users/${person.id}/sessions/${session}`)).status).toBe(403);

  const open = await follow(office);
  expect((await command('suspend', 'three@city.example')).out).toContain('done');
  await open.ended;
  expect((await office.send('GET', '/auth/me')).status).toBe(401);
  expect((await new Visit(server).login('three@city.example', PASSWORD)).body.reason).toBe('person-suspended');
  expect((await ask('POST', '/link')).status).toBe(409);
  expect((await command('list')).out).toMatch(/three@city\.example.*suspended/);
  expect((await command('resume', 'three@city.example')).out).toContain('done');
  expect((await new Visit(server).login('three@city.example', PASSWORD)).status).toBe(200);
  expect((await trail()).map(brief)).toEqual(
    expect.arrayContaining([
      `admin person.end-session person ${person.id} done`,
      `admin person.suspend person ${person.id} done`,
      `sign-in sign-in.password person ${person.id} person-suspended`,
      `admin person.resume person ${person.id} done`,
    ]),
  );
});

test('people - a new password ends all other sessions, and needs the old one', async () => {
  const { visit } = await somebody('new@city.example', 'viewer');
  const other = new Visit(server);
  await other.login('new@city.example', PASSWORD);
  const password = 'another lantern at sea';
  expect((await other.send('POST', '/auth/password', { password })).body.detail).toContain('current');
  const wrong = await other.send('POST', '/auth/password', { password, current: 'not the old password' });
  expect(wrong.body.reason).toBe('wrong-password');
  expect((await other.send('POST', '/auth/password', { password, current: PASSWORD })).status).toBe(200);
  expect((await other.send('GET', '/auth/me')).status).toBe(200);
  expect((await visit.send('GET', '/auth/me')).status).toBe(401);
  expect((await new Visit(server).login('new@city.example', PASSWORD)).status).toBe(403);
});

test('people - whoever is removed is out at once, also after a restart; others stay signed in', async () => {
  const { visit: gone } = await somebody('gone@city.example', 'admin');
  const { visit: stays, person } = await somebody('stays@city.example', 'admin');
  const events = await follow(gone);
  const token = await linkOf(
    (await server.get<{ items: Person[] }>('/api/v1/users?limit=1000')).items.find(
      ({ email }) => email === 'gone@city.example',
    )!.id,
  );
  expect((await command('remove', 'gone@city.example')).out).toContain('done');
  await events.ended;
  expect((await gone.send('GET', '/auth/me')).status).toBe(401);
  await server.kill();
  await server.start();
  expect((await gone.send('GET', '/auth/me')).status).toBe(401);
  expect((await new Visit(server).send('POST', '/auth/link', { token })).status).toBe(403);
  expect((await new Visit(server).login('gone@city.example', PASSWORD)).status).toBe(403);
  expect((await stays.send('GET', '/auth/me')).body).toMatchObject({ person: { id: person.id } });
  expect((await stays.send('GET', '/api/v1/users')).status).toBe(200);
});

test('people - wrong passwords from three addresses at once take no account, and keep nobody else out', async () => {
  const { person } = await somebody('guessed@city.example', 'viewer');
  const from = (address: string) => new Visit(server, { 'x-forwarded-for': address });
  const guess = async (n: number) =>
    (await from(`192.0.2.${n % 3}`).login('guessed@city.example', `lantern number ${n}`)).status;
  const attack = Promise.all(Array.from({ length: 36 }, (_, n) => guess(n)));
  expect(await from('198.51.100.1').login('guessed@city.example', PASSWORD)).toMatchObject({ status: 200 });
  const statuses = await attack;
  expect(statuses.filter((status) => ![403, 429, 503].includes(status))).toEqual([]);
  // Those past the first few of an address are refused before they cost anything.
  expect(statuses).toContain(403);
  expect(statuses.filter((status) => status !== 403).length).toBeGreaterThan(0);
  const results = (await trail()).map(brief);
  expect(results).toContain(`sign-in sign-in.password person ${person.id} wrong-password`);
});

test("people - the settings' admin key is off once an admin is there; when a key was used outlives a restart", async () => {
  const { id, secret } = await server.post<{ id: string; secret: string }>('/api/v1/keys', {
    name: 'k',
    role: 'admin',
  });
  const keyOf = (key: string) => server.get<{ lastUsedAt: string | null }>(`/api/v1/keys/${id}`, key);
  await server.get('/api/v1/tickets', secret);
  expect(await server.stop()).toBe(0);
  server.settings.LAMPPOST_ADMIN_KEY = 'off';
  await server.start();
  await expect(server.get('/api/v1/tickets')).rejects.toThrow(/401/);
  expect(Date.parse((await keyOf(secret)).lastUsedAt!)).toBeGreaterThan(0);
});

test("people - the settings' admin key is not off where those left could let nobody in", async () => {
  const own = new ServerProcess();
  await own.start();
  const roles = [{ role: 'admin', department: null }];
  const { id } = await own.post<Person>('/api/v1/users', { name: 'N', email: 'n@city.example', roles });
  await own.post('/api/v1/keys', { name: 'k', role: 'admin', scopes: ['tickets.read'] });
  expect(await own.stop()).toBe(0);
  const [off, on] = [{ LAMPPOST_ADMIN_KEY: 'off' }, { LAMPPOST_ADMIN_KEY: ADMIN_KEY }];
  Object.assign(own.settings, off);
  await expect(own.start()).rejects.toThrow('LAMPPOST_ADMIN_KEY: it is off, and nobody else is an admin');
  Object.assign(own.settings, on);
  await own.start();
  const { path } = await own.post<{ path: string }>(`/api/v1/users/${id}/link`);
  const visit = new Visit(own);
  await visit.send('POST', '/auth/link', { token: path.split('#')[1] });
  expect(await visit.send('POST', '/auth/password', { password: PASSWORD })).toMatchObject({ status: 200 });
  expect(await own.stop()).toBe(0);
  Object.assign(own.settings, off);
  await own.start();
  expect(await own.stop()).toBe(0);
});

test('people - the same log gives the same people, and has no password', async () => {
  await until(async () => (await server.get<{ ready: boolean }>('/ready')).ready, 'a server that is ready', 200);
  expect(await server.stop()).toBe(0);
  const deps = { backup: null, clock: systemClock, log: pino({ level: 'silent' }) };
  expect((await verifyState(server.data, deps)).differences).toEqual([]);
  for (const file of readdirSync(server.data).filter((name) => name.includes('.sqlite')))
    expect(readFileSync(join(server.data, file)).includes(PASSWORD), file).toBe(false);
}, 300_000);
