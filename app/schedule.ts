import cron from 'node-cron';
import type { Logger } from 'pino';

/** Work that comes round; may be run at any time, and twice. */
export interface Job {
  readonly name: string;
  /** Minute, hour, day of month, month, weekday, and seconds in front of them where there are six: in the city's own zone. */
  readonly cron: string;
  /** Resolves to what is worth a line in the log; null where nothing is. */
  run(): Promise<object | null>;
}

/** Runs jobs by the city's clock. A job that fails is logged and tried again when it is due next; none overlaps itself. */
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
    /** Waits for what is running. */
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
    log.error({ job: name, err: error }, 'a job failed; it is tried again when it is due next');
  }
}

/** What node-cron has to say, such as that a run was left out because the one before still goes on. */
function loggerOf({ name: job }: Job, log: Logger) {
  return {
    info: (message: string) => log.info({ job }, message),
    warn: (message: string) => log.warn({ job }, message),
    error: (message: string | Error, err?: Error) => log.error({ job, err }, String(message)),
    debug: (message: string | Error) => log.debug({ job }, String(message)),
  };
}
