import type { Logger } from 'pino';
import { type Clock, LamppostError } from '../../domain/index.ts';
import type { HistoryConsumer } from '../../history/index.ts';
import { type Outcome, refusedBytes } from '../../ingest/index.ts';
import type { RulesConsumer } from '../../rules/index.ts';
import { diskFault } from '../../store/index.ts';
import { DECIDED } from './shared-counters.ts';

interface Deps {
  /** Moves with every commit of the journal. */
  readonly counter: Int32Array<SharedArrayBuffer>;
  readonly counters: Int32Array<SharedArrayBuffer>;
  /** The newest block before this start. */
  readonly startedAt: number;
  readonly rules: RulesConsumer;
  readonly history: HistoryConsumer;
  /** Whether the history is open: until then its blocks wait in the journal. */
  readonly isOpen: () => boolean;
  /** Whether the history is written in this thread too. */
  readonly embedded: boolean;
  readonly clock: Clock;
  readonly log: Logger;
  readonly onOutcomes: (outcomes: readonly Outcome[]) => void;
  /** Deletes what is not needed any more before a block that every consumer has. */
  readonly prune: (seq: number) => void;
  /** Called with the block that both consumers have taken: what was kept of it in memory is not needed any more. */
  readonly taken: (seq: number) => void;
  /** Called with the block up to which the journal is not needed any more. */
  readonly release: (seq: number) => void;
}

/** The loops of the journal's two consumers, which share the engine's thread. */
export interface ConsumerLoops {
  /** Runs until it is stopped; rejects with any error but a full disk. */
  start(): Promise<void>;
  /** Resolves when both have ended their current step. */
  stop(): Promise<void>;
  /** The block of the journal at which the consumers stand because it is damaged, as a sentence; null: they go on. */
  damage(): string | null;
}

