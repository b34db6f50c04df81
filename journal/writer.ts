import type { BlockKind } from '../domain/index.ts';
import type { JournalStore } from './store.ts';

/** A block on its way into the log. */
export interface NewBlock {
  readonly kind: BlockKind;
  readonly body: Uint8Array;
  /** Messages in the body; 0 in control records. */
  readonly count: number;
  /** The version that `heads` returns from then on; null: unchanged. */
  readonly head: string | null;
  /** Civil time, and how far it is ahead of steady time. */
  readonly now: number;
  readonly offsetMs: number;
  /** A name that makes it one where several nodes append the same; null: it is this node's alone. */
  readonly id: string | null;
  /** Of a group commit: its number, which is the same where it is tried again; absent in other blocks. */
  readonly commit?: number;
}

/** Where blocks go. */
export interface BlockWriter {
  /** Once the file is open: makes ready to write. */
  open(): Promise<void>;
  /** Resolves to the number of the block once it is durable. Throws `disk`, `log-away`. */
  write(block: NewBlock): Promise<number>;
  /** From now on blocks of others count as received here. */
  start(): void;
  /** Null where there is nothing to wait for. */
  stop(): Promise<void> | null;
}

/** Writes into the file of this machine alone. */
export class LocalWriter implements BlockWriter {
  readonly #store: JournalStore;
  readonly #onBlocks: (messages: number) => void;

  /** `onBlocks` is called after each block with its number of messages. */
  constructor(store: JournalStore, onBlocks: (messages: number) => void) {
    this.#store = store;
    this.#onBlocks = onBlocks;
  }

  async open(): Promise<void> {}

  async write({ kind, body, count, head, now, offsetMs }: NewBlock): Promise<number> {
    const store = this.#store;
    if (kind === 'messages') store.appendMessages(body, count, now, offsetMs);
    else if (kind === 'replay') store.appendReplay(body, count, now, offsetMs);
    else store.appendControl(kind, body, now, head, offsetMs);
    const { seq } = store;
    this.#onBlocks(kind === 'messages' ? count : 0);
    return seq;
  }

  start(): void {}

  stop(): null {
    return null;
  }
}
