import { join } from 'node:path';
import type { SessionRecords } from '../../broker/index.ts';
import type { SessionsControl } from '../../domain/index.ts';
import { JournalReader } from '../../journal/index.ts';

interface Parts extends Pick<SessionRecords, 'node' | 'append' | 'followed'> {
  /** The data folder of this node, with its journal. */
  readonly dir: string;
  /** Moves with every commit of the journal. */
  readonly counter: Int32Array<SharedArrayBuffer>;
  /** Called when there may be new records. */
  readonly onMore: () => void;
}

/** Records wait for the next look so long: a busy log has a thousand commits a second. */
const LOOK_MS = 20;
const IDLE_MS = 1_000;

/** The `sessions` records of the log that a node shares with others, as its journal has them. */
export class JournalSessions {
  readonly records: SessionRecords;
  readonly #parts: Parts;
  readonly #journal: JournalReader;
  #isOpen = true;

  /** Opens the journal. */
  constructor(parts: Parts) {
    const { node, append, followed } = parts;
    const journal = new JournalReader(join(parts.dir, 'journal.sqlite')).open();
    this.#parts = parts;
    this.#journal = journal;
    this.records = {
      ...{ node, append, followed },
      head: () => journal.head().seq,
      after: (seq, limit) =>
        journal.ofKind('sessions', seq, limit).map((block) => {
          const control = JSON.parse(Buffer.from(block.body).toString()) as SessionsControl;
          return { seq: block.seq, atMs: block.steadyAt, control };
        }),
    };
  }

  /** Looks for more after each commit, until it is closed. */
  async follow(): Promise<void> {
    const { counter, onMore } = this.#parts;
    while (this.#isOpen) {
      const seen = Atomics.load(counter, 0);
      onMore();
      const wait = Atomics.waitAsync(counter, 0, seen, IDLE_MS);
      if (wait.async) await wait.value;
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }

  close(): void {
    this.#isOpen = false;
    Atomics.notify(this.#parts.counter, 0);
    this.#journal.close();
  }
}
