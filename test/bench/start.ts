import { cpSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ServerProcess } from '../kit/server.ts';
import { generate, type Shape } from './load.ts';
import { peakMiB } from './process.ts';
import { lamppost } from './subjects.ts';

/** One start over a data folder. */
export interface TimedStart {
  /** How the server before it ended. */
  readonly after: 'first start' | 'kill -9' | 'clean stop';
  readonly dataMiB: number;
  /** Until an MQTT connection is accepted, and until /ready responds with 200. */
  readonly mqttMs: number;
  readonly readyMs: number;
  /** Until every consumer has everything. */
  readonly caughtUpMs: number;
  /** Phases as the server logs them, ms, in the order of their ends. */
  readonly phases: readonly (readonly [name: string, ms: number])[];
  readonly peakMiB: number;
}

const LOAD: Shape = { connections: 50, window: 200, seconds: 10 };
const DEVICES = 1_000;

/**
 * Fills a data folder at full speed to each size in turn; at each one, times the start after a kill -9 in the middle of
 * the load and the one after a clean stop. With `keep`, the folder of each size stays there.
 */
export async function starts(sizesMiB: readonly number[], keep: string | null = null): Promise<TimedStart[]> {
  const subject = await lamppost(DEVICES);
  const { server } = subject;
  const found: TimedStart[] = [];
  try {
    for (const size of sizesMiB) {
      while (sizeMiB(server.data) < size) await generate(subject, LOAD).catch(killed);
      // In the middle of the load, so that every consumer has something under way.
      const load = generate(subject, LOAD).catch(killed);
      await new Promise((resolve) => setTimeout(resolve, (LOAD.seconds * 1_000) / 2));
      await server.kill();
      await load;
      if (keep !== null) cpSync(server.data, join(keep, String(size)), { recursive: true });
      found.push(await timeStart(server, 'kill -9'));
      await server.stop();
      found.push(await timeStart(server, 'clean stop'));
    }
    return found;
  } finally {
    if (server.running) await server.kill();
    rmSync(server.data, { recursive: true });
  }
}

/** Times the start over a folder that was kept; works on a copy of it. */
export async function startOver(folder: string): Promise<TimedStart[]> {
  const data = mkdtempSync(join(tmpdir(), 'lamppost-bench-'));
  cpSync(folder, data, { recursive: true });
  const server = new ServerProcess(data);
  try {
    const found = [await timeStart(server, 'kill -9')];
    await server.stop();
    return [...found, await timeStart(server, 'clean stop')];
  } finally {
    if (server.running) await server.kill();
    rmSync(data, { recursive: true });
  }
}

/** The load ends with its server. */
function killed(): void {}

/** Starts the server; it runs afterwards. */
async function timeStart(server: ServerProcess, after: TimedStart['after']): Promise<TimedStart> {
  const dataMiB = sizeMiB(server.data);
  const phases: [string, number][] = [];
  let line = '';
  server.settings.LOG_LEVEL = 'debug';
  server.startWithinMs = 600_000;
  server.onOutput = (text) => {
    const lines = (line + text).split('\n');
    line = lines.pop()!;
    for (const one of lines) {
      const phase = /"phase":"([^"]+)","ms":(\d+)/.exec(one);
      if (phase !== null) phases.push([phase[1]!, Number(phase[2])]);
    }
  };
  const from = performance.now();
  const started = server.start();
  const accepted = untilAccepted(server).then(() => performance.now() - from);
  await started;
  const readyMs = performance.now() - from;
  const mqttMs = await accepted;
  await server.settledLedger();
  const caughtUpMs = performance.now() - from;
  return { after, dataMiB, mqttMs, readyMs, caughtUpMs, phases, peakMiB: peakMiB(server.pid) };
}

/** Resolves when the server accepts an MQTT connection and responds to its CONNECT, whatever with. */
async function untilAccepted(server: ServerProcess): Promise<void> {
  // MQTT 3.1.1, client id "x", no user: the response is a CONNACK that refuses it.
  const hello = Buffer.from([0x10, 13, 0, 4, 0x4d, 0x51, 0x54, 0x54, 4, 2, 0, 60, 0, 1, 0x78]);
  for (;;) {
    const answered = await new Promise<boolean>((resolve) => {
      if (server.mqttPort === 0) return resolve(false);
      const socket = connect(server.mqttPort, '127.0.0.1', () => socket.write(hello));
      socket.once('data', () => resolve(true));
      socket.once('error', () => resolve(false));
      socket.once('close', () => resolve(false));
    });
    if (answered) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function sizeMiB(dir: string): number {
  const bytes = readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => statSync(join(entry.parentPath, entry.name)).size);
  return Math.round(bytes.reduce((sum, size) => sum + size, 0) / 2 ** 20);
}
