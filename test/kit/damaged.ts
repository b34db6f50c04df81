import { cpSync, existsSync, mkdtempSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import mqtt from 'mqtt';
import type { Ledger } from '../../domain/index.ts';
import type { BackupJob } from '../../store/index.ts';
import { ServerProcess } from './server.ts';

/** The files of a data folder that damage is done to. */
export const FILES = [
  ...['journal.sqlite', 'state.sqlite', 'history.duckdb', 'registry.sqlite'],
  ...['sessions.sqlite', 'deliveries.sqlite', 'reporters.sqlite'],
] as const;

/** A data folder that was in use and stopped, and a backup from the middle of its life. */
export interface Lived {
  readonly data: string;
  readonly backup: string;
  /** The ledger at its end. */
  readonly ledger: Ledger;
  readonly devices: readonly { readonly id: string; readonly secret: string }[];
}

const newDir = () => mkdtempSync(join(tmpdir(), 'lamppost-damage-'));

/** Sends readings of a device, each with a time of its own. */
export async function sendAs(
  server: ServerProcess,
  { id, secret }: Lived['devices'][number],
  from: number,
  count: number,
): Promise<void> {
  const options = { clientId: id, username: id, password: secret, reconnectPeriod: 0 };
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${server.mqttPort}`, options);
  const start = Date.now() - 1_800_000;
  for (let n = from; n < from + count; n++) {
    const payload = JSON.stringify({ ts: start + n * 1_000, metrics: { fill: n % 100 } });
    await client.publishAsync(`devices/${id}/readings`, payload, { qos: 1 });
  }
  await client.endAsync();
}

/** Runs a server through a life: devices, readings, a webhook, tickets, a backup, more of all, and a stop. */
export async function live(): Promise<Lived> {
  const backups = newDir();
  const server = new ServerProcess(newDir(), { LAMPPOST_BACKUP_DIR: backups, WEBHOOK_ALLOW_PRIVATE: 'true' });
  server.startWithinMs = 120_000;
  await server.start();
  const names = Array.from({ length: 8 }, (_, i) => `bin-${i}`);
  const devices = await server.post<Lived['devices']>(
    '/api/v1/devices',
    names.map((id) => ({ id, profile: 'waste-bin', district: 'harbour' })),
  );
  await server.post('/api/v1/webhooks', { url: 'http://127.0.0.1:9/hook' });
  for (const device of devices) await sendAs(server, device, 0, 120);
  await server.settledLedger();
  const backup = join(backups, 'middle');
  let job = await server.post<BackupJob>('/api/v1/backup', { to: backup });
  while (job.state === 'running') {
    await new Promise((resolve) => setTimeout(resolve, 20));
    job = await server.get('/api/v1/backup');
  }
  for (const device of devices) await sendAs(server, device, 120, 60);
  const ledger = await server.settledLedger();
  await server.stop();
  return { data: server.data, backup, ledger, devices };
}

/** Returns a copy of a data folder, to be damaged. */
export function copyOf(data: string): string {
  const copy = newDir();
  cpSync(data, copy, { recursive: true });
  return copy;
}

/** Returns numbers in [0, 1) that depend on the seed alone. */
export function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Changes one bit of each of some bytes, and returns where. */
export function flip(path: string, random: () => number, count = 1): number[] {
  const bytes = readFileSync(path);
  const places = Array.from({ length: count }, () => Math.floor(random() * bytes.length));
  for (const at of places) bytes[at]! ^= 1 << Math.floor(random() * 8);
  writeFileSync(path, bytes);
  return places;
}

/** Cuts a file to a part of its size. */
export function truncate(path: string, part: number): void {
  truncateSync(path, Math.floor(readFileSync(path).length * part));
}

/** Fills a page in the middle, of 4 KiB, with zeros. */
export function zeroPage(path: string, random: () => number): void {
  const bytes = readFileSync(path);
  const pages = Array.from({ length: Math.floor(bytes.length / 4096) }, (_, i) => i * 4096);
  const used = pages.filter((at) => bytes.subarray(at, at + 4096).some((byte) => byte !== 0));
  const page = used[Math.floor(random() * used.length)]!;
  bytes.fill(0, page, page + 4096);
  writeFileSync(path, bytes);
}

/** Returns whether a file exists in a folder. */
export const has = (dir: string, name: string) => existsSync(join(dir, name));
