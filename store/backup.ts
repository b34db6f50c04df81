import { existsSync } from 'node:fs';
import { mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, isAbsolute, join } from 'node:path';
import type { Logger } from 'pino';
import { type Clock, isoOf, LamppostError } from '../domain/index.ts';
import { diskFault } from './faults.ts';
import { type BackupFile, folderOnDisk, MANIFEST, type Manifest, sealed } from './manifest.ts';

/** A file that belongs into a backup, or a folder of files. */
export interface BackupSource {
  /** As it is named in the data folder. */
  readonly name: string;
  /** Copies it to a new file, as it stands at one moment, while its owner goes on; resolves to how far it had come. */
  copy(to: string): Promise<BackupFile['positions']>;
}

/** One backup, under way or ended. Times are ISO 8601. */
export interface BackupJob {
  readonly state: 'running' | 'done' | 'failed';
  /** The folder, whole once `state` is `done`, and not there before. */
  readonly path: string;
  readonly startedAt: string;
  readonly endedAt: string | null;
  /** Of all files; null before the end. */
  readonly bytes: number | null;
  /** Why it failed; null where it did not. */
  readonly error: string | null;
}

/** Backups of a running server, one at a time. */
export interface Backups {
  /**
   * Begins one in a new folder, by default one that is named by the time. Throws `conflict` while another runs or where the
   * folder is there already, `invalid` where the path cannot be one.
   */
  start(to?: string): BackupJob;
  /** The one that runs, or the last one since the start of the process. */
  last(): BackupJob | null;
  /** When the newest that is whole began, epoch ms; 0 where there was none since the start of the process. */
  newestMs(): number;
  /** Makes one in the default folder and then deletes all but the newest `keep` there. Throws what `start` does, and why it failed. */
  nightly(keep: number): Promise<{ readonly path: string; readonly bytes: number; readonly deleted: number }>;
  /** Gives up after the file that is being copied, and waits for that. */
  stop(): Promise<void>;
}

interface Deps {
  /** In the order in which they have to be copied. */
  readonly sources: readonly BackupSource[];
  /** Throws where files, by how far they came, could not go on together. */
  readonly check: (files: readonly BackupFile[]) => void;
  /** From here on nothing is deleted that the copy of an earlier file may need of a later one … */
  readonly hold: () => Promise<void>;
  /** … until here. */
  readonly letGo: () => Promise<void>;
  readonly about: () => Pick<Manifest, 'lamppost' | 'city'>;
  /** Where backups go that name no folder; null where they have to. */
  readonly folder: string | null;
  readonly clock: Clock;
  readonly log: Logger;
}

const NAME = /^lamppost-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ$/;

/** Makes the backups of a process. */
export function createBackups(deps: Deps): Backups {
  const { clock, folder, log } = deps;
  let last: BackupJob | null = null;
  let newestMs = 0;
  let running: Promise<void> = Promise.resolve();
  let stopping = false;

  const now = () => isoOf(clock.now());

  function start(to = nameIn(folder, clock.now())): BackupJob {
    if (last?.state === 'running')
      throw new LamppostError('conflict', `a backup to ${last.path} runs: wait for its end`);
    refusePath(to);
    const job: BackupJob = { state: 'running', path: to, startedAt: now(), endedAt: null, bytes: null, error: null };
    last = job;
    running = take(to, job.startedAt).then(
      (bytes) => {
        last = { ...job, state: 'done', endedAt: now(), bytes };
        newestMs = Date.parse(job.startedAt);
      },
      (error: Error) => {
        log.error({ err: error, path: to }, 'a backup failed; nothing of it stays');
        last = { ...job, state: 'failed', endedAt: now(), error: error.message };
      },
    );
    return job;
  }

  /** Resolves to the bytes of all files. */
  async function take(to: string, startedAt: string): Promise<number> {
    const part = `${to}.part`;
    try {
      await mkdir(part, { mode: 0o700 });
      const files = await seal(part, await copyAll(part));
      deps.check(files);
      const manifest: Manifest = { format: 1, ...deps.about(), startedAt, endedAt: now(), files };
      await writeFile(join(part, MANIFEST), `${JSON.stringify(manifest, null, 2)}\n`, { flush: true });
      await folderOnDisk(part);
      await rename(part, to);
      await folderOnDisk(dirname(to));
      return files.reduce((sum, { bytes }) => sum + bytes, 0);
    } catch (error) {
      await rm(part, { recursive: true, force: true });
      throw diskFault(error, `the backup ${to} cannot be written`) ?? error;
    }
  }

  async function copyAll(part: string): Promise<Pick<BackupFile, 'name' | 'positions'>[]> {
    const copied = [];
    await deps.hold();
    try {
      for (const { name, copy } of deps.sources) {
        goOn();
        copied.push({ name, positions: await copy(join(part, name)) });
      }
    } finally {
      await deps.letGo();
    }
    return copied;
  }

  async function seal(part: string, copied: readonly Pick<BackupFile, 'name' | 'positions'>[]): Promise<BackupFile[]> {
    const files = [];
    for (const { name, positions } of copied) {
      for (const one of await namesUnder(part, name)) {
        goOn();
        files.push({ name: one, ...(await sealed(join(part, one))), positions });
      }
    }
    return files;
  }

  function goOn(): void {
    if (stopping) throw new LamppostError('busy', 'the server stops', { retryable: true });
  }

  return {
    start,
    last: () => last,
    newestMs: () => newestMs,
    async nightly(keep) {
      const { path } = start();
      await running;
      if (last!.state === 'failed') throw new LamppostError('disk', `the backup ${path} failed: ${last!.error}`);
      return { path, bytes: last!.bytes!, deleted: await keepNewest(dirname(path), keep) };
    },
    async stop() {
      stopping = true;
      await running;
    },
  };
}

/** The file itself, or all that are in the folder. */
async function namesUnder(dir: string, name: string): Promise<string[]> {
  if (!(await stat(join(dir, name))).isDirectory()) return [name];
  const names = await readdir(join(dir, name));
  await folderOnDisk(join(dir, name));
  return names.sort().map((one) => `${name}/${one}`);
}

function nameIn(folder: string | null, ms: number): string {
  if (folder === null)
    throw new LamppostError('invalid', 'say where to: "to", the new folder, or set LAMPPOST_BACKUP_DIR');
  return join(folder, `lamppost-${new Date(ms).toISOString().slice(0, 19).replaceAll(':', '-')}Z`);
}

function refusePath(to: string): void {
  if (!isAbsolute(to)) throw new LamppostError('invalid', `to: "${to}" is not an absolute path on the server`);
  const parent = dirname(to);
  if (!existsSync(parent)) throw new LamppostError('invalid', `to: there is no folder ${parent} on the server`);
  if (existsSync(to)) throw new LamppostError('conflict', `${to} is there already: a backup makes a new folder`);
  const part = `${to}.part`;
  if (existsSync(part))
    throw new LamppostError('conflict', `${part} is left of a backup that was interrupted: delete it`);
}

/** Deletes all whole backups but the newest, and what interrupted ones left behind; answers how many. */
async function keepNewest(folder: string, keep: number): Promise<number> {
  const names = await readdir(folder);
  const whole = names.filter((name) => NAME.test(name) && existsSync(join(folder, name, MANIFEST))).sort();
  const halves = names.filter((name) => name.endsWith('.part') && NAME.test(name.slice(0, -'.part'.length)));
  const old = [...whole.slice(0, Math.max(0, whole.length - keep)), ...halves];
  for (const name of old) await rm(join(folder, name), { recursive: true });
  return old.length;
}
