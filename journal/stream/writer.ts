import type { Logger } from 'pino';
import type { ClusterSettings } from '../../cluster/index.ts';
import { LamppostError, monotonicClock, type SharedClock } from '../../domain/index.ts';
import { moveRecords } from '../records.ts';
import type { FollowedBlock, JournalStore } from '../store.ts';
import type { Timekeeper } from '../timekeeper.ts';
import type { BlockWriter, NewBlock } from '../writer.ts';
import { Follower, type StreamRecord } from './follower.ts';
import { type StreamEnds, StreamLog } from './log.ts';
import { splitMessages } from './splitting.ts';
import { Tail } from './tail.ts';
import { decodeBlock, encodeBlock, type WireBlock } from './wire.ts';

interface Parts {
  readonly settings: ClusterSettings;
  readonly store: JournalStore;
  readonly clock: SharedClock;
  readonly timekeeper: Timekeeper;
  /** Called with the number of messages of blocks that are in the file now. */
  readonly onBlocks: (messages: number) => void;
  /** Called where the log cannot be followed any more. */
  readonly onFault: (error: Error) => void;
  readonly logger: Logger;
}

/** How long a block is tried again while nobody leads the stream: well within the stream's memory of names. */
const PATIENCE_MS = 10_000;
const AGAIN_MS = 250;
/** Over so long nodes begin again after a pause. */
const SPREAD_MS = 1_000;
const LAG_MS = 20_000;
/** Nodes that are alive tick each second: if none does for so long, this one is the first. */
const ALONE_AFTER_MS = 2_500;
/** … and if none does for longer, this one is cut off. */
const AWAY_AFTER_MS = 5_000;
/** Where nobody could append for so long, nobody listened either. */
const PAUSE_MS = 3_000;
const QUIET = 'no record comes from the stream';
const PROGRESS_MS = 5_000;
const LOOK_MS = 20;

/**
 * Appends to a stream that all nodes follow: a block is acknowledged by the stream, comes back with its number, and is
 * in this node's file before it is acknowledged to whoever sent it (ADR 48).
 */
