import { SIMULATE } from '../../../cli/flags.ts';
import { command, read } from '../../../cli/spec.ts';
import type { SimulateFlags } from '../../../simulators/command.ts';

/** Reads a command line of `simulate` as the command does. */
export function simulateFlags(argv: readonly string[]): SimulateFlags {
  return read('simulate', command({ about: '', flags: SIMULATE, run: async () => 0 }), argv).flags as SimulateFlags;
}
