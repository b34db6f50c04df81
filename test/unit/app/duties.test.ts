import pino from 'pino';
import { expect, test } from 'vitest';
import { createJobs, type JobDeps } from '../../../app/jobs.ts';
import { passDuties } from '../../../app/threads/duties.ts';
import { ALONE, type Duties, type Duty, unsteppedClock } from '../../../domain/index.ts';

/** Duties that a test gives and takes. */
function scripted() {
  const held = new Map<Duty, number>();
  const listeners = new Set<(duty: Duty) => void>();
  const duties: Duties = {
    holds: (duty) => held.get(duty) ?? null,
    deadlines: null,
    onChange(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
  const set = (duty: Duty, revision: number | null) => {
    if (revision === null) held.delete(duty);
    else held.set(duty, revision);
    for (const listener of listeners) listener(duty);
  };
  return { duties, set };
}

function jobOf(job: string, duties: Duties) {
  let made = 0;
  const none = async () => 0;
  const deps: JobDeps = {
    ...{ clock: unsteppedClock({ now: () => 0 }), duties, notify: { expire: none } },
    ...{ ledger: () => ({}) as ReturnType<JobDeps['ledger']>, engine: { rollup: none, prune: none, expire: none } },
    reception: { expire: async () => ({ reporters: 1, orphans: 0, photos: 0 }), tidy: async () => ({ photos: 2 }) },
    keep: { historyDays: 1, quarantineDays: 1, deliveryDays: 1 },
    backup: async () => ({ made: ++made }),
  };
  return createJobs(deps).find(({ name }) => name === job)!;
}

test('duties - the nightly backup is made by the node that has the duty when it is due; a node that is alone makes it', async () => {
  const { duties, set } = scripted();
  const backup = jobOf('backup', duties);
  expect(await backup.run()).toEqual({ skipped: 'another node has the duty' });
  set('nightly', 4);
  expect(await backup.run()).toEqual({ made: 1 });
  set('nightly', null);
  expect(await backup.run()).toEqual({ skipped: 'another node has the duty' });
  expect(await jobOf('backup', ALONE).run()).toEqual({ made: 1 });
});

test('duties - what is known of citizens is expired by the node that has the duty; the others follow it', async () => {
  const { duties, set } = scripted();
  const expiry = jobOf('reporter expiry', duties);
  expect(await expiry.run()).toEqual({ photos: 2 });
  set('nightly', 4);
  expect(await expiry.run()).toEqual({ reporters: 1, orphans: 0, photos: 0 });
});

test('duties - a thread is told what it has at the start and whenever that changes, until it is stopped', async () => {
  const { duties, set } = scripted();
  set('notify', 3);
  const told: [string, number | null][] = [];
  const tell = (name: string) => async (revision: number | null) => told.push([name, revision]);
  const threads = { notify: tell('notify'), history: tell('history') };
  const stop = passDuties(duties, threads, pino({ level: 'silent' }));
  set('history', 9);
  set('clock', 1);
  set('notify', null);
  stop();
  set('history', null);
  expect(told).toEqual([
    ['notify', 3],
    ['history', null],
    ['history', 9],
    ['notify', null],
  ]);
});
