import type { City } from '../../domain/index.ts';
import { type FormatTrial, type FormatTrialReport, tryFormat } from '../../ingest/index.ts';
import type { FormatTrialThread } from './format-trial.ts';
import { spawn, type Thread } from './rpc.ts';

/** Tries messages; what runs a codec runs in a thread of its own. */
export interface FormatTrials {
  try(city: City, trial: FormatTrial): Promise<FormatTrialReport>;
  /** Ends the thread, and rejects what it was at. */
  stop(): Promise<void>;
}

/** The thread ends when nothing was tried for so long. */
const IDLE_MS = 10_000;

/** Returns the trials; there is no thread before the first one that needs it. */
export function createFormatTrials(): FormatTrials {
  let thread: Thread<FormatTrialThread> | null = null;
  let idle: NodeJS.Timeout | undefined;
  let running = 0;

  async function end(): Promise<void> {
    clearTimeout(idle);
    const ending = thread;
    thread = null;
    await ending?.worker.terminate();
  }

  return {
    async try(city, trial) {
      const profile = trial.profile === null ? undefined : city.profiles.get(trial.profile);
      if (Object.keys(profile?.codecs ?? {}).length === 0) return tryFormat(city, trial);
      clearTimeout(idle);
      // A crash rejects the trial that it was at, and ends nothing else.
      thread ??= spawn<FormatTrialThread>(new URL('./format-trial.ts', import.meta.url), {
        data: {},
        onCrash: () => void end(),
      });
      running++;
      try {
        return await thread.call.try(needed(city), trial);
      } finally {
        if (--running === 0) idle = setTimeout(() => void end(), IDLE_MS);
      }
    },
    stop: end,
  };
}

/** Without what no message needs: geometries are large. */
function needed(city: City): City {
  return { ...city, districts: new Map(), assets: new Map(), calendars: new Map(), services: new Map() };
}
