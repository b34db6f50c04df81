import { LamppostError } from '../domain/index.ts';
import type { ImportOptions } from './import/index.ts';
import type { Part } from './import/part.ts';
import { type ImportReport, sumOfReports } from './import/report.ts';

/** What somebody imports: a file, or a piece of one. */
export interface ImportAsked extends Omit<ImportOptions, 'format'> {
  readonly format: ImportOptions['format'] | 'parquet';
  readonly bytes: Uint8Array;
  /** Its name, for the audit trail. */
  readonly file: string;
  /** Where it is no file: the stored readings that are corrected anew. */
  readonly stored?: StoredSpan;
}

/** Readings of a metric of a device in `[fromMs, toMs)`. */
export interface StoredSpan {
  readonly device: string;
  readonly metric: string;
  readonly fromMs: number;
  readonly toMs: number;
}

interface Deps<C> {
  /** Reads a file into parts, in another thread. Throws `invalid`. */
  readonly read: (asked: ImportAsked) => Promise<readonly Part[]>;
  /** Puts a part into the journal; resolves to what became of its rows, and to its block. */
  readonly append: (part: Part, asked: ImportAsked, caller: C) => Promise<{ report: ImportReport; seq: number }>;
  /** Resolves to the newest block that the history has. */
  readonly stored: () => Promise<number>;
}

/** Imports of readings of the past. */
export interface Imports<C> {
  /**
   * Imports a file. Resolves once its readings are in the history; the same file again changes nothing. Throws `busy`
   * where others wait already, `invalid` for a file that cannot be read.
   */
  run(asked: ImportAsked, caller: C): Promise<ImportReport>;
  /** Ends after the part that is under way. */
  stop(): Promise<void>;
}

/** While one is stored, the next one is read. */
const MOST_AT_ONCE = 2;
const LOOK_MS = 10;
/** Parts that the history may be behind the journal. */
const MOST_AHEAD = 2;

/** Returns the imports. One file is read at a time, and one is stored; the history decides how fast. */
export function createImports<C>({ read, append, stored }: Deps<C>): Imports<C> {
  let lastRead: Promise<unknown> = Promise.resolve();
  let last: Promise<unknown> = Promise.resolve();
  let waiting = 0;
  let stopping = false;

  async function untilStored(seq: number): Promise<void> {
    while ((await stored()) < seq) {
      if (stopping) throw stopped();
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }

  async function store(parts: readonly Part[], asked: ImportAsked, caller: C): Promise<ImportReport> {
    const reports: ImportReport[] = [];
    const blocks: number[] = [];
    for (const part of parts) {
      if (stopping) throw stopped();
      const { report, seq } = await append(part, asked, caller);
      reports.push(report);
      if (report.stored > 0) blocks.push(seq);
      await untilStored(blocks.at(-1 - MOST_AHEAD) ?? 0);
    }
    await untilStored(blocks.at(-1) ?? 0);
    return sumOfReports(reports);
  }

  return {
    run(asked, caller) {
      if (waiting === MOST_AT_ONCE)
        throw new LamppostError('busy', 'other imports are under way; import again when they are done', {
          retryable: true,
          retryAfterMs: 1_000,
        });
      waiting++;
      const reading = lastRead.then(() => read(asked));
      lastRead = reading.catch(() => {});
      const before = last;
      const run = reading
        .then(async (parts) => {
          await before;
          return store(parts, asked, caller);
        })
        .finally(() => waiting--);
      last = Promise.allSettled([before, run]);
      return run;
    },
    async stop() {
      stopping = true;
      await last;
    },
  };
}

function stopped(): LamppostError {
  return new LamppostError('busy', 'the server stops; import again: what is stored already changes nothing', {
    retryable: true,
  });
}
