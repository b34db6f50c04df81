import { constants } from 'node:fs';
import { copyFile, mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { backup, DatabaseSync } from 'node:sqlite';

/** All pages in one step, which reads one snapshot; a copy in several steps begins anew at every write of the file's owner. */
const ALL_PAGES = 2 ** 31 - 1;

/**
 * Copies a SQLite file that others write to into a new one, as it stands at one moment. It runs in libuv's threads on a
 * connection of its own: no writer waits for it, but the log of the file grows meanwhile. The copy is one plain file,
 * without a log beside it.
 */
export async function copyDatabase(from: string, to: string): Promise<void> {
  const source = new DatabaseSync(from, { readOnly: true });
  try {
    await backup(source, to, { rate: ALL_PAGES });
  } finally {
    source.close();
  }
  const copy = new DatabaseSync(to);
  copy.exec('pragma journal_mode = delete');
  copy.close();
}

/**
 * Copies the files of a folder that never change once they have their names; those that end in `.part` are not there yet, and
 * what is deleted meanwhile is left out. A folder that was never made is an empty one.
 */
export async function copyFolder(from: string, to: string): Promise<void> {
  await mkdir(to, { mode: 0o700 });
  const names = (await unlessGone(readdir(from))) ?? [];
  for (const name of names.filter((one) => !one.endsWith('.part'))) {
    await unlessGone(copyFile(join(from, name), join(to, name), constants.COPYFILE_FICLONE));
  }
}

async function unlessGone<T>(work: Promise<T>): Promise<T | null> {
  try {
    return await work;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}
