import { execFile } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import cron from 'node-cron';
import pino from 'pino';
import { expect, test } from 'vitest';
import { createJobs, type JobDeps } from '../../../app/jobs.ts';
import { createSchedule } from '../../../app/schedule.ts';
import { ALONE, unsteppedClock } from '../../../domain/index.ts';
import { createDuckdbHistory } from '../../../history/index.ts';
import { createQuarantineReader, createQuarantineStore } from '../../../ingest/index.ts';
import { columnsOf, tableOf } from '../../kit/history/query-reference.ts';
import { intakeBench, openState } from '../../kit/ingest/intake.ts';
import { PATIENCE_MS } from '../../kit/wait.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const NOW = Date.UTC(2026, 5, 15, 12);
const SCHEDULE = fileURLToPath(new URL('../../../app/schedule.ts', import.meta.url));
const ledger = () => ({ messages: {}, readings: {} }) as ReturnType<JobDeps['ledger']>;
const clock = unsteppedClock({ now: () => NOW });
const keep = { historyDays: 30, quarantineDays: 90, deliveryDays: 14 };
const notify = { expire: async () => 3 };
const reception = {
  expire: async () => ({ reporters: 3, orphans: 0, photos: 0 }),
  tidy: async () => ({ photos: 0 }),
};

test('jobs - run in the time zone of the city, and not after their stop', async () => {
  const engine = { rollup: async () => 0, prune: async () => 0, expire: async () => 0, due: async () => 0 };
  const jobs = createJobs({ clock, ledger, engine, notify, reception, keep, duties: ALONE, backup: async () => ({}) });
  const schedule = createSchedule(jobs, { log: pino({ level: 'silent' }), timezone: 'Asia/Kathmandu' });
  await schedule.start();
  const zone = new Intl.DateTimeFormat('en-GB', { timeZone: 'Asia/Kathmandu', timeStyle: 'short' });
  const tasks = [...cron.getTasks().values()];
  /** The local time of the next run; of the one that runs every hour, its minute. */
  const dueOf = (task: (typeof tasks)[number]): string => {
    const time = zone.format(task.getNextRuns(1)[0]);
    return task.name === 'history roll-up' ? time.replace(/^\d\d/, '*') : time;
  };
  const due = tasks.map((task) => [task.name, dueOf(task)]);
  expect(due).toEqual([
    ['history roll-up', '*:05'],
    ['quarantine expiry', '03:20'],
    ['delivery log expiry', '03:30'],
    ['reporter expiry', '03:50'],
    ['ledger report', '00:00'],
    ['history retention', '03:40'],
    ['backup', '04:10'],
  ]);
  await schedule.stop();
  expect(tasks.map((task) => task.getStatus())).toEqual(tasks.map(() => 'destroyed'));
  expect(cron.getTasks().size).toBe(0);
});

test('jobs - do not keep a process alive while they wait', async () => {
  const script = `import { createSchedule } from '${SCHEDULE}';
    const job = { name: 'a', cron: '0 0 1 1 *', run: async () => ({}) };
    await createSchedule([job], { log: console, timezone: 'UTC' }).start();
    console.log('started');`;
  const child = promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], { timeout: PATIENCE_MS });
  expect((await child).stdout.trim()).toBe('started');
});

test('jobs - roll up, expire and delete what is due in real stores, and nothing else', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'lamppost-jobs-'));
  const metrics = tableOf('a');
  const history = createDuckdbHistory({ path: join(dir, 'history.duckdb'), metrics, unitOf: () => 'u' });
  await history.start();
  const device = { id: 'd1', index: 0, profile: 'bin', district: 'east' };
  const times = [NOW - 31 * DAY_MS, NOW - 29 * DAY_MS, NOW - 2 * HOUR_MS, NOW - 1];
  const rows = times.map((ts, value) => ({ device, metric: 'a', ts, value }));
  await history.append([columnsOf(rows, metrics)], 1);

  const state = openState(join(dir, 'state.sqlite'));
  const quarantine = createQuarantineStore(state);
  const intake = intakeBench();
  const unknown = (receivedAt: number) => ({ identity: 'd1', topic: 'x', payload: '', receivedAt });
  const refused = [91, 89].map((days) => intake.send([unknown(NOW - days * DAY_MS)]));
  quarantine.settle(refused);

  const expire = async (beforeMs: number) => quarantine.expire(beforeMs);
  const rollup = (untilMs: number) => history.rollup(untilMs);
  const prune = (beforeMs: number) => history.prune(beforeMs);
  const engine = { rollup, prune, expire };
  const results: (object | null)[] = [];
  const jobs = createJobs({ clock, ledger, engine, notify, reception, keep, duties: ALONE, backup: null });
  for (const job of jobs) results.push(await job.run());
  // The hour of NOW has not ended, but the one before it has.
  expect(results).toEqual([
    { hours: 4 },
    { expired: 1 },
    { expired: 3 },
    { reporters: 3, orphans: 0, photos: 0 },
    { ledger: ledger() },
    { pruned: 1 },
  ]);
  expect(await history.count()).toBe(3);
  const listed = createQuarantineReader(state).list({ limit: 9, after: null });
  expect(listed.items.map(({ receivedAt }) => receivedAt)).toEqual([new Date(NOW - 89 * DAY_MS).toISOString()]);
  await history.stop();
  state.close();
});