const CHECKPOINT_MS = 30_000;
const CHECKPOINT_BLOCKS = 20_000;
// What a start after a crash decides again at the most: a second's work, in messages of three readings.
const CHECKPOINT_MESSAGES = 131_072;
const READINGS_A_MESSAGE = 3;
const REFUSED_BYTES_A_MESSAGE = 512;
// Rows of an import are only validated.
const IMPORTED_A_MESSAGE = 20;
// A commit wakes the consumers at once; a batch that waits to be old enough is checked from time to time.
const IDLE_MS = 1_000;
const BATCH_MS = 100;
// Waking for every small commit costs more than its messages: the next ones are gathered for a moment.
const GATHER_MS = 5;
const BUSY_BLOCKS = 8;
const DISK_MS = 1_000;
// How many messages the embedded history may be behind the rules, which would otherwise take all of this thread.
// More than a batch gathers at a load that the history keeps up with, or rules would wait for a batch to be old enough.
const MOST_UNSTORED = 65_536;

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** Returns the loops; nothing runs until `start`. */
export function createConsumerLoops(deps: Deps): ConsumerLoops {
  const { counter, counters, startedAt, rules, history, isOpen, embedded, clock, log } = deps;
  /** The history's current step. */
  let storing: Promise<unknown> = Promise.resolve();
  /** The number of messages up to the newest block that the rules took, and before the first one since the start. */
  let decided = 0;
  let decidedBefore: number | null = null;
  let checkpointAt = clock.now();
  /** What a start would decide again, in messages. */
  let sinceCheckpoint = 0;
  let released = 0;
  let stopping = false;
  let running: Promise<void> = Promise.resolve();
  let damage: string | null = null;
  let waiting: string | null = null;

  /** Counts only what came in since the start: an older backlog must not hold publishers. */
  function countDecided(outcomes: readonly Outcome[]): void {
    for (const outcome of outcomes) {
      const { block } = outcome;
      sinceCheckpoint += workOf(outcome);
      decidedBefore ??= block.first;
      decided = block.first + block.count;
      if (block.kind === 'messages' && block.seq > startedAt) Atomics.add(counters, DECIDED, block.count);
    }
  }

  function checkpointIfDue(): void {
    const isOld = clock.now() - checkpointAt >= CHECKPOINT_MS;
    const isLong = rules.cursor() - rules.checkpointed() >= CHECKPOINT_BLOCKS;
    if (!isOld && !isLong && sinceCheckpoint < CHECKPOINT_MESSAGES) return;
    rules.checkpoint();
    sinceCheckpoint = 0;
    if (!isOld && !isLong) return;
    checkpointAt = clock.now();
    // Rarely: nobody waits for it.
    deps.prune(Math.min(rules.checkpointed(), history.needs()));
  }

  /** Releases the blocks of the journal that every consumer has. */
  function release(): void {
    const seq = Math.min(history.needs(), rules.checkpointed());
    if (seq <= released) return;
    released = seq;
    deps.release(seq);
  }

  async function untilCommit(seen: number, longestMs: number): Promise<void> {
    const wait = Atomics.waitAsync(counter, 0, seen, longestMs);
    if (wait.async) await wait.value;
  }

  async function decide(): Promise<void> {
    while (!stopping) {
      const seen = Atomics.load(counter, 0);
      try {
        const outcomes = rules.step();
        noteWait(null);
        countDecided(outcomes);
        deps.onOutcomes(outcomes);
        checkpointIfDue();
        if (outcomes.length === 0) await untilCommit(seen, IDLE_MS);
        // A few blocks can be many messages: those of a saturated broker are large.
        else if (outcomes.length < BUSY_BLOCKS && !isHistoryBehind()) await pause(GATHER_MS);
        else await letHistoryFollow();
      } catch (error) {
        if (!passes(error)) stand(error);
        else noteWait((error as Error).message);
        await pause(DISK_MS);
      }
    }
  }

  /** One line says why the rules wait, and one that they go on: a disk may be full for a night. */
  function noteWait(why: string | null): void {
    if (why === waiting) return;
    waiting = why;
    if (why === null) log.info('the rules go on');
    else log.error(`the rules wait for the disk of the state: ${why}`);
  }

  /**
   * Without this the rules keep up with any load while the history stands still until the journal is full, since
   * publishers wait for the rules only. A history in trouble, or one on another machine, delays nobody.
   */
  async function letHistoryFollow(): Promise<void> {
    await turn();
    while (!stopping && isHistoryBehind()) {
      await storing;
      await turn();
    }
  }

  function isHistoryBehind(): boolean {
    if (!embedded || !isOpen() || history.trouble() !== null) return false;
    return decided - (history.messages() ?? decidedBefore ?? decided) > MOST_UNSTORED;
  }

  /**
   * A damaged block stops the consumers, which must not skip it, but not the broker: what comes in is kept behind it.
   */
  function stand(error: unknown): void {
    if (!(error instanceof LamppostError) || error.code !== 'damaged') throw error;
    if (damage === null) log.fatal(error.message);
    damage = error.message;
  }

  function standing(error: unknown): boolean {
    stand(error);
    return false;
  }

  async function store(): Promise<void> {
    while (!stopping) {
      const seen = Atomics.load(counter, 0);
      const step = isOpen() ? history.step(false).catch(standing) : Promise.resolve(false);
      storing = embedded ? step.catch(() => {}) : storing;
      if (await step) {
        deps.taken(Math.min(history.cursor(), rules.cursor()));
        release();
      } else await untilCommit(seen, history.gathers() ? BATCH_MS : IDLE_MS);
    }
  }

  return {
    damage: () => damage,
    start() {
      // What this start decided again is written soon: else crashes that follow each other would add up.
      if (rules.cursor() > rules.checkpointed()) sinceCheckpoint = CHECKPOINT_MESSAGES;
      running = Promise.all([decide(), store()]).then(() => {});
      return running;
    },
    async stop() {
      stopping = true;
      Atomics.notify(counter, 0);
      await running;
    },
  };
}

/** The work of reading a block again, in messages: a message may have thousands of readings, or nothing but bytes. */
function workOf(outcome: Outcome): number {
  const readings = outcome.tallies.reduce(
    (sum, { stored, duplicate, refused }) => sum + stored + duplicate + refused,
    0,
  );
  const refused = refusedBytes(outcome) / REFUSED_BYTES_A_MESSAGE;
  const imported = (outcome.imported?.report.rows ?? 0) / IMPORTED_A_MESSAGE;
  return Math.max(outcome.block.count, readings / READINGS_A_MESSAGE, refused, imported);
}

/** Whether an error passes: a full disk does. Any other is a bug and ends the process, and the journal recovers. */
function passes(error: unknown): boolean {
  const fault = error instanceof LamppostError ? error : diskFault(error, 'the state');
  return fault?.retryable === true;
}
