import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { type City, LamppostError, type Rule } from '../../domain/index.ts';
import type { Registry } from '../../registry/index.ts';
import type {
  Backtest,
  BacktestDevice,
  BacktestInput,
  BacktestProgress,
  BacktestReport,
  RuleRepository,
} from '../../rules/index.ts';
import type { BacktestThread, BacktestThreadData } from './backtest.ts';
import { spawn } from './rpc.ts';
import type { TicketCity } from './would-be.ts';

interface Deps {
  readonly city: () => City;
  /** The rule of this id in force; null where there is none. */
  readonly inForce: (id: string) => Rule | null;
  /** All that are registered. */
  readonly devices: () => readonly BacktestDevice[];
  /** Lets the owner of the history serve a scan over the port. */
  readonly scan: (port: MessagePort) => Promise<void>;
}

/** Runs backtests, one at a time, each in a thread of its own, so that neither live rules nor the API wait for it. */
export interface Backtests {
  readonly run: Backtest;
  /** Cancels the one that runs, and waits for its thread. */
  stop(): Promise<void>;
}

/** Makes the runner of a process. */
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
        const input = { ...inputOf(now, rule, inForce(rule.id)), devices: devices(), fromMs, toMs };
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

interface Surroundings {
  readonly scan: Deps['scan'];
  readonly onProgress: ((progress: BacktestProgress) => void) | undefined;
  /** Rejects when nobody wants the report any more. */
  readonly cancelled: Promise<never>;
}

/** One backtest in its thread; when it settles, the thread has ended, whose end closes the port and so ends the scan. */
async function compute(
  data: Omit<BacktestThreadData, 'history'>,
  { scan, onProgress, cancelled }: Surroundings,
): Promise<BacktestReport> {
  const { port1, port2 } = new MessageChannel();
  const thread = spawn<BacktestThread>('./backtest.ts', {
    data: { ...data, history: port1 } satisfies BacktestThreadData,
    transfer: [port1],
    // One that dies concerns those who asked for it alone: their call is rejected.
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

const PAGE = 1_000;

/** Every registered device, and since when it is. */
export function backtestDevices(registry: Pick<Registry, 'list'>): BacktestDevice[] {
  const devices: BacktestDevice[] = [];
  let after: string | null = null;
  do {
    const page: ReturnType<Registry['list']> = registry.list({ limit: PAGE, after });
    for (const { registeredAt, ...device } of page.items) {
      devices.push({ ...device, registeredMs: Date.parse(registeredAt) });
    }
    after = page.next;
  } while (after !== null);
  return devices;
}

/** The rule of an id that decides now; null where none does. */
export function ruleInForce(rules: Pick<RuleRepository, 'get' | 'resolve'>, id: string): Rule | null {
  return rules.get(id)?.inForce === true ? rules.resolve(id, '') : null;
}

/** What a backtest takes from the city and the rules in force. */
export function inputOf(
  city: City,
  rule: Rule,
  inForce: Rule | null,
): Omit<BacktestInput, 'devices' | 'fromMs' | 'toMs'> {
  return {
    rule,
    inForce: inForce === null || inForce.version === rule.version ? null : inForce,
    calendars: city.calendars,
    zone: city.timezone,
    metrics: new Map([...city.profiles.values()].map(({ id, metrics }) => [id, metrics])),
  };
}

/** Without what no ticket needs: geometries are large. */
function ticketCityOf({ name, services, districts, calendars }: City): TicketCity {
  const bare = [...districts].map(([id, { title }]) => [id, { id, title }] as const);
  return { name, services, calendars, districts: new Map(bare) as unknown as City['districts'] };
}
