import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { Logger } from 'pino';
import { LamppostError } from '../domain/index.ts';
import { MANIFEST, type Manifest, readManifest, sha256Of } from '../store/index.ts';

/** A complete backup that has no damage, of the log that it was compared with. */
export interface Snapshot {
  readonly dir: string;
  readonly manifest: Manifest;
  /** The block from which the log leads on from it. */
  readonly from: number;
}

/**
 * Returns the newest good backup in a folder: one of which no byte has changed, and whose log goes on in this journal.
 * Null where there is none. Calls `onBad` with those that are newer and not good, and why.
 */
export async function newestSnapshot(
  folder: string,
  journal: string,
  onBad: (dir: string, why: string) => void = () => {},
): Promise<Snapshot | null> {
  for (const dir of await backupsIn(folder)) {
    try {
      return await goodSnapshot(dir, journal);
    } catch (error) {
      if (!(error instanceof LamppostError)) throw error;
      onBad(dir, error.message);
    }
  }
  return null;
}

interface Log {
  /** Sets the block from which the log leads on from the newest good backup. */
  backedUp(from: number): Promise<void>;
}

/** Appends to the log which backup in a folder (null: there are none) is the newest good one; reads all of that. */
export async function noteNewestBackup(folder: string | null, journal: string, log: Log, lines: Logger): Promise<void> {
  if (folder === null) return;
  const onBad = (backup: string, why: string) => lines.error({ backup }, `a backup is not good: ${why}`);
  try {
    const newest = await newestSnapshot(folder, journal, onBad);
    if (newest !== null) await log.backedUp(newest.from);
  } catch (error) {
    // The log then keeps more than it has to; or the server stops.
    if (!(error instanceof LamppostError)) lines.error({ err: error }, 'the backups could not be looked at');
  }
}

/** Returns a backup as a snapshot. Throws `invalid` where it is incomplete, damaged, or of another log. */
export async function goodSnapshot(dir: string, journal: string): Promise<Snapshot> {
  const manifest = await readManifest(dir);
  refuseOtherLog(dir, journal);
  for (const { name, bytes, sha256 } of manifest.files) {
    const path = join(dir, name);
    const isSound = statSync(path, { throwIfNoEntry: false })?.size === bytes && (await sha256Of(path)) === sha256;
    if (!isSound) throw new LamppostError('invalid', `${path} is missing or damaged: it is not what the manifest says`);
  }
  const { checkpoint = 0, ledger = 0 } = manifest.files.find(({ name }) => name === 'state.sqlite')?.positions ?? {};
  return { dir, manifest, from: Math.min(checkpoint, ledger) + 1 };
}

/** Folders of complete backups, the newest first. */
async function backupsIn(folder: string): Promise<string[]> {
  const dirs = readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && existsSync(join(folder, entry.name, MANIFEST)))
    .map(({ name }) => join(folder, name));
  const begun = await Promise.all(
    dirs.map(async (dir) => {
      const manifest = await readManifest(dir).catch(() => null);
      return { dir, startedAt: manifest?.startedAt ?? '' };
    }),
  );
  return begun.toSorted((a, b) => (a.startedAt < b.startedAt ? 1 : -1)).map(({ dir }) => dir);
}

/** The newest block of a backup is in the log of its server, or the next one is the oldest that it still has. */
function refuseOtherLog(dir: string, journal: string): void {
  const copy = new DatabaseSync(join(dir, 'journal.sqlite'), { readOnly: true });
  const live = new DatabaseSync(journal, { readOnly: true });
  try {
    const columns = 'seq, kind, first, count, received_at, sum';
    const newest = copy.prepare(`select ${columns} from blocks order by seq desc limit 1`).get();
    if (newest === undefined) return;
    const same = live.prepare(`select ${columns} from blocks where seq = ?`).get(newest.seq!);
    if (JSON.stringify(same) === JSON.stringify(newest)) return;
    const why = same === undefined ? 'the log does not go on from it' : `block ${newest.seq} of the log is another one`;
    throw new LamppostError('invalid', `${dir} is not a backup of this log: ${why}`);
  } finally {
    copy.close();
    live.close();
  }
}