export class StreamWriter implements BlockWriter {
  readonly #parts: Parts;
  #log: StreamLog | null = null;
  #follower: Follower | null = null;
  #tail: Tail | null = null;
  #waiting: { readonly seq: number; readonly resolve: () => void }[] = [];
  /** Names of blocks begin with what no other start has. */
  readonly #start = `${Date.now().toString(36)}${Math.random().toString(36).slice(2, 8)}`;
  #blocks = 0;
  #counting = false;
  #followedAt = 0;
  /** Why the newest attempt to append failed; null where it did not. */
  #refused: string | null = null;
  /** Whether, until something is appended, nobody listens: no node ran, or none could append. */
  #isPaused = false;
  /** Why nothing is appended any more. */
  #fault: LamppostError | null = null;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /**
   * Resolves once the file has what the stream had at the beginning of the call. Throws `log-away`, `damaged`,
   * `too-new`.
   */
  async open(): Promise<void> {
    const { settings, store, logger } = this.#parts;
    const log = await this.#connect();
    const { first, last } = await this.#endsOf(log);
    refuseApart(store.seq, { first, last });
    const faults: Error[] = [];
    let onFault: (error: Error) => void = (error) => faults.push(error);
    const take = (records: readonly StreamRecord[]) => this.#take(records);
    const spokenOf = () => this.#follower!.known;
    const tail = new Tail({ log, store, node: settings.node, spokenOf, logger });
    const afterQuiet = () => tail.hold();
    const follows = { log, newest: () => store.seq, take, afterQuiet, logger };
    this.#tail = tail;
    this.#follower = new Follower({ ...follows, onFault: (error) => onFault(error) });
    this.#follower.reach(last);
    this.#follower.start();
    log.onAnnounced((seq) => this.#follower!.reach(seq));
    let reportAt = monotonicClock.now() + PROGRESS_MS;
    while (store.seq < last) {
      if (faults.length > 0) throw faults[0]!;
      await pause(LOOK_MS);
      if (monotonicClock.now() < reportAt) continue;
      reportAt += PROGRESS_MS;
      logger.info({ record: store.seq, of: last }, 'the log is followed');
    }
    await this.#keepTime(last);
    if (faults.length > 0) throw faults[0]!;
    onFault = this.#parts.onFault;
    logger.info({ node: settings.node, records: store.seq, cluster: settings.name }, 'the log is a stream');
  }

  async write(block: NewBlock): Promise<number> {
    const log = this.#log!;
    if (block.body.length <= log.mostBytes || block.kind !== 'messages') return this.#append(block);
    let [seq, from] = [0, 0];
    for (const part of splitMessages(block.body, log.mostBytes)) {
      seq = await this.#append({ ...block, ...part }, from);
      from += part.count;
    }
    return seq;
  }

  start(): void {
    this.#counting = true;
    this.#followedAt = monotonicClock.now();
  }

  async stop(): Promise<void> {
    await this.#follower?.stop();
    const log = this.#log;
    this.#log = null;
    await log?.close();
  }

  /** Why no record has come for so long, though nodes tick each second; null where they come. */
  away(): { readonly why: string; readonly sinceMs: number } | null {
    const sinceMs = monotonicClock.now() - this.#followedAt;
    return sinceMs < AWAY_AFTER_MS || !this.#counting ? null : { why: this.#refused ?? QUIET, sinceMs };
  }

  /** A server that has just begun to lead may not know of its newest records yet: it is asked again for a while. */
  async #endsOf(log: StreamLog): Promise<StreamEnds> {
    const until = monotonicClock.now() + LAG_MS;
    for (;;) {
      const ends = await log.ends();
      if (ends.last === 0 || ends.last >= this.#parts.store.seq || monotonicClock.now() > until) return ends;
      await pause(AGAIN_MS);
    }
  }

  /** A start waits for the servers. */
  async #connect(): Promise<StreamLog> {
    const { settings, logger } = this.#parts;
    for (let attempt = 0; ; attempt++) {
      try {
        const log = await StreamLog.open(settings);
        this.#log = log;
        void log.connection.closed().then((cause) => {
          if (this.#log !== log) return;
          const why = `the connection to the log ended: ${cause?.message ?? 'it was closed'}`;
          this.#parts.onFault(new LamppostError('log-away', why));
        });
        return log;
      } catch (error) {
        if (!(error instanceof LamppostError) || !error.retryable) throw error;
        if (attempt % 20 === 0) logger.warn(`waiting for the log: ${error.message}`);
        await pause(AGAIN_MS * 2);
      }
    }
  }

  /** `from`: of a part of a group commit, its first message there. */
  async #append(block: NewBlock, from = 0): Promise<number> {
    const log = this.#log!;
    const message = encodeBlock(block, this.#parts.settings.node);
    if (message.length > log.mostBytes + BESIDE_BODY) {
      const why = `a record of kind "${block.kind}" has ${message.length} bytes, and the servers' max_payload is less: raise it`;
      throw new LamppostError('limit', why);
    }
    // What was refused is in the stream under its name, and must not be acknowledged when it comes again.
    if (this.#fault !== null) throw this.#fault;
    const name = block.id ?? this.#nameOf(block, from);
    const until = monotonicClock.now() + PATIENCE_MS;
    for (;;) {
      try {
        if (this.#isPaused) await this.#endPause(log);
        const newest = this.#parts.store.seq;
        const { seq, isFirst } = await log.publish(message, name);
        if (isFirst && seq <= newest) throw this.#ahead(newest, seq);
        if (isFirst) this.#follower!.have(seq, message);
        else this.#follower!.reach(seq);
        log.announce(seq);
        await this.#inFile(seq, until);
        if (!isFirst) this.#refuseOther(seq, block);
        this.#refused = null;
        return seq;
      } catch (error) {
        this.#refused = (error as Error).message;
        this.#isPaused ||= monotonicClock.now() - this.#followedAt > PAUSE_MS;
        if (!(error instanceof LamppostError) || !error.retryable || monotonicClock.now() > until) throw error;
        await pause(AGAIN_MS);
      }
    }
  }

  /**
   * Says in the log, before anything else, that nobody listened since its newest record: devices of which nobody
   * received anything were not silent. Of all nodes the first one says so; once anything was appended nobody does.
   * Throws `log-away`.
   */
  async #endPause(log: StreamLog): Promise<void> {
    const { clock, settings, store } = this.#parts;
    // Of several nodes one says it: an append that fails may make servers of NATS differ (ADR 56).
    await pause(Math.random() * SPREAD_MS);
    if (!this.#isPaused) return;
    await this.#tail!.hold();
    const { seq: after } = store;
    const [now, offsetMs] = [clock.now(), clock.offsetMs()];
    const of = { kind: 'start', body: Buffer.from('{}'), count: 0, head: null, id: null, now, offsetMs } as const;
    const message = encodeBlock(of, settings.node);
    const seq = await log.publishAfter(after, message, `start-after-${after}`);
    this.#isPaused = false;
    if (seq === null) return;
    this.#follower!.have(seq, message);
    log.announce(seq);
  }

  /**
   * The stream had the block under its name already, perhaps with an earlier time. Throws `damaged` where this node has
   * something else under that number.
   */
  #refuseOther(seq: number, { kind, body }: NewBlock): void {
    const here = this.#parts.store.block(seq);
    if (here === null || (here.kind === kind && here.body.length === body.length)) return;
    const why = `the stream has a record of this node as ${seq}, and this node has another one there: its servers differ`;
    this.#fault = new LamppostError('damaged', `${why}; stop every node, and see "lamppost cluster recover"`);
    this.#parts.onFault(this.#fault);
    throw this.#fault;
  }

  /** The stream numbers anew what this node has already: it has lost records. */
  #ahead(newest: number, seq: number): LamppostError {
    this.#fault = new LamppostError('damaged', aheadOf(newest, seq - 1));
    this.#parts.onFault(this.#fault);
    return this.#fault;
  }

  /**
   * A group commit that is tried again has its name of before: the stream may have it already. Another server may take
   * larger messages: a part is the same only with the same messages.
   */
  #nameOf({ commit, count }: NewBlock, from: number): string {
    const number = commit === undefined ? `b${++this.#blocks}` : `c${commit}.${from}-${from + count}`;
    return `${this.#parts.settings.node}-${this.#start}-${number}`;
  }

