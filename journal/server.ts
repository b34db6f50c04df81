import type { MessagePort } from 'node:worker_threads';
import {
  type BlockKind,
  type ClockControl,
  LamppostError,
  type LogClock,
  type ReplayControl,
} from '../domain/index.ts';
import type { CommitFault, CommitReply, CommitRequest } from './appender.ts';
import { moveRecords } from './records.ts';
import { type ControlHeads, JournalStore } from './store.ts';
import type { ClockStatus, Timekeeper } from './timekeeper.ts';
import { type BlockWriter, LocalWriter, type NewBlock } from './writer.ts';

/** The limits of what the journal keeps. */
export interface JournalLimits {
  /** Maximum bytes of messages; beyond it publishers wait, then are refused. */
  readonly maxBytes: number;
  /** How long a block is kept behind the slowest cursor, ms; less where the journal is more than half full. */
  readonly retentionMs: number;
  /**
   * Whether blocks are kept until a good backup has them, so that any moment since can be restored; not where the
   * journal is more than half full.
   */
  readonly untilBackup?: boolean;
}

/** Wakes readers: a counter that changes with every commit, on which other threads may wait. */
export interface JournalSignal {
  readonly counter: Int32Array<SharedArrayBuffer>;
}

/** Pause before a trim after what makes it possible: messages that need room, a release. An idle journal has none. */
const TRIM_AFTER_MS = 100;
/** A small batch, so that a commit never waits long behind a trim; the next batch follows soon where more is due. */
const TRIM_AT_ONCE = 64;
const TRIM_NEXT_MS = 10;
/** When somebody whose import was refused should come again. */
const FULL_MS = 5_000;

interface Deps {
  readonly path: string;
  readonly clock: LogClock;
  /** Sets the clock; null where nobody does. */
  readonly timekeeper: Timekeeper | null;
  /** Called after a record of the clock. */
  readonly onClock?: (control: ClockControl, status: ClockStatus) => void;
  readonly signal: JournalSignal;
  readonly onMessages?: (count: number) => void;
  /** Called where blocks after the newest good backup had to be deleted. */
  readonly onLeadGone?: () => void;
  /** Makes what writes into the log; absent: the file is the log. `onBlocks` gets the number of messages. */
  readonly createWriter?: (store: JournalStore, onBlocks: (messages: number) => void) => BlockWriter;
  /** Whether this node says what time it is; absent: it does. */
  readonly keepsTime?: () => boolean;
}

/** After so many intervals without a record, a node ticks though it is another one's to do. */
const QUIET_TICKS = 1.2;

/**
 * Owns the journal's file on behalf of one thread. `tickMs` is the interval of the tick records that move engine time.
 */
export class JournalServer {
  readonly #deps: Deps;
  readonly #options: JournalLimits & { tickMs: number };
  readonly #store: JournalStore;
  readonly #writer: BlockWriter;
  /** While the wall clock's record is on its way. */
  #timing: Promise<void> | null = null;
  /** The newest record when a step of the wall clock was noticed; null: there is none. */
  #steppedAt: number | null = null;
  #ticking: NodeJS.Timeout | undefined;
  /** Set while a trim is due. */
  #trimming: NodeJS.Timeout | undefined;
  #isStarted = false;
  /** Whether the log says where this start begins. */
  #isMarked = false;
  #released = 0;
  /** The value of `#released` when a hold began; null where there is none. */
  #held: number | null = null;
  /** The first block that the newest good backup leads on from; 0 before the first one. */
  #leadsFrom = 0;
  #isLeadGone = false;

  constructor(deps: Deps, options: JournalLimits & { tickMs: number }) {
    this.#deps = deps;
    this.#options = options;
    this.#store = new JournalStore(deps.path);
    const onBlocks = (messages: number) => this.#onBlocks(messages);
    this.#writer = deps.createWriter?.(this.#store, onBlocks) ?? new LocalWriter(this.#store, onBlocks);
  }

