import { existsSync, lstatSync, realpathSync } from 'node:fs';
import { mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, isAbsolute, join, relative, resolve } from 'node:path';
import type { Logger } from 'pino';
import { z } from 'zod';
import { type Clock, isoOf, LamppostError, type ShapeOf } from '../domain/index.ts';
import { folderOnDisk, sealed } from './copy.ts';
import { diskFault } from './database.ts';
import { PRIVATE_FILE, PRIVATE_FOLDER } from './private.ts';
import { type BackupFile, MANIFEST, type Manifest, readManifest } from './restore.ts';

/** A file that belongs into a backup, or a folder of files. */
export interface BackupSource {
  /** Its name in the data folder. */
  readonly name: string;
  /** Copies it to a new file, as it stands at one moment, while it is in use; resolves to the positions of the copy. */
  copy(to: string): Promise<BackupFile['positions']>;
}

/** One backup, running or ended. `path` exists only when `state` is `done`; `error` is null unless it failed. */
export const BackupJobSchema = z
  .object({
    state: z.enum(['running', 'done', 'failed']),
    path: z.string().describe('The folder, complete when the state is done'),
    startedAt: z.iso.datetime(),
    endedAt: z.iso.datetime().nullable(),
    bytes: z.number().nullable().describe('Size of all files; null before the end'),
    error: z.string().nullable(),
  })
  .meta({ id: 'Backup', description: 'A backup and its state' });
export type BackupJob = ShapeOf<typeof BackupJobSchema>;

/** Backups of a running server, one at a time. */
export interface Backups {
  /**
   * Begins a backup into a new folder, by default one named by the time, and returns its state. Throws `conflict` while
   * another one runs or where the folder exists, `invalid` where the path is not in the folder of backups, or where
   * there is none.
   */
  begin(to?: string): BackupJob;
  /** The backup that runs, or the last one since the process started; null where there was none. */
  last(): BackupJob | null;
  /**
   * When the newest complete backup began, of those in the folder at the start and those since; epoch ms, 0 where there
   * is none. Null until the folder has been read, a moment after the start.
   */
  newestMs(): number | null;
  /**
   * Makes a backup in the default folder and then deletes all but the newest `keep` there. Throws what `begin` throws,
   * and `disk` where the backup failed.
   */
  nightly(keep: number): Promise<{ readonly path: string; readonly bytes: number; readonly deleted: number }>;
  /** Cancels a running backup after the file that is being copied, and waits for that. */
  stop(): Promise<void>;
}

interface Deps {
  /** In the order in which they have to be copied. */
  readonly sources: readonly BackupSource[];
  /** Throws where the positions of the files do not fit together. */
  readonly check: (files: readonly BackupFile[]) => void;
  /** Called before the first copy: from then on nothing is deleted that an earlier copy may need of a later file. */
  readonly hold: () => Promise<void>;
  /** Called after the last copy: deleting may go on. */
  readonly letGo: () => Promise<void>;
  readonly about: () => Pick<Manifest, 'lamppost' | 'city'>;
  /** Called with each complete backup. */
  readonly onDone: (path: string) => void;
  /** The folder of all backups; null where none is set, and none can be made. */
  readonly folder: string | null;
  readonly clock: Clock;
  readonly log: Logger;
}

const NAME = /^lamppost-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ$/;

/** Creates the backups of a process. */
export function createBackups(deps: Deps): Backups {
  return new BackupsOfProcess(deps);
}

class BackupsOfProcess implements Backups {
  readonly #deps: Deps;
  #last: BackupJob | null = null;
  #newestMs: number | null = null;
  #running: Promise<void> = Promise.resolve();
  #stopping = false;

  constructor(deps: Deps) {
    this.#deps = deps;
    if (deps.folder === null) this.#newestMs = 0;
    else void this.#noteNewest(deps.folder);
  }

  begin(path?: string): BackupJob {
    if (this.#last?.state === 'running')
      throw new LamppostError('conflict', `a backup to ${this.#last.path} runs: wait for its end`);
    const { folder, clock } = this.#deps;
    if (folder === null)
      throw new LamppostError('invalid', 'there is no folder of backups: set LAMPPOST_BACKUP_DIR and start again');
    const to = path === undefined ? join(folder, nameAt(clock.now())) : placeIn(folder, path);
    refuseTaken(to);
    const startedAt = this.#now();
    const job: BackupJob = { state: 'running', path: to, startedAt, endedAt: null, bytes: null, error: null };
    this.#last = job;
    this.#running = this.#take(to, startedAt).then(
      (bytes) => {
        this.#last = { ...job, state: 'done', endedAt: this.#now(), bytes };
        this.#newestMs = Date.parse(startedAt);
        this.#deps.onDone(to);
      },
      (error: Error) => {
        this.#deps.log.error({ err: error, path: to }, 'a backup failed; nothing of it stays');
        this.#last = { ...job, state: 'failed', endedAt: this.#now(), error: error.message };
      },
    );
    return job;
  }

  last(): BackupJob | null {
    return this.#last;
  }

  newestMs(): number | null {
    return this.#newestMs;
  }

  async nightly(keep: number) {
    const { path } = this.begin();
    await this.#running;
    const { state, error, bytes } = this.#last!;
    if (state === 'failed') throw new LamppostError('disk', `the backup ${path} failed: ${error}`);
    return { path, bytes: bytes!, deleted: await keepNewest(dirname(path), keep) };
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#running;
  }

