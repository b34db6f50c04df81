/** Entry of a backtest's thread: runs one backtest on readings that it requests from the thread of the history. */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import type { ScannedReadings, ScanQuery } from '../../domain/index.ts';
import { type BacktestInput, type BacktestReport, runBacktest } from '../../rules/index.ts';
import { type BacktestCity, wouldBeTickets } from '../../tickets/index.ts';
import { remoteBatches } from './batches.ts';
import { offer } from './rpc.ts';

/** The data that the main thread passes to this one. */
export interface BacktestThreadData {
  readonly input: BacktestInput;
  readonly city: BacktestCity;
  readonly history: MessagePort;
}

const { input, city, history } = workerData as BacktestThreadData;

const functions = {
  /** Posts `{event: 'progress', progress}` while it runs. */
  run(): Promise<BacktestReport> {
    const ticketOf = wouldBeTickets(city, input.devices);
    const scan = remoteBatches<[ScanQuery], ScannedReadings>(history);
    const deps = { scan: (query: ScanQuery) => scan(query), ticketOf, elapsed: () => performance.now() };
    return runBacktest(input, deps, {
      onProgress: (progress) => parentPort!.postMessage({ event: 'progress', progress }),
    });
  },
};
export type BacktestThread = typeof functions;
offer(parentPort!, functions);
