import { fork } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { cpuSeconds, peakMiB } from './process.ts';
import type { Returned } from './returning.ts';
import { lamppost } from './subjects.ts';

/** A fleet behind one address that comes back after the server was killed. */
export interface Reconnect {
  readonly devices: number;
  /** From the start of the server's process until the first device, half, 99 %, and all were acknowledged. */
  readonly firstMs: number;
  readonly halfMs: number;
  readonly mostMs: number;
  readonly allMs: number;
  /** Until /ready responds with 200. */
  readonly readyMs: number;
  readonly ended: Readonly<Record<string, number>>;
  /** CPU of the server until all were acknowledged, and what the same start takes without a fleet. */
  readonly cpuSeconds: number;
  readonly quietCpuSeconds: number;
  readonly peakMiB: number;
  /** Whether the ledger has each reading. */
  readonly balanced: boolean;
}

const RETURNING = fileURLToPath(new URL('./returning.ts', import.meta.url));

/** Connects a fleet, kills the server, starts it again, and times how the fleet returns. Needs that many open files. */
export async function reconnect(devices: number, settings: Record<string, string> = {}): Promise<Reconnect> {
  const subject = await lamppost(devices, 'air-quality', settings);
  const { server } = subject;
  const fleet = fork(RETURNING, [String(subject.port), subject.credentials!]);
  try {
    await once(fleet, 'message');
    await server.settledLedger();
    await server.kill();
    fleet.send('lost');
    const [from, back] = [performance.now(), once(fleet, 'message')];
    await server.start();
    const readyMs = performance.now() - from;
    const [{ acknowledgedMs, ended }] = (await back) as [Returned];
    const cpu = cpuSeconds(server.pid);
    const { messages } = await server.settledLedger();
    const peak = peakMiB(server.pid);
    fleet.kill();
    await once(fleet, 'exit');
    await server.kill();
    await server.start();
    const at = (part: number) => acknowledgedMs[Math.ceil(part * devices) - 1]!;
    return {
      devices,
      ...{ firstMs: acknowledgedMs[0]!, halfMs: at(0.5), mostMs: at(0.99), allMs: at(1), readyMs, ended },
      cpuSeconds: cpu,
      quietCpuSeconds: cpuSeconds(server.pid),
      peakMiB: peak,
      balanced: messages.decoded >= 2 * devices,
    };
  } finally {
    fleet.kill();
    if (server.running) await server.kill();
    rmSync(server.data, { recursive: true });
  }
}
