import type { DatabaseSync } from 'node:sqlite';
import type { Logger } from 'pino';
import {
  type Clock,
  type HistoryStore,
  LamppostError,
  type MetricTable,
  measuredMetric,
  type RefusedRow,
} from '../domain/index.ts';
import {
  emptyTally,
  type Intake,
  type LedgerStore,
  type Outcome,
  type QuarantineStore,
  type Refusal,
  type Replayed,
  refusedBytes,
  summaryOf,
} from '../ingest/index.ts';
import type { JournalReader } from '../journal/index.ts';
import { transact } from '../store/index.ts';
import { Doubts } from './confirmed.ts';
import type { SharedHistory } from './shared.ts';

/** When a batch of readings goes to the history: whichever comes first. */
export interface BatchLimits {
  readonly readings: number;
  readonly ageMs: number;
}

interface Deps {
  readonly db: DatabaseSync;
  readonly journal: JournalReader;
  readonly intake: Intake;
  readonly history: Pick<HistoryStore, 'append' | 'cursor' | 'losses'>;
  readonly ledger: LedgerStore;
  readonly quarantine: QuarantineStore;
  readonly metrics: MetricTable;
  readonly clock: Clock;
  readonly log: Logger;
  /** How nodes share the history; absent or null: this node is the only one that writes it. */
  readonly shared?: SharedHistory | null;
  /** Returns a number in [0, 1). */
  readonly random?: () => number;
}

/**
 * How long a batch waits that has only ticks and control records: nobody waits for it, and writing costs an idle server
 * CPU.
 */
const IDLE_AGE_MS = 5_000;
const READ_AHEAD = 64;
const MOST_BLOCKS = 4_096;
/** What refused messages hold, in readings: a batch of 50,000 has at most about 12 MB of them. */
const BYTES_A_READING = 256;
const FIRST_DELAY_MS = 1_000;
const LONGEST_DELAY_MS = 30_000;

/**
 * The consumer that writes readings to the history and counts them in the ledger. The history commits readings (and its
 * cursor, if it has one) first, then the state file commits ledger, quarantine and seen keys. After a crash between the
 * two, blocks that the history's cursor has passed are counted again without being stored again; a history without a
 * cursor gets them again, which changes nothing there. It retries after a delay that doubles up to 30 s, or as long as
 * the database asks for. At most one batch is in memory.
 */
export class HistoryConsumer {
  readonly #deps: Deps;
  readonly #limits: BatchLimits;
  readonly #doubts: Doubts;
  #settled: number;
  #messages: number | null = null;
  #gathered: Outcome[] = [];
  /** Readings in the gathered batch; refusals count by the bytes of their payloads. */
  #weight = 0;
  /** The gathered batch with the rows that the database refused, once the history has it. */
  #stored: readonly Outcome[] | null = null;
  #failures = 0;
  #gatheredAt = 0;
  #trouble: string | null = null;
  #retryAt = 0;
  readonly #replayed = { settled: 0, refusedAgain: 0 };

  constructor(deps: Deps, limits: BatchLimits) {
    this.#deps = deps;
    this.#limits = limits;
    this.#settled = deps.ledger.cursor();
    this.#doubts = new Doubts(deps.history, deps.ledger, this.#settled, deps);
  }

  /** The newest block that is settled in both files. */
  cursor(): number {
    return this.#settled;
  }

  /** The block behind which the journal is still needed: what a database confirmed may have to be written again. */
  needs(): number {
    return this.#doubts.needs(this.#settled);
  }

  /** The number of messages up to the newest block settled since the start; null before the first. */
  messages(): number | null {
    return this.#messages;
  }

  /** Why the consumer waits, or null. */
  trouble(): string | null {
    return this.#trouble;
  }

  /** Whether messages are gathered that wait for their batch to be due. */
  gathers(): boolean {
    return this.#gathered.some(({ block }) => block.count > 0);
  }

