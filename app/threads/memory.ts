import { flushCompileCache } from 'node:module';
import { getHeapStatistics, type HeapInfo, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Worker } from 'node:worker_threads';

/** What a thread of this process has of memory, bytes. */
export interface ThreadMemory {
  readonly thread: string;
  /** Live objects, and those not collected yet. */
  readonly used: number;
  /** What V8 has of the system for them. */
  readonly heap: number;
  /** Buffers outside of the heap that it keeps. */
  readonly external: number;
}

/** Returns the memory of this thread and of those that run among `workers`. */
export async function memoryOfThreads(workers: Readonly<Record<string, Worker>>): Promise<ThreadMemory[]> {
  const others = Object.entries(workers).map(async ([thread, worker]) => {
    // A thread that ends meanwhile has none.
    const info = await worker.getHeapStatistics().catch(() => null);
    return info === null ? [] : [memoryOf(thread, info)];
  });
  return [memoryOf('main', getHeapStatistics()), ...(await Promise.all(others)).flat()];
}

const memoryOf = (thread: string, info: HeapInfo): ThreadMemory => ({
  thread,
  used: info.used_heap_size,
  heap: info.total_physical_size,
  external: info.external_memory,
});

/**
 * Returns what a start needed to the system: modules that were parsed, tables that were filled. V8 would keep it until
 * the next full collection, which an idle thread never has. Each thread calls it once, when it is ready; it takes 20 to
 * 200 ms.
 */
export function collectAfterStart(): void {
  // Before `growWithLoad`: V8 takes compiled code only under the flags that it was stored under.
  flushCompileCache();
  // Already set by bin/lamppost.js; flags are the process's, so that no thread takes it back.
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
}

/**
 * Lets young generations grow with the load from now on; `bin/lamppost.js` keeps them small while modules are loaded.
 */
export function growWithLoad(): void {
  setFlagsFromString('--semi-space-growth-factor=2');
}

/**
 * Sets the size that the young generation of the next thread begins with: each of its three parts an eighth of what it
 * may grow to. V8 grows it by what survives, and of messages next to nothing does: from its own 1 MiB it would collect a
 * thread under load all the time (measured: 14 % more CPU a message at 1,000 connections with a window of 1).
 */
export function youngGenerationFrom(mostMiB = 8): void {
  setFlagsFromString(`--min-semi-space-size=${Math.max(1, Math.round(mostMiB / YOUNG_BEGINS))}`);
}

/** The bound of a young generation is three times that of each of its parts. */
const YOUNG_BEGINS = 24;
