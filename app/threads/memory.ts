import { flushCompileCache } from 'node:module';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

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
 * Sets the size that the young generation of the next thread begins with: an eighth of its bound. V8 grows it by what
 * survives, and of messages next to nothing does: from its own 1 MiB it would collect a thread under load all the time
 * (measured: 14 % more CPU a message at 1,000 connections with a window of 1).
 */
export function youngGenerationFrom(mostMiB = 8): void {
  setFlagsFromString(`--min-semi-space-size=${Math.max(1, Math.round(mostMiB / 8))}`);
}
