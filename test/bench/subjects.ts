import { type ChildProcess, execFile, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import mqtt from 'mqtt';
import { freePort } from '../kit/ports.ts';
import { ServerProcess } from '../kit/server.ts';

/** A broker under load. */
export interface Subject {
  readonly port: number;
  readonly pid: number;
  /** Path of the devices' secrets, where it needs them. */
  readonly credentials: string | null;
  /** Waits until everything acknowledged is settled; resolves to the seconds that it took. */
  settle(): Promise<number>;
  stop(): Promise<void>;
}

/** Starts a subject that accepts this many devices. */
export type Start = (devices: number) => Promise<Subject>;

const STOCK = fileURLToPath(new URL('./stock-aedes.ts', import.meta.url));

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  // mosquitto_sub with a long backlog does not react to SIGTERM; none of them has anything to save.
  child.kill('SIGKILL');
  await gone;
}

/** Aedes in memory, without subscribers. */
export const stockAedes: Start = async () => {
  const child = fork(STOCK, { execArgv: ['--max-semi-space-size=64'] });
  const [port] = (await once(child, 'message')) as [number];
  return { port, pid: child.pid!, credentials: null, settle: async () => 0, stop: () => end(child) };
};

/** Whether Mosquitto is installed. */
export async function hasMosquitto(): Promise<boolean> {
  return promisify(execFile)('mosquitto', ['-h']).then(
    () => true,
    (error: { code: unknown }) => error.code !== 'ENOENT',
  );
}

/** Mosquitto with one subscriber of QoS 1, like a city's own pipeline behind a broker. */
export const mosquitto: Start = async () => {
  const port = await freePort();
  const dir = mkdtempSync(join(tmpdir(), 'lamppost-bench-'));
  const config = join(dir, 'mosquitto.conf');
  writeFileSync(
    config,
    `listener ${port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\nlog_type error\nuser root\n`,
  );
  const child = spawn('mosquitto', ['-c', config], { stdio: 'ignore' });
  const probe = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, { reconnectPeriod: 50 }, true);
  await probe.endAsync();
  const subscriber = spawn('mosquitto_sub', ['-p', `${port}`, '-q', '1', '-t', 'devices/#', '-i', 'one'], {
    stdio: 'ignore',
  });
  return {
    port,
    pid: child.pid!,
    credentials: null,
    settle: async () => 0,
    async stop() {
      await end(subscriber);
      await end(child);
      rmSync(dir, { recursive: true });
    },
  };
};

/** Lamppost under load, and its process. */
export interface LamppostSubject extends Subject {
  readonly server: ServerProcess;
}

/** Devices that are registered with one request. */
const AT_ONCE = 1_000;

/** Lamppost with everything on: fsync, validation, the sample city's rules, the embedded history. */
export async function lamppost(
  devices: number,
  profile = 'air-quality',
  settings: Record<string, string> = {},
): Promise<LamppostSubject> {
  const server = new ServerProcess(mkdtempSync(join(tmpdir(), 'lamppost-bench-')), settings);
  server.startWithinMs = 600_000;
  await server.start();
  const wanted = Array.from({ length: devices }, (_, i) => ({ id: `bench-${i}`, profile, district: 'old-town' }));
  const registered: { id: string; secret: string }[] = [];
  for (let at = 0; at < wanted.length; at += AT_ONCE) {
    registered.push(...(await server.post<typeof registered>('/api/v1/devices', wanted.slice(at, at + AT_ONCE))));
  }
  const credentials = join(server.data, 'bench-credentials.json');
  writeFileSync(credentials, JSON.stringify(registered.map(({ id, secret }) => ({ id, secret }))));
  return {
    server,
    port: server.mqttPort,
    pid: server.pid,
    credentials,
    async settle() {
      const from = performance.now();
      await server.settledLedger();
      return (performance.now() - from) / 1000;
    },
    async stop() {
      await server.stop();
      rmSync(server.data, { recursive: true });
    },
  };
}
