import { setTimeout as sleep } from 'node:timers/promises';
import pino from 'pino';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { createJobs, type JobDeps } from '../../../app/jobs.ts';
import { createSchedule, type Job } from '../../../app/schedule.ts';
import { ALONE, unsteppedClock } from '../../../domain/index.ts';
import { PATIENCE_MS } from '../../kit/wait.ts';

const EVERY_SECOND = '* * * * * *';
const DAY_MS = 86_400_000;
const NOW = Date.UTC(2026, 5, 15, 12);

const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

/** Runs the jobs with node-cron itself, and collects what is logged. */
async function scheduled(...jobs: Job[]) {
  const lines: { job: string; level: number; msg: string; err?: { message: string } }[] = [];
  const log = pino({ level: 'info' }, { write: (line: string) => void lines.push(JSON.parse(line)) });
  const schedule = createSchedule(jobs, { log, timezone: 'Asia/Shanghai' });
  ends.push(() => schedule.stop());
  await schedule.start();
  return { lines, schedule };
}

describe('the schedule', () => {
  test('runs a job each time it is due, and logs its result', async () => {
    let runs = 0;
    const { lines } = await scheduled({ name: 'count', cron: EVERY_SECOND, run: async () => ({ runs: ++runs }) });
    await vi.waitFor(() => expect(runs).toBeGreaterThanOrEqual(2), PATIENCE_MS);
    expect(lines[0]).toMatchObject({ job: 'count', runs: 1, msg: 'job done' });
  });

  test('logs a job that fails, runs it again, and runs the others meanwhile', async () => {
    let tries = 0;
    let others = 0;
    const fail = async () => {
      tries++;
      throw new Error('the disk is full');
    };
    const { lines } = await scheduled(
      { name: 'failing', cron: EVERY_SECOND, run: fail },
      { name: 'other', cron: EVERY_SECOND, run: async () => ({ others: ++others }) },
    );
    await vi.waitFor(() => expect(Math.min(tries, others)).toBeGreaterThanOrEqual(2), PATIENCE_MS);
    const failed = lines.find(({ job }) => job === 'failing');
    expect(failed).toMatchObject({ level: 50, err: { message: 'the disk is full' } });
  });

  test('does not start a job that is still running', async () => {
    let running = 0;
    let most = 0;
    let starts = 0;
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const run = async () => {
      starts++;
      most = Math.max(most, ++running);
      await held;
      running--;
      return {};
    };
    let beats = 0;
    const { lines } = await scheduled(
      { name: 'long', cron: EVERY_SECOND, run },
      { name: 'beat', cron: EVERY_SECOND, run: async () => ({ beats: ++beats }) },
    );
    await vi.waitFor(() => expect(beats).toBeGreaterThanOrEqual(3), PATIENCE_MS);
    expect([starts, most]).toEqual([1, 1]);
    expect(lines.find(({ level }) => level === 40)).toMatchObject({
      job: 'long',
      msg: expect.stringContaining('still running'),
    });
    release();
    await vi.waitFor(() => expect(starts).toBeGreaterThanOrEqual(2), PATIENCE_MS);
    expect(most).toBe(1);
  });

  test('waits at its stop for running jobs', async () => {
    let state = 'not begun';
    const run = async () => {
      state = 'running';
      await sleep(500);
      state = 'done';
      return {};
    };
    const { schedule } = await scheduled({ name: 'long', cron: EVERY_SECOND, run });
    await vi.waitFor(() => expect(state).toBe('running'), PATIENCE_MS);
    await schedule.stop();
    expect(state).toBe('done');
  });

  test('runs nothing after its stop', async () => {
    let runs = 0;
    const { schedule } = await scheduled({ name: 'count', cron: EVERY_SECOND, run: async () => ({ runs: ++runs }) });
    await vi.waitFor(() => expect(runs).toBeGreaterThanOrEqual(1), PATIENCE_MS);
    await schedule.stop();
    const before = runs;
    await sleep(1_500);
    expect(runs).toBe(before);
  });
});

