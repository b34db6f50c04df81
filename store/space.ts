import { statfsSync } from 'node:fs';

/**
 * What a start needs on the disk of a data folder, bytes: the side files of eight SQLite files, and what their recovery
 * and that of the history write.
 */
const NEEDED = 8 * 1024 ** 2;
const MIB = 1024 ** 2;

/** Returns a sentence that says how much to free where a start over this folder has not enough space; else null. */
export function lacksSpace(dir: string): string | null {
  const { bavail, bsize } = statfsSync(dir);
  const free = bavail * bsize;
  if (free >= NEEDED) return null;
  const lacking = Math.max(1, Math.ceil((NEEDED - free) / MIB));
  return `the disk of ${dir} is full: free at least ${lacking} MiB there (other files, old backups, *.damaged-*)`;
}
