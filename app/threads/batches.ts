import { MessageChannel, type MessagePort, type TransferListItem } from 'node:worker_threads';
import type {
  HistoryStore,
  LatestReading,
  PointsSlice,
  ReadingsFilter,
  ReadingsQuery,
  ReadOptions,
  ScannedReadings,
} from '../../domain/index.ts';
import { moving, offer, remote } from './rpc.ts';

/** The functions of one read that the history's thread serves: batch by batch, each on request. */
type BatchesEnd<A extends unknown[], B> = {
  begin(...args: A): void;
  /** Null at the end. */
  next(): Promise<B | null>;
};

/** A read in the thread that has the data; its signal aborts when the other end closes the port. */
type Open<A extends unknown[], B> = (signal: AbortSignal, ...args: A) => AsyncIterable<B>;

/**
 * Serves one read over a port until the other end closes it; at most one batch is on its way. `partsOf` returns the
 * buffers of a batch that are moved instead of copied.
 */
export function offerBatches<A extends unknown[], B extends object>(
  port: MessagePort,
  open: Open<A, B>,
  partsOf: (batch: B) => readonly TransferListItem[] = () => [],
): void {
  const ended = new AbortController();
  let batches: AsyncIterator<B> | null = null;
  port.once('close', () => {
    ended.abort();
    void batches?.return?.().then(undefined, () => {});
  });
  offer(port, {
    begin(...args: A) {
      batches = open(ended.signal, ...args)[Symbol.asyncIterator]();
    },
    async next() {
      const { done, value } = await batches!.next();
      return done === true ? null : moving(value, partsOf(value));
    },
  } satisfies { [K in keyof BatchesEnd<A, B>]: (...args: Parameters<BatchesEnd<A, B>[K]>) => unknown });
}

/**
 * Returns one read of another thread over a port. It closes the port when it ends, or when the signal aborts: then it
 * throws the signal's reason, and the other end stops its work.
 */
export function remoteBatches<A extends unknown[], B>(
  port: MessagePort,
  signal?: AbortSignal,
): (...args: A) => AsyncGenerator<B, void, undefined> {
  const { call } = remote<BatchesEnd<A, B>>(port);
  return async function* read(...args) {
    const close = () => port.close();
    signal?.addEventListener('abort', close, { once: true });
    try {
      signal?.throwIfAborted();
      await call.begin(...args);
      for (let batch = await call.next(); batch !== null; batch = await call.next()) yield batch as B;
    } catch (error) {
      throw signal?.aborted === true ? signal.reason : error;
    } finally {
      signal?.removeEventListener('abort', close);
      port.close();
    }
  };
}

/** Returns the function that reads from another thread; `serve` makes that thread serve one read over a port. */
function batchesOf<A extends unknown[], B>(serve: (port: MessagePort) => Promise<void>) {
  return async function* read(signal: AbortSignal | undefined, ...args: A): AsyncGenerator<B, void, undefined> {
    const { port1, port2 } = new MessageChannel();
    const batches = remoteBatches<A, B>(port1, signal);
    try {
      await serve(port2);
      yield* batches(...args);
    } finally {
      port1.close();
    }
  };
}

/** The buffers of a scan's batch. */
export const scanParts = ({ device, metric, ts, value }: ScannedReadings) => [
  device.buffer,
  metric.buffer,
  ts.buffer,
  value.buffer,
];

/** The buffers of a slice of points. */
export const sliceParts = ({ ts, value }: PointsSlice) => [ts.buffer, value.buffer];

type SentOptions = Omit<ReadOptions, 'signal'>;

/** What a thread that has the history offers of it. */
interface HistoryEnd {
  read(port: MessagePort): Promise<void>;
  latest(port: MessagePort): Promise<void>;
  exportParquet(query: Omit<ReadingsQuery, 'maxPoints'>, options: SentOptions, signal: AbortSignal): Promise<string>;
}

/** Returns the reads of a history that another thread has. */
export function remoteHistory(end: HistoryEnd): Pick<HistoryStore, 'read' | 'latest' | 'exportParquet'> {
  const read = batchesOf<[ReadingsQuery, SentOptions], PointsSlice>((port) => end.read(port));
  const latest = batchesOf<[ReadingsFilter], readonly LatestReading[]>((port) => end.latest(port));
  return {
    read: (query, { signal, ...options } = {}) => read(signal, query, options),
    latest: (filter) => latest(undefined, filter),
    exportParquet: (query, { signal = new AbortController().signal, ...options } = {}) =>
      end.exportParquet(query, options, signal),
  };
}
