import { createHash, randomUUID } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { LamppostError } from '../domain/index.ts';
import type { Photo } from './photo/index.ts';

const ENDINGS = { 'image/jpeg': 'jpg', 'image/png': 'png', 'image/webp': 'webp' } as const;
const TYPES: Readonly<Record<string, Photo['type']>> = { jpg: 'image/jpeg', png: 'image/png', webp: 'image/webp' };
const NAME = /^[0-9a-f]{64}\.(jpg|png|webp)$/;

/** Where photos are, in the data folder. */
export const MEDIA_FOLDER = 'media';

/** Photos as files of a folder, named by the SHA-256 of what is in them. */
export interface Media {
  /** On disk when it resolves, with its name. Throws `disk`. */
  put(photo: Photo): Promise<string>;
  /** Null for what is no name of a photo, or of none that is here. */
  get(name: string): Promise<Photo | null>;
  /** Removes what nobody uses and was put before a moment; answers how many. */
  sweep(isUsed: (name: string) => boolean, beforeMs: number): Promise<number>;
}

/** Makes the store over a folder, which is made with its first photo. */
export function createMedia(dir: string): Media {
  async function write(name: string, bytes: Buffer): Promise<void> {
    await mkdir(dir, { recursive: true });
    const temporary = join(dir, `${randomUUID()}.part`);
    await synced(temporary, 'wx', (file) => file.writeFile(bytes));
    await rename(temporary, join(dir, name));
    await synced(dir, 'r', async () => {});
  }

  return {
    async put({ type, bytes }) {
      const name = `${createHash('sha256').update(bytes).digest('hex')}.${ENDINGS[type]}`;
      try {
        // Sent before: it counts as new, so that nobody sweeps it away under the ticket that is about to open.
        const now = new Date();
        if (await known(join(dir, name))) await utimes(join(dir, name), now, now);
        else await write(name, bytes);
      } catch (cause) {
        throw new LamppostError('disk', `a photo cannot be kept: ${(cause as Error).message}`, {
          cause,
          retryable: true,
        });
      }
      return name;
    },
    async get(name) {
      if (!NAME.test(name)) return null;
      const bytes = await orNothing(readFile(join(dir, name)));
      return bytes === null ? null : { type: TYPES[name.split('.')[1]!]!, bytes };
    },
    async sweep(isUsed, beforeMs) {
      let removed = 0;
      for (const name of (await orNothing(readdir(dir))) ?? []) {
        if (NAME.test(name) && isUsed(name)) continue;
        const found = await orNothing(stat(join(dir, name)));
        if (found === null || found.mtimeMs >= beforeMs) continue;
        await rm(join(dir, name), { force: true });
        removed++;
      }
      return removed;
    },
  };
}

async function synced(path: string, flags: string, work: (file: Awaited<ReturnType<typeof open>>) => Promise<void>) {
  const file = await open(path, flags);
  try {
    await work(file);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function known(path: string): Promise<boolean> {
  return (await orNothing(stat(path))) !== null;
}

/** Null where there is no such file or folder. */
async function orNothing<T>(asked: Promise<T>): Promise<T | null> {
  try {
    return await asked;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}
