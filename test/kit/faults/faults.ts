import { writeFileSync } from 'node:fs';
import { between, pick, type Random } from '../../../simulators/city/random.ts';
import type { DatabaseProcess } from '../databases.ts';
import type { ServerProcess } from '../server.ts';
import { pause } from '../wait.ts';
import type { LoopDisk } from './loop-disk.ts';
import type { DiskFault, FaultyDisk } from './shim.ts';

/** What faults are injected into. */
export interface Target {
  readonly server: ServerProcess;
  readonly random: Random;
  readonly shim: FaultyDisk;
  /** Null where no file system can be mounted. */
  readonly loop: LoopDisk | null;
  /** The file of libfaketime's offset; null without it. */
  readonly clock: string | null;
  readonly influx: DatabaseProcess | null;
}

/** Injects a fault and returns when it is over, whether or not the server still runs; false: nothing happened. */
export type Inject = (target: Target) => Promise<boolean>;

const FILES = ['journal.sqlite', 'state.sqlite', 'history.duckdb', 'sessions.sqlite', 'deliveries.sqlite'] as const;
/** How long a kill waits for the write or fsync that it is meant for. */
const STRIKE_MS = 5_000;

/** Kills the server at a random moment; `mostMs` is the longest wait before. */
async function kill({ server, random }: Target): Promise<boolean> {
  await pause(random() * 500);
  await server.kill();
  return true;
}

/** Kills the server in a write or fsync of one file, or half-way after it. */
const killIn =
  (fault: DiskFault): Inject =>
  async ({ server, shim, random }) => {
    shim.arm({ fault, match: pick(random, FILES), skip: Math.floor(random() * 20), times: 1 });
    const deadline = Date.now() + STRIKE_MS;
    while (server.running && Date.now() < deadline) await pause(20);
    return shim.disarm() > 0;
  };

/** Some calls about one file fail, one after another; the server may go on or end. */
const failing =
  (fault: DiskFault, most: number): Inject =>
  async ({ server, shim, random }) => {
    const times = 1 + Math.floor(random() * most);
    shim.arm({ fault, match: pick(random, FILES), skip: Math.floor(random() * 10), times });
    const deadline = Date.now() + STRIKE_MS;
    while (server.running && shim.hits < times && Date.now() < deadline) await pause(20);
    // What it does after the last one belongs to the fault.
    await pause(between(random, 0, 1_000));
    return shim.disarm() > 0;
  };

/** All calls about all files, or one, fail for seconds. */
const failingFor =
  (fault: DiskFault): Inject =>
  async ({ shim, random }) => {
    shim.arm({ fault, match: random() < 0.5 ? '' : pick(random, FILES) });
    await pause(between(random, 500, 4_000));
    return shim.disarm() > 0;
  };

/** The power fails; of what no fsync covered, each page stays or goes by chance, or all goes. */
async function powerLoss({ server, shim, random }: Target): Promise<boolean> {
  await pause(random() * 500);
  if (server.running) await server.kill();
  shim.losePower(random() < 0.3 ? null : random);
  return true;
}

/** An fsync fails, the server goes on for a while, and then the power fails. */
async function powerLossAfterFsync(target: Target): Promise<boolean> {
  const hit = await failing('EIO at fsync', 3)(target);
  await pause(target.random() * 2_000);
  await powerLoss(target);
  return hit;
}

/** The file system stops as the power would stop it, and replays its log. */
async function diskStops({ server, shim, loop, random }: Target): Promise<boolean> {
  if (loop === null) return false;
  await pause(random() * 500);
  loop.stop();
  // It may go on for a moment, with errors.
  await pause(random() * 200);
  if (server.running) await server.kill();
  await loop.restart();
  shim.keepAll();
  return true;
}

/** The disk is full for seconds. */
async function fullDisk({ loop, random }: Target): Promise<boolean> {
  if (loop === null) return false;
  loop.fill();
  await pause(between(random, 2_000, 14_000));
  loop.relieve();
  return true;
}

/** The server is killed while the disk is full, and the disk stays full while it starts. */
async function killOnFullDisk({ server, loop, random }: Target): Promise<boolean> {
  if (loop === null) return false;
  loop.fill();
  await pause(between(random, 500, 3_000));
  if (server.running) await server.kill();
  const started = server.start().catch(() => {});
  await pause(between(random, 5_000, 20_000));
  loop.relieve();
  await started;
  return true;
}

async function slowDisk({ shim, random }: Target): Promise<boolean> {
  shim.slow(Math.round(between(random, 20, 400)));
  await pause(between(random, 2_000, 5_000));
  shim.disarm();
  return true;
}

async function stopAndGo({ server, random }: Target): Promise<boolean> {
  process.kill(server.pid, 'SIGSTOP');
  await pause(between(random, 500, 5_000));
  process.kill(server.pid, 'SIGCONT');
  return true;
}

/** The clock of the server is set by a second, a minute or some hours, and back. */
async function clockSteps({ clock, random }: Target): Promise<boolean> {
  if (clock === null) return false;
  for (const seconds of [pick(random, [-3_600, -60, -1, 1, 60, 3_600]), 0]) {
    writeFileSync(clock, `${seconds >= 0 ? '+' : ''}${seconds}\n`);
    await pause(between(random, 1_500, 3_000));
  }
  return true;
}

async function influxOutage({ influx, random }: Target): Promise<boolean> {
  if (influx === null) return false;
  await influx.end('SIGKILL');
  await pause(between(random, 1_000, 8_000));
  await influx.start();
  return true;
}

/** Every kind of fault, in the words of the table. */
export const FAULTS: Readonly<Record<string, Inject>> = {
  'kill -9': kill,
  'kill in a write': killIn('kill in a write'),
  'kill before fsync': killIn('kill before fsync'),
  'kill after fsync': killIn('kill after fsync'),
  'power loss': powerLoss,
  'power loss after a failed fsync': powerLossAfterFsync,
  'file system stops': diskStops,
  'EIO at write': failing('EIO at write', 3),
  'EIO at fsync': failing('EIO at fsync', 3),
  'EIO for seconds': failingFor('EIO at write'),
  'failed fsync for seconds': failingFor('EIO at fsync'),
  'ENOSPC for seconds': failingFor('ENOSPC at write'),
  'short writes': failing('short write', 50),
  'full disk': fullDisk,
  'kill on a full disk': killOnFullDisk,
  'slow disk': slowDisk,
  SIGSTOP: stopAndGo,
  'clock steps': clockSteps,
  'InfluxDB outage': influxOutage,
};
