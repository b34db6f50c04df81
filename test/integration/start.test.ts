import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, describe, expect, test } from 'vitest';
import type { Leftovers } from '../kit/app/start-child.ts';
import { PATIENCE_MS } from '../kit/wait.ts';

const CHILD = fileURLToPath(new URL('../kit/app/start-child.ts', import.meta.url));
const NOTHING = { files: [], listeners: [], threads: 0 };

const folders: string[] = [];
const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

function dataFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'lamppost-start-'));
  folders.push(folder);
  return folder;
}

/**
 * The child ends by itself only where nothing keeps it: a listener, a thread or a timer that was left would be seen as
 * a time-out.
 */
async function startAll(starts: readonly string[][], settings: Record<string, string> = {}): Promise<Leftovers[]> {
  const { stdout } = await promisify(execFile)(process.execPath, [CHILD, JSON.stringify(settings), ...starts.flat()], {
    timeout: 5 * PATIENCE_MS,
    killSignal: 'SIGKILL',
  });
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Leftovers);
}

const start = async (data: string, settings?: Record<string, string>) => (await startAll([[data, '']], settings))[0]!;

/** A port that somebody else listens on. */
async function takenPort(): Promise<string> {
  const server = createServer();
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return String((server.address() as { port: number }).port);
}

const STEPS = [
  ...[
    'threads',
    'data folder',
    'journal thread',
    'engine thread',
    'registry',
    'notify thread',
    'broker thread',
    'consumers',
  ],
  ...['session checkpoints', 'MQTT listeners', 'state reader', 'journal reader', 'replays'],
  ...['trials of formats', 'backtests'],
  ...['imports', 'backups'],
  ...['key use', 'citizens', 'people', 'bridges', 'HTTP listener', 'jobs', 'collections', 'heap growth'],
];

test('start - does its steps in order; the stop undoes them and leaves no listener, open file or thread', async () => {
  const { steps, error, ...left } = await start(dataFolder());
  expect(steps).toEqual(STEPS);
  expect(error).toBeNull();
  expect(left).toEqual(NOTHING);
});

test('start - that fails at any step leaves no listener, open file or thread', async () => {
  const left = await startAll(STEPS.map((step) => [dataFolder(), step]));
  expect(left).toEqual(
    STEPS.map((step, i) => ({
      ...NOTHING,
      error: `made to fail after: ${step}`,
      steps: STEPS.slice(0, i + 1),
    })),
  );
});

describe('start - that fails by itself leaves nothing either', () => {
  test.each(['MQTT_PORT', 'HTTP_PORT'])('where %s is taken', async (setting) => {
    const { error, ...left } = await start(dataFolder(), { [setting]: await takenPort() });
    expect(error).toContain('EADDRINUSE');
    expect(left).toMatchObject(NOTHING);
  });

  test.each(['registry.sqlite', 'journal.sqlite', 'state.sqlite'])('where %s is no database', async (name) => {
    const data = dataFolder();
    writeFileSync(join(data, name), 'this is no database, but it is long enough to look like a file of one');
    const { error, ...left } = await start(data);
    expect(error).not.toBeNull();
    expect(left).toMatchObject(NOTHING);
  });
});
