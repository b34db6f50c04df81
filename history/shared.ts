import type { HistoryProgress } from '../domain/index.ts';

/** How nodes share one database: the holder of the duty writes, and says in the log what is beyond doubt. */
export class SharedHistory {
  /** The newest block that the log says is beyond doubt; null where it says nothing. */
  readonly confirmed: () => number | null;
  readonly #append: (progress: HistoryProgress) => void;
  readonly #isOver: () => boolean;
  #revision: number | null = null;
  #gains = 0;
  /** Whether blocks may have passed here while the lease was over, which nobody has written. */
  #lapsed = false;

  /**
   * `append` brings into the log how far it is; where that fails, the next one says more. `isOver`: whether the lease
   * is over, though `hold` was not called yet since this node was paused: another one may have written newer values.
   */
  constructor(
    confirmed: () => number | null,
    append: (progress: HistoryProgress) => void,
    isOver: () => boolean = () => false,
  ) {
    this.confirmed = confirmed;
    this.#append = append;
    this.#isOver = isOver;
  }

  /** Begins to write, under a lease; null: another node does. */
  hold(revision: number | null): void {
    if (revision !== null && revision !== this.#revision) this.#gains++;
    this.#revision = revision;
  }

  /** Whether this node writes. */
  holds(): boolean {
    if (this.#revision === null) return false;
    const isOver = this.#isOver();
    // It was renewed after all, in the same term.
    if (this.#lapsed && !isOver) this.#gains++;
    this.#lapsed = isOver;
    return !isOver;
  }

  /** How often this node has got the duty: after that, what the one before may not have written is written again. */
  gains(): number {
    return this.#gains;
  }

  /** Brings a block into the log that is beyond doubt. */
  confirm(seq: number): void {
    if (this.holds()) this.#append({ duty: 'history', revision: this.#revision!, seq });
  }
}
