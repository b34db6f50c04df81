import { execFile } from 'node:child_process';
import { copyFile, statfs, truncate } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';
import { type HistoryStore, LamppostError } from '../domain/index.ts';
import { scanDuckdb } from './scan.ts';
import { Statements } from './statements.ts';

/** Loads DuckDB: only where a file is opened, since it takes time and memory of every start. */
export const loadDuckdb = () => import('@duckdb/node-api');

// One thread of its own beside this one: the engine needs the other core.
export const SETTINGS = { threads: '1' };

/**
 * The part of the free space on the disk that statements may use for what does not fit into memory, and the most,
 * bytes: by default DuckDB takes nine tenths, and the journal stands beside it.
 */
const SPILL = { share: 0.25, least: 64 * 1024 ** 2, most: 8 * 1024 ** 3 };

/** Returns the bound of what DuckDB writes beside a file, as its settings take it. */
export async function spillOf(path: string): Promise<string> {
  const { bavail, bsize } = await statfs(dirname(path));
  const bytes = Math.min(SPILL.most, Math.max(SPILL.least, SPILL.share * bavail * bsize));
  return `${Math.floor(bytes / 1024 ** 2)}MiB`;
}

/** Size and checksum of an entry in DuckDB's log, 8 bytes each. Its messages name the position behind them. */
const ENTRY_HEADER = 16;

/**
 * Opens a history for its one writer. A power loss may leave a log that ends in pages never written, which DuckDB does
 * not read: it is cut before the first entry that is not whole. No fsync covered that one, so the cursor is before it
 * and the journal has what it was. What is cut stays in `.wal.cut`; `onCut` is called with the position.
 */
export async function openDuckdb(
  path: string,
  settings: Record<string, string>,
  onCut: (at: number) => void,
): Promise<DuckDBInstance> {
  const { DuckDBInstance } = await loadDuckdb();
  for (let end = Number.POSITIVE_INFINITY; ; ) {
    try {
      return await DuckDBInstance.create(path, settings);
    } catch (cause) {
      const found = /Corrupt WAL file: entry at byte position (\d+)/.exec((cause as Error).message);
      const at = Number(found?.[1]) - ENTRY_HEADER;
      if (!(at >= 0 && at < end)) throw cause;
      end = at;
      await copyFile(`${path}.wal`, `${path}.wal.cut`);
      await truncate(`${path}.wal`, at);
      onCut(at);
    }
  }
}

/**
 * Opens the scan of a history that no server has open; the caller closes it. Throws `history` where a server has it
 * open.
 */
export async function openDuckdbScan(path: string): Promise<Pick<HistoryStore, 'scan'> & { close(): void }> {
  const { DuckDBInstance } = await loadDuckdb();
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

const READER = fileURLToPath(new URL('./read-in-full.ts', import.meta.url));

/** What a whole file has; `problem`: why it cannot be read to its end. */
type InFull = { readings: number; cursor: number; pruned: boolean } | { problem: string };

/** Reads a history to its end, in a process of its own, which a damaged file may end. Never rejects. */
export function readInFull(path: string): Promise<InFull> {
  return new Promise((resolve) => {
    execFile(process.execPath, [READER, path], { maxBuffer: 1024 ** 2 }, (error, out, err) => {
      if (error === null) return resolve(JSON.parse(out) as InFull);
      const why =
        /Error: (.*)/.exec(err)?.[1] ??
        /what\(\): *(.*)/.exec(err)?.[1] ??
        `reading it ended with ${error.signal ?? error.code}`;
      resolve({ problem: `it cannot be read in full: ${why.slice(0, 200)}` });
    });
  });
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

/** Returns the `history` error of a file that cannot be opened: what it holds, and what to do where it is damaged. */
export function openingFault(path: string, cause: unknown): LamppostError {
  const fault = faultOf(`the history ${path} cannot be opened`, cause);
  if (PASSING.test(fault.message)) return fault;
  const todo = `It holds the readings. Where it is damaged, with the server stopped: lamppost repair --data ${dirname(path)}`;
  return new LamppostError('history', `${fault.message.replace(/[.!]$/, '')}. ${todo}`, { cause });
}

/** Another process has the file, or there is no memory or space: none of these is in the file. */
const PASSING = /lock on file|out of memory|no space/i;

/** Returns an operational fault of the history with its cause. */
export function faultOf(what: string, cause: unknown, retryable = false): LamppostError {
  return new LamppostError('history', `${what}: ${(cause as Error).message}`, { retryable, cause });
}
