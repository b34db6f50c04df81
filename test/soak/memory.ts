import { setTimeout as pause } from 'node:timers/promises';
import { generate } from '../bench/load.ts';
import { type MemoryOf, memoryOf, processesOf } from '../bench/process.ts';
import { lamppost } from '../bench/subjects.ts';
import { ADMIN_KEY, type ServerProcess } from '../kit/server.ts';

/** The load of the issue that asked for it: 500 devices, 2,000 messages a second. */
const LOAD = { connections: 500, window: 10, rate: 2_000 };
const AFTER_MS = 60_000;

/** Memory at one moment, MiB. */
interface Sample extends MemoryOf {
  readonly minute: number;
  /** Resident memory of each process. */
  readonly processes: readonly number[];
  /** Heaps and external buffers of each thread, as the server's metrics say it. */
  readonly threads: Readonly<Record<string, number>>;
}

/** Puts the load on a server for so long, and looks at its memory each `everyMs` and a minute after everybody left. */
export async function soakMemory(minutes: number, everyMs: number): Promise<Sample[]> {
  const subject = await lamppost(LOAD.connections);
  const from = performance.now();
  const samples = [await sampleOf(subject.server, from)];
  const load = generate(subject, { ...LOAD, seconds: minutes * 60 });
  let isOver = false;
  const over = load.finally(() => {
    isOver = true;
  });
  try {
    while (!isOver) {
      await Promise.race([over, pause(everyMs)]);
      samples.push(await sampleOf(subject.server, from));
      process.stderr.write(`${lineOf(samples.at(-1)!)}\n`);
    }
    await over;
    await subject.settle();
    await pause(AFTER_MS);
    return [...samples, await sampleOf(subject.server, from)];
  } finally {
    await subject.stop();
  }
}

async function sampleOf(server: ServerProcess, from: number): Promise<Sample> {
  const each = processesOf(server.pid).map(memoryOf);
  const sum = (kind: keyof MemoryOf) => each.reduce((total, one) => total + one[kind], 0);
  const minute = (performance.now() - from) / 60_000;
  const processes = each.map(({ resident }) => resident);
  const kinds = { resident: sum('resident'), shared: sum('shared'), own: sum('own') };
  return { minute, processes, ...kinds, threads: await threadsOf(server) };
}

async function threadsOf(server: ServerProcess): Promise<Record<string, number>> {
  const headers = { authorization: `Bearer ${ADMIN_KEY}` };
  const response = await fetch(`http://127.0.0.1:${server.httpPort}/metrics`, { headers });
  const text = await response.text();
  const rows = text.matchAll(/^lamppost_thread_(heap|external)_bytes\{thread="(\w+)"\} (\d+)$/gm);
  return Object.fromEntries([...rows].map(([, kind, thread, bytes]) => [`${thread} ${kind}`, Number(bytes) / 2 ** 20]));
}

function lineOf({ minute, processes, resident, shared, own, threads }: Sample): string {
  const mib = (value: number) => String(Math.round(value));
  const parts = processes.map(mib).join(' + ');
  const cells = [minute.toFixed(1), mib(resident), parts, mib(shared), mib(own), ...Object.values(threads).map(mib)];
  return `| ${cells.join(' | ')} |`;
}

/** Returns the samples as a table of Markdown, MiB. */
export function memoryTable(samples: readonly Sample[]): string {
  const names = Object.keys(samples[0]!.threads);
  const head = ['minute', 'resident', 'by process', 'of files', 'own', ...names];
  const rule = head.map((name) => (name === 'by process' ? '---' : '---:'));
  return [`| ${head.join(' | ')} |`, `| ${rule.join(' | ')} |`, ...samples.map(lineOf)].join('\n');
}
