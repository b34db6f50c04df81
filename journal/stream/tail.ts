import type { Logger } from 'pino';
import { LamppostError, monotonicClock } from '../../domain/index.ts';
import type { JournalStore } from '../store.ts';
import type { StreamLog } from './log.ts';
import { isSameBlock, messageOf } from './wire.ts';

interface Parts {
  readonly log: Pick<StreamLog, 'ends' | 'record' | 'publishAfter' | 'leader' | 'electAnother'>;
  readonly store: Pick<JournalStore, 'seq' | 'block'>;
  readonly node: string;
  /** The newest record that any node spoke of. */
  readonly spokenOf: () => number;
  readonly logger: Logger;
}

/** How long a node waits for others to put back what it has not read itself. */
const WAIT_MS = 5_000;

/**
 * The end of the log, which servers may have lost although they acknowledged it: a server that leads anew does not
 * always have what the one before it had committed (seen with nats-server 2.9). This node has it on its disk, so it
 * puts it back, each record only where the one before it is the newest, before it goes on (ADR 56).
 */
export class Tail {
  readonly #parts: Parts;
  /** Since when a record is missed that another node spoke of, monotonic; null: none is. */
  #missedAt: number | null = null;
  /** Servers that led with another record than this node has, since the last time that one had the same. */
  readonly #differing = new Set<string>();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /**
   * Resolves once the stream has all that this node has. Throws `damaged` where two servers have other records instead,
   * `log-away` where that cannot be known yet.
   */
  async hold(): Promise<void> {
    const { log, store, spokenOf, logger } = this.#parts;
    const newest = store.seq;
    // Read before the stream is asked: what is appended meanwhile is not missing.
    const spoken = spokenOf();
    let { last } = await log.ends();
    // A server that is cut off, or has just begun to lead, may not know of the newest ones.
    if (last < newest && (await this.#isHere(newest)) !== null) last = newest;
    const common = Math.min(newest, last);
    if (common > 0 && (await this.#isHere(common)) === false) throw await this.#differsAt(common);
    this.#differing.clear();
    for (let seq = common + 1; seq <= newest; seq++) await this.#putBack(seq);
    if (newest > last)
      logger.error({ from: last + 1, to: newest }, 'NATS had lost records that it had acknowledged: put back');
    if (spoken <= Math.max(last, newest)) {
      this.#missedAt = null;
      return;
    }
    this.#missedAt ??= monotonicClock.now();
    // The node that has it may have ended: then it finds out when it starts again.
    if (monotonicClock.now() - this.#missedAt > WAIT_MS) return;
    throw again(`another node has record ${spoken}, and the stream ends with ${Math.max(last, newest)}`);
  }

  async #putBack(seq: number): Promise<void> {
    const { log, store, node } = this.#parts;
    const block = store.block(seq);
    if (block === null) throw forkedAt(seq);
    const { data } = messageOf(block, node);
    if ((await log.publishAfter(seq - 1, data, `${node}-back-${seq}-${Date.now()}`)) === seq) return;
    // Another node was first: with the same record, or with one that it appended.
    const isHere = await this.#isHere(seq);
    if (isHere === false) throw await this.#differsAt(seq);
    if (isHere === null) throw again(`record ${seq} cannot be put back yet`);
  }

  /**
   * One server may have another order than the two others, and lead nevertheless (ADR 56): then another one leads. Two
   * that have another record than this node's are right. Returns what is thrown.
   */
  async #differsAt(seq: number): Promise<LamppostError> {
    const { log, logger } = this.#parts;
    const leader = await log.leader();
    if (leader === null) return forkedAt(seq);
    this.#differing.add(leader);
    if (this.#differing.size > 1) return forkedAt(seq);
    logger.error({ seq, server: leader }, 'the server that leads has another record than this node: another one leads');
    await log.electAnother().catch(() => {});
    return again(`the server ${leader} has another record ${seq} than this node; another server is asked`);
  }

  /** Whether a record of the stream is that of this node; null where it cannot be read. */
  async #isHere(seq: number): Promise<boolean | null> {
    const { log, store } = this.#parts;
    const data = await log.record(seq);
    const block = store.block(seq);
    return data === null || block === null ? null : isSameBlock(block, { seq, data }, store.block(seq - 1));
  }
}

const again = (why: string) => new LamppostError('log-away', why, { retryable: true });

const forkedAt = (seq: number) =>
  new LamppostError(
    'damaged',
    `record ${seq} of the stream is another one than in this node's log: NATS lost what it had acknowledged, and others ` +
      'went on. This node stops. Compare the nodes (lamppost cluster status); where the others are right, set this data ' +
      'folder aside, start with an empty one, and read what only this one has with lamppost restore --log',
  );
