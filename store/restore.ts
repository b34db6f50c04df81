import { existsSync } from 'node:fs';
import { copyFile, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { z } from 'zod';
import { LamppostError, type ShapeOf } from '../domain/index.ts';
import { folderOnDisk, sealed } from './copy.ts';
import { diskFault } from './database.ts';
import { PRIVATE_FILE, PRIVATE_FOLDER } from './private.ts';
import { makeFolder } from './space.ts';

/** The file that marks a folder as a complete backup; it is written last. */
export const MANIFEST = 'manifest.json';

export const ManifestSchema = z.object({
  format: z.literal(1),
  /** Version of the Lamppost that wrote it. */
  lamppost: z.string(),
  /** Version of the city folder that was in use; the folder itself is not in the backup. */
  city: z.string(),
  startedAt: z.iso.datetime(),
  endedAt: z.iso.datetime(),
  /**
   * In the order in which they were copied; a name may contain a folder. `positions`: how far each file had come, as
   * numbers of blocks, messages and events.
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

/** The contents of a backup, with what is needed to find damage in it. */
export type Manifest = ShapeOf<typeof ManifestSchema>;

/** One file of a backup. */
export type BackupFile = Manifest['files'][number];

/** Reads the manifest of a backup. Throws `invalid` where the folder is not a complete backup. */
export async function readManifest(dir: string): Promise<Manifest> {
  const path = join(dir, MANIFEST);
  const text = await readFile(path, 'utf8').catch((cause: Error) => {
    throw new LamppostError(
      'invalid',
      `${dir} is not a complete backup: it has no ${MANIFEST}, which is written last`,
      {
        cause,
      },
    );
  });
  try {
    return ManifestSchema.parse(JSON.parse(text));
  } catch (cause) {
    const why = cause instanceof z.ZodError ? z.prettifyError(cause).replaceAll('\n', ' ') : (cause as Error).message;
    throw new LamppostError('invalid', `${path} is not the manifest of a backup that this Lamppost reads: ${why}`, {
      cause,
    });
  }
}

/** The file in a data folder that marks an unfinished restore. */
const UNFINISHED = 'restore-unfinished';

/**
 * Copies a backup into a data folder that is empty or does not exist yet, checks every byte of the copies against the
 * manifest and every SQLite file for integrity, and returns the manifest. Throws `invalid` where the backup is
 * incomplete or damaged, `conflict` where the data folder is not empty, `config` where it cannot be made, `disk` where
 * it cannot be written; then it
 * leaves nothing in it. `complete` does the rest of a restore: until it resolves, the folder counts as unfinished.
 */
export async function restoreBackup(
  from: string,
  to: string,
  complete: (manifest: Manifest) => Promise<void> = async () => {},
): Promise<Manifest> {
  const manifest = await readManifest(from);
  if (existsSync(to) && (await readdir(to)).length > 0)
    throw new LamppostError('conflict', `${to} is not empty: restore into a folder of its own, then start over that`);
  makeFolder(to, '--data');
  const unfinished = join(to, UNFINISHED);
  try {
    await writeFile(unfinished, `from ${from}\n`, { flush: true, mode: PRIVATE_FILE });
    for (const file of manifest.files) await restoreFile(file, from, to);
    for (const path of new Set(manifest.files.map(({ name }) => dirname(join(to, name))))) await folderOnDisk(path);
    await complete(manifest);
    await rm(unfinished);
    await folderOnDisk(to);
    return manifest;
  } catch (error) {
    // It was empty. The mark goes last.
    const names = (await readdir(to).catch(() => [])).filter((name) => name !== UNFINISHED);
    for (const name of [...names, UNFINISHED]) await rm(join(to, name), { recursive: true, force: true });
    throw diskFault(error, `${to} cannot be restored`) ?? error;
  }
}

/** Throws `disk` where a restore into this data folder was interrupted. */
export function refuseUnfinished(dir: string): void {
  if (!existsSync(join(dir, UNFINISHED))) return;
  const repair = 'empty it and run lamppost restore again';
  throw new LamppostError('disk', `${dir} holds a part of a backup, because a restore was interrupted: ${repair}`);
}

async function restoreFile({ name, bytes, sha256 }: BackupFile, from: string, to: string): Promise<void> {
  const path = join(to, name);
  if (!existsSync(join(from, name))) throw new LamppostError('invalid', `${from} is not complete: ${name} is missing`);
  await mkdir(dirname(path), { recursive: true, mode: PRIVATE_FOLDER });
  await copyFile(join(from, name), path);
  const found = await sealed(path);
  if (found.bytes !== bytes)
    throw new LamppostError('invalid', `${join(from, name)} has ${found.bytes} bytes; its manifest says ${bytes}`);
  if (found.sha256 !== sha256)
    throw new LamppostError('invalid', `${join(from, name)} is damaged: its SHA-256 is not that of the manifest`);
  if (name.endsWith('.sqlite')) checkIntegrity(path);
}

function checkIntegrity(path: string): void {
  const db = new DatabaseSync(path, { readOnly: true });
  const faults = db
    .prepare('pragma integrity_check')
    .all()
    .map(({ integrity_check: fault }) => fault);
  db.close();
  if (faults.join() !== 'ok')
    throw new LamppostError('invalid', `${path} is damaged: ${faults.slice(0, 3).join('; ')}`);
}
