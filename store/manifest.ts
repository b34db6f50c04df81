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
  /** In the order in which they were copied. `positions`: how far each had come, in numbers of blocks, messages and events. */
  files: z
    .array(
      z.object({
        name: z.string().regex(/^[a-z-]+\.[a-z]+$/),
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
  await onDisk(path);
  const file = await open(path);
  const { size } = await file.stat().finally(() => file.close());
  return { bytes: size, sha256: hash.digest('hex') };
}

/** Resolves when what a file, or a folder, holds would survive a power loss. */
export async function onDisk(path: string): Promise<void> {
  const file = await open(path, 'r');
  await file.sync().finally(() => file.close());
}
