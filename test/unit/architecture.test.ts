import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** The rooms of docs/architecture.md, in the order of the way of a reading: each may use those before it. */
const ROOMS = [
  ...['domain', 'limits', 'store', 'cluster', 'city-model', 'registry', 'journal', 'broker', 'bridges', 'ingest'],
  ...['history', 'rules', 'tickets', 'commands', 'events', 'notify', 'actions', 'citizens', 'api', 'simulators', 'app'],
  ...['cli'],
];

interface Import {
  readonly file: string;
  readonly target: string;
}

function sourcesOf(room: string): string[] {
  const names = readdirSync(join(ROOT, room), { recursive: true, encoding: 'utf8' });
  return names.filter((name) => name.endsWith('.ts')).map((name) => join(ROOT, room, name));
}

function importsOf(room: string): Import[] {
  return sourcesOf(room).flatMap((file) => {
    // A thread or a process of its own is started by the URL of its file.
    const found = readFileSync(file, 'utf8').matchAll(/(?:from|import|new URL)\s*\(?'(\.[^']+)'/g);
    return [...found].map(([, path]) => ({
      file: relative(ROOT, file),
      target: relative(ROOT, resolve(dirname(file), path!)),
    }));
  });
}

const leaving = (room: string) => importsOf(room).filter(({ target }) => !target.startsWith(`${room}/`));

/** Files and folders beside the rooms that are named by their URL. */
const BESIDE: Readonly<Record<string, readonly string[]>> = {
  'api/routes/pages.ts': ['console'],
  'cli/demo-cluster.ts': ['bin/lamppost.js'],
  'cli/start.ts': ['test/bench/main.ts'],
};

test.each(ROOMS)('rooms - %s imports only the doors of rooms before it', (room) => {
  for (const { file, target } of leaving(room)) {
    if (target === 'package.json' || BESIDE[file]?.includes(target)) continue;
    const [other, ...rest] = target.split('/');
    expect(ROOMS.indexOf(other!), `${file} imports ${target}`).toBeGreaterThanOrEqual(0);
    expect(ROOMS.indexOf(other!), `${file} imports ${target}`).toBeLessThan(ROOMS.indexOf(room));
    expect(rest.join('/'), `${file} imports ${target}, not its door`).toBe('index.ts');
  }
});

test('rooms - the simulators know nothing of the server but its vocabulary', () => {
  expect(leaving('simulators').filter(({ target }) => target !== 'domain/index.ts')).toEqual([]);
});

test('rooms - only app and cli use a room that wires others', () => {
  const users = ROOMS.filter((room) => leaving(room).some(({ target }) => /^(app|api|simulators)\//.test(target)));
  expect(users).toEqual(['app', 'cli']);
});

test.each(ROOMS)('rooms - %s has one door, with an explicit list of what it offers', (room) => {
  const door = join(ROOT, room, 'index.ts');
  expect(existsSync(door)).toBe(true);
  for (const file of sourcesOf(room)) expect(readFileSync(file, 'utf8'), file).not.toMatch(/^export \*/m);
});

test('rooms - the root holds configuration and documents only', () => {
  const code = readdirSync(ROOT).filter((name) => /\.[jt]sx?$/.test(name));
  expect(code).toEqual(['vitest.config.ts']);
});

const textOf = (path: string) => readFileSync(join(ROOT, path), 'utf8');

/** Returns the body of a function of a file, or of a method of its class. */
const bodyOf = (text: string, head: RegExp) => new RegExp(`^( *)(?:${head.source})[^]*?^\\1\\}`, 'm').exec(text)![0];

/** Returns the names of the steps of a start, in the order of the code. */
function stepsInCode(): string[] {
  const [process, threads] = ['app/lamppost.ts', 'app/threads/start.ts'].map(textOf) as [string, string];
  const inner: readonly (readonly [string, string])[] = [
    ['await startThreads(', bodyOf(threads, /export async function startThreads\(/)],
    ['await this.#join()', bodyOf(process, /async #join\(/)],
    ['await this.#startServices(', bodyOf(process, /async #startServices\(/)],
    ['await this.#countersWith(', bodyOf(process, /async #countersWith\(/)],
  ];
  const all = inner.reduce(
    (text, [call, body]) => text.replace(call, () => body),
    bodyOf(process, /async #startAll\(/),
  );
  const done = [...all.matchAll(/(?:[sS]teps\.do\(\s*|await thread\()'([^']+)'/g)];
  return done.map(([call, name]) => (call.includes('thread(') ? `${name} thread` : name!));
}

test('start - the page of the architecture lists its steps in the order of the code', () => {
  const page = textOf('docs/architecture.md');
  const [, list] = /The steps, in order:\n\n(.*?)\n\n/s.exec(page)!;
  const listed = [...list!.matchAll(/`([^`]+)`/g)].map(([, name]) => name!).filter((name) => !name.includes('/'));
  expect(listed).toEqual(stepsInCode());
  // None is done in another place, where this test would not see it.
  const elsewhere = sourcesOf('app').flatMap((file) => readFileSync(file, 'utf8').match(/[sS]teps\.do\(/g) ?? []);
  const ofThreads = listed.filter((name) => name.endsWith(' thread'));
  expect(elsewhere).toHaveLength(listed.length - ofThreads.length + 1);
});

/** What few servers need: it is loaded where it is used, not at every start. */
const LATER = [
  ...['mqtt', 'openid-client', 'nodemailer', '@influxdata/influxdb-client', '@jitl/quickjs-wasmfile-release-sync'],
  ...['quickjs-emscripten-core', '@nats-io/transport-node', '@nats-io/jetstream', '@nats-io/kv', '@nats-io/obj'],
];

/** Returns the packages that a file imports for more than their types, and those that its imports do. */
function packagesOf(entry: string): Set<string> {
  const packages = new Set<string>();
  const files = new Set([join(ROOT, entry)]);
  for (const file of files) {
    const found = readFileSync(file, 'utf8').matchAll(/^(?:im|ex)port (?!type )(?:[^;']*? from )?'([^']+)'/gm);
    for (const [, target] of found) {
      if (target!.endsWith('.ts')) files.add(resolve(dirname(file), target!));
      else packages.add(target!);
    }
  }
  return packages;
}

test.each(['app/lamppost.ts', ...['journal', 'engine', 'broker', 'notify'].map((name) => `app/threads/${name}.ts`)])(
  'start - %s loads no package that few servers need',
  (entry) => {
    const packages = packagesOf(entry);
    expect(packages).toContain(entry === 'app/lamppost.ts' ? 'fastify' : 'pino');
    expect(LATER.filter((name) => packages.has(name))).toEqual([]);
  },
);

test('settings - no room reads the environment: the command passes it on', () => {
  const readers = ROOMS.flatMap(sourcesOf).filter((file) => readFileSync(file, 'utf8').includes('process.env'));
  expect(readers.map((file) => relative(ROOT, file))).toEqual([]);
  expect(readFileSync(join(ROOT, 'bin/lamppost.js'), 'utf8')).toContain('run(process.argv.slice(2), process.env)');
});
