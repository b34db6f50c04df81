import cron from 'node-cron';
import type { Logger } from 'pino';

/** Periodic work. It has to be idempotent: it may run at any time, and twice. */
export type Job = (CronJob | FrequentJob) & {
  readonly name: string;
  /** Resolves to the result to log; null where there is nothing to log. */
  run(): Promise<object | null>;
};

interface CronJob {
  /** Five fields (minute, hour, day of month, month, weekday) or six with seconds first, in the city's time zone. */
  readonly cron: string;
}

/** Work at every moment, which no time zone concerns: node-cron would look its next time up in the zone each second. */
interface FrequentJob {
  readonly everyMs: number;
}

/**
 * Creates a schedule that runs jobs, those at times of day with node-cron. A job that fails is logged and runs again at its next time; none
 * overlaps itself.
 */
export function createSchedule(jobs: readonly Job[], { log, timezone }: { log: Logger; timezone: string }) {
  const running = new Set<Promise<void>>();
  const tasks = jobs.map((job) =>
    'everyMs' in job
      ? createInterval(job.everyMs, () => run(job))
      : cron.createTask(job.cron, () => run(job), {
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

/** Calls `run` at an interval; not while an earlier call runs. */
function createInterval(everyMs: number, run: () => Promise<void>) {
  let timer: NodeJS.Timeout | undefined;
  let running = false;

  async function beat(): Promise<void> {
    if (running) return;
    running = true;
    await run();
    running = false;
  }

  return {
    start() {
      timer = setInterval(() => void beat(), everyMs).unref();
    },
    destroy: () => clearInterval(timer),
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
