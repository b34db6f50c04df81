import { type ChildProcess, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { expectPlain, lamppost, launch, newDir, ROOT } from '../kit/cli/commands.ts';
import { mountable, mountSmallDisk } from '../kit/disk.ts';
import { ADMIN_KEY, ServerProcess } from '../kit/server.ts';
import { until } from '../kit/wait.ts';

const SETTINGS = {
  ...{ HTTP_PORT: '0', MQTT_PORT: '0', HTTP_HOST: '127.0.0.1', MQTT_HOST: '127.0.0.1' },
  ...{ LAMPPOST_CITY: join(ROOT, 'city'), LOG_LEVEL: 'error' },
};
const server = new ServerProcess();
beforeAll(() => server.start());
afterAll(async () => {
  expect(await server.stop()).toBe(0);
});

/** Expects one sentence on standard error. */
async function refused(args: readonly string[], settings: Record<string, string>, says: RegExp, code = 2) {
  const ran = await lamppost(args, { ...SETTINGS, ...settings });
  expectPlain(ran, says);
  expect([ran.code, ran.err.trim().split('\n').length]).toEqual([code, 1]);
}

/** Keeps everything that a command writes. */
function outputOf(child: ChildProcess): () => string {
  let said = '';
  for (const stream of [child.stdout!, child.stderr!])
    stream.on('data', (chunk) => {
      said += String(chunk);
    });
  return () => said;
}

/** A small disk for as long as the test runs. */
function smallDisk(mib: number) {
  const disk = mountSmallDisk(mib)!;
  onTestFinished(() => disk.unmount());
  return disk;
}

test.each(['start', 'demo'])('%s - a data folder that cannot be made is one sentence, not an endless loop', (command) =>
  refused([command, '--data', '/proc/foo'], {}, /LAMPPOST_DATA: \/proc\/foo cannot be made .*--data/),
);

test('start - a file in place of the data folder is one sentence', async () => {
  const file = join(newDir(), 'data');
  writeFileSync(file, '');
  await refused(['start'], { LAMPPOST_DATA: file }, /LAMPPOST_DATA: .* is no folder/);
  await refused(['start'], { LAMPPOST_DATA: join(file, 'data') }, /LAMPPOST_DATA: .* is no folder/);
});

test('restore, login - a folder that cannot be made is one sentence, not an endless loop', async () => {
  const backup = newDir();
  const file = { name: 'state.sqlite', bytes: 0, sha256: '0'.repeat(64), positions: {} };
  const [startedAt, endedAt] = ['2026-01-01T00:00:00Z', '2026-01-01T00:00:01Z'];
  const manifest = { format: 1, lamppost: '1.0.0', city: 'c', startedAt, endedAt, files: [file] };
  writeFileSync(join(backup, 'manifest.json'), JSON.stringify(manifest));
  await refused(['restore', backup, '--data', '/proc/foo'], {}, /--data: \/proc\/foo cannot be made/);
  const login = ['login', '--url', server.url, '--key', ADMIN_KEY];
  await refused(login, { XDG_CONFIG_HOME: '/proc/foo' }, /login: \/proc\/foo.* cannot be made .*XDG_CONFIG_HOME/);
});

test('start - a folder that another server has is one sentence that names it and the setting', () =>
  refused(['start'], { LAMPPOST_DATA: server.data }, /in use by another Lamppost \(process \d+.*LAMPPOST_DATA/, 1));

test.each(['HTTP_PORT', 'MQTT_PORT'])('start - a port that is taken is one sentence that names %s', async (setting) => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  onTestFinished(() => void other.close());
  const { port } = other.address() as { port: number };
  const says = new RegExp(`^${setting}: port ${port} is taken by another program`);
  await refused(['start'], { [setting]: String(port), LOG_LEVEL: 'silent' }, says);
});

test.each([
  ['HTTP_HOST', '203.0.113.9'],
  ['HTTP_HOST', 'nowhere.invalid'],
  ['MQTT_HOST', '203.0.113.9'],
])('start - %s=%s, which this machine does not have, is one sentence that names the setting', (setting, host) => {
  const ports = { HTTP_PORT: '0', MQTT_PORT: '0', LOG_LEVEL: 'silent' };
  return refused(['start'], { ...ports, [setting]: host }, new RegExp(`^${setting}: this machine does not have`));
});

test.skipIf(!mountable('trouble with disks'))('start - a disk that is read-only is one sentence', async () => {
  const disk = smallDisk(12);
  writeFileSync(join(disk.path, 'journal.sqlite'), '');
  execFileSync('mount', ['-o', 'remount,ro', disk.path]);
  await refused(['start'], { LAMPPOST_DATA: disk.path }, /LAMPPOST_DATA: .* read-only/);
  await refused(['start'], { LAMPPOST_DATA: join(disk.path, 'data') }, /LAMPPOST_DATA: .* read-only/);
  for (const command of [['verify'], ['doctor', '--deep']])
    await refused([...command, '--data', disk.path], {}, /LAMPPOST_DATA: .* read-only/);
});

test.skipIf(!mountable('trouble with disks'))(
  'start - Ctrl-C ends a wait for space, and a server whose disk of 12 MiB filled up',
  async () => {
    const disk = smallDisk(12);
    const begin = () => {
      const child = launch(['start'], { ...SETTINGS, LAMPPOST_DATA: disk.path });
      return { child, said: outputOf(child) };
    };
    disk.fill(0);
    const waiting = begin();
    await until(() => waiting.said().includes('is full: free at least'), waiting.said);
    waiting.child.kill('SIGINT');
    expect((await once(waiting.child, 'close'))[0]).toBe(130);
    disk.relieve();
    const running = begin();
    await until(() => running.said().includes('lamppost: http'), running.said);
    disk.fill(0);
    running.child.kill('SIGINT');
    expect((await once(running.child, 'close'))[0], running.said()).toBe(0);
    for (const { said } of [waiting, running]) expect(said()).not.toMatch(/^\s+at /m);
  },
);

test('demo - where nobody reads its output any more, as after head, it ends, and its folder is gone', async () => {
  const folder = newDir();
  const child = launch(['demo', '--devices', '3'], { ...SETTINGS, TMPDIR: folder });
  let errors = '';
  child.stderr!.on('data', (chunk) => {
    errors += String(chunk);
  });
  await once(child.stdout!, 'data');
  child.stdout!.destroy();
  expect((await once(child, 'close'))[0], errors).toBe(0);
  expect(errors).not.toMatch(/^\s+at |EPIPE/m);
  expect(readdirSync(folder)).toEqual([]);
});

test('demo - Ctrl-C ends it with 0, and the folder that it made is gone', async () => {
  const folder = newDir();
  const child = launch(['demo', '--devices', '3'], { ...SETTINGS, TMPDIR: folder });
  const said = outputOf(child);
  await until(() => said().includes('Press Ctrl-C to stop'), said);
  expect(readdirSync(folder)).toEqual([expect.stringMatching(/^lamppost-demo-/)]);
  child.kill('SIGINT');
  expect((await once(child, 'close'))[0], said()).toBe(0);
  expect(said()).not.toMatch(/^\s+at /m);
  expect(readdirSync(folder)).toEqual([]);
});
