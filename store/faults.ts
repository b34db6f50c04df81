import { LamppostError } from '../domain/index.ts';

// Result codes of SQLite (sqlite.org/rescode.html) that speak of the file and its disk, not of our statements.
const BUSY = 5;
const LOCKED = 6;
const READONLY = 8;
const IOERR = 10;
const CORRUPT = 11;
const FULL = 13;
const CANTOPEN = 14;
const NOTADB = 26;
const PASSING: readonly number[] = [BUSY, LOCKED, IOERR, FULL];
const LASTING: readonly number[] = [READONLY, CORRUPT, CANTOPEN, NOTADB];

/** The `disk` error that an error of SQLite or of the file system stands for, retryable where it may pass; null for what is a bug. */
export function diskFault(cause: unknown, what: string): LamppostError | null {
  const { syscall, message } = cause as NodeJS.ErrnoException;
  if (syscall !== undefined) return new LamppostError('disk', `${what}: ${message}`, { retryable: true, cause });
  // The low byte is the primary code: SQLITE_IOERR_WRITE is an SQLITE_IOERR.
  const code = ((cause as { errcode?: number }).errcode ?? 0) & 0xff;
  const retryable = PASSING.includes(code);
  if (!retryable && !LASTING.includes(code)) return null;
  return new LamppostError('disk', `${what}: ${message}`, { retryable, cause });
}
