import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { z } from 'zod';
import { LamppostError } from '../domain/index.ts';

/** The file that makes a folder a backup; it is written last. */
export const MANIFEST = 'manifest.json';

const Manifest = z.object({
  format: z.literal(1),
  /** Version of the Lamppost that made it. */
  lamppost: z.string(),
  /** Version of the city folder that was in force; the folder itself is not in the backup. */
  city: z.string(),
  startedAt: z.iso.datetime(),
  endedAt: z.iso.datetime(),
  /**
   * In the order in which they were copied; a name may lie in a folder. `positions`: how far each had come, in numbers of
   * blocks, messages and events.
   */
  files: z
    .array(
      z.object({
        name: z.string().regex(/^([a-z-]+\/)?\w[\w-]*\.[a-z]+$/),
        bytes: z.int().min(0),
        sha256: z.string().regex(/^[0-9a-f]{64}$/),
        positions: z.record(z.string(), z.number()),
      }),
    )
    .min(1),
});

/** What a backup holds, and what tells it from a damaged one. */
export type Manifest = z.infer<typeof Manifest>;

/** One file of a backup. */
export type BackupFile = Manifest['files'][number];

/** Reads a backup's manifest. Throws `invalid` where the folder is no backup, or a half one. */
export async function readManifest(dir: string): Promise<Manifest> {
  const path = join(dir, MANIFEST);
  const text = await readFile(path, 'utf8').catch((cause: Error) => {
    throw new LamppostError('invalid', `${dir} is no whole backup: it has no ${MANIFEST}, which is written last`, {
      cause,
    });
  });
  try {
    return Manifest.parse(JSON.parse(text));
  } catch (cause) {
    const why = cause instanceof z.ZodError ? z.prettifyError(cause).replaceAll('\n', ' ') : (cause as Error).message;
    throw new LamppostError('invalid', `${path} is not the manifest of a backup that this Lamppost reads: ${why}`, {
      cause,
    });
  }
}

/** Size and SHA-256 of a file, once all of it is on the disk. */
export async function sealed(path: string): Promise<Pick<BackupFile, 'bytes' | 'sha256'>> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { highWaterMark: 1024 * 1024 }), hash);
  const file = await open(path, 'r+');
  try {
    await file.sync();
    return { bytes: (await file.stat()).size, sha256: hash.digest('hex') };
  } finally {
    await file.close();
  }
}

/** Resolves when the names in a folder would survive a power loss. Windows opens no folders, and needs not. */
export async function folderOnDisk(path: string): Promise<void> {
  if (process.platform === 'win32') return;
  const folder = await open(path);
  await folder.sync().finally(() => folder.close());
}
