import { flushCompileCache } from 'node:module';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/**
 * Returns what a start needed to the system: modules that were parsed, tables that were filled. V8 would keep it until
 * the
 * next full collection, which an idle thread never has. Each thread calls it once, when it is ready; it takes 20 to 200
 * ms.
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