  /** Whether somebody waits for the response to an import: its batch is due at once. */
  #hasImport(): boolean {
    return this.#gathered.some(({ imported }) => imported !== null);
  }

  /**
   * How many entries of the quarantine were processed again since the start, and how many of them were refused again.
   */
  replayed(): { readonly settled: number; readonly refusedAgain: number } {
    return { ...this.#replayed };
  }

  /**
   * Settles a batch if one is due, or any that there is with `flush`. Resolves to false where it waits for more blocks
   * or for time to pass.
   */
  async step(flush: boolean): Promise<boolean> {
    const { clock, log } = this.#deps;
    if (clock.now() < this.#retryAt) return false;
    const doubted = this.#doubts.from(this.#settled);
    if (doubted === null) this.#gather();
    if (doubted === null && (this.#gathered.length === 0 || !(flush || this.#isDue()))) return false;
    try {
      if (doubted === null) await this.#settle();
      else await this.#writeAgain(doubted);
      if (this.#trouble !== null) log.info('the history goes on');
      this.#trouble = null;
      this.#failures = 0;
      return true;
    } catch (error) {
      if (!(error instanceof LamppostError) || !error.retryable) throw error;
      // It is tried again for as long as it takes: one line says so.
      if (this.#trouble !== error.message) log.error(`the history waits: ${error.message}`);
      this.#trouble = error.message;
      const delayMs = this.#delayAfter(error);
      this.#retryAt = clock.now() + delayMs;
      return false;
    }
  }

  #isDue(): boolean {
    const { readings, ageMs } = this.#limits;
    if (this.#weight >= readings || this.#hasImport()) return true;
    return this.#deps.clock.now() - this.#gatheredAt >= (this.gathers() ? ageMs : IDLE_AGE_MS);
  }

  #gather(): void {
    // Nothing is added to a batch that the history has, or may have.
    if (this.#stored !== null || this.#failures > 0) return;
    // A batch must lie wholly before or wholly after the history's cursor.
    const cursor = this.#deps.history.cursor();
    const edge = this.#settled < cursor ? cursor : Number.POSITIVE_INFINITY;
    let next = (this.#gathered.at(-1)?.block.seq ?? this.#settled) + 1;
    while (this.#weight < this.#limits.readings && this.#gathered.length < MOST_BLOCKS && next <= edge) {
      const outcome = this.#deps.intake.recall(next);
      if (outcome !== undefined) this.#take(outcome);
      else if (!this.#readAhead(next, edge)) return;
      next = this.#gathered.at(-1)!.block.seq + 1;
    }
  }

  #readAhead(next: number, edge: number): boolean {
    const { journal, intake } = this.#deps;
    const blocks = journal.after(next - 1, READ_AHEAD).filter((block) => block.seq <= edge);
    for (const block of blocks) {
      this.#take(intake.outcome(block));
      if (this.#weight >= this.#limits.readings) break;
    }
    return blocks.length > 0;
  }

  #take(outcome: Outcome): void {
    if (this.#gathered.length === 0) this.#gatheredAt = this.#deps.clock.now();
    this.#gathered.push(outcome);
    this.#weight += outcome.readings.length + outcome.replaced.length + refusedBytes(outcome) / BYTES_A_READING;
  }

  /** Writes what a database confirmed, and may have lost, once more. Nothing is counted again. */
  async #writeAgain(from: number): Promise<void> {
    const { journal, intake, history } = this.#deps;
    const outcomes: Outcome[] = [];
    let weight = 0;
    for (const block of journal.after(from, READ_AHEAD)) {
      if (block.seq > this.#settled || weight >= this.#limits.readings) break;
      const outcome = intake.outcome(block);
      outcomes.push(outcome);
      weight += outcome.readings.length + outcome.replaced.length;
    }
    const last = outcomes.at(-1)?.block.seq ?? this.#settled;
    const [readings, replaced] = [outcomes.map((one) => one.readings), outcomes.map((one) => one.replaced)];
    if (weight > 0) await history.append(readings, last, replaced);
    this.#doubts.again(last);
  }

  async #settle(): Promise<void> {
    const { seq: last, first, count } = this.#gathered.at(-1)!.block;
    this.#stored ??= last > this.#deps.history.cursor() ? await this.#append(last) : this.#gathered;
    const replays = this.#write(this.#stored);
    this.#replayed.settled += replays.length;
    this.#replayed.refusedAgain += replays.filter(({ refusals }) => refusals.length > 0).length;
    this.#settled = last;
    this.#messages = first + count;
    this.#gathered = [];
    this.#weight = 0;
    this.#stored = null;
  }

  async #append(last: number): Promise<Outcome[]> {
    const gathered = this.#gathered;
    const readings = gathered.map((outcome) => outcome.readings);
    const replaced = gathered.map((outcome) => outcome.replaced);
    const refused = await this.#deps.history.append(readings, last, replaced);
    return withRefused(gathered, refused, this.#deps.metrics);
  }

  /** Commits ledger, quarantine and the state of intake; returns the replayed entries that left the quarantine. */
  #write(batch: readonly Outcome[]): readonly Replayed[] {
    const { db, quarantine, ledger, intake } = this.#deps;
    try {
      const [replays, persisted] = transact(db, () => {
        const settled = quarantine.settle(batch);
        ledger.count(batch, settled);
        this.#doubts.written(batch.at(-1)!.block.seq);
        return [settled, intake.persist()] as const;
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

  /** Half of the delay is random, so that several clients of one database do not retry at the same moment. */
  #delayAfter({ retryAfterMs }: LamppostError): number {
    const { random = Math.random } = this.#deps;
    const delay = Math.min(FIRST_DELAY_MS * 2 ** this.#failures++, LONGEST_DELAY_MS);
    return Math.max(retryAfterMs, delay * (0.5 + random() / 2));
  }
}

/** Creates the consumer; it starts at the ledger's cursor. */
export function createHistoryConsumer(deps: Deps, limits: BatchLimits): HistoryConsumer {
  return new HistoryConsumer(deps, limits);
}

const ROWS_OF_A_BLOCK = 2 ** 20;

/**
 * Returns the outcomes with the rows that the history's database refused moved from stored to quarantined. Such a
 * reading is kept as a native message of its own, under a unique negative number that grows with the journal.
 */
function withRefused(batch: readonly Outcome[], refused: readonly RefusedRow[], metrics: MetricTable): Outcome[] {
  const byOutcome = Map.groupBy(refused, ({ batch: at }) => at);
  return batch.map((outcome, at) => {
    // What was measured beside a calibrated value is not counted.
    const isCounted = ({ of, row }: RefusedRow) => isOfCity(metrics.idOf(outcome[of].metric[row]!));
    const rows = (byOutcome.get(at) ?? []).filter(isCounted);
    if (rows.length === 0) return outcome;
    if (outcome.imported !== null) return importRefused(outcome, rows);
    const tallies = rows.map((row) => tallyOf(outcome, row));
    const refusals = rows.map((row) => refusalOf(outcome, row, metrics));
    return { ...outcome, tallies: [...outcome.tallies, ...tallies], refusals: [...outcome.refusals, ...refusals] };
  });
}

const isOfCity = (metric: string) => measuredMetric(metric) === metric;

/** What was imported stays in its file: it can be imported again. */
function importRefused(outcome: Outcome, rows: readonly RefusedRow[]): Outcome {
  const imported = outcome.imported!;
  if (!imported.isCounted) return outcome;
  const refused = rows.map(({ of, row }) => ({ device: outcome[of].device[row]!.id, stored: -1, refused: 1 }));
  return { ...outcome, imported: { ...imported, tallies: [...imported.tallies, ...refused] } };
}

function tallyOf(outcome: Outcome, { of, row }: RefusedRow) {
  const tally = emptyTally(outcome[of].device[row]!.id);
  tally.stored = -1;
  tally.refused = 1;
  if (of === 'replaced') tally.replaced = -1;
  return tally;
}

function refusalOf(outcome: Outcome, { of, row, detail }: RefusedRow, metrics: MetricTable): Refusal {
  const { device, metric, ts, value } = outcome[of];
  const { id } = device[row]!;
  const name = metrics.idOf(metric[row]!);
  const place = outcome.block.seq * ROWS_OF_A_BLOCK + row * 2 + (of === 'replaced' ? 1 : 0);
  return {
    ...summaryOf([{ reason: 'history-refused', path: `$.metrics.${name}`, detail, reading: `$ ${name}` }])[0]!,
    scope: 'reading',
    device: id,
    holder: id,
    topic: `devices/${id}/readings`,
    receivedAt: outcome.block.receivedAt,
    position: Number.MIN_SAFE_INTEGER + place,
    raw: Buffer.from(JSON.stringify({ ts: ts[row], metrics: { [name]: value[row] } })),
  };
}
