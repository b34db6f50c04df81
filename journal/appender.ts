import type { MessagePort } from 'node:worker_threads';
import { type Appended, type Clock, LamppostError, type MessageSink } from '../domain/index.ts';
import { BatchWriter, createRoute, type Route } from './records.ts';

/** A group commit on its way to the journal's thread. */
export interface CommitRequest {
  readonly type: 'messages';
  readonly bytes: ArrayBuffer;
  readonly length: number;
  readonly count: number;
}

/** The journal thread's answer to one group commit; the buffer comes back for the next one. */
export interface CommitReply {
  readonly error: { code: 'disk' | 'journal-full'; message: string } | null;
  readonly bytes: ArrayBuffer;
}

/** The door of the journal for those who append. */
export interface JournalAppender extends MessageSink {
  /** Resolves when nothing waits any more. */
  drained(): Promise<void>;
}

interface AppenderOptions {
  /** How long a refused commit (disk full, journal past its bound) is tried again before its publishers are refused, ms. */
  readonly patienceMs: number;
  /** Pause between two tries, ms. */
  readonly retryMs: number;
}

/**
 * Group commit: while one commit is on its way to disk, the next one collects; it leaves as soon as the last one is
 * done. So a lone publisher waits for one fsync, and a thousand share one. No timer, no fixed delay.
 */
export function createJournalAppender(
  port: MessagePort,
  clock: Clock,
  options: AppenderOptions = { patienceMs: 10_000, retryMs: 250 },
): JournalAppender {
  const writer = new BatchWriter();
  let waiting: Appended[] = [];
  let committing: Appended[] = [];
  let committingBytes = 0;
  let committingCount = 0;
  let busy = false;
  let scheduled = false;
  let refusedSince = 0;
  let recycled: ArrayBuffer | null = null;
  let idle: (() => void)[] = [];

  port.on('message', settle);

  function send(): void {
    scheduled = false;
    if (busy || writer.count === 0) return;
    busy = true;
    const batch = writer.take(recycled);
    recycled = null;
    committing = waiting;
    waiting = [];
    post({ type: 'messages', ...batch });
  }

  function post(request: CommitRequest): void {
    committingBytes = request.length;
    committingCount = request.count;
    port.postMessage(request, [request.bytes]);
  }

  function settle(reply: CommitReply): void {
    if (reply.error !== null && mayRetry()) {
      const again = { type: 'messages', bytes: reply.bytes, length: committingBytes, count: committingCount } as const;
      setTimeout(() => post(again), options.retryMs);
      return;
    }
    refusedSince = 0;
    const done = committing;
    const error =
      reply.error === null ? null : new LamppostError(reply.error.code, reply.error.message, { retryable: true });
    committing = [];
    committingBytes = 0;
    recycled = reply.bytes;
    busy = false;
    // The next commit leaves before the acknowledgements are written: the disk then works while this thread does.
    if (writer.count > 0) send();
    for (const told of done) told(error);
    if (!busy && writer.count === 0) {
      for (const resolve of idle) resolve();
      idle = [];
    }
  }

  function mayRetry(): boolean {
    if (refusedSince === 0) refusedSince = clock.now();
    return clock.now() - refusedSince < options.patienceMs;
  }

  return {
    route: createRoute,
    append(route, payload, done) {
      writer.add(route as Route, payload, clock.now());
      waiting.push(done);
      if (busy || scheduled) return;
      scheduled = true;
      setImmediate(send);
    },
    pendingBytes: () => writer.length + committingBytes,
    drained: () => (busy || writer.count > 0 ? new Promise((resolve) => idle.push(resolve)) : Promise.resolve()),
  };
}
