import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';
import { type HistoryStore, LamppostError } from '../domain/index.ts';
import { scanDuckdb } from './scan.ts';
import { Statements } from './statements.ts';

// One thread of its own beside this one: the engine needs the other core.
export const SETTINGS = { threads: '1' };

/**
 * The part of the free space on the disk that statements may use for what does not fit into memory, and the most, bytes:
 * by default DuckDB takes nine tenths, and the journal stands beside it.
 */
const SPILL = { share: 0.25, least: 64 * 1024 ** 2, most: 8 * 1024 ** 3 };

/** Returns the bound of what DuckDB writes beside a file, as its settings take it. */
export async function spillOf(path: string): Promise<string> {
  const { bavail, bsize } = await statfs(dirname(path));
  const bytes = Math.min(SPILL.most, Math.max(SPILL.least, SPILL.share * bavail * bsize));
  return `${Math.floor(bytes / 1024 ** 2)}MiB`;
}

/**
 * Opens the scan of a history that no server has open; the caller closes it. Throws `history` where a server has it
 * open.
 */
export async function openDuckdbScan(path: string): Promise<Pick<HistoryStore, 'scan'> & { close(): void }> {
  try {
    const instance = await DuckDBInstance.create(path, { ...SETTINGS, access_mode: 'READ_ONLY' });
    const statements = new Statements(instance);
    return {
      scan: (query, signal) => scanDuckdb(instance, statements, query, signal),
      close: () => instance.closeSync(),
    };
  } catch (cause) {
    const { message } = cause as Error;
    const why = /lock/i.test(message) ? 'a server has it open: ask that one, with --url' : message;
    throw new LamppostError('history', `the history ${path} cannot be opened: ${why}`, { cause });
  }
}

const COPY = 'the_copy';

/**
 * Copies a database that is being written to into a new file, table by table in one snapshot; resolves to the cursor in
 * it. Copying the file itself would block the writer for as long as it takes. Calls must not overlap.
 */
export async function copyDuckdb(instance: DuckDBInstance, path: string): Promise<number> {
  const connection = await instance.connect();
  try {
    const source = await scalar(connection, 'select current_database()');
    await connection.run(`attach '${path.replaceAll("'", "''")}' as ${COPY}`);
    try {
      await connection.run(`copy from database "${source}" to ${COPY}`);
      await connection.run(`checkpoint ${COPY}`);
      return Number((await scalar(connection, `select max(cursor) from ${COPY}.progress`)) ?? 0);
    } finally {
      await connection.run(`detach ${COPY}`);
    }
  } finally {
    connection.closeSync();
  }
}

/** Returns the first value of a statement's result. */
export async function scalar(connection: DuckDBConnection, sql: string) {
  return (await connection.runAndReadAll(sql)).getRows()[0]?.[0];
}

/** Returns an operational fault of the history with its cause. */
export function faultOf(what: string, cause: unknown, retryable = false): LamppostError {
  return new LamppostError('history', `${what}: ${(cause as Error).message}`, { retryable, cause });
}
