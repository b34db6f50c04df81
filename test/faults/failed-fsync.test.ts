import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';
import mqtt from 'mqtt';
import { expect, onTestFinished, test } from 'vitest';
import type { Series } from '../../domain/index.ts';
import { FaultyDisk } from '../kit/faults/shim.ts';
import { ADMIN_KEY, ServerProcess } from '../kit/server.ts';
import { until } from '../kit/wait.ts';

const WRITER = fileURLToPath(new URL('../kit/faults/writer.ts', import.meta.url));

/** A process that appends numbers to a file on a disk that can fail. */
class Writer {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  private constructor(path: string, disk: FaultyDisk) {
    const env = { ...process.env, ...disk.env() };
    this.#child = spawn(process.execPath, [WRITER, path], { env, stdio: ['pipe', 'pipe', 'inherit'] });
    this.#lines = createInterface(this.#child.stdout!)[Symbol.asyncIterator]();
  }

  static async start(path: string, disk: FaultyDisk): Promise<Writer> {
    const writer = new Writer(path, disk);
    onTestFinished(() => writer.kill());
    expect((await writer.#lines.next()).value).toBe('open');
    return writer;
  }

  /** Resolves to what became of it. */
  async append(n: number): Promise<string> {
    this.#child.stdin!.write(`${n}\n`);
    return (await this.#lines.next()).value as string;
  }

  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await gone;
  }
}

function faultyDisk(): { disk: FaultyDisk; path: string } {
  const data = mkdtempSync(join(tmpdir(), 'lamppost-test-'));
  const disk = new FaultyDisk(data);
  onTestFinished(() => disk.remove());
  return { disk, path: join(data, 'numbers.sqlite') };
}

function numbersIn(path: string): number[] {
  const db = new DatabaseSync(path);
  const rows = db.prepare('select n from numbers order by n').all();
  db.close();
  return rows.map(({ n }) => Number(n));
}

test('failed fsync - what is acknowledged after it, by the same process, survives a power loss', async () => {
  const { disk, path } = faultyDisk();
  const writer = await Writer.start(path, disk);
  expect(await writer.append(1)).toBe('1 is stored');
  disk.arm({ fault: 'EIO at fsync', match: 'numbers.sqlite', times: 1 });
  expect(await writer.append(2), 'what a failed fsync covered is not acknowledged').toBe('2: disk I/O error');
  expect(await writer.append(3)).toBe('3 is stored');
  await writer.kill();
  expect(disk.losePower(null), 'the disk has all').toBe(0);
  expect(numbersIn(path)).toEqual([1, 3]);
});

test('failed fsync - what is acknowledged after it, by the next process, survives a power loss', async () => {
  const { disk, path } = faultyDisk();
  const first = await Writer.start(path, disk);
  expect(await first.append(1)).toBe('1 is stored');
  disk.arm({ fault: 'EIO at fsync', match: 'numbers.sqlite', times: 1 });
  expect(await first.append(2)).toBe('2: disk I/O error');
  await first.kill();
  // It reads what the failed fsync did not bring to the disk.
  const second = await Writer.start(path, disk);
  expect(await second.append(3)).toBe('3 is stored');
  await second.kill();
  disk.losePower(null);
  expect(numbersIn(path)).toEqual([1, 2, 3]);
});

test('failed fsync - of the history: its process ends alone, and the next one has every reading, also after a power loss', async () => {
  const data = mkdtempSync(join(tmpdir(), 'lamppost-test-'));
  const disk = new FaultyDisk(data);
  onTestFinished(() => disk.remove());
  const server = new ServerProcess(data, disk.env());
  server.startWithinMs = 300_000;
  await server.start();
  onTestFinished(() => server.kill().then(() => {}));
  const bin = { id: 'bin-1', profile: 'waste-bin', district: 'harbour' };
  const { secret: password } = await server.post<{ secret: string }>('/api/v1/devices', bin);
  const from = Date.now();
  const publish = async (ts: number) => {
    const login = { clientId: bin.id, username: bin.id, password, reconnectPeriod: 0 };
    const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${server.mqttPort}`, login);
    await client.publishAsync('devices/bin-1/readings', JSON.stringify({ ts, metrics: { fill: 5 } }), { qos: 1 });
    await client.endAsync();
  };
  const stored = async () => {
    await server.settledLedger();
    const path = `/api/v1/readings?device=bin-1&metric=fill&from=${from}&to=${from + 60_000}`;
    const { series } = await server.get<{ series: Series[] }>(path);
    return (series[0]?.points ?? []).map(([ts]) => ts - from);
  };
  await publish(from);
  expect(await stored()).toEqual([0]);
  disk.arm({ fault: 'EIO at fsync', match: 'history.duckdb', times: 1 });
  await publish(from + 1);
  const restarts = async () => {
    const headers = { authorization: `Bearer ${ADMIN_KEY}` };
    const text = await (await fetch(`http://127.0.0.1:${server.httpPort}/metrics`, { headers })).text();
    return Number(/^lamppost_history_process_restarts_total (\d+)$/m.exec(text)![1]);
  };
  await until(async () => (await restarts()) > 0, 'the process of the history is started again', 100);
  await publish(from + 2);
  expect(await stored()).toEqual([0, 1, 2]);
  await server.kill();
  disk.losePower(null);
  await server.start();
  expect(await stored()).toEqual([0, 1, 2]);
  expect(await server.stop()).toBe(0);
});
