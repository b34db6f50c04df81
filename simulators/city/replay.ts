import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '../../domain/index.ts';
import { createConnection, type Traffic } from './connection.ts';
import { encodeSample } from './faults.ts';
import { type Recorded, scheduleReplay } from './recording.ts';
import type { Credentials } from './register.ts';

const WINDOW = 100;

/** What to replay, as which device, and where to. */
export interface ReplayOptions {
  /** Where to publish, such as `mqtt://127.0.0.1:1883`. */
  readonly url: string;
  readonly device: Credentials;
  readonly metric: string;
  readonly recorded: readonly Recorded[];
  /** See `scheduleReplay`. */
  readonly speed?: number;
  readonly keepTime?: boolean;
  /** Ends the replay early. */
  readonly signal?: AbortSignal;
}

/** A device that says again what was recorded. */
export interface Replay {
  /** Resolves when everything is acknowledged (or given up), or the signal has ended it. */
  run(): Promise<Traffic>;
  stats(): Traffic & { readonly total: number; readonly lastError: string | null };
}

/** Publishes recorded readings of one metric, in order, at most 100 in flight. */
export function createReplay(deps: { readonly clock: Clock }, options: ReplayOptions): Replay {
  const traffic: Traffic = { sent: 0, acknowledged: 0, failed: 0, skipped: 0 };
  let lastError: string | null = null;
  const onError = (message: string): void => {
    lastError = message;
  };
  const { url, device, recorded } = options;
  const connection = createConnection({ traffic, onError }, { url, device, window: WINDOW });
  return {
    run: async () => {
      connection.start();
      try {
        await publishAll(deps.clock, options, (payload) => connection.publish(payload, false));
      } finally {
        await connection.stop();
      }
      return traffic;
    },
    stats: () => ({ ...traffic, total: recorded.length, lastError }),
  };
}

async function publishAll(
  clock: Clock,
  options: ReplayOptions,
  publish: (payload: string) => Promise<void>,
): Promise<void> {
  const { recorded, speed, keepTime = false, metric, signal } = options;
  const nowMs = clock.now();
  const inFlight = new Set<Promise<void>>();
  const aborted = new Promise<void>((resolve) => signal?.addEventListener('abort', () => resolve(), { once: true }));
  for (const { tsMs, value, afterMs } of scheduleReplay(recorded, {
    nowMs,
    keepTime,
    ...(speed !== undefined && { speed }),
  })) {
    const waitMs = nowMs + afterMs - clock.now();
    if (speed !== undefined && waitMs > 0) await Promise.race([sleep(waitMs, undefined, { ref: true }), aborted]);
    if (inFlight.size >= WINDOW) await Promise.race([...inFlight, aborted]);
    if (signal?.aborted) return;
    const sending = publish(encodeSample({ tsMs, metrics: { [metric]: value } })).finally(() =>
      inFlight.delete(sending),
    );
    inFlight.add(sending);
  }
  await Promise.race([Promise.all(inFlight), aborted]);
}