describe('the schedule, whatever the wall clock does', () => {
  afterEach(() => void vi.useRealTimers());

  /**
   * The local times at which a job ran while `hours` passed from a moment on, with the clock set before some of them.
   */
  async function runs(job: { cron: string }, timezone: string, from: string, hours: number, setTo: string[] = []) {
    vi.useFakeTimers({ now: Date.parse(from) });
    const at: string[] = [];
    const local = new Intl.DateTimeFormat('sv', { timeZone: timezone, dateStyle: 'short', timeStyle: 'short' });
    const lines: string[] = [];
    const log = pino({ level: 'info' }, { write: (line: string) => void lines.push(line) });
    const run = async () => {
      at.push(local.format(Date.now()));
      return null;
    };
    const schedule = createSchedule([{ name: 'job', ...job, run }], { log, timezone });
    schedule.start();
    for (let hour = 0; hour < hours; hour++) {
      const set = setTo[hour];
      if (set !== undefined) vi.setSystemTime(Date.parse(set));
      await vi.advanceTimersByTimeAsync(3_600_000);
    }
    await schedule.stop();
    return { at, lines };
  }

  test('a job that a step of eight days left out runs once, without a line', async () => {
    const far = '2027-01-12T10:30:00Z';
    const quiet = await runs({ cron: '20 3 * * *' }, 'UTC', '2027-01-04T10:00:00Z', 3);
    expect(quiet.at).toEqual([]);
    const stepped = await runs({ cron: '20 3 * * *' }, 'UTC', '2027-01-04T10:00:00Z', 3, ['2027-01-04T10:00:00Z', far]);
    expect([stepped.at, stepped.lines]).toEqual([['2027-01-12 10:30'], []]);
  });

  test('after a step back the next time is that of the new day', async () => {
    const { at } = await runs({ cron: '20 3 * * *' }, 'UTC', '2027-01-12T10:00:00Z', 3, [
      '2027-01-12T10:00:00Z',
      '2027-01-04T02:30:00Z',
    ]);
    expect(at).toEqual(['2027-01-04 03:20']);
  });

  test('runs once on each of the two days on which clocks change', async () => {
    const zone = 'Europe/Berlin';
    const nightly = { cron: '10 4 * * *' };
    const spring = await runs(nightly, zone, '2027-03-27T12:00:00Z', 48);
    expect(spring.at).toHaveLength(2);
    const autumn = await runs(nightly, zone, '2027-10-30T12:00:00Z', 48);
    expect(autumn.at).toHaveLength(2);
    expect([spring.at, autumn.at]).toEqual([
      ['2027-03-28 04:10', '2027-03-29 04:10'],
      ['2027-10-31 04:10', '2027-11-01 04:10'],
    ]);
    const hourly = await runs({ cron: '5 * * * *' }, zone, '2027-10-30T12:00:00Z', 24);
    // The hour that comes twice counts once: a roll-up does all hours that are over.
    expect(new Set(hourly.at).size).toBe(23);
    expect(hourly.at).toHaveLength(23);
  });
});

describe('the jobs', () => {
  function jobs(keep: JobDeps['keep']) {
    const calls: [string, number][] = [];
    const note = (name: string) => async (ms: number) => calls.push([name, ms]);
    const engine = {
      rollup: note('rollup'),
      prune: note('prune'),
      expire: note('expire'),
    };
    const notify = { expire: note('forget') };
    const reception = {
      expire: async () => ({ reporters: calls.push(['reporters', NOW]), orphans: 0, photos: 0 }),
      tidy: async () => ({ photos: 0 }),
    };
    const ledger = { messages: {}, readings: {} } as ReturnType<JobDeps['ledger']>;
    const parts = { engine, notify, reception, keep, backup: null, duties: ALONE };
    return { calls, jobs: createJobs({ clock: unsteppedClock({ now: () => NOW }), ledger: () => ledger, ...parts }) };
  }

  test('roll up to now, expire and delete what is older than its days, and report the ledger', async () => {
    const made = jobs({ historyDays: 30, quarantineDays: 90, deliveryDays: 14 });
    for (const job of made.jobs) await job.run();
    expect(made.calls).toEqual([
      ['rollup', NOW],
      ['expire', NOW - 90 * DAY_MS],
      ['forget', NOW - 14 * DAY_MS],
      ['reporters', NOW],
      ['prune', NOW - 30 * DAY_MS],
    ]);
  });

  test('keep the history without limit where no days are set', () => {
    expect(jobs({ historyDays: 0, quarantineDays: 90, deliveryDays: 14 }).jobs.map(({ name }) => name)).toEqual([
      'history roll-up',
      'quarantine expiry',
      'delivery log expiry',
      'reporter expiry',
      'ledger report',
    ]);
  });

  test('have times that node-cron accepts', async () => {
    await expect(
      scheduled(...jobs({ historyDays: 30, quarantineDays: 90, deliveryDays: 14 }).jobs),
    ).resolves.toBeDefined();
  });
});
