import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { LoadReport } from '../../simulators/index.ts';
import { cpuSeconds, peakMiB } from './process.ts';
import type { Start, Subject } from './subjects.ts';

const GENERATOR = fileURLToPath(new URL('../../simulators/load/main.ts', import.meta.url));

/** One load. */
export interface Shape {
  readonly connections: number;
  readonly window: number;
  readonly seconds: number;
  /** Messages a second in all; as fast as possible where absent. */
  readonly rate?: number;
  /** Seconds after connecting that are not measured; the generator's 1 where absent. */
  readonly warmupSeconds?: number;
}

/** The result of one run of one subject. */
export interface Measured {
  readonly messagesPerSecond: number;
  readonly readingsPerSecond: number;
  /** CPU of all threads of the subject, from the first connection until everything is settled, per message. */
  readonly cpuMicrosPerMessage: number;
  readonly ackP50Ms: number;
  readonly ackP99Ms: number;
  /** Seconds from the generator's end until history and rules had processed everything. */
  readonly caughtUpSeconds: number;
  readonly peakMiB: number;
}

const READINGS_PER_MESSAGE = 3;

/** Starts a subject, loads it with a generator in a process of its own, and stops it. */
export async function measure(start: Start, shape: Shape): Promise<Measured> {
  const subject = await start(shape.connections);
  try {
    const before = cpuSeconds(subject.pid);
    const report = await generate(subject, shape);
    const caughtUpSeconds = await subject.settle();
    const cpu = cpuSeconds(subject.pid) - before;
    return {
      messagesPerSecond: Math.round(report.steady.perSecond),
      readingsPerSecond: Math.round(report.steady.perSecond * READINGS_PER_MESSAGE),
      cpuMicrosPerMessage: (cpu * 1e6) / report.acknowledged,
      ackP50Ms: report.ackMs.p50,
      ackP99Ms: report.ackMs.p99,
      caughtUpSeconds,
      peakMiB: peakMiB(subject.pid),
    };
  } finally {
    await subject.stop();
  }
}

/** Runs the load generator against a subject. */
export async function generate(subject: Subject, shape: Shape, more: readonly string[] = []): Promise<LoadReport> {
  const args = ['--port', subject.port, '--connections', shape.connections, '--window', shape.window];
  args.push('--seconds', shape.seconds, '--json', ...more);
  if (shape.rate !== undefined) args.push('--rate', shape.rate);
  if (shape.warmupSeconds !== undefined) args.push('--warmup', shape.warmupSeconds);
  if (subject.credentials !== null) args.push('--credentials', subject.credentials);
  const { stdout } = await promisify(execFile)(process.execPath, [GENERATOR, ...args.map(String)]);
  return JSON.parse(stdout) as LoadReport;
}
