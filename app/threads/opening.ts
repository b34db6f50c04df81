import type { Logger } from 'pino';
import { type HistoryStore, LamppostError } from '../../domain/index.ts';
import { timed } from '../steps.ts';

interface Deps {
  readonly history: Pick<HistoryStore, 'start' | 'stop'>;
  /** Returns why this history, now open, does not belong to the other files; null where it does. */
  readonly stranger: () => string | null;
  readonly log: Logger;
}

/** The opening of the history, which nobody but its readers waits for: meanwhile readings wait in the log. */
export interface HistoryOpening {
  /** Opens it, and tries again where that fails. */
  start(): void;
  isOpen(): boolean;
  /** Why the last attempt failed; null before the first ended, and once it is open. */
  trouble(): string | null;
  /** Throws `history` (retryable) while it is not open. */
  check(): void;
  /** Ends the attempts and closes the history. */
  stop(): Promise<void>;
}

const FIRST_DELAY_MS = 1_000;
const LONGEST_DELAY_MS = 30_000;

/** Returns the opening of a history; nothing happens until `start`. */
export function createHistoryOpening({ history, stranger, log }: Deps): HistoryOpening {
  let isOpen = false;
  let trouble: string | null = null;
  let timer: NodeJS.Timeout | null = null;
  let stopping = false;
  let attempt: Promise<void> = Promise.resolve();

  async function open(delayMs: number): Promise<void> {
    try {
      await timed(log, 'history opens', () => history.start());
      trouble = stranger();
      isOpen = trouble === null;
      if (!isOpen) log.error({ trouble }, 'the history stays closed; readings wait in the log');
    } catch (error) {
      if (!(error instanceof LamppostError)) throw error;
      // It is tried again for as long as it takes: one line says so.
      if (trouble !== error.message) log.error(`the history does not open; readings wait in the log: ${error.message}`);
      trouble = error.message;
      if (!stopping) timer = setTimeout(() => start(Math.min(delayMs * 2, LONGEST_DELAY_MS)), delayMs);
    }
  }

  function start(delayMs = FIRST_DELAY_MS): void {
    attempt = open(delayMs);
  }

  return {
    start: () => start(),
    isOpen: () => isOpen,
    trouble: () => trouble,
    check() {
      if (isOpen) return;
      const why = trouble ?? 'it is being opened';
      throw new LamppostError('history', `the history is not open yet: ${why}`, { retryable: true });
    },
    async stop() {
      stopping = true;
      if (timer !== null) clearTimeout(timer);
      await attempt;
      isOpen = false;
      await history.stop();
    },
  };
}