  /** Resolves once a record is in the file. Throws `log-away` where it is not in time. */
  #inFile(seq: number, until: number): Promise<void> {
    if (this.#parts.store.seq >= seq) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const late = () => reject(new LamppostError('log-away', NOT_BACK, { retryable: true }));
      const timer = setTimeout(late, Math.max(0, until - monotonicClock.now()) + AGAIN_MS);
      const done = () => {
        clearTimeout(timer);
        resolve();
      };
      this.#waiting.push({ seq, resolve: done });
    });
  }

  #take(records: readonly StreamRecord[]): void {
    const { store, clock, onBlocks } = this.#parts;
    let offsetMs = store.newest === null ? null : store.newest.receivedAt - store.newest.steadyAt;
    const blocks: FollowedBlock[] = [];
    let messages = 0;
    for (const { seq, data } of records) {
      const block = decodeBlock(data, seq);
      // Of two nodes, one has not yet read that the wall clock was set.
      if (block.kind === 'clock' || offsetMs === null) ({ offsetMs } = block);
      blocks.push(inTime(block, offsetMs));
      if (block.kind === 'messages') messages += block.count;
    }
    store.appendAll(blocks);
    this.#followedAt = monotonicClock.now();
    this.#isPaused = false;
    const { steadyAt, receivedAt } = store.newest!;
    const now = clock.steady.now();
    // Nobody's time is behind the log's.
    if (steadyAt > now || receivedAt - steadyAt !== clock.offsetMs())
      clock.set(Math.max(now, steadyAt), receivedAt - steadyAt);
    onBlocks(this.#counting ? messages : 0);
    const due = this.#waiting.filter(({ seq }) => seq <= store.seq);
    if (due.length === 0) return;
    this.#waiting = this.#waiting.filter(({ seq }) => seq > store.seq);
    for (const { resolve } of due) resolve();
  }

  /** Goes on in the time of the other nodes; where there is none, the wall clock says how long nobody ran. */
  async #keepTime(last: number): Promise<void> {
    const { store, timekeeper } = this.#parts;
    const until = monotonicClock.now() + ALONE_AFTER_MS;
    while (last > 0 && store.seq === last && monotonicClock.now() < until) await pause(LOOK_MS);
    if (store.seq > last) timekeeper.join();
    else {
      timekeeper.begin(store.newest);
      this.#isPaused = store.newest !== null;
    }
  }
}

const BESIDE_BODY = 1_024;
const NOT_BACK =
  'the log has the record, but it has not come back to this node: it is cut off, or its disk does not take it';

/** The block with the civil time that is in force at its place. */
function inTime(block: WireBlock, offsetMs: number): FollowedBlock {
  if (block.kind === 'messages' && block.offsetMs !== offsetMs) moveRecords(block.body, offsetMs - block.offsetMs);
  return { ...block, offsetMs };
}

/** Throws `damaged` where file and stream do not meet. */
function refuseApart(newest: number, { first, last }: { readonly first: number; readonly last: number }): void {
  if (newest > last) {
    throw new LamppostError('damaged', aheadOf(newest, last));
  }
  if (first > newest + 1) {
    const why = `the stream begins with record ${first}, and this node's log ends with ${newest}: it needs a snapshot`;
    throw new LamppostError('damaged', why);
  }
}

const aheadOf = (newest: number, last: number) =>
  `this node has records up to ${newest}, and the stream ended with ${last}: records that were acknowledged are ` +
  'missing there; stop every node and run "lamppost cluster recover" on the node with the longest log';

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
