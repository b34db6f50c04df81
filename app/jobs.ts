import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Reception } from '../citizens/index.ts';
import { DAY_MS, type Duties, type Ledger, type LogClock } from '../domain/index.ts';
import { type Backups, readManifest } from '../store/index.ts';
import type { Job } from './schedule.ts';

/** The functions and settings that the jobs use. */
export interface JobDeps {
  readonly clock: LogClock;
  readonly ledger: () => Ledger;
  readonly engine: {
    rollup(untilMs: number): Promise<number>;
    prune(beforeMs: number): Promise<number>;
    expire(beforeMs: number): Promise<number>;
  };
  readonly notify: { expire(beforeMs: number): Promise<number> };
  readonly reception: Pick<Reception, 'expire' | 'tidy'>;
  /** How many days raw readings (0: without limit), refused messages and the delivery log are kept. */
  readonly keep: { readonly historyDays: number; readonly quarantineDays: number; readonly deliveryDays: number };
  /** Makes the nightly backup; null where no folder is set. */
  readonly backup: (() => Promise<object>) | null;
  /** Which duties are this node's. */
  readonly duties: Duties;
}

/**
 * Returns the jobs of a server: what runs when. The journal needs none: it is trimmed continuously behind its slowest
 * reader. Each node does what concerns its own files; the backup is one for all, and made by whoever has the duty, who
 * also expires what is known of citizens on every node.
 */
export function createJobs({ clock, ledger, engine, notify, reception, keep, backup, duties }: JobDeps): Job[] {
  // A wall clock that is far ahead must not delete anything: steady time is never ahead of the true time.
  const before = (days: number) => Math.min(clock.now(), clock.steady.now()) - days * DAY_MS;
  const jobs: Job[] = [
    {
      name: 'history roll-up',
      cron: '5 * * * *',
      run: async () => ({ hours: await engine.rollup(clock.now()) }),
    },
    {
      name: 'quarantine expiry',
      cron: '20 3 * * *',
      run: async () => ({ expired: await engine.expire(before(keep.quarantineDays)) }),
    },
    {
      name: 'delivery log expiry',
      cron: '30 3 * * *',
      run: async () => ({ expired: await notify.expire(before(keep.deliveryDays)) }),
    },
    {
      name: 'reporter expiry',
      cron: '50 3 * * *',
      run: () => (duties.holds('nightly') === null ? reception.tidy() : reception.expire()),
    },
    { name: 'ledger report', cron: '0 0 * * *', run: async () => ({ ledger: ledger() }) },
  ];
  if (keep.historyDays > 0) {
    jobs.push({
      name: 'history retention',
      cron: '40 3 * * *',
      run: async () => ({ pruned: await engine.prune(before(keep.historyDays)) }),
    });
  }
  // No country changes its clocks after four o'clock: this hour exists in every night, and once.
  if (backup !== null) {
    const run = async () => (duties.holds('nightly') === null ? { skipped: 'another node has the duty' } : backup());
    jobs.push({ name: 'backup', cron: '10 4 * * *', run });
  }
  return jobs;
}

interface SnapshotDeps {
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
export function snapshotJob({ backups, dir, isMine, newest, put }: SnapshotDeps): Job {
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