  /** Opens the file; then records can be appended and commits served. Throws `disk`, `too-new`. */
  open(): this {
    this.#store.open();
    // Where others append, their records say what time it is.
    if (this.#deps.createWriter === undefined) this.#deps.timekeeper?.begin(this.#store.newest);
    return this;
  }

  /** Where the log is elsewhere too: resolves once the file has all of it. Throws `log-away`, `too-new`. */
  async follow(): Promise<void> {
    await this.#writer.open();
  }

  /** Starts trimming and ticks. */
  start(): void {
    this.#isStarted = true;
    this.#writer.start();
    this.#trimSoon();
    const tick = () => void this.#tick();
    // At once where the wall clock is to be recorded: whoever asks then learns of it.
    if (this.#deps.timekeeper !== null) tick();
    this.#ticking = setInterval(tick, this.#options.tickMs);
  }

  /** Stops trimming and ticks and closes the file. Idempotent. */
  async stop(): Promise<void> {
    this.#isStarted = false;
    clearTimeout(this.#trimming);
    clearInterval(this.#ticking);
    const stopping = this.#writer.stop();
    if (stopping !== null) await stopping;
    this.#store.close();
  }

  /** Serves the group commits that arrive on a port, one by one, each durable before its reply. */
  serve(port: MessagePort): void {
    port.on('message', async (request: CommitRequest) => {
      const reply = await this.#commit(request);
      port.postMessage(reply, [reply.bytes]);
    });
  }

  /**
   * Appends a control record; resolves to the number of its block. Records of one `id` are one, whoever appends them.
   * Throws `disk`, `log-away`.
   */
  control(kind: BlockKind, body: unknown, head: string | null, id: string | null = null): Promise<number> {
    return this.#write({ kind, body: Buffer.from(JSON.stringify(body)), count: 0, head, id });
  }

  /** Appends messages that are replayed; resolves to the number of their block. Throws `disk`, `log-away`. */
  replay(control: ReplayControl): Promise<number> {
    const body = Buffer.from(JSON.stringify(control));
    return this.#write({ kind: 'replay', body, count: control.items.length, head: null, id: null });
  }

  /**
   * Appends a part of an import; resolves to the number of its block. Throws `disk`, `log-away`, and `journal-full`
   * where the journal is more than half full: the other half is for devices.
   */
  async import(body: Uint8Array): Promise<number> {
    const { bytes } = this.#store;
    const most = this.#options.maxBytes / 2;
    if (bytes + body.length > most) {
      this.#trimSoon();
      const why = `the journal holds ${bytes} bytes, and an import takes it to ${most} at the most; import again later`;
      throw new LamppostError('journal-full', why, { retryable: true, retryAfterMs: FULL_MS });
    }
    return this.#write({ kind: 'import', body, count: 0, head: null, id: null });
  }

  /** What is known of the wall clock; null where nobody sets the clock. */
  clock(): ClockStatus | null {
    return this.#deps.timekeeper?.status() ?? null;
  }

  heads(): ControlHeads {
    return this.#store.heads;
  }

  /** Returns the number of the newest block; 0 before the first. */
  newest(): number {
    return this.#store.seq;
  }

  /** Returns the bytes of all bodies in the journal. */
  bytes(): number {
    return this.#store.bytes;
  }

  /** Sets the slowest cursor: blocks up to it may be deleted once retention allows. */
  release(seq: number): void {
    this.#released = Math.max(this.#released, seq);
    this.#trimSoon();
  }

  /** Sets the block from which the log leads on from the newest good backup: those before it may go. */
  backedUp(from: number): void {
    this.#leadsFrom = Math.max(this.#leadsFrom, from);
    this.#isLeadGone = false;
    this.#trimSoon();
  }

  /** Until `letGo`, keeps every block that could not be deleted at this moment. */
  hold(): void {
    this.#held = this.#released;
  }

  letGo(): void {
    this.#held = null;
    this.#trimSoon();
  }

  async #commit(request: CommitRequest): Promise<CommitReply> {
    const store = this.#store;
    const { maxBytes } = this.#options;
    // Before the attempt: one that is refused needs room too.
    this.#trimSoon();
    try {
      if (store.bytes + request.length > maxBytes) {
        throw new LamppostError('journal-full', `the journal holds ${store.bytes} bytes, its bound is ${maxBytes}`);
      }
      await this.#keepTime();
      const { clock } = this.#deps;
      const body = new Uint8Array(request.bytes, 0, request.length);
      // They were stamped before the clock was moved.
      const lateMs = clock.offsetMs() - request.offsetMs;
      if (lateMs !== 0) moveRecords(body, lateMs);
      request.offsetMs = clock.offsetMs();
      const { count, commit } = request;
      const of = { kind: 'messages', body, count, head: null, id: null, commit } as const;
      await this.#writer.write({ ...of, now: clock.now(), offsetMs: request.offsetMs });
      return { error: null, bytes: request.bytes, offsetMs: request.offsetMs };
    } catch (error) {
      if (!(error instanceof LamppostError)) throw error;
      const { bytes, offsetMs } = request;
      return { error: { code: error.code as CommitFault, message: error.message }, bytes, offsetMs };
    }
  }

  async #write(block: Omit<NewBlock, 'now' | 'offsetMs'>): Promise<number> {
    await this.#keepTime();
    const { clock } = this.#deps;
    return this.#writer.write({ ...block, now: clock.now(), offsetMs: clock.offsetMs() });
  }

  /**
   * Before anything else: since the newest record nobody listened. Where others append, the writer of the stream says
   * so. Throws `disk`.
   */
  #markStart(): void {
    if (this.#isMarked) return;
    const { clock, createWriter } = this.#deps;
    if (createWriter === undefined && this.#store.newest !== null)
      this.#store.appendControl('start', Buffer.from('{}'), clock.now(), null, clock.offsetMs());
    this.#isMarked = true;
  }

  async #tick(): Promise<void> {
    const { clock, keepsTime } = this.#deps;
    // Of several nodes one ticks. Names that come twice make servers of NATS differ (ADR 56).
    const quietMs = clock.steady.now() - (this.#store.newest?.steadyAt ?? 0);
    if (keepsTime?.() === false && quietMs < QUIET_TICKS * this.#options.tickMs) return;
    const second = Math.floor(clock.steady.now() / this.#options.tickMs);
    try {
      await this.control('tick', {}, null, `tick-${second}`);
    } catch (error) {
      ignoreDisk(error);
    }
  }

  /** Records that the wall clock was set, before anything else is recorded. Throws `disk`, `log-away`. */
  async #keepTime(): Promise<void> {
    this.#markStart();
    const { timekeeper, keepsTime } = this.#deps;
    if (this.#timing !== null) return this.#timing;
    if (timekeeper === null || keepsTime?.() === false) return;
    const control = timekeeper.check();
    if (control === null) this.#steppedAt = null;
    if (control === null || this.#stoodStill()) return;
    this.#timing = this.#recordTime(timekeeper, control).finally(() => {
      this.#timing = null;
    });
    await this.#timing;
  }

  /**
   * A machine that stood still, with its monotonic clock, sees a step of the wall clock that is none: of several nodes
   * one believes it only once a record of the others, who went on, came after it.
   */
  #stoodStill(): boolean {
    if (this.#deps.createWriter === undefined) return false;
    this.#steppedAt ??= this.#store.seq;
    return this.#store.seq === this.#steppedAt;
  }

  async #recordTime(timekeeper: Timekeeper, control: ClockControl): Promise<void> {
    const { clock, onClock } = this.#deps;
    const offsetMs = clock.offsetMs() + control.byMs;
    const body = Buffer.from(JSON.stringify(control));
    const of = { kind: 'clock', body, count: 0, head: null, id: null } as const;
    await this.#writer.write({ ...of, now: clock.steady.now() + offsetMs, offsetMs });
    timekeeper.accept(control, offsetMs);
    onClock?.(control, timekeeper.status());
  }

  #onBlocks(messages: number): void {
    if (messages > 0) this.#deps.onMessages?.(messages);
    this.#signal();
  }

  #signal(): void {
    const { counter } = this.#deps.signal;
    Atomics.add(counter, 0, 1);
    Atomics.notify(counter, 0);
  }

  /** Once for each backup: devices go first. */
  #noteLeadGone(): void {
    if (!this.#isLeadGone) this.#deps.onLeadGone?.();
    this.#isLeadGone = true;
  }

  #trimSoon(afterMs = TRIM_AFTER_MS): void {
    if (this.#isStarted) this.#trimming ??= setTimeout(() => this.#trim(), afterMs);
  }

  #trim(): void {
    this.#trimming = undefined;
    const { maxBytes, retentionMs, untilBackup = false } = this.#options;
    const half = this.#store.bytes > maxBytes / 2;
    const wanted = untilBackup ? this.#leadsFrom : Number.POSITIVE_INFINITY;
    const kept = half ? Number.POSITIVE_INFINITY : this.#store.seqAt(this.#deps.clock.steady.now() - retentionMs);
    const unneeded = Math.min((this.#held ?? this.#released) + 1, kept);
    const until = half ? unneeded : Math.min(unneeded, wanted);
    let deleted = 0;
    try {
      deleted = this.#store.trim(until, TRIM_AT_ONCE);
    } catch (error) {
      ignoreDisk(error);
    }
    if (deleted > 0 && until > wanted) this.#noteLeadGone();
    if (deleted === TRIM_AT_ONCE) this.#trimSoon(TRIM_NEXT_MS);
  }
}

/** Ignores a full disk, or a stream that is away: both refuse publishers already; engine time and trimming wait. */
function ignoreDisk(error: unknown): void {
  if (!(error instanceof LamppostError)) throw error;
}
