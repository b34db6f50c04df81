import type { DatabaseSync } from 'node:sqlite';
import type { Logger } from 'pino';
import { type Clock, type HistoryStore, LamppostError, type MetricTable } from '../domain/index.ts';
import type { Intake, LedgerStore, Outcome, QuarantineStore, Replayed } from '../ingest/index.ts';
import type { JournalReader } from '../journal/index.ts';
import { transact } from '../store/index.ts';
import { withRefused } from './refusals.ts';

/** When a batch of readings goes to the history: whichever comes first. */
export interface BatchLimits {
  readonly readings: number;
  readonly ageMs: number;
}

const READ_AHEAD = 64;
const FIRST_DELAY_MS = 1_000;
const LONGEST_DELAY_MS = 30_000;

/**
 * The consumer that brings readings into the history and settles the ledger. Two places, one order: the history commits
 * readings (and its cursor, if it has one) first, then the state file commits ledger, quarantine and seen keys. After a
 * crash between the two, the blocks that the history's cursor has passed are counted again without being stored again; a
 * history without a cursor gets them again, and they change nothing there. It alone tries again: after a delay that doubles
 * up to 30 s, or as long as the other side asks for; never more than one batch waits here.
 */
export interface HistoryConsumer {
  /** Takes what is ready; resolves true where it moved, false where it waits for more or for time to pass. */
  step(flush: boolean): Promise<boolean>;
  /** The newest block that is settled in both files. */
  cursor(): number;
  /** How many messages there were up to the newest block settled since the start; null before the first. */
  messages(): number | null;
  /** Why it stands still, or null. */
  trouble(): string | null;
  /** Entries of the quarantine that went the way again since the start, and how many of them were refused once more. */
  replayed(): { readonly settled: number; readonly refusedAgain: number };
}

export function createHistoryConsumer(
  deps: {
    db: DatabaseSync;
    journal: JournalReader;
    intake: Intake;
    history: HistoryStore;
    ledger: LedgerStore;
    quarantine: QuarantineStore;
    metrics: MetricTable;
    clock: Clock;
    log: Logger;
    /** In [0, 1). */
    random?: () => number;
  },
  limits: BatchLimits,
): HistoryConsumer {
  const { db, journal, intake, history, ledger, quarantine, metrics, clock, log, random = Math.random } = deps;
  let settled = ledger.cursor();
  let messages: number | null = null;
  let gathered: Outcome[] = [];
  /** What waits: readings, and refusals, which hold their payloads. */
  let weight = 0;
  /** The gathered batch with what the database refused, once the history has it. */
  let stored: readonly Outcome[] | null = null;
  let failures = 0;
  let gatheredAt = 0;
  let trouble: string | null = null;
  let retryAt = 0;
  const replayed = { settled: 0, refusedAgain: 0 };

  function gather(): void {
    // Nothing joins a batch that the history has and the state file has not.
    if (stored !== null) return;
    // A batch must lie wholly behind or wholly ahead of what the history already holds.
    const edge = settled < history.cursor() ? history.cursor() : Number.POSITIVE_INFINITY;
    let next = (gathered.at(-1)?.block.seq ?? settled) + 1;
    while (weight < limits.readings && gathered.length < 4096 && next <= edge) {
      const outcome = intake.recall(next);
      if (outcome !== undefined) take(outcome);
      else if (!readAhead(next, edge)) return;
      next = gathered.at(-1)!.block.seq + 1;
    }
  }

  function readAhead(next: number, edge: number): boolean {
    const blocks = journal.after(next - 1, READ_AHEAD).filter((block) => block.seq <= edge);
    for (const block of blocks) take(intake.outcome(block));
    return blocks.length > 0;
  }

  function take(outcome: Outcome): void {
    if (gathered.length === 0) gatheredAt = clock.now();
    gathered.push(outcome);
    weight += outcome.readings.length + outcome.replaced.length + outcome.refusals.length;
  }

  /** The batch as it stands once the history has it: with what the database refused. */
  async function append(last: number): Promise<Outcome[]> {
    const readings = gathered.map((outcome) => outcome.readings);
    const replaced = gathered.map((outcome) => outcome.replaced);
    return withRefused(gathered, await history.append(readings, last, replaced), metrics);
  }

  /** Ledger, quarantine and what intake learned; answers what left the quarantine. */
  function write(batch: readonly Outcome[]): readonly Replayed[] {
    try {
      const [replays, persisted] = transact(db, () => {
        const settledNow = quarantine.settle(batch);
        ledger.count(batch, settledNow);
        return [settledNow, intake.persist()] as const;
      });
      persisted();
      return replays;
    } catch (error) {
      throw new LamppostError('disk', `the state file could not be written: ${(error as Error).message}`, {
        retryable: true,
        cause: error,
      });
    }
  }

  async function settle(): Promise<void> {
    const { seq: last, first, count } = gathered.at(-1)!.block;
    stored ??= last > history.cursor() ? await append(last) : gathered;
    const batch = stored;
    const replays = write(batch);
    replayed.settled += replays.length;
    replayed.refusedAgain += replays.filter(({ refusals }) => refusals.length > 0).length;
    settled = last;
    messages = first + count;
    gathered = [];
    weight = 0;
    stored = null;
  }

  /** Half of it by chance: what waits for the same server does not come back all at once. */
  function delayAfter({ retryAfterMs }: LamppostError): number {
    const delay = Math.min(FIRST_DELAY_MS * 2 ** failures++, LONGEST_DELAY_MS);
    return Math.max(retryAfterMs, delay * (0.5 + random() / 2));
  }

  return {
    cursor: () => settled,
    messages: () => messages,
    trouble: () => trouble,
    replayed: () => ({ ...replayed }),
    async step(flush) {
      if (clock.now() < retryAt) return false;
      gather();
      if (gathered.length === 0) return false;
      const due = flush || weight >= limits.readings || clock.now() - gatheredAt >= limits.ageMs;
      if (!due) return false;
      try {
        await settle();
        trouble = null;
        failures = 0;
        return true;
      } catch (error) {
        if (!(error instanceof LamppostError) || !error.retryable) throw error;
        trouble = error.message;
        const delayMs = delayAfter(error);
        retryAt = clock.now() + delayMs;
        log.error({ err: error, delayMs: Math.round(delayMs) }, 'the history waits');
        return false;
      }
    },
  };
}
