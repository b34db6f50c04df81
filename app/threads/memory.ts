import { flushCompileCache } from 'node:module';
import { availableParallelism } from 'node:os';
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
 * 200 ms. What a load needed goes in the same way once the thread is quiet again, until the function that it returns is
 * called.
 */
export function collectAfterStart(): () => void {
  // Before heaps may grow: V8 takes compiled code only under the flags that it was stored under.
  flushCompileCache();
  // Already set by bin/lamppost.js; flags are the process's, so that no thread takes it back.
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  const afterLoad = createAfterLoad({ sizeOf: sizeOfThread, collect });
  let last = performance.eventLoopUtilization();
  const timer = setInterval(() => {
    const now = performance.eventLoopUtilization();
    afterLoad(performance.eventLoopUtilization(now, last).utilization);
    last = now;
  }, QUIET_LOOK_MS).unref();
  return () => clearInterval(timer);
}

/** How much of its time a thread works at most to be quiet, and in how many looks one after another. */
const QUIET_SHARE = 0.05;
const QUIET_LOOKS = 3;
const QUIET_LOOK_MS = 5_000;
/** What a collection is worth, bytes. */
const WORTH = 16 * 1024 * 1024;

interface Collecting {
  /** Returns what the thread has of the system, bytes. */
  readonly sizeOf: () => number;
  readonly collect: () => void;
}

/**
 * Returns what takes each look at a thread, the share of its time in which it worked: where it is quiet, and has much
 * more than after the collection before, it is collected.
 */
export function createAfterLoad({ sizeOf, collect }: Collecting): (share: number) => void {
  let kept = sizeOf();
  let quiet = 0;
  return (share) => {
    quiet = share <= QUIET_SHARE ? quiet + 1 : 0;
    if (quiet < QUIET_LOOKS || sizeOf() < kept + WORTH) return;
    collect();
    kept = sizeOf();
    quiet = 0;
  };
}

function sizeOfThread(): number {
  const { total_physical_size, external_memory } = getHeapStatistics();
  return total_physical_size + external_memory;
}

/**
 * CPU of the process, cores, from which on memory is worth less than time: more than one thread can do, or most of the
 * only core there is.
 */
const BUSY_CORES = Math.min(1, 0.75 * availableParallelism());
/** The end of a start, a page that somebody opens, or hundreds of devices that connect, are a busy look or two. */
const BUSY_LOOKS = 3;
const LOOK_MS = 1_000;

/** Returns what says of each look, by the CPU since the one before, whether the process is under a load that lasts. */
export function createLoadWatch(from = BUSY_CORES): (cores: number) => boolean {
  let busy = 0;
  return (cores) => {
    busy = cores >= from ? busy + 1 : 0;
    return busy >= BUSY_LOOKS;
  };
}

/**
 * Lets heaps grow while the process is under load, and only then. By itself V8 grows a young generation to its bound,
 * and an old one to several times what lives, by what survives, however slowly that comes: 500 devices with 2,000
 * messages a second took 250 MiB for nothing. `bin/lamppost.js` keeps heaps small while modules are loaded.
 */
export function createHeapGrowth() {
  let last = process.cpuUsage();
  let lastAt = performance.now();
  let timer: NodeJS.Timeout | undefined;
  const isLoaded = createLoadWatch();

  function look(): void {
    const { user, system } = process.cpuUsage(last);
    const now = performance.now();
    const isBusy = isLoaded((user + system) / 1_000 / (now - lastAt));
    [last, lastAt] = [process.cpuUsage(), now];
    setFlagsFromString(`--semi-space-growth-factor=${isBusy ? 2 : 1}`);
    // How much an old generation grows before it is collected, percent of what lives in it; 0: as V8 finds right.
    setFlagsFromString(`--heap-growing-percent=${isBusy ? 0 : 50}`);
  }

  return {
    start(): void {
      timer = setInterval(look, LOOK_MS).unref();
    },
    stop(): void {
      clearInterval(timer);
    },
  };
}

/**
 * Sets the size that the young generation of the next thread begins with: each of its three parts an eighth of what it
 * may grow to. V8 grows it by what survives, and of messages next to nothing does: from its own 1 MiB it would collect
 * a thread under load all the time (measured: 14 % more CPU a message at 1,000 connections with a window of 1).
 */
export function youngGenerationFrom(mostMiB = 8): void {
  setFlagsFromString(`--min-semi-space-size=${Math.max(1, Math.round(mostMiB / YOUNG_BEGINS))}`);
}

/** The bound of a young generation is three times that of each of its parts. */
const YOUNG_BEGINS = 24;
