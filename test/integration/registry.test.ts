import { createHash } from 'node:crypto';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import mqtt, { type MqttClient } from 'mqtt';
import pino from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type AuditEntry, createAuditWriter } from '../../actions/index.ts';
import { verifyState } from '../../app/verify.ts';
import { type Device, type Page, SECOND_MS, systemClock, unsteppedClock } from '../../domain/index.ts';
import { lamppost } from '../kit/cli/commands.ts';
import { ADMIN_KEY, ServerProcess } from '../kit/server.ts';
import { until } from '../kit/wait.ts';

type Shown = Device & { secret: string; version: number; suspended: boolean; oldSecretUntil: string | null };
const server = new ServerProcess();
beforeAll(() => server.start());
afterAll(async () => {
  if (server.running) expect(await server.stop()).toBe(0);
});

const bin = (id: string, more: object = {}) => ({ id, profile: 'waste-bin', district: 'old-town', ...more });

async function ask<T>(method: string, path: string, body?: unknown, headers: Record<string, string> = {}) {
  const response = await fetch(`http://127.0.0.1:${server.httpPort}${path}`, {
    method,
    headers: {
      authorization: `Bearer ${ADMIN_KEY}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, etag: response.headers.get('etag'), body: (text && JSON.parse(text)) as T };
}

const register = async (id: string, more = {}) => (await ask<Shown>('POST', '/api/v1/devices', bin(id, more))).body;
const connect = (id: string, password: string, username = id): Promise<MqttClient> =>
  mqtt.connectAsync(`mqtt://127.0.0.1:${server.mqttPort}`, { clientId: id, username, password, reconnectPeriod: 0 });
const codeOf = (id: string, password: string): Promise<number> =>
  connect(id, password).then(
    async (client) => {
      await client.endAsync();
      return 0;
    },
    (error: { code: number }) => error.code,
  );
const closed = (client: MqttClient) => new Promise<void>((resolve) => client.once('close', () => resolve()));
const ingest = (id: string, secret: string) =>
  ask<{ reason?: string }>('POST', `/ingest/${id}`, { metrics: { fill: 5 } }, { authorization: `Bearer ${secret}` });

describe('devices', () => {
  test('a device is changed as a merge patch, on the version that was seen; readings follow it', async () => {
    const { secret } = await register('bin-1', { name: 'Quay', tags: { owner: 'port' } });
    const { etag } = await ask('GET', '/api/v1/devices/bin-1');
    expect(etag).toBe('"1"');
    const change = { district: 'harbour', name: null, tags: { size: 'l' } };
    const changed = await ask<Shown>('PATCH', '/api/v1/devices/bin-1', change, { 'if-match': etag! });
    expect(changed).toMatchObject({ status: 200, etag: '"2"' });
    expect(changed.body).toMatchObject({ district: 'harbour', tags: { owner: 'port', size: 'l' }, version: 2 });
    expect(changed.body).not.toHaveProperty('name');
    const late = await ask<{ reason: string }>('PATCH', '/api/v1/devices/bin-1', change, { 'if-match': etag! });
    expect([late.status, late.body.reason]).toEqual([412, 'device-changed']);
    const unknown = await ask<{ detail: string }>('PATCH', '/api/v1/devices/bin-1', { district: 'harbor' });
    expect(unknown.status).toBe(400);
    expect(unknown.body.detail).toContain('harbour');
    expect((await ask('PATCH', '/api/v1/devices/nobody', { name: 'x' })).status).toBe(404);

    const watcher = await connect('watch', ADMIN_KEY, 'admin');
    await watcher.subscribeAsync('live/harbour/bin-1');
    const live = new Promise<string>((resolve) => watcher.once('message', resolve));
    const client = await connect('bin-1', secret);
    await client.publishAsync('devices/bin-1/readings', '{"metrics":{"fill":7}}', { qos: 1 });
    expect(await live).toBe('live/harbour/bin-1');
    await Promise.all([client.endAsync(), watcher.endAsync()]);
  });

  test('with an overlap the old secret stays valid, also over a kill -9, until the rotation is confirmed', async () => {
    const { secret } = await register('bin-2');
    const connected = await connect('bin-2', secret);
    const rotated = await ask<Shown>('POST', '/api/v1/devices/bin-2/rotate', { overlap: '12h' });
    expect(Date.parse(rotated.body.oldSecretUntil!)).toBeGreaterThan(Date.now());
    await connected.publishAsync('devices/bin-2/readings', '{"metrics":{"fill":7}}', { qos: 1 });
    await connected.endAsync();
    await server.kill();
    await server.start();
    expect([await codeOf('bin-2', secret), await codeOf('bin-2', rotated.body.secret)]).toEqual([0, 0]);
    const gone = closed(await connect('bin-2', secret));
    await ask('POST', '/api/v1/devices/bin-2/confirm');
    await gone;
    expect([await codeOf('bin-2', secret), await codeOf('bin-2', rotated.body.secret)]).toEqual([4, 0]);
    expect((await ask('POST', '/api/v1/devices/bin-2/rotate', { overlap: 'soon' })).status).toBe(400);
  });

  test.each([
    ['POST', '/api/v1/devices', bin('bin-again')],
    ['POST', '/api/v1/devices', [bin('bin-again-1'), bin('bin-again-2')]],
    ['POST', '/api/v1/devices/bin-again/rotate', { overlap: '12h' }],
    ['POST', '/api/v1/devices/bin-again/replace', {}],
    ['POST', '/api/v1/devices/bin-again/claim-code', {}],
    ['POST', '/api/v1/keys', { name: 'again', role: 'viewer' }],
  ])('%s %s shows the same secret where it is repeated with its Idempotency-Key', async (method, path, body) => {
    const name = { 'idempotency-key': `${path}-${Array.isArray(body)}` };
    const first = await ask(method, path, body, name);
    expect([first.status < 300, JSON.stringify(first.body)]).toEqual([true, expect.stringMatching(/"(secret|code)":/)]);
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(await ask(method, path, body, name)).toEqual(first);
  });

  test('an old secret ends by itself when its time has come', async () => {
    const { secret } = await register('bin-3');
    const client = await connect('bin-3', secret);
    const gone = closed(client);
    await ask('POST', '/api/v1/devices/bin-3/rotate', { overlap: '2s' });
    await gone;
    expect(await codeOf('bin-3', secret)).toBe(4);
  });

  test('a suspended device is disconnected and refused with its own reason, over MQTT and HTTP, until it is resumed', async () => {
    const { secret } = await register('bin-4');
    const gone = closed(await connect('bin-4', secret));
    expect((await ask<Shown>('POST', '/api/v1/devices/bin-4/suspend')).body.suspended).toBe(true);
    await gone;
    expect(await codeOf('bin-4', secret)).toBe(5);
    expect(await codeOf('bin-4', 'a guess'), 'who does not know the secret learns nothing').toBe(4);
    expect(await ingest('bin-4', secret)).toMatchObject({ status: 403, body: { reason: 'device-suspended' } });
    const { body } = await ask<{ connection: { refusals: { reason: string }[] } }>('GET', '/api/v1/devices/bin-4');
    expect(body.connection.refusals.map(({ reason }) => reason)).toContain('device-suspended');
    await ask('POST', '/api/v1/devices/bin-4/resume');
    expect([await codeOf('bin-4', secret), (await ingest('bin-4', secret)).status]).toEqual([0, 200]);
  });

  test('a calibrated value is stored beside what was measured, until the calibration is removed', async () => {
    const { secret } = await register('bin-8');
    const how = { metric: 'fill', offset: 7, certificate: 'C-1' };
    const { status, body } = await ask<Device>('POST', '/api/v1/devices/bin-8/calibrations', how);
    expect([status, body.calibrations]).toMatchObject([200, [{ ...how, gain: 1, points: null, until: null }]]);
    expect((await ingest('bin-8', secret)).status).toBe(200);
    expect((await server.settledLedger('bin-8')).readings).toMatchObject({ received: 1, stored: 1 });
    type Latest = { items: { metric: string; unit: string; value: number }[] };
    const latest = async () => {
      const { items } = (await ask<Latest>('GET', '/api/v1/readings/latest?device=bin-8')).body;
      return Object.fromEntries(items.map(({ metric, unit, value }) => [metric, `${value} ${unit}`]));
    };
    expect(await latest()).toEqual({ fill: '12 %', 'fill.raw': '5 %' });
    await ask('DELETE', `/api/v1/devices/bin-8/calibrations/${body.calibrations![0]!.id}`);
    expect((await ingest('bin-8', secret)).status).toBe(200);
    await server.settledLedger('bin-8');
    expect(await latest()).toMatchObject({ fill: '5 %' });
    const { items } = (await ask<Page<{ action: string; target: string }>>('GET', '/api/v1/audit?limit=20')).body;
    expect(items.filter(({ target }) => target === 'device bin-8').map(({ action }) => action)).toEqual(
      expect.arrayContaining(['device.calibrate', 'device.uncalibrate']),
    );
  });

  test('other hardware takes the place of a device: its history stays, its secret does not', async () => {
    const { secret } = await register('bin-5');
    expect((await ingest('bin-5', secret)).status).toBe(200);
    await server.settledLedger('bin-5');
    const replaced = await ask<Shown>('POST', '/api/v1/devices/bin-5/replace', { tags: { serial: '2' } });
    expect(replaced.body).toMatchObject({ id: 'bin-5', tags: { serial: '2' }, replacedAt: expect.any(String) });
    expect([await codeOf('bin-5', secret), (await ingest('bin-5', replaced.body.secret)).status]).toEqual([4, 200]);
    expect((await server.settledLedger('bin-5')).messages.decoded).toBe(2);
  });

  test('an installer trades a claim code for the secret, once; a wrong code is refused', async () => {
    const { secret } = await register('bin-6');
    const made = await ask<{ code: string }>('POST', '/api/v1/devices/bin-6/claim-code', { hours: 1 });
    expect(made.status).toBe(201);
    const claim = (device: string, code: string) =>
      ask<Shown>('POST', '/claim', { device, code }, { authorization: '' });
    for (const [device, code] of [
      ['bin-6', 'guess'],
      ['bin-5', made.body.code],
      ['nobody', 'x'],
    ] as const)
      expect(await claim(device, code)).toMatchObject({ status: 403, body: { reason: 'wrong-claim-code' } });
    const claimed = await claim('bin-6', made.body.code);
    expect(claimed.status).toBe(200);
    expect([await codeOf('bin-6', secret), await codeOf('bin-6', claimed.body.secret)]).toEqual([4, 0]);
    expect((await claim('bin-6', made.body.code)).status).toBe(403);
  });

  test('devices that have secrets already bring them, or their hashes; nothing of them is shown', async () => {
    const secret = 'a-secret-from-another-server';
    const hash = createHash('sha256').update(secret).digest('hex');
    const made = await ask<Shown[]>('POST', '/api/v1/devices', [
      bin('old-1', { secret }),
      bin('old-2', { secretHash: hash }),
      bin('old-3', { secretHash: Buffer.from(hash, 'hex').toString('base64url') }),
    ]);
    expect(made.body).toEqual(['old-1', 'old-2', 'old-3'].map((id) => bin(id)));
    for (const { id } of made.body) expect(await codeOf(id, secret)).toBe(0);
    const wrong = await ask('POST', '/api/v1/devices', bin('old-4', { secret, secretHash: hash }));
    expect(wrong.status).toBe(400);
  });
});

describe('keys', () => {
  const asKey = async (secret: string) =>
    (await ask('GET', '/api/v1/tickets', undefined, { authorization: `Bearer ${secret}` })).status;

  test('a key says who made it, when, why, until when, and when it was used; it ends on its day', async () => {
    const expiresAt = new Date(Date.now() + 20 * SECOND_MS).toISOString();
    const wanted = { name: 'contractor', role: 'viewer', note: 'until the works end', expiresAt };
    const { body: key } = await ask<{ id: string; secret: string }>('POST', '/api/v1/keys', wanted);
    expect(key).toMatchObject({ ...wanted, createdBy: 'admin', lastUsedAt: null, oldSecretUntil: null });
    expect(await asKey(key.secret)).toBe(200);
    const stream = await fetch(`http://127.0.0.1:${server.httpPort}/api/v1/events`, {
      headers: { authorization: `Bearer ${key.secret}`, accept: 'text/event-stream' },
    });
    const ended = stream.text();
    await until(async () => (await asKey(key.secret)) === 401, 'the end of the key', 500);
    await ended;
    expect((await ask('GET', `/api/v1/keys/${key.id}`)).status).toBe(404);
  });

  test('a key that could never be used is not added', async () => {
    const past = { name: 'late', role: 'viewer', expiresAt: '2020-01-01T00:00:00Z' };
    const { status, body } = await ask<{ detail: string }>('POST', '/api/v1/keys', past);
    expect([status, body.detail]).toEqual([400, 'expiresAt: 2020-01-01T00:00:00Z is past: nobody could use the key']);
  });

  test('an event stream ends with the secret that opened it: by a rotation, or by what ends its overlap', async () => {
    const { body: key } = await ask<{ id: string; secret: string }>('POST', '/api/v1/keys', {
      name: 'a',
      role: 'viewer',
    });
    const path = `/api/v1/keys/${key.id}`;
    const follow = async (secret: string) => {
      const stream = await fetch(`http://127.0.0.1:${server.httpPort}/api/v1/events`, {
        headers: { authorization: `Bearer ${secret}`, accept: 'text/event-stream' },
      });
      expect(stream.status).toBe(200);
      return { ended: stream.text() };
    };
    const replaced = await follow(key.secret);
    const { body: second } = await ask<{ secret: string }>('POST', `${path}/rotate`);
    await replaced.ended;
    const confirmed = await follow(second.secret);
    let isOpen = true;
    const ended = confirmed.ended.then(() => {
      isOpen = false;
    });
    const { body: third } = await ask<{ secret: string }>('POST', `${path}/rotate`, { overlap: '1h' });
    expect([isOpen, await asKey(second.secret), await asKey(third.secret)]).toEqual([true, 200, 200]);
    await ask('POST', `${path}/confirm`);
    await ended;
    await ask('DELETE', path);
  });

  test('a key is changed and rotated as a device is', async () => {
    const { body: key } = await ask<{ id: string; secret: string }>('POST', '/api/v1/keys', {
      name: 'a',
      role: 'viewer',
    });
    const path = `/api/v1/keys/${key.id}`;
    expect((await ask('PATCH', path, { note: 'of the port' }, { 'if-match': '"1"' })).etag).toBe('"2"');
    const late = await ask('PATCH', path, { note: '' }, { 'if-match': '"1"' });
    expect(late).toMatchObject({ status: 412, body: { reason: 'key-changed' } });
    const rotated = await ask<{ secret: string }>('POST', `${path}/rotate`, { overlap: true });
    expect([await asKey(key.secret), await asKey(rotated.body.secret)]).toEqual([200, 200]);
    await ask('POST', `${path}/confirm`);
    expect([await asKey(key.secret), await asKey(rotated.body.secret)]).toEqual([401, 200]);
    expect((await ask('DELETE', path)).status).toBe(204);
    expect(await asKey(rotated.body.secret)).toBe(401);
  });

  test('a network server says which devices it publishes for, and publishes for no other', async () => {
    const asked = { name: 'lns', role: 'network-server' };
    const unsaid = await ask<{ detail: string }>('POST', '/api/v1/keys', asked);
    expect(unsaid.status).toBe(400);
    expect(unsaid.body.detail).toContain('uplinks');
    const [own, other] = ['0102030405060701', '0102030405060702'];
    for (const eui of [own, other])
      await ask('POST', '/api/v1/devices', { id: eui, profile: 'lorawan-climate', district: 'old-town' });
    const { body: key } = await ask<{ id: string; secret: string }>('POST', '/api/v1/keys', {
      ...asked,
      uplinks: { devices: [own] },
    });
    const client = await connect('lns', key.secret, key.id);
    for (const eui of [own, other]) {
      const uplink = {
        deviceInfo: { devEui: eui },
        devAddr: '00bb',
        fCnt: 7,
        object: { temperature: 21, humidity: 5 },
      };
      await client.publishAsync(`application/1/device/${eui}/event/up`, JSON.stringify(uplink), { qos: 1 });
    }
    await client.endAsync();
    expect((await server.settledLedger(own)).messages.decoded).toBe(1);
    expect((await server.settledLedger(key.id)).messages.quarantined, 'it pays for what it may not').toBe(1);
    const { items } = await server.get<Page<{ reason: string }>>(`/api/v1/quarantine?device=${other}`);
    expect(items.map(({ reason }) => reason)).toEqual(['not-your-device']);
  });
});

describe('import and export', () => {
  const run = (...args: string[]) =>
    lamppost([...args, '--url', `http://127.0.0.1:${server.httpPort}`], { LAMPPOST_ADMIN_KEY: ADMIN_KEY });

  test('a CSV file is imported, exported, and imported again without what is there', async () => {
    const file = join(mkdtempSync(join(tmpdir(), 'lamppost-import-')), 'devices.csv');
    const header = 'id,profile,district,name,lat,lon,tags\r\n';
    writeFileSync(
      file,
      `${header}csv-1,noise,old-town,"Quay, ""north""",53.5,9.9,owner=port;size=l\r\ncsv-2,noise,harbour,,,,\r\n`,
    );
    const imported = await run('device', 'import', file);
    expect(imported.code, imported.err).toBe(0);
    const made = JSON.parse(imported.out) as Shown[];
    const first = { id: 'csv-1', name: 'Quay, "north"', location: { lat: 53.5, lon: 9.9 } };
    expect(made[0]).toMatchObject({ ...first, tags: { owner: 'port', size: 'l' } });
    expect(await codeOf('csv-2', made[1]!.secret)).toBe(0);
    const exported = await run('device', 'export', '--format', 'csv');
    expect(exported.out).toContain('csv-1,noise,old-town,"Quay, ""north""",53.5,9.9,owner=port;size=l,false,');
    const columns = exported.out.split('\r\n')[0]!.split(',').length;
    writeFileSync(file, `${exported.out.trimEnd()}\r\ncsv-3,noise,harbour${','.repeat(columns - 3)}\r\n`);
    const again = await run('device', 'import', file, '--skip');
    expect(again.err).toContain('are registered already');
    expect((JSON.parse(again.out) as Shown[]).map(({ id }) => id)).toEqual(['csv-3']);
    const all = JSON.parse((await run('device', 'export')).out) as Shown[];
    expect(all.map(({ id }) => id)).toEqual(expect.arrayContaining(['bin-1', 'csv-1', 'csv-2', 'csv-3']));
    writeFileSync(file, `${header}csv-4,noise\r\n`);
    const short = await run('device', 'import', file);
    expect([short.code, short.err]).toEqual([2, expect.stringContaining('line 2: 2 values found, the header has 7')]);
  });
});

test('all of it follows from the log, and is in the audit trail', async () => {
  const { items } = await server.get<Page<{ action: string; target: string }>>('/api/v1/audit?action=device.suspend');
  expect(items.map(({ target }) => target)).toEqual(['device bin-4']);
  expect(await server.stop()).toBe(0);
  const deps = { backup: null, clock: unsteppedClock(systemClock), log: pino({ level: 'silent' }) };
  expect((await verifyState(server.data, deps)).differences).toEqual([]);
});

test('audit verify names the first entry of a folder that somebody edited or cut off, and exits with 1', async () => {
  const verify = () => lamppost(['audit', 'verify', '--data', server.data]);
  const fits = await verify();
  expect([fits.code, fits.out]).toEqual([0, expect.stringMatching(/^audit: \d+ entries and [1-9]\d* anchors/)]);
  const edit = (sql: string) => {
    const db = new DatabaseSync(join(server.data, 'state.sqlite'));
    const { n } = db.prepare(`select n from audit where action = 'device.suspend'`).get() as { n: number };
    db.prepare(sql).run(n);
    db.close();
    return n;
  };
  const suspended = edit(`update audit set actor = 'key:nobody' where n = ?`);
  const edited = await verify();
  expect([edited.code, edited.out]).toEqual([1, expect.stringContaining(`entry ${suspended} does not fit: its hash`)]);
  edit('delete from audit where n >= ?');
  const cut = await verify();
  expect([cut.code, cut.out]).toEqual([1, expect.stringContaining(`entry ${suspended} does not fit: the log names`)]);
});

test('audit verify names the newest entry, too, that was cut off or written anew before the log had its hash', async () => {
  const other = new ServerProcess();
  await other.start();
  const headers = { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json' };
  const add = () =>
    fetch(`${other.url}/api/v1/keys`, { method: 'POST', headers, body: '{"name":"x","role":"viewer"}' });
  expect([(await add()).status, (await add()).status]).toEqual([201, 201]);
  await other.stop();
  const verify = async () => (await lamppost(['audit', 'verify', '--data', other.data])).out;
  expect(await verify()).toContain('2 entries and 1 anchors in the log fit');
  const db = new DatabaseSync(join(other.data, 'state.sqlite'));
  const newest = db.prepare('select * from audit where n = 2').get()!;
  db.exec('delete from audit where n = 2');
  expect(await verify()).toContain('entry 2 does not fit: the log has an action at');
  createAuditWriter(db).add({ ...(newest as unknown as AuditEntry), atMs: Number(newest.at_ms), actor: 'eve' });
  expect(await verify()).toContain('entry 2 does not fit: the log has another action at its place');
  db.close();
});
