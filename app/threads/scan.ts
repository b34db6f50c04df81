import type { MessagePort } from 'node:worker_threads';
import type { HistoryStore, ScannedReadings, ScanQuery } from '../../domain/index.ts';
import { moving, offer, remote } from './rpc.ts';

type Scan = HistoryStore['scan'];

/** The functions of a scan that the history's thread serves: batch by batch, each on request. */
type ScanEnd = {
  begin(query: ScanQuery): void;
  /** Null at the end. */
  next(): Promise<ScannedReadings | null>;
};

/** Serves one scan over a port until the other end closes it; at most one batch is on its way. */
export function offerScan(port: MessagePort, history: { scan: Scan }): void {
  const ended = new AbortController();
  let batches: AsyncIterator<ScannedReadings> | null = null;
  port.once('close', () => {
    ended.abort();
    void batches?.return?.().then(undefined, () => {});
  });
  offer(port, {
    begin(query: ScanQuery) {
      batches = history.scan(query, ended.signal)[Symbol.asyncIterator]();
    },
    async next() {
      const { done, value } = await batches!.next();
      if (done === true) return null;
      const { device, metric, ts, value: values } = value;
      return moving(value, [device.buffer, metric.buffer, ts.buffer, values.buffer]);
    },
  } satisfies { [K in keyof ScanEnd]: (...args: Parameters<ScanEnd[K]>) => unknown });
}

/** Returns one scan of a history that another thread owns; closes the port when it ends. */
export function remoteScan(port: MessagePort): Scan {
  const end = remote<ScanEnd>(port);
  return async function* scan(query) {
    try {
      await end.call.begin(query);
      for (let batch = await end.call.next(); batch !== null; batch = await end.call.next()) yield batch;
    } finally {
      port.close();
    }
  };
}
