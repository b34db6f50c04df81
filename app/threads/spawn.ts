import { type TransferListItem, Worker } from 'node:worker_threads';
import { type ErrorCode, LamppostError } from '../../domain/index.ts';
import { type Offered, type Remote, remote } from './rpc.ts';

/** A thread and the functions it offers. */
export interface Thread<T extends Offered> {
  readonly call: Remote<T>;
  readonly worker: Worker;
  /** Resolves when the thread has ended. */
  readonly ended: Promise<void>;
}

interface SpawnOptions {
  readonly data: object;
  readonly transfer?: readonly TransferListItem[];
  /** Size of V8's young generation, MiB: large for threads in which every message is garbage a moment later. */
  readonly youngMiB?: number;
  /** A thread that dies takes the process with it: the journal recovers at the next start. */
  readonly onCrash: (error: Error) => void;
}

/** Starts a thread from its entry file beside this one. */
export function spawn<T extends Offered>(entry: string, options: SpawnOptions): Thread<T> {
  const worker = new Worker(new URL(entry, import.meta.url), {
    workerData: options.data,
    transferList: [...(options.transfer ?? [])],
    ...(options.youngMiB === undefined ? {} : { resourceLimits: { maxYoungGenerationSizeMb: options.youngMiB } }),
  });
  const { call, fail } = remote<T>(worker);
  const ended = new Promise<void>((resolve) => {
    worker.once('exit', (code) => {
      fail(new Error(`thread ${entry} has ended`));
      if (code !== 0) options.onCrash(new Error(`thread ${entry} ended with code ${code}`));
      resolve();
    });
  });
  worker.on('error', (error) => options.onCrash(operationalAgain(error as Error)));
  return { call, worker, ended };
}

/** An error of another thread comes as a copy that has its fields and not its class. */
function operationalAgain(error: Error & { code?: ErrorCode; retryable?: boolean }): Error {
  if (error.name !== 'LamppostError') return error;
  return new LamppostError(error.code!, error.message, { retryable: error.retryable === true, cause: error });
}
