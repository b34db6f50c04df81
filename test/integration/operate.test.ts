import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { SETTINGS } from '../../app/index.ts';
import { endsWithUs, runs } from '../kit/children.ts';
import { fencedBlocks, ROOT } from '../kit/documents.ts';
import { until } from '../kit/wait.ts';

const PAGE = 'docs/operate.md';
const blockWith = (text: string) => fencedBlocks(PAGE).find((block) => block.text.includes(text))!.text;
const found = (name: string) =>
  (process.env.PATH ?? '').split(delimiter).some((folder) => existsSync(join(folder, name)));
const folder = mkdtempSync(join(tmpdir(), 'lamppost-operate-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe.skipIf(!found('systemd-analyze'))('the unit of systemd', () => {
  /** What systemd says of a unit; the program of the start is one that every machine has. */
  function verified(unit: string): string {
    const file = join(folder, 'lamppost.service');
    writeFileSync(file, unit.replace(/^ExecStart=\S+/m, 'ExecStart=/bin/true'));
    const { stderr } = spawnSync('systemd-analyze', ['verify', '--man=no', file], { encoding: 'utf8' });
    return stderr
      .split('\n')
      .filter((line) => line.includes('lamppost.service'))
      .join('\n');
  }

  test('systemd - the unit of the docs has no mistake, and one would be named', () => {
    const unit = blockWith('[Service]');
    expect(verified(unit)).toBe('');
    expect(verified(unit.replace('ProtectHome', 'ProtectHom'))).toContain("Unknown key 'ProtectHom'");
  });
});

test('systemd - the process that the unit starts reloads at its signal, and ends with 0 at SIGTERM', async () => {
  const unit = blockWith('[Service]');
  const lineOf = (name: string) => new RegExp(`^${name}=(.*)$`, 'm').exec(unit)![1]!;
  const there = `${lineOf('WorkingDirectory')}/`;
  const [program, ...args] = lineOf('ExecStart').split(' ');
  const [, signal] = /^\/bin\/kill -(\w+) \$MAINPID$/.exec(lineOf('ExecReload'))!;
  const child = spawn(program!.replace(there, ROOT), args, {
    cwd: ROOT,
    env: {
      ...{ PATH: process.env.PATH, LAMPPOST_DATA: join(folder, 'data'), LAMPPOST_CITY: join(ROOT, 'city') },
      ...{ HTTP_PORT: '0', MQTT_PORT: '0', HTTP_HOST: '127.0.0.1', MQTT_HOST: '127.0.0.1' },
    },
  });
  endsWithUs(child);
  const ended = once(child, 'exit');
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (said += String(text)));
  const saying = (words: string) =>
    until(
      () => said.includes(words) || !runs(child),
      () => said,
    );
  await saying('lamppost: http');
  child.kill(`SIG${signal}` as NodeJS.Signals);
  await saying('city folder: no change');
  child.kill('SIGTERM');
  expect((await ended)[0], said).toBe(0);
});

test('systemd - the unit may write where its settings say', () => {
  const unit = blockWith('[Service]');
  const settings = Array.from(blockWith('LAMPPOST_ADMIN_KEY=').matchAll(/^(\w+)=(.*)$/gm), ([, name, value]) => ({
    name,
    value,
  }));
  expect(settings.map(({ name }) => name).filter((name) => !SETTINGS.includes(name!))).toEqual([]);
  const settingOf = (wanted: string) => settings.find(({ name }) => name === wanted)!.value;
  // Everything else is read-only to it (ProtectSystem=strict).
  expect(settingOf('LAMPPOST_DATA')).toBe(`/var/lib/${/^StateDirectory=(.*)$/m.exec(unit)![1]}`);
  expect(unit).toContain(`ReadWritePaths=-${settingOf('LAMPPOST_BACKUP_DIR')}`);
});

interface Directive {
  readonly name: string;
  readonly args: string;
}

/** The directives of a configuration of nginx, whatever block they are in. Throws where its syntax is wrong. */
function directivesIn(text: string): Directive[] {
  let depth = 0;
  const directives: Directive[] = [];
  for (const line of text
    .split('\n')
    .map((one) => one.trim())
    .filter(Boolean)) {
    const [, name, args, end] = /^(\w+)?\s*(.*?)\s*([;{}])$/.exec(line) ?? [];
    if (end === undefined || (end === '}') !== (name === undefined)) throw new Error(`no directive: ${line}`);
    depth += { ';': 0, '{': 1, '}': -1 }[end]!;
    if (name !== undefined) directives.push({ name, args: args! });
    if (depth < 0) throw new Error('a } too much');
  }
  if (depth !== 0) throw new Error('a } is missing');
  return directives;
}

/** nginx is asked where it is installed; the rest is checked here, by what each directive does. */
test('nginx - its configuration is one, and passes on WebSocket, event streams, imports and who asks', () => {
  const text = blockWith('proxy_pass');
  const directives = directivesIn(text);
  const isSet = (name: string, args: string) => expect(directives, `${name} ${args}`).toContainEqual({ name, args });
  // A header that an upgrade needs is passed on in HTTP/1.1 only.
  isSet('proxy_http_version', '1.1');
  isSet('proxy_set_header', 'Upgrade $http_upgrade');
  isSet('proxy_set_header', 'Connection $http_connection');
  // An event would wait in the buffer; a quiet stream would end after a minute.
  isSet('proxy_buffering', 'off');
  isSet('proxy_read_timeout', '1h');
  // $proxy_add_x_forwarded_for would pass on what a client claims.
  isSet('proxy_set_header', 'X-Forwarded-For $remote_addr');
  isSet('proxy_set_header', 'Host $host');
  // A part of an import is the largest body that there is: 16 MiB.
  isSet('client_max_body_size', '16m');
  expect(() => directivesIn(text.replace('off;', 'off'))).toThrow('no directive');
  expect(() => directivesIn(text.slice(0, -1))).toThrow('a } is missing');
  if (!found('nginx')) return;
  const file = join(folder, 'nginx.conf');
  const plain = text.replace(/^\s*(ssl_|listen).*$/gm, '').replace('server {', 'server { listen 127.0.0.1:9;');
  writeFileSync(file, `events {}\nhttp {\n${plain}\n}\n`);
  execFileSync('nginx', ['-t', '-c', file]);
});
