import type { Reception } from '../citizens/index.ts';
import { DAY_MS, type Duties, type Ledger, type LogClock } from '../domain/index.ts';
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
