/** What it takes to import a city's devices, and what they cost afterwards. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ADMIN_KEY, BIN } from '../kit/server.ts';
import { cpuSeconds, peakMiB, residentMiB } from './process.ts';
import { type LamppostSubject, lamppost } from './subjects.ts';

/** The result of one run. */
export interface RegisterFigures {
  readonly devices: number;
  /** From the command's start to its end. */
  readonly seconds: number;
  /** CPU of the server for all of them. */
  readonly cpuSeconds: number;
  /** Resident memory of the server before, at most, and afterwards. */
  readonly beforeMiB: number;
  readonly peakMiB: number;
  readonly afterMiB: number;
  /** Bytes of the log and of the state for a device. */
  readonly logBytes: number;
  readonly stateBytes: number;
  /** CPU of a start without a device, and of one after a kill with all of them, until it is ready. */
  readonly emptyStartCpuSeconds: number;
  readonly startCpuSeconds: number;
  /** A page of a thousand devices, and one device, ms. */
  readonly pageMs: number;
  readonly oneMs: number;
}

/** Imports so many devices from a CSV file with the command, and starts a server over them. */
export async function benchRegister(devices: number): Promise<RegisterFigures> {
  const dir = mkdtempSync(join(tmpdir(), 'lamppost-bench-'));
  const file = join(dir, 'devices.csv');
  writeFileSync(file, csvOf(devices));
  const subject = await lamppost(0);
  const { server, pid } = subject;
  try {
    const empty = cpuSeconds(pid);
    const [before, bytes] = [residentMiB(pid), sizesOf(subject)];
    const from = performance.now();
    await importFrom(file, join(dir, 'secrets.json'), server.httpPort);
    const seconds = (performance.now() - from) / 1_000;
    const cpu = cpuSeconds(pid) - empty;
    const [peak, after] = [peakMiB(pid), residentMiB(pid)];
    await server.kill();
    const now = sizesOf(subject);
    await server.start();
    return {
      devices,
      seconds,
      cpuSeconds: cpu,
      beforeMiB: before,
      peakMiB: peak,
      afterMiB: after,
      logBytes: (now.log - bytes.log) / devices,
      stateBytes: (now.state - bytes.state) / devices,
      emptyStartCpuSeconds: empty,
      startCpuSeconds: cpuSeconds(server.pid),
      pageMs: await timed(() => server.get('/api/v1/devices?limit=1000')),
      oneMs: await timed(() => server.get(`/api/v1/devices/lamp-${devices - 1}`)),
    };
  } finally {
    await subject.stop();
    rmSync(dir, { recursive: true });
  }
}

/** With names, places and tags, as a city has them. */
function csvOf(devices: number): string {
  const rows = Array.from({ length: devices }, (_, i) => {
    const [lat, lon] = [32 + (i % 200) / 1_000, 118 + Math.floor(i / 200) / 1_000].map((degrees) => degrees.toFixed(4));
    return `lamp-${i},streetlight,old-town,"Street light ${i}, Harbour Road",${lat},${lon},line=${i % 40};pole=p${i}`;
  });
  return `id,profile,district,name,lat,lon,tags\n${rows.join('\n')}\n`;
}

/** Bytes on disk, with what SQLite has not moved from its log yet. */
function sizesOf({ server: { data } }: LamppostSubject): { readonly log: number; readonly state: number } {
  const sizeOf = (name: string) => statSync(join(data, name), { throwIfNoEntry: false })?.size ?? 0;
  return {
    log: sizeOf('journal.sqlite') + sizeOf('journal.sqlite-wal'),
    state: sizeOf('state.sqlite') + sizeOf('state.sqlite-wal'),
  };
}

async function importFrom(file: string, to: string, port: number): Promise<void> {
  const args = [BIN, 'device', 'import', file, '--url', `http://127.0.0.1:${port}`];
  const child = spawn(process.execPath, args, {
    env: { PATH: process.env.PATH, LAMPPOST_ADMIN_KEY: ADMIN_KEY },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  child.stdout.pipe(createWriteStream(to));
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code !== 0) throw new Error(`the import ended with ${code}`);
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const from = performance.now();
  await work();
  return performance.now() - from;
}
