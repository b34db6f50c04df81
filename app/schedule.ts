import cron from 'node-cron';
import type { Logger } from 'pino';

/** Periodic work. It has to be idempotent: it may run at any time, and twice. */
export interface Job {
  readonly name: string;
  /** Five fields (minute, hour, day of month, month, weekday) or six with seconds first, in the city's time zone. */
  readonly cron: string;
  /** Resolves to the result to log; null where there is nothing to log. */
  run(): Promise<object | null>;
}

/**
 * Creates a schedule that runs jobs with node-cron. A job that fails is logged and runs again at its next time; none
 * overlaps itself.
 */
export function createSchedule(jobs: readonly Job[], { log, timezone }: { log: Logger; timezone: string }) {
  const running = new Set<Promise<void>>();
  const tasks = jobs.map((job) =>
    cron.createTask(job.cron, () => run(job), {
      name: job.name,
      timezone,
      noOverlap: true,
      unref: true,
      logger: loggerOf(job, log),
    }),
  );

  async function run(job: Job): Promise<void> {
    const attempted = attempt(job, log);
    running.add(attempted);
    await attempted;
    running.delete(attempted);
  }

  return {
    async start(): Promise<void> {
      for (const task of tasks) await task.start();
    },
    /** Starts no more jobs and waits for those that run. */
    async stop(): Promise<void> {
      for (const task of tasks) await task.destroy();
      await Promise.all(running);
    },
  };
}

async function attempt({ name, run }: Job, log: Logger): Promise<void> {
  try {
    const done = await run();
    if (done !== null) log.info({ job: name, ...done }, 'job done');
  } catch (error) {
    log.error({ job: name, err: error }, 'a job failed; it runs again at its next time');
  }
}

/** Logs the messages of node-cron, such as a run that was skipped because the one before has not ended. */
function loggerOf({ name: job }: Job, log: Logger) {
  return {
    info: (message: string) => log.info({ job }, message),
    warn: (message: string) => log.warn({ job }, message),
    error: (message: string | Error, err?: Error) => log.error({ job, err }, String(message)),
    debug: (message: string | Error) => log.debug({ job }, String(message)),
  };
}
