import type { MessagePort } from 'node:worker_threads';
import { type BlockKind, type Clock, LamppostError, type ReplayControl } from '../domain/index.ts';
import type { CommitReply, CommitRequest } from './appender.ts';
import { type ControlHeads, JournalStore } from './store.ts';

/** How much the journal keeps. */
export interface JournalLimits {
  /** Most bytes of messages; past it publishers wait, then are refused. */
  readonly maxBytes: number;
  /** How long a block is kept behind the slowest cursor, ms; less where the journal is more than half full. */
  readonly retentionMs: number;
}

/** Wakes readers: a counter that moves with every commit, on which other threads may wait. */
export interface JournalSignal {
  readonly counter: Int32Array<SharedArrayBuffer>;
}

/** What the owner of the journal's thread can ask of it. */
export interface JournalServer {
  /** Serves group commits that arrive on a port, one by one, each durable before its reply. */
  serve(port: MessagePort): void;
  /** Appends a control record; answers the number of its block. Throws `disk`. */
  control(kind: BlockKind, body: unknown, head: string | null): number;
  /** Appends messages that go the way again; answers the number of their block. Throws `disk`. */
  replay(control: ReplayControl): number;
  heads(): ControlHeads;
  /** Number of the newest block; 0 before the first. */
  newest(): number;
  /** The slowest cursor: blocks up to it may go once retention allows. */
  release(seq: number): void;
  /** Until it is let go, no more is deleted than could be at this moment. */
  hold(): void;
  letGo(): void;
  /** Starts trimming and ticks. */
  start(): void;
  stop(): void;
  bytes(): number;
}

const TRIM_EVERY_MS = 100;
/** Few blocks at once, so that a commit never waits long behind a trim; the next few soon where more are due. */
const TRIM_AT_ONCE = 64;
const TRIM_ON_MS = 10;

/** Owns the journal's file on behalf of one thread. `tickMs` is the interval of the tick records that move engine time. */
export function createJournalServer(
  deps: { path: string; clock: Clock; signal: JournalSignal; onMessages?: (count: number) => void },
  options: JournalLimits & { tickMs: number },
): JournalServer {
  const { clock, signal } = deps;
  const store = new JournalStore(deps.path);
  let ticking: NodeJS.Timeout | undefined;
  let trimming: NodeJS.Timeout | undefined;
  let released = 0;
  /** What `released` was when a hold began; null where there is none. */
  let held: number | null = null;

  function announce(): void {
    Atomics.add(signal.counter, 0, 1);
    Atomics.notify(signal.counter, 0);
  }

  function commit(request: CommitRequest): CommitReply {
    try {
      if (store.bytes + request.length > options.maxBytes) {
        throw new LamppostError(
          'journal-full',
          `the journal holds ${store.bytes} bytes, its bound is ${options.maxBytes}`,
        );
      }
      store.appendMessages(new Uint8Array(request.bytes, 0, request.length), request.count, clock.now());
      deps.onMessages?.(request.count);
      announce();
      return { error: null, bytes: request.bytes };
    } catch (error) {
      if (!(error instanceof LamppostError)) throw error;
      return { error: { code: error.code as 'disk' | 'journal-full', message: error.message }, bytes: request.bytes };
    }
  }

  function trim(): void {
    const half = store.bytes > options.maxBytes / 2;
    const kept = half ? Number.POSITIVE_INFINITY : store.seqAt(clock.now() - options.retentionMs);
    let deleted = 0;
    whileTheDiskAllows(() => {
      deleted = store.trim(Math.min((held ?? released) + 1, kept), TRIM_AT_ONCE);
    });
    trimming = setTimeout(trim, deleted === TRIM_AT_ONCE ? TRIM_ON_MS : TRIM_EVERY_MS);
  }

  /** A full disk already refuses publishers; engine time and trimming wait with them. */
  function whileTheDiskAllows(work: () => unknown): void {
    try {
      work();
    } catch (error) {
      if (!(error instanceof LamppostError)) throw error;
    }
  }

  function control(kind: BlockKind, body: unknown, head: string | null): number {
    store.appendControl(kind, Buffer.from(JSON.stringify(body)), clock.now(), head);
    announce();
    return store.seq;
  }

  return {
    serve(port) {
      port.on('message', (request: CommitRequest) => {
        const reply = commit(request);
        port.postMessage(reply, [reply.bytes]);
      });
    },
    control,
    replay(replayed) {
      store.appendReplay(Buffer.from(JSON.stringify(replayed)), replayed.items.length, clock.now());
      announce();
      return store.seq;
    },
    heads: () => store.heads,
    newest: () => store.seq,
    release(seq) {
      released = Math.max(released, seq);
    },
    hold() {
      held = released;
    },
    letGo() {
      held = null;
    },
    start() {
      trimming = setTimeout(trim, TRIM_EVERY_MS);
      ticking = setInterval(() => whileTheDiskAllows(() => control('tick', {}, null)), options.tickMs);
    },
    stop() {
      clearTimeout(trimming);
      clearInterval(ticking);
      store.close();
    },
    bytes: () => store.bytes,
  };
}
