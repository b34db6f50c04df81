import { randomUUID } from 'node:crypto';
import { readdirSync, rmSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ActionLog, Caller } from '../../actions/index.ts';
import { parquetAsCsv } from '../../history/index.ts';
import { bodyOfPart, createImports, type ImportAsked, type Imports } from '../../ingest/index.ts';
import type { ImportThread } from './import.ts';
import { spawn, type Thread } from './rpc.ts';
import type { Threads } from './start.ts';

interface Parts {
  /** The data folder, where a file of Parquet is for as long as it is read. */
  readonly dir: string;
  readonly actions: Pick<ActionLog, 'accompany'>;
  readonly journal: Pick<Threads['journal'], 'import'>;
  readonly status: () => Promise<{ readonly history: number }>;
}

/** The thread ends when nothing was imported for so long. */
const IDLE_MS = 10_000;

/**
 * Returns the imports of this process: files are read in a thread of their own, which lives as long as it is needed.
 */
export function openImports({ dir, actions, journal, status }: Parts): Imports<Caller> {
  removeLeft(dir);
  let thread: Thread<ImportThread> | null = null;
  let idle: NodeJS.Timeout | undefined;

  async function end(): Promise<void> {
    clearTimeout(idle);
    const ending = thread;
    thread = null;
    await ending?.worker.terminate();
  }

  async function read({ bytes, file: _, stored: __, format, ...options }: ImportAsked) {
    clearTimeout(idle);
    const text = format === 'parquet' ? await csvOf(bytes, dir) : bytes;
    // A crash rejects the import that it was at, and ends nothing else.
    thread ??= spawn<ImportThread>(new URL('./import.ts', import.meta.url), { data: {}, onCrash: () => void end() });
    try {
      return await thread.call.read(text, { ...options, format: format === 'parquet' ? 'csv' : format });
    } finally {
      idle = setTimeout(() => void end(), IDLE_MS);
    }
  }

  const imports = createImports<Caller>({
    read,
    async append(part, { file, stored }, caller) {
      const { id, rows } = part.header;
      let seq = 0;
      const command =
        stored === undefined
          ? ({ do: 'readings.import', part: id, rows, file } as const)
          : ({ do: 'readings.recompute', rows, ...stored } as const);
      // Each part is known by its content: an Idempotency-Key would stand for the first of them.
      const report = await actions.accompany(command, { ...caller, key: null }, async (action) => {
        seq = await journal.import(bodyOfPart(part, action));
      });
      return { report, seq };
    },
    stored: async () => (await status()).history,
  });
  return {
    run: (asked, caller) => imports.run(asked, caller),
    async stop() {
      await imports.stop();
      await end();
    },
  };
}

const MARK = 'import-';

/** Deletes what an import left whose process ended. */
function removeLeft(dir: string): void {
  for (const name of readdirSync(dir))
    if (name.startsWith(MARK) && name.endsWith('.parquet')) rmSync(join(dir, name), { force: true });
}

/** Parquet is read by its end: it has to be a file. */
async function csvOf(bytes: Uint8Array, dir: string): Promise<Uint8Array> {
  const file = join(dir, `${MARK}${randomUUID()}.parquet`);
  try {
    await writeFile(file, bytes, { mode: 0o600 });
    return await parquetAsCsv(file);
  } finally {
    rmSync(file, { force: true });
  }
}
