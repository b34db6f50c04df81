import type { Clock, HistoryStore } from '../domain/index.ts';
import type { SharedHistory } from './shared.ts';

/**
 * How long a database may hold in memory what it has confirmed: VictoriaMetrics writes it to its disk after some
 * seconds.
 */
const DOUBT_MS = 120_000;
/** What is written within such a time has one mark. */
const MARK_MS = 1_000;

/** Keeps the newest block whose readings are beyond doubt. */
interface ConfirmedStore {
  /** Null where there was no such database yet. */
  confirmed(): number | null;
  confirm(seq: number): void;
}

/** How often a block that is beyond doubt comes into the log. */
const RECORD_MS = 15_000;

/**
 * What a database has confirmed and may still lose. It is written again from the journal after each loss of the
 * connection, and after each start: nobody knows what happened to the database meanwhile. A history that says nothing
 * of losses has none.
 */
export class Doubts {
  readonly #history: Pick<HistoryStore, 'losses'>;
  readonly #store: ConfirmedStore;
  readonly #clock: Clock;
  readonly #shared: SharedHistory | null;
  #recordedMs = Number.NEGATIVE_INFINITY;
  /** Blocks up to which readings were written, and when. */
  #marks: { seq: number; readonly atMs: number }[] = [];
  #confirmed: number;
  #isKept: boolean;
  /** The loss after which all was written again. */
  #settledLoss = 0;
  /** The loss that is being settled, and the block up to which it is. */
  #settling = { loss: 0, seq: 0 };

  constructor(
    history: Pick<HistoryStore, 'losses'>,
    store: ConfirmedStore,
    settled: number,
    { clock, shared = null }: { readonly clock: Clock; readonly shared?: SharedHistory | null },
  ) {
    this.#shared = shared;
    this.#history = history;
    this.#store = store;
    this.#clock = clock;
    const kept = shared?.confirmed() ?? store.confirmed();
    this.#isKept = kept !== null;
    // What another node was to write is not confirmed by having passed here.
    this.#confirmed = Math.min(kept ?? (shared === null ? settled : 0), settled);
  }

  /** The block behind which the journal is needed; `settled` where nothing can be lost. */
  needs(settled: number): number {
    if (this.#history.losses === undefined) return settled;
    this.#learn();
    return Math.min(this.#confirmed, settled);
  }

  /** Returns the block behind which readings up to `settled` are to be written again; null: none are. */
  from(settled: number): number | null {
    const loss = this.#losses();
    if (loss === this.#settledLoss) return null;
    this.#learn();
    if (loss !== this.#settling.loss) this.#settling = { loss, seq: this.#confirmed };
    if (this.#settling.seq < settled) return this.#settling.seq;
    this.#settledLoss = loss;
    return null;
  }

  /** Notes that readings were written again up to a block. */
  again(seq: number): void {
    this.#settling = { ...this.#settling, seq };
    const later = this.#marks.filter((mark) => mark.seq > seq);
    this.#marks = [{ seq, atMs: this.#clock.now() }, ...later];
  }

  /** Notes that readings were written up to a block, and keeps what is beyond doubt; inside a transaction. */
  written(seq: number): void {
    const { losses } = this.#history;
    if (losses === undefined) return;
    // Another node writes: only the log says what is beyond doubt.
    if (this.#shared?.holds() === false) {
      this.#marks = [];
      return;
    }
    const now = this.#clock.now();
    const last = this.#marks.at(-1);
    if (last !== undefined && now - last.atMs < MARK_MS) last.seq = seq;
    else this.#marks.push({ seq, atMs: now });
    if (!this.#isKept) this.#keep(this.#confirmed);
    if (this.#losses() !== this.#settledLoss) return;
    const sure = this.#marks.findLast(({ atMs }) => now - atMs >= DOUBT_MS);
    if (sure === undefined) return;
    this.#marks = this.#marks.filter((mark) => mark.seq > sure.seq);
    this.#keep(sure.seq);
    if (this.#shared === null || now - this.#recordedMs < RECORD_MS) return;
    this.#recordedMs = now;
    this.#shared.confirm(sure.seq);
  }

  #losses(): number {
    return (this.#history.losses?.() ?? 0) + (this.#shared?.gains() ?? 0);
  }

  #learn(): void {
    this.#confirmed = Math.max(this.#confirmed, this.#shared?.confirmed() ?? 0);
  }

  #keep(seq: number): void {
    this.#confirmed = seq;
    this.#isKept = true;
    this.#store.confirm(seq);
  }
}
