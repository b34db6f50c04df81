import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PRIVATE_FILE } from './private.ts';

/** SHA-256 of the SQLite files of a data folder whose server has stopped, by name. A start deletes it. */
const SEALS = 'stopped.json';
/** Larger files are not sealed: reading them would delay the stop. */
const MOST_BYTES = 64 * 1024 ** 2;

/** Notes what the closed files of a data folder are. A full disk, or a file that is still open, has no note. */
export function sealFolder(dir: string): void {
  try {
    const files = readdirSync(dir).filter((name) => name.endsWith('.sqlite') && !existsSync(join(dir, `${name}-wal`)));
    const small = files.filter((name) => statSync(join(dir, name)).size <= MOST_BYTES);
    const seals = small.map((name) => [
      name,
      createHash('sha256')
        .update(readFileSync(join(dir, name)))
        .digest('hex'),
    ]);
    writeFileSync(join(dir, SEALS), `${JSON.stringify(Object.fromEntries(seals))}\n`, { mode: PRIVATE_FILE });
  } catch {
    unsealFolder(dir);
  }
}

/** Forgets the notes of the last stop: the files are about to change. */
export function unsealFolder(dir: string): void {
  rmSync(join(dir, SEALS), { force: true });
}

/** Returns what the last stop noted; nothing where there is no note, or it cannot be read. */
export function sealsIn(dir: string): Readonly<Record<string, string>> {
  try {
    return JSON.parse(readFileSync(join(dir, SEALS), 'utf8'));
  } catch {
    return {};
  }
}
