import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { type City, LamppostError, type Rule } from '../../domain/index.ts';
import {
  type Backtest,
  type BacktestDevice,
  type BacktestProgress,
  type BacktestReport,
  backtestInput,
} from '../../rules/index.ts';
import type { BacktestCity } from '../../tickets/index.ts';
import type { BacktestThread, BacktestThreadData } from './backtest.ts';
import { spawn } from './rpc.ts';

interface Deps {
  readonly city: () => City;
  /** Returns the rule in force with this id; null where there is none. */
  readonly inForce: (id: string) => Rule | null;
  /** Returns all registered devices. */
  readonly devices: () => readonly BacktestDevice[];
  /** Makes the thread that owns the history serve one scan over the port. */
  readonly scan: (port: MessagePort) => Promise<void>;
}

/** Runs backtests, one at a time, each in a thread of its own, so that neither live rules nor the API wait for one. */
export interface Backtests {
  readonly run: Backtest;
  /** Cancels the running one and waits until its thread has ended. Idempotent. */
  stop(): Promise<void>;
}

export function createBacktests({ city, inForce, devices, scan }: Deps): Backtests {
  let cancel: ((reason: Error) => void) | null = null;
  let ended: Promise<unknown> = Promise.resolve();

  return {
    async run({ rule, fromMs, toMs }, { signal, onProgress } = {}) {
      signal?.throwIfAborted();
      if (cancel !== null) {
        throw new LamppostError('busy', 'another backtest runs: try again when it is done', { retryable: true });
      }
      const { promise: cancelled, reject } = Promise.withResolvers<never>();
      cancelled.catch(() => {});
      cancel = reject;
      const abort = () => reject(signal!.reason);
      signal?.addEventListener('abort', abort);
      try {
        const now = city();
        const input = { ...backtestInput(now, rule, inForce(rule.id)), devices: devices(), fromMs, toMs };
        const report = compute({ input, city: ticketCityOf(now) }, { scan, onProgress, cancelled });
        ended = report.catch(() => {});
        return await report;
      } finally {
        signal?.removeEventListener('abort', abort);
        cancel = null;
      }
    },
    async stop() {
      cancel?.(new LamppostError('busy', 'the server stops', { retryable: true }));
      await ended;
    },
  };
}

/**
 * Runs one backtest in its thread. When it settles the thread has ended, which closes the port and with it the scan.
 * Rejects when `cancelled` does.
 */
async function compute(
  data: Omit<BacktestThreadData, 'history'>,
  {
    scan,
    onProgress,
    cancelled,
  }: Pick<Deps, 'scan'> & {
    onProgress: ((progress: BacktestProgress) => void) | undefined;
    cancelled: Promise<never>;
  },
): Promise<BacktestReport> {
  const { port1, port2 } = new MessageChannel();
  const thread = spawn<BacktestThread>(new URL('./backtest.ts', import.meta.url), {
    data: { ...data, history: port1 } satisfies BacktestThreadData,
    transfer: [port1],
    // A crash rejects the call of the one caller and ends nothing else.
    onCrash: () => {},
  });
  thread.worker.on('message', (message: { event?: string; progress?: BacktestProgress }) => {
    if (message.event === 'progress') onProgress?.(message.progress!);
  });
  try {
    await scan(port2);
    return await Promise.race([thread.call.run(), cancelled]);
  } finally {
    await thread.worker.terminate();
  }
}

/** Leaves out what no ticket needs: geometries are large. */
function ticketCityOf({ name, services, districts, calendars }: City): BacktestCity {
  const bare = [...districts].map(([id, { title }]) => [id, { id, title }] as const);
  return { name, services, calendars, districts: new Map(bare) as unknown as City['districts'] };
}