  async #noteNewest(folder: string): Promise<void> {
    const names = await readdir(folder).catch(() => []);
    let newestMs = 0;
    for (const name of names.filter((one) => !one.endsWith('.part'))) {
      // No backup, or a damaged one: it is none that could be restored.
      const manifest = await readManifest(join(folder, name)).catch(() => null);
      if (manifest !== null) newestMs = Math.max(newestMs, Date.parse(manifest.startedAt));
    }
    // A backup may have ended meanwhile.
    this.#newestMs = Math.max(this.#newestMs ?? 0, newestMs);
  }

  #now(): string {
    return isoOf(this.#deps.clock.now());
  }

  /** Resolves to the bytes of all files. */
  async #take(to: string, startedAt: string): Promise<number> {
    const part = `${to}.part`;
    try {
      await mkdir(part, { mode: PRIVATE_FOLDER });
      const files = await this.#seal(part, await this.#copyAll(part));
      this.#deps.check(files);
      const manifest: Manifest = { format: 1, ...this.#deps.about(), startedAt, endedAt: this.#now(), files };
      await writeFile(join(part, MANIFEST), `${JSON.stringify(manifest, null, 2)}\n`, {
        flush: true,
        mode: PRIVATE_FILE,
      });
      await folderOnDisk(part);
      await rename(part, to);
      await folderOnDisk(dirname(to));
      return files.reduce((sum, { bytes }) => sum + bytes, 0);
    } catch (error) {
      await rm(part, { recursive: true, force: true });
      throw diskFault(error, `the backup ${to} cannot be written`) ?? error;
    }
  }

  async #copyAll(part: string): Promise<Copied[]> {
    const copied = [];
    await this.#deps.hold();
    try {
      for (const { name, copy } of this.#deps.sources) {
        this.#refuseStopping();
        copied.push({ name, positions: await copy(join(part, name)) });
      }
    } finally {
      await this.#deps.letGo();
    }
    return copied;
  }

  async #seal(part: string, copied: readonly Copied[]): Promise<BackupFile[]> {
    const files = [];
    for (const { name, positions } of copied) {
      for (const one of await namesUnder(part, name)) {
        this.#refuseStopping();
        files.push({ name: one, ...(await sealed(join(part, one))), positions });
      }
    }
    return files;
  }

  #refuseStopping(): void {
    if (this.#stopping) throw new LamppostError('busy', 'the server stops', { retryable: true });
  }
}

type Copied = Pick<BackupFile, 'name' | 'positions'>;

/** The file itself, or all files in the folder. */
async function namesUnder(dir: string, name: string): Promise<string[]> {
  if (!(await stat(join(dir, name))).isDirectory()) return [name];
  const names = await readdir(join(dir, name));
  await folderOnDisk(join(dir, name));
  return names.sort().map((one) => `${name}/${one}`);
}

const nameAt = (ms: number) => `lamppost-${isoOf(ms).slice(0, 19).replaceAll(':', '-')}Z`;

/**
 * Returns a path as it is, without a slash at its end. Throws `invalid` where it does not lead into the folder of
 * backups: an admin's key writes there and nowhere else.
 */
function placeIn(folder: string, path: string): string {
  if (!isAbsolute(path)) throw new LamppostError('invalid', `to: "${path}" is not an absolute path on the server`);
  const to = resolve(path);
  const outside = new LamppostError('invalid', `to: "${path}" is not in ${folder}, the folder of LAMPPOST_BACKUP_DIR`);
  if (path.includes('\0') || path.split(/[/\\]/).includes('..') || !isIn(folder, to)) throw outside;
  const parent = dirname(to);
  if (!existsSync(parent)) refuseTaken(to);
  // A link in the folder may lead out of it.
  if (parent !== folder && !isIn(realpathSync(folder), realpathSync(parent))) throw outside;
  return to;
}

/** Returns whether a path leads to something in a folder. */
function isIn(folder: string, path: string): boolean {
  const way = relative(folder, path);
  return way !== '' && way !== '..' && !/^\.\.[/\\]/.test(way) && !isAbsolute(way);
}

function refuseTaken(to: string): void {
  const parent = dirname(to);
  if (!existsSync(parent)) throw new LamppostError('invalid', `to: there is no folder ${parent} on the server`);
  if (isTaken(to)) throw new LamppostError('conflict', `${to} is there already: a backup makes a new folder`);
  const part = `${to}.part`;
  if (isTaken(part)) throw new LamppostError('conflict', `${part} is left of a backup that was interrupted: delete it`);
}

/** Returns whether there is something of this name, also a link that leads nowhere. */
function isTaken(path: string): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch (cause) {
    // A name that is too long, or in a folder that may not be read.
    throw new LamppostError('invalid', `to: the path cannot be used: ${(cause as Error).message}`, { cause });
  }
}

/** Deletes all complete backups but the newest, and the remains of interrupted ones; returns how many it deleted. */
async function keepNewest(folder: string, keep: number): Promise<number> {
  const names = await readdir(folder);
  const whole = names.filter((name) => NAME.test(name) && existsSync(join(folder, name, MANIFEST))).sort();
  const halves = names.filter((name) => name.endsWith('.part') && NAME.test(name.slice(0, -'.part'.length)));
  const old = [...whole.slice(0, Math.max(0, whole.length - keep)), ...halves];
  for (const name of old) await rm(join(folder, name), { recursive: true });
  return old.length;
}
