import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Backups, readManifest } from '../store/index.ts';
import type { Job } from './schedule.ts';

interface Deps {
  /** Makes backups in the folder of `folderOfSnapshots`. */
  readonly backups: Pick<Backups, 'nightly'>;
  readonly dir: string;
  readonly isMine: () => boolean;
  /** The newest block that a snapshot has; 0: there is none. */
  readonly newest: () => Promise<number>;
  readonly put: (folder: string, seq: number) => Promise<object>;
}

/** The folder of a data folder in which a snapshot is made before it is uploaded. */
export const folderOfSnapshots = (dir: string): string => join(dir, 'snapshots');

const HOURLY_AT = 20;

/**
 * Returns the job that puts a snapshot into the object store each hour, where that is the duty of this node; the first
 * one within a minute.
 */
export function snapshotJob({ backups, dir, isMine, newest, put }: Deps): Job {
  const folder = folderOfSnapshots(dir);
  /** At another minute only the first one is made. */
  const isDue = async () => new Date().getMinutes() === HOURLY_AT || (await newest()) === 0;
  return {
    name: 'cluster snapshot',
    cron: '* * * * *',
    async run() {
      if (!isMine() || !(await isDue())) return null;
      // What an upload that failed left.
      await rm(folder, { recursive: true, force: true });
      await mkdir(folder, { mode: 0o700 });
      const { path } = await backups.nightly(1);
      const { files } = await readManifest(path);
      const seq = files.find(({ name }) => name === 'journal.sqlite')?.positions.newest ?? 0;
      const done = await put(path, Number(seq));
      await rm(folder, { recursive: true });
      return done;
    },
  };
}
