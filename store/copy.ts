import { createHash } from 'node:crypto';
import { constants, createReadStream } from 'node:fs';
import { copyFile, mkdir, open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { backup, DatabaseSync } from 'node:sqlite';
import { pipeline } from 'node:stream/promises';
import { PRIVATE_FILE, PRIVATE_FOLDER } from './private.ts';

/**
 * All pages in one step, which reads one snapshot; a copy in several steps restarts at every write by the file's
 * writer.
 */
const ALL_PAGES = 2 ** 31 - 1;

/**
 * Copies a SQLite file that is in use into a new one, as it stands at one moment. It runs in libuv's threads on a
 * connection of its own: no writer waits for it, but the WAL of the file grows meanwhile. The copy is one file without
 * a WAL.
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
 * Copies a folder whose files never change once they have their final names. Files that end in `.part` are unfinished
 * and left out, as are files deleted meanwhile. A folder that does not exist counts as empty.
 */
export async function copyFolder(from: string, to: string): Promise<void> {
  await mkdir(to, { mode: PRIVATE_FOLDER });
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

/** Resolves to the SHA-256 of a file, hex. */
export async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { highWaterMark: 1024 * 1024 }), hash);
  return hash.digest('hex');
}

/** Makes a file private, flushes it to disk and returns its size and SHA-256. */
export async function sealed(path: string): Promise<{ bytes: number; sha256: string }> {
  const sha256 = await sha256Of(path);
  const file = await open(path, 'r+');
  try {
    await file.chmod(PRIVATE_FILE);
    await file.sync();
    return { bytes: (await file.stat()).size, sha256 };
  } finally {
    await file.close();
  }
}

/**
 * Flushes the names in a folder to disk, so that they survive a power loss. Windows cannot open folders and does not
 * need it.
 */
export async function folderOnDisk(path: string): Promise<void> {
  if (process.platform === 'win32') return;
  const folder = await open(path);
  await folder.sync().finally(() => folder.close());
}
