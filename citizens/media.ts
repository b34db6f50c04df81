import { createHash, randomUUID } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { LamppostError } from '../domain/index.ts';
import type { Photo } from './photo.ts';

const ENDINGS = { 'image/jpeg': 'jpg', 'image/png': 'png', 'image/webp': 'webp' } as const;
const TYPES: Readonly<Record<string, Photo['type']>> = { jpg: 'image/jpeg', png: 'image/png', webp: 'image/webp' };
const NAME = /^[0-9a-f]{64}\.(jpg|png|webp)$/;

/** The name of a photo: the SHA-256 of its content. */
export const photoName = ({ type, bytes }: Photo) =>
  `${createHash('sha256').update(bytes).digest('hex')}.${ENDINGS[type]}`;

/** The folder of photos in the data folder. */
export const MEDIA_FOLDER = 'media';

/** A photo that is read from its file. */
export interface OpenPhoto {
  readonly type: Photo['type'];
  readonly length: number;
  readonly stream: Readable;
}

/** Stores photos as files, named by the SHA-256 of their content. */
export interface Media {
  /** Stores a photo and resolves to its name when it is on disk. Throws `disk`. */
  put(photo: Photo): Promise<string>;
  /** Resolves to the photo of a name; null where there is none. */
  get(name: string): Promise<Photo | null>;
  /**
   * Resolves to the photo of a name to be read piece by piece, so that a slow reader holds no more than one; null where
   * there is none. The reader destroys the stream.
   */
  open(name: string): Promise<OpenPhoto | null>;
  /** Removes a photo. */
  remove(name: string): Promise<void>;
  /** Removes photos that are not used and were stored before a moment; resolves to their number. */
  sweep(isUsed: (name: string) => boolean, beforeMs: number): Promise<number>;
}

/** Returns the store of a folder. The first photo creates the folder. */
export function createMedia(dir: string): Media {
  async function write(name: string, bytes: Buffer): Promise<void> {
    await mkdir(dir, { recursive: true });
    const temporary = join(dir, `${randomUUID()}.part`);
    await synced(temporary, 'wx', (file) => file.writeFile(bytes));
    await rename(temporary, join(dir, name));
    await synced(dir, 'r', async () => {});
  }

  return {
    async put(photo) {
      const name = photoName(photo);
      try {
        // A photo that was sent before counts as new, so that `sweep` keeps it for the ticket that is about to open.
        const now = new Date();
        if (await exists(join(dir, name))) await utimes(join(dir, name), now, now);
        else await write(name, photo.bytes);
      } catch (cause) {
        throw new LamppostError('disk', `a photo cannot be stored: ${(cause as Error).message}`, {
          cause,
          retryable: true,
        });
      }
      return name;
    },
    async get(name) {
      if (!NAME.test(name)) return null;
      const bytes = await orNull(readFile(join(dir, name)));
      return bytes === null ? null : { type: typeOfName(name), bytes };
    },
    async open(name) {
      const file = NAME.test(name) ? await orNull(open(join(dir, name))) : null;
      if (file === null) return null;
      const { size: length } = await file.stat();
      return { type: typeOfName(name), length, stream: file.createReadStream() };
    },
    async remove(name) {
      if (NAME.test(name)) await rm(join(dir, name), { force: true });
    },
    async sweep(isUsed, beforeMs) {
      let removed = 0;
      for (const name of (await orNull(readdir(dir))) ?? []) {
        if (NAME.test(name) && isUsed(name)) continue;
        const found = await orNull(stat(join(dir, name)));
        if (found === null || found.mtimeMs >= beforeMs) continue;
        await rm(join(dir, name), { force: true });
        removed++;
      }
      return removed;
    },
  };
}

/** The type of a photo by its name. */
export const typeOfName = (name: string) => TYPES[name.split('.')[1]!]!;

async function synced(path: string, flags: string, work: (file: Awaited<ReturnType<typeof open>>) => Promise<void>) {
  const file = await open(path, flags);
  try {
    await work(file);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function exists(path: string): Promise<boolean> {
  return (await orNull(stat(path))) !== null;
}

/** Resolves to null where there is no such file or folder. */
async function orNull<T>(result: Promise<T>): Promise<T | null> {
  try {
    return await result;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}
