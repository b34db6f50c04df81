import { accessSync, constants, mkdirSync, statfsSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { LamppostError } from '../domain/index.ts';

/**
 * What a start needs on the disk of a data folder, bytes: the side files of eight SQLite files, and what their recovery
 * and that of the history write.
 */
const NEEDED = 8 * 1024 ** 2;
const MIB = 1024 ** 2;

/**
 * Makes a data folder, for its owner only, and the folders above it. Throws `config` with one sentence where that is
 * not possible, or where this user may not write there.
 */
export function makeDataFolder(dir: string): void {
  makeFolder(dir, 'LAMPPOST_DATA', 'LAMPPOST_DATA or --data');
}

/** Makes the folder of a setting, as `makeDataFolder` does; `others` says how to name another one. */
export function makeFolder(dir: string, setting: string, others = setting): void {
  try {
    makeFolders(dir);
    accessSync(dir, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (cause) {
    const why = WHY[(cause as NodeJS.ErrnoException).code ?? ''] ?? (cause as Error).message;
    throw new LamppostError('config', `${setting}: ${dir} ${why}; name another folder with ${others}`, { cause });
  }
}

const WHY: Readonly<Record<string, string>> = {
  EROFS: 'is on a disk that is read-only (EROFS)',
  EACCES: 'is not for this user to write (EACCES)',
  EPERM: 'is not for this user to write (EPERM)',
  ENOENT: 'cannot be made (ENOENT)',
  ENOTDIR: 'is no folder (ENOTDIR)',
  EEXIST: 'is no folder (EEXIST)',
};

/** One folder after the other: with `recursive`, Node 24 never returns from /proc. */
function makeFolders(dir: string): void {
  if (statSync(dir, { throwIfNoEntry: false })?.isDirectory()) return;
  const above = dirname(dir);
  if (above !== dir) makeFolders(above);
  mkdirSync(dir, { mode: 0o700 });
}

/** Returns how many bytes this user may still write to the disk of a folder. */
export function freeBytes(dir: string): number {
  const { bavail, bsize } = statfsSync(dir);
  return bavail * bsize;
}

/** Returns a sentence that says how much to free where a start over this folder has not enough space; else null. */
export function lacksSpace(dir: string): string | null {
  const free = freeBytes(dir);
  if (free >= NEEDED) return null;
  const lacking = Math.max(1, Math.ceil((NEEDED - free) / MIB));
  return `the disk of ${dir} is full: free at least ${lacking} MiB there (other files, old backups, *.damaged-*)`;
}
