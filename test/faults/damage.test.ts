import { execFile } from 'node:child_process';
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Series } from '../../domain/index.ts';
import { ServerProcess } from '../kit/server.ts';
import { until } from '../kit/wait.ts';

const BIN = fileURLToPath(new URL('../../bin/lamppost.js', import.meta.url));
const FROM = Date.now() - 60_000;

const backups = mkdtempSync(join(tmpdir(), 'lamppost-backups-'));
const server = new ServerProcess(undefined, { LAMPPOST_BACKUP_DIR: backups, WEBHOOK_ALLOW_PRIVATE: 'true' });
const bin = { id: 'bin-1', profile: 'waste-bin', district: 'harbour' };
let secret = '';
let sent = 0;

beforeAll(async () => {
  await server.start();
  ({ secret } = await server.post<{ secret: string }>('/api/v1/devices', bin));
  // Its secret is sealed with secrets.key.
  await server.post('/api/v1/webhooks', { url: 'http://127.0.0.1:9/' });
});
afterAll(() => server.kill());

async function send(count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const response = await fetch(`http://127.0.0.1:${server.httpPort}/ingest/${bin.id}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
      body: JSON.stringify({ ts: FROM + sent, metrics: { fill: 5 } }),
    });
    expect(await response.text()).toContain('acknowledged');
    sent++;
  }
}

/** Every reading that was acknowledged is stored once, and the ledger balances. */
async function expectComplete(): Promise<void> {
  const { messages, readings } = await server.settledLedger();
  expect(messages).toMatchObject({ received: sent, decoded: sent, quarantined: 0, pending: 0 });
  expect(readings).toMatchObject({ received: sent, stored: sent });
  const path = `/api/v1/readings?device=${bin.id}&metric=fill&from=${FROM}&to=${FROM + 60_000}`;
  const { series } = await server.get<{ series: Series[] }>(path);
  expect(series[0]!.points.map(([ts]) => ts - FROM)).toEqual(Array.from({ length: sent }, (_, i) => i));
}

/** Runs a command on the folder; resolves to its exit code and everything that it printed. */
function run(...args: string[]): Promise<{ code: number; output: string }> {
  const env = { ...process.env, LAMPPOST_DATA: server.data };
  return new Promise((resolve) => {
    execFile(process.execPath, [BIN, ...args], { env }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), output: stdout + stderr });
    });
  });
}

const path = (file: string) => join(server.data, file);
const cut = (file: string) => truncateSync(path(file), Math.floor(statSync(path(file)).size / 2));

/** Fills most of a file with other bytes, behind its first page. */
function overwrite(file: string): void {
  const fd = openSync(path(file), 'r+');
  writeSync(fd, Buffer.alloc(Math.max(0, statSync(path(file)).size - 8_192), 0x5a), 0, undefined, 4_096);
  closeSync(fd);
}

test('damage - a second server on the same folder ends with one sentence that names the first', async () => {
  const { code, output } = await run('start', '--http-port', '0', '--mqtt-port', '0');
  expect([code, output.trim().split('\n')]).toEqual([1, [expect.stringContaining(`process ${server.pid} `)]]);
});

test('damage - damaged sessions and deliveries are made anew, and readings come in', async () => {
  await send(20);
  await server.post('/api/v1/backup', {});
  await until(() => readdirSync(backups).some((name) => readdirSync(join(backups, name)).includes('manifest.json')));
  await send(20);
  await server.stop();
  expect(await run('doctor', '--deep')).toMatchObject({ code: 0 });
  for (const file of ['sessions.sqlite', 'deliveries.sqlite']) cut(file);
  expect(await run('doctor', '--deep')).toMatchObject({ code: 1, output: expect.stringContaining('sessions.sqlite') });
  await server.start();
  const { ready, notes } = await server.get<{ ready: boolean; notes: string[] }>('/ready');
  expect([ready, notes.map((note) => note.split(' ')[0])]).toEqual([true, ['sessions.sqlite', 'deliveries.sqlite']]);
  await send(5);
  await expectComplete();
});

test('damage - a damaged state ends the start with one sentence; one command repairs it from the backup and the log', async () => {
  await send(10);
  await server.stop();
  overwrite('state.sqlite');
  const failed = await run('start', '--http-port', '0', '--mqtt-port', '0');
  expect(failed.code).toBe(74);
  expect(failed.output).toContain('lamppost repair');
  expect(failed.output).not.toMatch(/^\s+at /m);
  const [name] = readdirSync(backups);
  const command = ['repair', '--data', server.data, '--backup', join(backups, name!)];
  const dry = await run(...command);
  expect(dry.output).toContain('state.sqlite: from the backup');
  expect((await run(...command, '--yes')).code).toBe(0);
  await server.start();
  await expectComplete();
});

test('damage - a damaged history keeps no reading out, and is made anew from the backup and the log', async () => {
  await server.stop();
  overwrite('history.duckdb');
  server.readyPath = '/ready?for=devices';
  await server.start();
  await send(10);
  await server.stop();
  server.readyPath = '/ready';
  const [name] = readdirSync(backups);
  expect((await run('repair', '--data', server.data, '--backup', join(backups, name!), '--yes')).code).toBe(0);
  await server.start();
  await expectComplete();
});

test('damage - a journal without a block and a folder in the place of a file are named, and made anew', async () => {
  await server.stop();
  truncateSync(path('journal.sqlite'), 0);
  rmSync(path('deliveries.sqlite'));
  mkdirSync(path('deliveries.sqlite'));
  truncateSync(path('secrets.key'), 0);
  const examined = await run('doctor', '--deep');
  expect(examined.code).toBe(1);
  for (const named of [
    'journal.sqlite: no such table',
    'deliveries.sqlite: it is no file',
    'secrets.key: it holds no key',
  ])
    expect(examined.output).toContain(named);
  const failed = await run('start', '--http-port', '0', '--mqtt-port', '0');
  expect([failed.code, failed.output]).toEqual([1, expect.stringContaining('the journal has none')]);
  expect(failed.output).toContain(`lamppost repair --data ${server.data}`);
  // That start made another key.
  const again = await run('doctor', '--deep');
  expect(again.output).toContain("secrets.key: webhooks' secrets were not sealed with this key");
  const [name] = readdirSync(backups);
  const repaired = await run('repair', '--data', server.data, '--backup', join(backups, name!), '--yes');
  expect(repaired).toMatchObject({ code: 0, output: expect.stringContaining('Nothing is wrong any more.') });
  expect(readFileSync(path('secrets.key'))).toEqual(readFileSync(join(backups, name!, 'secrets.key')));
  await server.start();
  expect(await server.get('/ready')).toMatchObject({ ready: true, reasons: [], notes: [] });
  await send(5);
  await expectComplete();
});

test('damage - a history that was removed is one line of log', async () => {
  await server.stop();
  rmSync(path('history.duckdb'));
  await server.start();
  expect(server.output).toMatch(/history\.duckdb ends at block 0, and readings up to block \d+ were stored/);
});
