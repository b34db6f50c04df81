import { setTimeout as pause } from 'node:timers/promises';
import { cpuSeconds, proportionalMiB, residentMiB } from './process.ts';
import { lamppost } from './subjects.ts';

/** What a server of the sample city needs while nothing happens. */
export interface Idle {
  /** Resident memory at the end, MiB. */
  readonly residentMiB: number;
  /** The same, with pages that its processes or others share counted once. */
  readonly proportionalMiB: number;
  /** CPU over the measured time, percent of one core. */
  readonly cpuPercent: number;
  readonly seconds: number;
}

/** The start's own work, such as compiling, is over by then. */
const SETTLE_MS = 20_000;

/** Starts a server, lets it settle, and watches it while nobody talks to it. */
export async function idle(seconds: number, settings: Record<string, string> = {}): Promise<Idle> {
  const subject = await lamppost(10, 'air-quality', settings);
  try {
    await pause(SETTLE_MS);
    const before = cpuSeconds(subject.pid);
    const from = performance.now();
    await pause(seconds * 1_000);
    const passed = (performance.now() - from) / 1_000;
    const cpuPercent = ((cpuSeconds(subject.pid) - before) / passed) * 100;
    const memory = { residentMiB: residentMiB(subject.pid), proportionalMiB: proportionalMiB(subject.pid) };
    return { ...memory, cpuPercent, seconds: passed };
  } finally {
    await subject.stop();
  }
}
