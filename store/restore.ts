import { existsSync } from 'node:fs';
import { copyFile, mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { LamppostError } from '../domain/index.ts';
import { diskFault } from './faults.ts';
import { type BackupFile, folderOnDisk, type Manifest, readManifest, sealed } from './manifest.ts';

/** Stands in a data folder for as long as a restore has not brought all of it. */
const UNFINISHED = 'restore-unfinished';

/**
 * Copies a backup into a data folder that is empty or not there yet, checks every byte of the copies against the manifest
 * and every SQLite file for integrity. Throws `invalid` where the backup is not whole, `conflict` where the data folder
 * has something in it, `disk` where it cannot be written; then nothing is left in it.
 */
export async function restoreBackup(from: string, to: string): Promise<Manifest> {
  const manifest = await readManifest(from);
  if (existsSync(to) && (await readdir(to)).length > 0)
    throw new LamppostError('conflict', `${to} is not empty: restore into a folder of its own, then start over that`);
  const names = new Set(manifest.files.map(({ name }) => name.split('/')[0]!));
  const unfinished = join(to, UNFINISHED);
  try {
    await mkdir(to, { recursive: true, mode: 0o700 });
    await writeFile(unfinished, `from ${from}\n`, { flush: true });
    for (const file of manifest.files) await restoreFile(file, from, to);
    for (const path of new Set(manifest.files.map(({ name }) => dirname(join(to, name))))) await folderOnDisk(path);
    await rm(unfinished);
    await folderOnDisk(to);
    return manifest;
  } catch (error) {
    for (const name of [...names, UNFINISHED]) await rm(join(to, name), { recursive: true, force: true });
    throw diskFault(error, `${to} cannot be restored`) ?? error;
  }
}

/** Throws `disk` where a restore into this data folder was interrupted. */
export function refuseUnfinished(dir: string): void {
  if (!existsSync(join(dir, UNFINISHED))) return;
  const mend = 'empty it and run lamppost restore again';
  throw new LamppostError('disk', `${dir} holds a part of a backup, because a restore was interrupted: ${mend}`);
}

async function restoreFile({ name, bytes, sha256 }: BackupFile, from: string, to: string): Promise<void> {
  const path = join(to, name);
  if (!existsSync(join(from, name))) throw new LamppostError('invalid', `${from} is not whole: ${name} is missing`);
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
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
