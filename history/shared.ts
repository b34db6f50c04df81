import type { HistoryProgress } from '../domain/index.ts';

/** How nodes share one database: the holder of the duty writes, and says in the log what is beyond doubt. */
export class SharedHistory {
  /** The newest block that the log says is beyond doubt; null where it says nothing. */
  readonly confirmed: () => number | null;
  readonly #append: (progress: HistoryProgress) => void;
  #revision: number | null = null;
  #gains = 0;

  /** `append` brings into the log how far it is; where that fails, the next one says more. */
  constructor(confirmed: () => number | null, append: (progress: HistoryProgress) => void) {
    this.confirmed = confirmed;
    this.#append = append;
  }

  /** Begins to write, under a lease; null: another node does. */
  hold(revision: number | null): void {
    if (revision !== null && revision !== this.#revision) this.#gains++;
    this.#revision = revision;
  }

  /** Whether this node writes. */
  holds(): boolean {
    return this.#revision !== null;
  }

  /** How often this node has got the duty: after that, what the one before may not have written is written again. */
  gains(): number {
    return this.#gains;
  }

  /** Brings a block into the log that is beyond doubt. */
  confirm(seq: number): void {
    if (this.#revision !== null) this.#append({ duty: 'history', revision: this.#revision, seq });
  }
}
