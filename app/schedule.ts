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

/** A timer of node-cron would write a line for each time that a step of the clock left out, and hold the thread. */
const LONGEST_WAIT_MS = 30_000;

/**
 * Creates a schedule that runs jobs. node-cron says when they are due; a bounded timer looks whether
 * they are, so a job whose time passed while the machine slept, or in a step of the clock, runs once. A job that fails
 * is logged and runs again at its next time; none overlaps itself.
 */
export function createSchedule(jobs: readonly Job[], { log, timezone }: { log: Logger; timezone: string }) {
  const tasks = jobs.map((job) => createAlarm(job, timezone, alone(job, log)));
  return {
    start(): void {
      for (const task of tasks) task.start();
    },
    /** Starts no more jobs and waits for those that run. */
    async stop(): Promise<void> {
      await Promise.all(tasks.map((task) => task.stop()));
    },
  };
}

interface Run {
  /** Runs the job, unless an earlier run goes on. */
  begin(): void;
  /** Resolves when no run goes on. */
  ended(): Promise<void>;
}

function alone(job: Job, log: Logger): Run {
  const { name, run } = job;
  let running: Promise<void> | null = null;

  async function attempt(): Promise<void> {
    try {
      const done = await run();
      if (done !== null) log.info({ job: name, ...done }, 'job done');
    } catch (error) {
      log.error({ job: name, err: error }, 'a job failed; it runs again at its next time');
    }
    running = null;
  }

  return {
    begin() {
      if (running !== null) log.warn({ job: name }, 'the job is still running: this time is left out');
      running ??= attempt();
    },
    ended: async () => void (await running),
  };
}

/** Runs at the times of a cron pattern. */
function createAlarm({ name, cron: pattern }: Job, timezone: string, run: Run) {
  const task = cron.createTask(pattern, () => {}, { name, timezone });
  const nextAfterNow = () => task.getNextRuns(1)[0]!.getTime();
  let timer: NodeJS.Timeout | undefined;
  let next = 0;

  function wait(): void {
    timer = setTimeout(look, Math.max(0, Math.min(next - Date.now(), LONGEST_WAIT_MS))).unref();
  }

  function look(): void {
    const isDue = Date.now() >= next;
    // Where the clock was set back, the next time is before the one that was waited for.
    next = isDue ? nextAfterNow() : Math.min(next, nextAfterNow());
    if (isDue) run.begin();
    wait();
  }

  return {
    start() {
      next = nextAfterNow();
      wait();
    },
    async stop() {
      clearTimeout(timer);
      await task.destroy();
      await run.ended();
    },
  };
}
