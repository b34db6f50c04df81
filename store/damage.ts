import { existsSync, renameSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { isoOf, LamppostError } from '../domain/index.ts';

/** What each file of a data folder holds, in the words of a report. */
export const HOLDS: Readonly<Record<string, string>> = {
  'journal.sqlite': 'what came in and is not settled yet, and the last hour',
  'state.sqlite': 'devices, keys, ledger, quarantine, alerts, tickets and events',
  'history.duckdb': 'the readings',
  'registry.sqlite': 'devices and keys of an earlier version, until a start takes them over',
  'sessions.sqlite': 'kept MQTT sessions, their queues and retained messages',
  'deliveries.sqlite': 'webhooks, subscriptions and what was sent to them',
  'reporters.sqlite': 'what citizens wrote, their names and contacts',
  'signedin.sqlite': 'who is signed in',
  'secrets.key': "what webhooks' secrets are encrypted with",
  media: "citizens' photos",
};

// Result codes of SQLite (sqlite.org/rescode.html) that mean damage. The last is an extended code: the file is shorter
// than its header says.
const ERROR = 1;
const CORRUPT = 11;
const NOTADB = 26;
const IOERR_SHORT_READ = 522;

/** Returns whether an error means that the content of a file is damaged. `opening`: a missing table is damage, too. */
export function isDamage(error: unknown, opening = false): boolean {
  if (error instanceof LamppostError) return error.code === 'damaged';
  const { errcode } = error as { errcode?: number };
  if (errcode === undefined) return opening && (error instanceof SyntaxError || error instanceof RangeError);
  const primary = errcode & 0xff;
  return [CORRUPT, NOTADB].includes(primary) || errcode === IOERR_SHORT_READ || (opening && primary === ERROR);
}

/** Returns the error of a damaged file: which one, why, what it holds, and the command that repairs it. */
export function damageOf(path: string, why: string, cause?: unknown): LamppostError {
  const holds = HOLDS[basename(path)];
  return new LamppostError(
    'damaged',
    `${path} is damaged: ${why}.${holds === undefined ? '' : ` It holds ${holds}.`} ` +
      `With the server stopped, run: lamppost repair --data ${dirname(path)}`,
    { cause },
  );
}

/**
 * Runs a step that reads a file when it is opened. Throws `damaged` with the name of the file where that is damaged.
 */
export function readingFile<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof LamppostError || !isDamage(error, true)) throw error;
    throw damageOf(path, (error as Error).message, error);
  }
}

/** Moves a file of SQLite aside, with its log, and returns its new path. What was there before is kept. */
export function setAside(path: string, nowMs: number, why: 'damaged' | 'replaced' = 'damaged'): string {
  const aside = `${path}.${why}-${isoOf(nowMs).slice(0, 19).replaceAll(':', '-')}Z`;
  for (const tail of ['', '-wal', '-shm', '.wal']) {
    if (existsSync(path + tail)) renameSync(path + tail, aside + tail);
  }
  return aside;
}
