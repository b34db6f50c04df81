import type { MessagePort } from 'node:worker_threads';
import {
  type Appended,
  Histogram,
  type HistogramCounts,
  LamppostError,
  type LogClock,
  type MessageSink,
} from '../domain/index.ts';
import { BatchWriter, createRoute, type Route } from './records.ts';

/** The messages of one group commit, sent to the journal's thread. */
export interface CommitRequest {
  readonly type: 'messages';
  readonly bytes: ArrayBuffer;
  readonly length: number;
  readonly count: number;
  /** Civil minus steady time with which they were stamped, ms. */
  offsetMs: number;
  /** Number of the commit since the start: the same in every attempt, of which one may have arrived unnoticed. */
  readonly commit: number;
}

/** Why messages were not committed; a later attempt may succeed. */
export type CommitFault = 'disk' | 'journal-full' | 'log-away';

/** The reply of the journal's thread to one group commit. The buffer is returned for reuse. */
export interface CommitReply {
  readonly error: { code: CommitFault; message: string } | null;
  /** Civil minus steady time with which the messages are stamped by now. */
  readonly offsetMs: number;
  readonly bytes: ArrayBuffer;
}

/** Appends messages to the journal from another thread: those before `start` wait for it. */
export interface JournalAppender extends MessageSink {
  /** How long messages waited for their commit and might be acknowledged then, ms. */
  acknowledged(): HistogramCounts;
  /** Begins to listen for the journal's replies. */
  start(): void;
  /** Closes the port: what is not committed by now is never acknowledged. Call `drained` before. Idempotent. */
  stop(): void;
  /** Resolves when no message waits for its commit. */
  drained(): Promise<void>;
}

interface AppenderOptions {
  /** How long a failed commit (disk full, journal over its limit) is retried before its publishers are refused, ms. */
  readonly patienceMs: number;
  /** Pause between two attempts, ms. */
  readonly retryMs: number;
}

/** Messages of one commit that there is room for at first. */
const ROOM = 1_024;
/** Bounds of what a commit takes, ms: from a good disk to the patience with a full one. */
const WAITED_MS = [2, 5, 10, 25, 50, 100, 250, 500, 1_000, 5_000, 10_000];

/**
 * Group commit: while one commit is written to disk, the next one collects messages; it is sent as soon as the last one
 * is done. A lone publisher waits for one fsync, and a thousand share one. There is no timer and no fixed delay.
 * Returns the appender over a port to the journal's thread.
 */
export function createJournalAppender(
  port: MessagePort,
  clock: LogClock,
  options: AppenderOptions = { patienceMs: 10_000, retryMs: 250 },
): JournalAppender {
  const writer = new BatchWriter();
  const waited = new Histogram(WAITED_MS);
  let waiting: Appended[] = [];
  let committing: Appended[] = [];
  /** When each of them was appended, steady ms. */
  let waitingSince = new Float64Array(ROOM);
  let committingSince = new Float64Array(ROOM);
  let committingBytes = 0;
  let committingCount = 0;
  /** All messages of one commit are stamped with one offset. */
  let offsetMs = clock.offsetMs();
  let busy = false;
  let commit = 0;
  let scheduled = false;
  /** When the current one was sent first: all attempts have one patience, also where the process stood still. */
  let committedAt = 0;
  let recycled: ArrayBuffer | null = null;
  let retry: NodeJS.Timeout | undefined;
  let idle: (() => void)[] = [];

  function send(): void {
    scheduled = false;
    if (busy || writer.count === 0) return;
    busy = true;
    const batch = writer.take(recycled);
    recycled = null;
    committing = waiting;
    waiting = [];
    [committingSince, waitingSince] = [waitingSince, committingSince];
    commit++;
    committedAt = clock.steady.now();
    post({ type: 'messages', ...batch, offsetMs, commit });
  }

  function post(request: CommitRequest): void {
    committingBytes = request.length;
    committingCount = request.count;
    port.postMessage(request, [request.bytes]);
  }

  function settle(reply: CommitReply): void {
    if (reply.error !== null && mayRetry()) {
      const [length, count, offset] = [committingBytes, committingCount, reply.offsetMs];
      const again: CommitRequest = { type: 'messages', bytes: reply.bytes, length, count, offsetMs: offset, commit };
      retry = setTimeout(() => post(again), options.retryMs);
      return;
    }
    const done = committing;
    const since = committingSince;
    const error =
      reply.error === null ? null : new LamppostError(reply.error.code, reply.error.message, { retryable: true });
    committing = [];
    committingBytes = 0;
    recycled = reply.bytes;
    busy = false;
    // The next commit is sent before the acknowledgements are written, so that the disk and this thread work in
    // parallel.
    if (writer.count > 0) send();
    if (error === null) waited.countSince(since, done.length, clock.steady.now());
    for (const appended of done) appended(error);
    if (!busy && writer.count === 0) {
      for (const resolve of idle) resolve();
      idle = [];
    }
  }

  const mayRetry = () => clock.steady.now() - committedAt < options.patienceMs;

  return {
    start: () => void port.on('message', settle),
    stop() {
      clearTimeout(retry);
      port.close();
    },
    route: createRoute,
    append(route, payload, done) {
      if (writer.count === 0) offsetMs = clock.offsetMs();
      const now = clock.steady.now();
      writer.add(route as Route, payload, now + offsetMs);
      if (waiting.length === waitingSince.length) waitingSince = doubled(waitingSince);
      waitingSince[waiting.length] = now;
      waiting.push(done);
      if (busy || scheduled) return;
      scheduled = true;
      setImmediate(send);
    },
    acknowledged: () => waited.counts(),
    pendingBytes: () => writer.length + committingBytes,
    drained: () => (busy || writer.count > 0 ? new Promise((resolve) => idle.push(resolve)) : Promise.resolve()),
  };
}

function doubled(times: Float64Array<ArrayBuffer>): Float64Array<ArrayBuffer> {
  const more = new Float64Array(2 * times.length);
  more.set(times);
  return more;
}
