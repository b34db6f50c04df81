import { chmodSync, existsSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from 'pino';

/** Mode of folders and of files that only their owner may use. */
export const PRIVATE_FOLDER = 0o700;
export const PRIVATE_FILE = 0o600;

/** The permissions of everyone but the owner. */
const OTHERS = 0o077;

/** The permission of everyone to write; a group may be the team that maintains a folder. */
const ALL_WRITE = 0o002;

/** Whether everyone on the machine, or a group, has a permission for a file or folder; false where there is none. */
export function othersMay(path: string): boolean {
  return hasAny(path, OTHERS);
}

function hasAny(path: string, permissions: number): boolean {
  if (process.platform === 'win32') return false;
  return ((statSync(path, { throwIfNoEntry: false })?.mode ?? 0) & permissions) !== 0;
}

/** Whether everyone on the machine may change a folder or a file in it; false where there is none. */
export function allMayChange(dir: string): boolean {
  if (!existsSync(dir)) return false;
  const within = readdirSync(dir, { recursive: true, encoding: 'utf8' }).map((name) => join(dir, name));
  return [dir, ...within].some((path) => hasAny(path, ALL_WRITE));
}

/**
 * Makes the data folder where it does not exist, and keeps everyone but its owner out of it and of its files, also
 * where an earlier version made them. `except` names a folder that keeps its mode. What belongs to another user cannot
 * be changed and is logged.
 */
export function keepPrivate(dir: string, log: Pick<Logger, 'info' | 'warn'>, except: string | null = null): void {
  mkdirSync(dir, { recursive: true, mode: PRIVATE_FOLDER });
  // Windows has no such modes; there the folder inherits its access rights.
  if (process.platform === 'win32') return;
  const found = { changed: 0, failed: [] as string[] };
  tighten(dir, PRIVATE_FOLDER, found);
  tightenIn(dir, except, found);
  const { changed, failed } = found;
  if (changed > 0) log.info({ dir, changed }, 'files and folders that others could read are private now');
  if (failed.length > 0)
    log.warn({ dir, failed: failed.slice(0, 5) }, 'others may read these: they belong to another user');
}

interface Found {
  changed: number;
  readonly failed: string[];
}

/** Goes into a folder only where others could: it has as many files as there are photos. */
function tightenIn(dir: string, except: string | null, found: Found): void {
  for (const entry of readdirSync(dir, { withFileTypes: true })) {
    const path = join(dir, entry.name);
    if (path === except) continue;
    if (entry.isFile()) tighten(path, PRIVATE_FILE, found);
    else if (entry.isDirectory() && tighten(path, PRIVATE_FOLDER, found)) tightenIn(path, except, found);
  }
}

/** Returns whether others had a permission. */
function tighten(path: string, mode: number, found: Found): boolean {
  try {
    if ((statSync(path).mode & OTHERS) === 0) return false;
    chmodSync(path, mode);
    found.changed++;
  } catch (error) {
    // A file that another start or a writer removes meanwhile.
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') found.failed.push(path);
  }
  return true;
}

/**
 * Makes a file of SQLite private; null: a database in memory. The side files that SQLite makes get the mode of their
 * file. A file of another user stays as it is.
 */
export function makeFilePrivate(path: string | null): void {
  if (path !== null && process.platform !== 'win32') tighten(path, PRIVATE_FILE, { changed: 0, failed: [] });
}
