import { execFileSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { delimiter, join } from 'node:path';
import mqtt from 'mqtt';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { BIN, expectPlain, lamppost, newDir } from '../kit/cli/commands.ts';
import { freePort } from '../kit/ports.ts';
import { ADMIN_KEY, ServerProcess } from '../kit/server.ts';

const server = new ServerProcess();
beforeAll(() => server.start());
afterAll(async () => {
  expect(await server.stop()).toBe(0);
});

const url = () => ['--url', `http://127.0.0.1:${server.httpPort}`];
const admin = (...args: string[]) => lamppost([...args, ...url()], { LAMPPOST_ADMIN_KEY: ADMIN_KEY });
async function connackOf(id: string, password: string): Promise<number> {
  const options = { clientId: id, username: id, password, reconnectPeriod: 0 };
  try {
    await (await mqtt.connectAsync(`mqtt://127.0.0.1:${server.mqttPort}`, options)).endAsync();
    return 0;
  } catch (error) {
    return (error as { code: number }).code;
  }
}

describe('device', () => {
  test('device - add prints the secret of the device; rotate replaces it; revoke ends it', async () => {
    const added = await admin(
      'device',
      'add',
      'bin-1',
      '--profile',
      'waste-bin',
      '--district',
      'harbour',
      '--name',
      'Quay',
    );
    expect([added.code, added.err]).toEqual([0, '']);
    const device = JSON.parse(added.out) as { secret: string };
    expect(device).toMatchObject({ id: 'bin-1', profile: 'waste-bin', district: 'harbour', name: 'Quay' });
    expect(await connackOf('bin-1', device.secret)).toBe(0);

    const again = await admin('device', 'add', 'bin-1', '--profile', 'waste-bin', '--district', 'harbour');
    expect(again.code).toBe(1);
    expectPlain(again, /bin-1/);

    const rotated = JSON.parse((await admin('device', 'rotate', 'bin-1')).out) as { secret: string };
    expect([await connackOf('bin-1', device.secret), await connackOf('bin-1', rotated.secret)]).toEqual([4, 0]);

    expect((await admin('device', 'revoke', 'bin-1')).code).toBe(0);
    expect(await connackOf('bin-1', rotated.secret)).toBe(4);
    const gone = await admin('device', 'revoke', 'bin-1');
    expect(gone.code).toBe(1);
    expectPlain(gone, /bin-1/);
  });

  test('device - import registers all devices of a file or none, and names the mistakes', async () => {
    const file = join(newDir(), 'devices.json');
    const device = (id: string, profile = 'noise') => ({ id, profile, district: 'old-town' });
    writeFileSync(file, JSON.stringify([device('n-1'), device('n-2', 'nose')]));
    const refused = await admin('device', 'import', file);
    expect(refused.code).toBe(1);
    expectPlain(refused, /n-2.*nose.*noise/);
    writeFileSync(file, JSON.stringify([device('n-1'), device('n-2')]));
    const imported = await admin('device', 'import', file);
    expect(imported.code, imported.err).toBe(0);
    const devices = JSON.parse(imported.out) as { id: string; secret: string }[];
    expect(devices.map(({ id }) => id)).toEqual(['n-1', 'n-2']);
    expect(await connackOf('n-2', devices[1]!.secret)).toBe(0);
    writeFileSync(file, JSON.stringify([device('n-3'), device('n-2')]));
    const taken = await admin('device', 'import', file);
    expect(taken.code).toBe(1);
    expectPlain(taken, /n-2/);
    const { items } = await server.get<{ items: { id: string }[] }>('/api/v1/devices?profile=noise');
    expect(items.map(({ id }) => id)).toEqual(['n-1', 'n-2']);
  });

  test('device - reports that an admin key is needed', async () => {
    const nobody = await lamppost(['device', 'revoke', 'bin-9', ...url()]);
    expect(nobody.code).toBe(1);
    expectPlain(nobody, /key/);
    const viewer = JSON.parse((await admin('key', 'add', 'screen', '--role', 'viewer')).out) as { secret: string };
    const refused = await lamppost(['device', 'revoke', 'bin-9', '--key', viewer.secret, ...url()]);
    expect(refused.code).toBe(1);
    expectPlain(refused, /admin.*viewer/);
  });

  test.each([
    ['nothing to do', ['device'], /device/],
    ['no subject', ['device', 'add'], /device/],
    ['an unknown verb', ['device', 'paint', 'bin-1'], /device paint/],
    ['an unknown flag', ['device', 'add', 'x', '--profil', 'noise'], /--profil/],
    ['a file that is not there', ['device', 'import', '/nowhere/devices.json'], /\/nowhere\/devices\.json/],
    ['a file that is no JSON', ['device', 'import', BIN], /lamppost\.js.*JSON/],
    ['an address that is none', ['device', 'revoke', 'x', '--url', 'nonsense'], /nonsense/],
  ])('device - %s is a mistake on the command line: one line, exit code 2', async (_what, args, says) => {
    const ran = await lamppost(args);
    expect(ran.code, ran.err).toBe(2);
    expectPlain(ran, says);
  });

  test('device - names the URL where no server responds', async () => {
    const port = await freePort();
    const ran = await lamppost(['device', 'revoke', 'x', '--url', `http://127.0.0.1:${port}`]);
    expect(ran.code).toBe(1);
    expectPlain(ran, new RegExp(`127\\.0\\.0\\.1:${port}.*ECONNREFUSED`));
  });

  test('device - shows a response of another server', async () => {
    const other = createServer((_request, response) => response.writeHead(404).end('<h1>not here</h1>')).listen(0);
    onTestFinished(() => void other.close());
    const { port } = other.address() as { port: number };
    const ran = await lamppost(['device', 'revoke', 'x', '--url', `http://127.0.0.1:${port}`]);
    expect(ran.code).toBe(1);
    expectPlain(ran, /404/);
  });
});

describe('key', () => {
  test('key - add prints the secret, which is limited to its role; revoke ends it', async () => {
    const added = await admin('key', 'add', 'crew', '--role', 'operator', '--department', 'waste');
    const key = JSON.parse(added.out) as { id: string; secret: string };
    expect(key).toMatchObject({ name: 'crew', role: 'operator', department: 'waste' });
    const ask = (path: string) =>
      fetch(`http://127.0.0.1:${server.httpPort}${path}`, { headers: { authorization: `Bearer ${key.secret}` } });
    expect((await ask('/api/v1/tickets')).status).toBe(200);
    expect((await ask('/api/v1/keys')).status).toBe(403);
    expect((await admin('key', 'revoke', key.id)).code).toBe(0);
    expect((await ask('/api/v1/tickets')).status).toBe(401);
  });

  test('key - an unknown role is refused with the known ones', async () => {
    const refused = await admin('key', 'add', 'crew', '--role', 'boss');
    expect(refused.code).toBe(1);
    expectPlain(refused, /viewer.*operator.*admin/);
  });
});

describe('what a server has', () => {
  test('device, key, ticket, quarantine - list and show, as a table or as JSON', async () => {
    const { secret } = JSON.parse(
      (await admin('device', 'add', 'bin-7', '--profile', 'waste-bin', '--district', 'harbour')).out,
    ) as { secret: string };
    const options = { clientId: 'bin-7', username: 'bin-7', password: secret, reconnectPeriod: 0 };
    const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${server.mqttPort}`, options);
    await client.publishAsync('devices/bin-7/readings', '{"metrics": {"fill": "high"}}', { qos: 1 });
    await client.publishAsync('devices/bin-7/readings', '{"metrics": {"fill": 97}}', { qos: 1 });
    await client.endAsync();
    await server.settledLedger();

    expect((await admin('device', 'list', '--profile', 'waste-bin')).out).toMatch(/^bin-7 +waste-bin +harbour/m);
    expect(JSON.parse((await admin('device', 'show', 'bin-7')).out)).toMatchObject({ id: 'bin-7', suspended: false });
    expect((await admin('device', 'update', 'bin-7', '--name', 'Quay')).code).toBe(0);
    expect((await admin('key', 'list')).out).toMatch(/^id +name +role/m);

    const refused = JSON.parse((await admin('quarantine', 'list', '--device', 'bin-7', '--json')).out) as {
      id: string;
    }[];
    expect(refused).toEqual([expect.objectContaining({ device: 'bin-7', reason: 'not-a-number' })]);
    const replayed = await admin('quarantine', 'replay', refused[0]!.id);
    expect([replayed.code, replayed.out]).toEqual([1, '1 entries: 1 replayed, of these 1 refused again\n']);

    const tickets = JSON.parse((await admin('ticket', 'list', '--status', 'open', '--json')).out) as { id: string }[];
    expect(tickets).toHaveLength(1);
    expect((await admin('ticket', 'list')).out).toMatch(new RegExp(`^${tickets[0]!.id} +open`, 'm'));
    expect((await admin('ticket', 'show', tickets[0]!.id)).out).toMatch(/^status +open$/m);
  });

  test('key - a name that another key has already is said', async () => {
    await admin('key', 'add', 'twice', '--role', 'viewer');
    const again = await admin('key', 'add', 'twice', '--role', 'viewer');
    expect(again.code).toBe(0);
    expect(again.err).toMatch(/the name "twice" is also that of /);
  });

  test('login - keeps server and key for later commands', async () => {
    const env = { XDG_CONFIG_HOME: newDir() };
    const wrong = await lamppost(['login', ...url(), '--key', 'wrong'], env);
    expect(wrong.code).toBe(1);
    expectPlain(wrong, /does not accept the key of --key/);
    const none = await lamppost(['ticket', 'list', ...url()], env);
    expectPlain(none, /needs a key: write --key, set LAMPPOST_KEY, or run lamppost login/);
    expect((await lamppost(['login', ...url(), '--key', ADMIN_KEY], env)).code).toBe(0);
    expect((await lamppost(['ticket', 'list'], env)).code).toBe(0);
  });
});

describe('help', () => {
  test.each([[[]], [['--help']], [['help']]])('help - lamppost %j shows the commands', async (args) => {
    const ran = await lamppost(args);
    expect(ran.code).toBe(0);
    for (const command of ['start', 'demo', 'device', 'key', 'doctor']) expect(ran.out).toContain(command);
  });
});

/** A Node before 24 on this machine; null where there is none. */
const oldNode = (() => {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/bin', '/usr/local/bin'];
  const nodes = folders.filter((folder) => !folder.includes('node_modules')).map((folder) => join(folder, 'node'));
  const isOld = (node: string) =>
    existsSync(node) && Number(execFileSync(node, ['-p', 'process.versions.node.split(".")[0]'])) < 24;
  return nodes.find(isOld) ?? null;
})();
if (oldNode === null && process.env.CI === 'true') throw new Error('there is no Node before 24 here, and CI needs it');
if (oldNode === null) console.warn('SKIPPED: there is no Node before 24 here: the message to an old one');

test.skipIf(oldNode === null)('an old Node exits 1 with one line that names the needed version', async () => {
  for (const command of ['start', 'doctor', 'help']) {
    const ran = await lamppost([command], {}, oldNode!);
    expect([ran.code, ran.out]).toEqual([1, '']);
    expect(ran.err.trim().split('\n')).toEqual([
      expect.stringMatching(/^Lamppost needs Node 24 or newer; this is \d+\.\d+\.\d+\./),
    ]);
  }
});
