import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { SETTINGS } from '../../app/config.ts';
import { endsWithUs } from '../kit/children.ts';
import { has } from '../kit/databases.ts';
import { APART, ROOT } from '../kit/documents.ts';

const read = (name: string) => readFileSync(join(ROOT, name), 'utf8');
/** The instructions of the Dockerfile, continued lines joined, comments left out. */
const STEPS = read('Dockerfile')
  .replaceAll(/^#.*\n/gm, '')
  .replaceAll(/\\\n\s*/g, ' ')
  .split('\n')
  .filter((line) => line !== '')
  .map((line) => /^(\w+) (.*)$/.exec(line)!.slice(1) as [string, string]);
const argsOf = (instruction: string) =>
  STEPS.filter(([name]) => name === instruction).map(([, rest]) => rest.slice(rest.indexOf('[')));

interface Compose {
  readonly services: Readonly<Record<string, Service>>;
}

interface Service {
  readonly image?: string;
  readonly env_file?: readonly { readonly path: string }[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly ports?: readonly string[];
  readonly read_only?: boolean;
  readonly init?: boolean;
}

const compose = parse(read('docker-compose.yml')) as Compose;

function run(command: string, args: readonly string[], env: Record<string, string> = {}): Promise<string> {
  return new Promise((resolve) => {
    const child = execFile(command, args, { cwd: ROOT, env: { PATH: process.env.PATH, ...env } }, (error, out, err) =>
      resolve(`${error?.code ?? 0}\n${out}${err}`),
    );
    endsWithUs(child);
  });
}

describe.skipIf(!['unshare', 'ip'].every(has))('container', () => {
  test('container - the step that starts a server once, and its health check, do so by a shell like that of the image', async () => {
    const [step] = STEPS.filter(([name, rest]) => name === 'RUN' && rest.includes('healthy.sh'));
    const first = mkdtempSync(join(tmpdir(), 'lamppost-image-'));
    const text = step![1].replaceAll('/tmp/first', first);
    const inside = `ip link set lo up; bash bin/healthy.sh && exit 3; ${text}; echo ended $?; ls ${first} || echo removed`;
    const args = [...APART, 'sh', '-c', inside];
    const output = await run('unshare', args, { LAMPPOST_CITY: 'city' });
    expect(output).toMatch(/^0\n/);
    expect(output).toContain('ended 0');
    expect(output).toContain('removed');
  });
});

test('container - what follows the name of the image is a command of Lamppost, and the server starts without one', async () => {
  const [entry] = argsOf('ENTRYPOINT').map((text) => JSON.parse(text) as string[]);
  expect(argsOf('CMD').map((text) => JSON.parse(text))).toEqual([['start']]);
  const [program, ...args] = entry!;
  expect(program).toBe('node');
  expect(await run(process.execPath, [...args, 'rules', 'check', 'city'])).toMatch(/^0\n/);
});

test('container - every base has a full version, the server is not root, and no step leaves development behind', () => {
  const names = STEPS.map(([name]) => name);
  for (const [name, rest] of STEPS) if (name === 'FROM') expect(rest).toMatch(/^node:\d+\.\d+\.\d+-slim( AS \w+)?$/);
  expect(STEPS.filter(([name]) => name === 'USER').at(-1)).toEqual(['USER', 'node']);
  expect(names.indexOf('USER')).toBeLessThan(names.indexOf('ENTRYPOINT'));
  expect(read('Dockerfile')).toContain('npm prune --omit=dev');
  for (const left of ['test', 'docs', '.git', 'data', '.env'])
    expect(read('.dockerignore').split('\n')).toContain(left);
  expect(argsOf('HEALTHCHECK')[0]).not.toContain('node');
});

test('container - compose passes every setting, listens on this machine only, and writes nowhere but in its volumes', () => {
  const { lamppost, influxdb, caddy } = compose.services;
  expect(lamppost!.env_file!.map(({ path }) => path)).toEqual(['.env']);
  for (const name of Object.keys(lamppost!.environment!)) expect(SETTINGS).toContain(name);
  for (const port of lamppost!.ports!) expect(port).toMatch(/^\$\{LAMPPOST_BIND:-127\.0\.0\.1\}:/);
  expect([lamppost!.read_only, lamppost!.init]).toEqual([true, true]);
  expect(influxdb!.ports).toBeUndefined();
  expect(influxdb!.environment!.DOCKER_INFLUXDB_INIT_ORG).toBe(lamppost!.environment!.INFLUX_ORG);
  for (const { image } of [influxdb!, caddy!]) expect(image).toMatch(/:\d+\.\d+$/);
});

test('container - InfluxDB does not start without a password', async () => {
  const { entrypoint } = compose.services.influxdb as Service & { readonly entrypoint: readonly string[] };
  const [shell, ...args] = entrypoint.map((text) => text.replaceAll('$$', '$'));
  expect(await run(shell!, args)).toMatch(/^2\nset INFLUX_PASSWORD/);
});
