import cron from 'node-cron';
import type { Logger } from 'pino';

/** Work that comes round; may be run at any time, and twice. */
export interface Job {
  readonly name: string;
  /** Minute, hour, day of month, month, weekday: in the city's own zone. */
  readonly cron: string;
  /** Resolves to what is worth a line in the log. */
  run(): Promise<object>;
}

/** Runs jobs by the city's clock. A job that fails is logged and tried again when it is due next; none overlaps itself. */
export function createSchedule(jobs: readonly Job[], { log, timezone }: { log: Logger; timezone: string }) {
  const tasks = jobs.map((job) =>
    cron.createTask(job.cron, () => attempt(job, log), { name: job.name, timezone, noOverlap: true, unref: true }),
  );
  return {
    async start(): Promise<void> {
      for (const task of tasks) await task.start();
    },
    async stop(): Promise<void> {
      for (const task of tasks) await task.destroy();
    },
  };
}

async function attempt({ name, run }: Job, log: Logger): Promise<void> {
  try {
    log.info({ job: name, ...(await run()) }, 'job done');
  } catch (error) {
    log.error({ job: name, err: error }, 'a job failed; it is tried again when it is due next');
  }
}
