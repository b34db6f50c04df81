import { existsSync, mkdirSync, readdirSync, rmSync, statfsSync } from 'node:fs';
import { join } from 'node:path';

/** tmpfs on Linux. */
const MEMORY = '/dev/shm';
const NAME = 'lamppost-tests-';
/** Containers often have 64 MiB. */
const NEEDED = 4 * 2 ** 30;

function hasSpace(): boolean {
  if (!existsSync(MEMORY)) return false;
  const { bavail, bsize } = statfsSync(MEMORY);
  return bavail * bsize >= NEEDED;
}

/**
 * Where tests whose subject is no disk keep their files: in memory an fsync takes no time, and it was half of theirs.
 * Null where there is little memory for it; then they are on the disk.
 */
export const MEMORY_FOLDER = hasSpace() ? join(MEMORY, `${NAME}${process.pid}`) : null;

/** Makes the folder, and removes those of runs that were killed. */
export function setup(): void {
  if (MEMORY_FOLDER === null) return;
  const isLeft = (name: string) => name.startsWith(NAME) && !existsSync(`/proc/${name.slice(NAME.length)}`);
  for (const name of readdirSync(MEMORY).filter(isLeft)) remove(join(MEMORY, name));
  mkdirSync(MEMORY_FOLDER, { recursive: true });
}

export function teardown(): void {
  if (MEMORY_FOLDER !== null) rmSync(MEMORY_FOLDER, { recursive: true, force: true });
}

/** What a run that was killed has mounted there stays: it takes memory, and nothing else. */
function remove(folder: string): void {
  try {
    rmSync(folder, { recursive: true, force: true });
  } catch (error) {
    console.warn(`${folder} is in use: ${(error as Error).message}`);
  }
}
