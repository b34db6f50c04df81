import { setTimeout as sleep } from 'node:timers/promises';
import { type Clock, createZone } from '../../domain/index.ts';
import { type Connections, createConnection, type Traffic } from './connection.ts';
import { encodeSample } from './faults.ts';
import type { Credentials } from './register.ts';

/** A recorded reading. */
export interface Recorded {
  /** Epoch ms. */
  readonly tsMs: number;
  readonly value: number;
}

/** A recorded reading and when to send it. */
export interface Replayed extends Recorded {
  /** Time of sending, ms after the start; 0: as soon as possible. */
  readonly afterMs: number;
}

const ROW = /^\s*"?([^",]+)"?\s*,\s*"?([^",]+)"?\s*$/;
const TIME = /^(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d(?::\d\d(?:\.\d+)?)?)(Z|[+-]\d\d:?\d\d)?$/;

/**
 * Reads lines of `timestamp,value`, after an optional header line, and returns them oldest first. A timestamp without a
 * zone is local time of `zone`. Throws a RangeError that names the line, or where there are no readings.
 */
export function parseRecording(text: string, zone: string): Recorded[] {
  const recorded: Recorded[] = [];
  text.split(/\r?\n/).forEach((line, index) => {
    if (line.trim() === '' || (index === 0 && !/\d/.test(line))) return;
    const [, time, number] = ROW.exec(line) ?? [];
    const tsMs = time === undefined ? Number.NaN : timeOf(time.trim(), zone);
    const value = Number(number);
    if (!Number.isFinite(tsMs) || !Number.isFinite(value)) {
      throw new RangeError(
        `line ${index + 1}: expected "timestamp,value" such as 2015-09-01 11:25:00,58 — found "${line}"`,
      );
    }
    recorded.push({ tsMs, value });
  });
  if (recorded.length === 0) throw new RangeError('there are no readings in it');
  return recorded.sort((a, b) => a.tsMs - b.tsMs);
}

function timeOf(text: string, zone: string): number {
  const match = TIME.exec(text);
  if (!match) return Number.NaN;
  const [, date, time, offset] = match;
  if (offset !== undefined) return Date.parse(`${date}T${time}${offset}`);
  return createZone(zone).toUtc(Date.parse(`${date}T${time}Z`));
}

/**
 * Returns when each reading is sent, and its timestamp. With `speed`, readings are sent that many times faster than
 * they were recorded, the first one now, each with its time of sending. Without it all are sent at once, moved in time
 * so that the last one is now. `keepTime` keeps the recorded timestamps.
 */
export function scheduleReplay(
  recorded: readonly Recorded[],
  options: { readonly nowMs: number; readonly speed?: number; readonly keepTime?: boolean },
): Replayed[] {
  const { nowMs, speed, keepTime = false } = options;
  const firstMs = recorded[0]?.tsMs ?? 0;
  const lastMs = recorded.at(-1)?.tsMs ?? 0;
  return recorded.map(({ tsMs, value }) => {
    const afterMs = speed === undefined ? 0 : Math.round((tsMs - firstMs) / speed);
    const movedMs = speed === undefined ? tsMs + nowMs - lastMs : nowMs + afterMs;
    return { tsMs: keepTime ? tsMs : movedMs, value, afterMs };
  });
}

const KM_PER_MILE = 1.609344;

/** Units of recordings that can be converted, and how. */
export const CONVERSIONS: Readonly<Record<string, { readonly to: string; convert(value: number): number }>> = {
  mph: { to: 'km/h', convert: (value) => Math.round(value * KM_PER_MILE * 100) / 100 },
  degF: { to: 'Cel', convert: (value) => Math.round(((value - 32) / 1.8) * 100) / 100 },
};

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

/** A device that sends recorded readings. */
export interface Replay {
  /** Resolves when every reading is acknowledged or has failed, or the signal aborts. */
  run(): Promise<Traffic>;
  stats(): Traffic & Connections & { readonly total: number };
}

/** Makes a replay that publishes recorded readings of one metric, in order, at most 100 in flight. */
export function createReplay(deps: { readonly clock: Clock }, options: ReplayOptions): Replay {
  const traffic: Traffic = { sent: 0, acknowledged: 0, failed: 0, skipped: 0 };
  let errors = 0;
  let lastError: string | null = null;
  const onError = (message: string): void => {
    errors += 1;
    lastError = message;
  };
  const { url, device, recorded } = options;
  const connection = createConnection({ traffic, onError }, { urls: [url], device, format: 'native', window: WINDOW });
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
    stats: () => ({
      ...{ ...traffic, total: recorded.length },
      ...{ connected: connection.connected ? 1 : 0, errors, lastError },
    }),
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
