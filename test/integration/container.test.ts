import { execFile, execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { parse } from 'yaml';
import { SETTINGS } from '../../app/settings.ts';
import { endsWithUs } from '../kit/children.ts';
import { has } from '../kit/databases.ts';
import { mountable } from '../kit/disk.ts';
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
  readonly networks?: { readonly default: { readonly ipv4_address: string } };
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

const NODE = parse(read('docker-compose.cluster.yml')) as { readonly 'x-node': Service };

/** The packages that `npm prune --omit=dev` leaves, as paths below node_modules. */
function productionPackages(): string[] {
  const { packages } = JSON.parse(read('package-lock.json')) as {
    readonly packages: Readonly<Record<string, { readonly dev?: true; readonly devOptional?: true }>>;
  };
  return Object.entries(packages).flatMap(([path, { dev, devOptional }]) => {
    const [, name] = /^node_modules\/((?:@[^/]+\/)?[^/]+)$/.exec(path) ?? [];
    const isLeft = !dev && !devOptional && name !== undefined && !/^node-(linux|win)-/.test(name);
    return isLeft && existsSync(join(ROOT, path)) ? [name] : [];
  });
}

/** Makes the folder that the first stage of the image leaves in /app; what .dockerignore names is not in it. */
function firstStage(app: string): void {
  const ignored = read('.dockerignore').trim().split('\n');
  const skip = ignored.flatMap((name) => ['--exclude', `./${name}`]);
  const copy = (from: string, names: readonly string[], to: string) => {
    mkdirSync(to, { recursive: true });
    const pipe = 'from=$1 to=$2; shift 2; tar -c "$@" -C "$from" . | tar -x -C "$to"';
    execFileSync('sh', ['-c', pipe, 'sh', from, to, ...names]);
  };
  copy(ROOT, [...skip, '--exclude', './node_modules'], app);
  copy(join(ROOT, 'console/dist'), [], join(app, 'console/dist'));
  for (const folder of ['src', 'build']) rmSync(join(app, 'console', folder), { recursive: true });
  for (const name of productionPackages())
    cpSync(join(ROOT, 'node_modules', name), join(app, 'node_modules', name), { recursive: true });
}

/**
 * The second stage, and then containers of the image: a root of its own that cannot be written but for the volumes and
 * /tmp, uid 1000, no network but its own loopback.
 */
function containerScript(root: string): string {
  const second = STEPS.slice(STEPS.findLastIndex(([name]) => name === 'FROM'));
  const [asRoot, asNode] = second.flatMap(([name, rest]) =>
    name === 'RUN' ? [rest.replaceAll('node:node', '1000:1000')] : [],
  );
  const settings = second.flatMap(([name, rest]) => (name === 'ENV' ? [rest] : [])).join(' ');
  const [entry, start, check] = ['ENTRYPOINT', 'CMD', 'HEALTHCHECK'].map((name) =>
    (JSON.parse(argsOf(name)[0]!) as string[]).join(' '),
  );
  return `
set -eu
ip link set lo up
cd ${root}
chmod 755 .; mkdir -p usr bin etc dev proc tmp opt data backups; mount --rbind ${root} ${root}; cd ${root}
for one in usr etc dev; do mount --rbind /$one $one; done
for one in bin lib lib64; do [ ! -L /$one ] || { rm -rf $one; ln -s usr/$one $one; }; done
mount -t proc proc proc
cp ${process.execPath} opt/node
in_it() { local who=$1; shift; \${begin-} chroot --userspec=$who . /usr/bin/env -i PATH=/opt:/usr/bin ${settings} sh -c "cd /app; $*"; }
mount -t tmpfs tmpfs tmp
in_it 0:0 '${asRoot}'
in_it 1000:1000 '${asNode}'
mount --bind data data; mount --bind backups backups
mount -o remount,ro,bind .
in_it 1000:1000 'touch /app/x' 2>/dev/null && exit 3
in_it 1000:1000 '${check}' && exit 4
begin=exec in_it 1000:1000 'exec ${entry} ${start} >/tmp/said 2>&1' & server=$!
until in_it 1000:1000 '${check}'; do kill -0 $server; sleep 0.2; done
echo healthy
in_it 1000:1000 '${entry} rules check city'
kill $server; wait $server; cat tmp/said
ls data backups
`;
}

describe.skipIf(!['unshare', 'ip', 'chroot'].every(has) || !mountable('a root of a container'))('container', () => {
  test('container - the steps of the image make a root where a server starts, is healthy and ends, though it is read-only', async () => {
    const root = mkdtempSync(join(tmpdir(), 'lamppost-image-'));
    onTestFinished(() => rmSync(root, { recursive: true }));
    firstStage(join(root, 'app'));
    const output = await run('unshare', [...APART, '--mount', 'bash', '-c', containerScript(root)]);
    expect(output).toMatch(/^0\n/);
    expect(output).toContain('healthy');
    expect(output).toContain('no mistakes');
    expect(output).toContain('journal.sqlite');
    expect(output).not.toMatch(/read-only|EROFS|EACCES/);
    expect(existsSync(join(root, 'app/node_modules/.cache/lamppost')), 'what the first start compiled').toBe(true);
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
  // What a linter would say: SC2086.
  for (const [name, rest] of STEPS) if (name === 'RUN') expect(rest).not.toMatch(/(?<!")\$\w/);
  expect(names.indexOf('USER')).toBeLessThan(names.indexOf('ENTRYPOINT'));
  expect(read('Dockerfile')).toContain('npm prune --omit=dev');
  for (const left of ['test', 'docs', '.git', 'data', '.env'])
    expect(read('.dockerignore').split('\n')).toContain(left);
  expect(argsOf('HEALTHCHECK')[0]).not.toContain('node');
  // The only packages with machine code are there for both machines of the docs.
  for (const machine of ['linux-x64', 'linux-arm64'])
    expect(read('package-lock.json')).toContain(`node_modules/@duckdb/node-bindings-${machine}"`);
});

test('container - compose passes every setting, listens on this machine only, and writes nowhere but in its volumes', () => {
  const { lamppost, influxdb, caddy } = compose.services;
  for (const { env_file } of [lamppost!, NODE['x-node']]) expect(env_file!.map(({ path }) => path)).toEqual(['.env']);
  for (const name of Object.keys(lamppost!.environment!)) expect(SETTINGS).toContain(name);
  for (const port of lamppost!.ports!) expect(port).toMatch(/^\$\{LAMPPOST_BIND:-127\.0\.0\.1\}:/);
  expect([lamppost!.read_only, lamppost!.init]).toEqual([true, true]);
  expect(influxdb!.ports).toBeUndefined();
  expect(influxdb!.environment!.DOCKER_INFLUXDB_INIT_ORG).toBe(lamppost!.environment!.INFLUX_ORG);
  expect(lamppost!.environment!.LAMPPOST_TRUSTED_PROXIES).toContain(caddy!.networks!.default.ipv4_address);
  for (const { image } of [influxdb!, caddy!]) expect(image).toMatch(/:\d+\.\d+$/);
});

test('container - InfluxDB does not start without a password', async () => {
  const { entrypoint } = compose.services.influxdb as Service & { readonly entrypoint: readonly string[] };
  const [shell, ...args] = entrypoint.map((text) => text.replaceAll('$$', '$'));
  expect(await run(shell!, args)).toMatch(/^2\nset INFLUX_PASSWORD/);
});
