/** Entry of a backtest's thread: computes one backtest, on readings that it asks of the history's thread. */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { type BacktestInput, type BacktestReport, runBacktest } from '../../rules/index.ts';
import { type BacktestCity, wouldBeTickets } from '../../tickets/index.ts';
import { offer } from './rpc.ts';
import { remoteScan } from './scan.ts';

/** What the main thread hands to this one. */
export interface BacktestThreadData {
  readonly input: BacktestInput;
  readonly city: BacktestCity;
  readonly history: MessagePort;
}

const { input, city, history } = workerData as BacktestThreadData;

const functions = {
  /** Posts `{event: 'progress', progress}` on the way. */
  run(): Promise<BacktestReport> {
    const ticketOf = wouldBeTickets(city, input.devices);
    const deps = { scan: remoteScan(history), ticketOf, elapsed: () => performance.now() };
    return runBacktest(input, deps, {
      onProgress: (progress) => parentPort!.postMessage({ event: 'progress', progress }),
    });
  },
};
export type BacktestThread = typeof functions;
offer(parentPort!, functions);
