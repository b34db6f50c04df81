import type { Logger } from 'pino';
import type { ClusterSettings } from '../../cluster/index.ts';
import { LamppostError, monotonicClock, type SharedClock } from '../../domain/index.ts';
import { moveRecords } from '../records.ts';
import type { FollowedBlock, JournalStore } from '../store.ts';
import type { Timekeeper } from '../timekeeper.ts';
import type { BlockWriter, NewBlock } from '../writer.ts';
import { Follower, type StreamRecord } from './follower.ts';
import { StreamLog } from './log.ts';
import { splitMessages } from './splitting.ts';
import { decodeBlock, encodeBlock, isSameBlock, type WireBlock } from './wire.ts';

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
/** Nodes that are alive tick each second: if none does for so long, this one is the first. */
const ALONE_AFTER_MS = 2_500;
/** … and if none does for longer, this one is cut off. */
const AWAY_AFTER_MS = 5_000;
const QUIET = 'no record comes from the stream';
const PROGRESS_MS = 5_000;
const LOOK_MS = 20;

/**
 * Appends to a stream that all nodes follow: a block is acknowledged by the stream, comes back with its number, and is
 * in this node's file before whoever sent it is told (ADR 48).
 */
export class StreamWriter implements BlockWriter {
  readonly #parts: Parts;
  #log: StreamLog | null = null;
  #follower: Follower | null = null;
  #waiting: { readonly seq: number; readonly resolve: () => void }[] = [];
  /** Names of blocks begin with what no other start has. */
  readonly #start = `${Date.now().toString(36)}${Math.random().toString(36).slice(2, 8)}`;
  #blocks = 0;
  #counting = false;
  #followedAt = 0;
  /** Why the newest attempt to append failed; null where it did not. */
  #refused: string | null = null;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Resolves once the file has what the stream had at the beginning of the call. Throws `log-away`, `damaged`, `too-new`. */
  async open(): Promise<void> {
    const { settings, store, logger } = this.#parts;
    const log = await this.#connect();
    const { first, last } = await log.ends();
    refuseApart(store.seq, { first, last });
    await this.#refuseOther(log);
    const faults: Error[] = [];
    let onFault: (error: Error) => void = (error) => faults.push(error);
    const take = (records: readonly StreamRecord[]) => this.#take(records);
    this.#follower = new Follower({ log, newest: () => store.seq, take, logger, onFault: (error) => onFault(error) });
    this.#follower.reach(last);
    this.#follower.start();
    log.onTold((seq) => this.#follower!.reach(seq));
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
    let seq = 0;
    for (const [n, part] of splitMessages(block.body, log.mostBytes).entries())
      seq = await this.#append({ ...block, ...part }, n);
    return seq;
  }

  start(): void {
    this.#counting = true;
    this.#followedAt = monotonicClock.now();
  }

  async stop(): Promise<void> {
    await this.#follower?.stop();
    await this.#log?.close();
    this.#log = null;
  }

  /** Why no record has come for so long, though nodes tick each second; null where they come. */
  away(): { readonly why: string; readonly sinceMs: number } | null {
    const sinceMs = monotonicClock.now() - this.#followedAt;
    return sinceMs < AWAY_AFTER_MS || !this.#counting ? null : { why: this.#refused ?? QUIET, sinceMs };
  }

  /** A start waits for the servers. */
  async #connect(): Promise<StreamLog> {
    const { settings, logger } = this.#parts;
    for (let attempt = 0; ; attempt++) {
      try {
        this.#log = await StreamLog.open(settings);
        return this.#log;
      } catch (error) {
        if (!(error instanceof LamppostError) || !error.retryable) throw error;
        if (attempt % 20 === 0) logger.warn(`waiting for the log: ${error.message}`);
        await pause(AGAIN_MS * 2);
      }
    }
  }

  async #append(block: NewBlock, part = 0): Promise<number> {
    const log = this.#log!;
    const message = encodeBlock(block, this.#parts.settings.node);
    if (message.length > log.mostBytes + BESIDE_BODY) {
      const why = `a record of kind "${block.kind}" has ${message.length} bytes, and the servers' max_payload is less: raise it`;
      throw new LamppostError('limit', why);
    }
    const name = block.id ?? this.#nameOf(block, part);
    const until = monotonicClock.now() + PATIENCE_MS;
    for (;;) {
      try {
        const { seq, isFirst } = await log.publish(message, name);
        if (isFirst) this.#follower!.have(seq, message);
        else this.#follower!.reach(seq);
        log.tell(seq);
        await this.#inFile(seq, until);
        this.#refused = null;
        return seq;
      } catch (error) {
        this.#refused = (error as Error).message;
        if (!(error instanceof LamppostError) || !error.retryable || monotonicClock.now() > until) throw error;
        await pause(AGAIN_MS);
      }
    }
  }

  /** A group commit that is tried again has its name of before: the stream may have it already. */
  #nameOf({ commit }: NewBlock, part: number): string {
    const number = commit === undefined ? `b${++this.#blocks}` : `c${commit}.${part}`;
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
    else timekeeper.begin(store.newest);
  }

  /** Throws `damaged` where the newest record here is another one in the stream: it is the log of another cluster. */
  async #refuseOther(log: StreamLog): Promise<void> {
    const { store, settings } = this.#parts;
    if (store.seq === 0) return;
    const record = await log.record(store.seq);
    if (record === null || isSameBlock(store.newestBody(), { seq: store.seq, data: record })) return;
    const why =
      `record ${store.seq} of this node's log is another one in the stream "${settings.name}": the data folder belongs ` +
      'to another cluster; start with an empty one';
    throw new LamppostError('damaged', why);
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
    const why =
      `this node has records up to ${newest}, and the stream ends with ${last}: records that were acknowledged are ` +
      'missing there; run "lamppost cluster recover" on the node with the longest log before any node starts';
    throw new LamppostError('damaged', why);
  }
  if (first > newest + 1) {
    const why = `the stream begins with record ${first}, and this node's log ends with ${newest}: it needs a snapshot`;
    throw new LamppostError('damaged', why);
  }
}

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
