import { expect, test } from 'vitest';
import { createCleaning, type Photo, type PhotoFault } from '../../../citizens/index.ts';
import type { Timers } from '../../../domain/index.ts';

const OPTIONS = { waiting: 2, strangers: 1, limitMs: 1_000, idleMs: 5_000 };
const PHOTO: Photo = { type: 'image/png', bytes: Buffer.from('clean') };

/** Threads that are started, each with the photo that it is at. */
function scene() {
  const timers: { ms: number; run: () => void }[] = [];
  const threads: { ended: boolean; settle: (result: Photo | PhotoFault | Error) => void }[] = [];
  const after: Timers['after'] = (ms, run) => {
    const timer = { ms, run };
    timers.push(timer);
    return () => void timers.splice(timers.indexOf(timer), timers.includes(timer) ? 1 : 0);
  };
  const start = () => {
    const thread: (typeof threads)[number] = { ended: false, settle: () => {} };
    threads.push(thread);
    return {
      clean: () =>
        new Promise<Photo | PhotoFault>((resolve, reject) => {
          thread.settle = (result) => (result instanceof Error ? reject(result) : resolve(result));
        }),
      async end() {
        thread.ended = true;
        thread.settle(new Error('ended'));
      },
    };
  };
  const cleaning = createCleaning({ start, timers: { after } }, OPTIONS);
  return {
    cleaning,
    threads,
    /** Runs the timers of a length. */
    pass: (ms: number) => {
      for (const timer of timers.filter((one) => one.ms === ms)) {
        timers.splice(timers.indexOf(timer), 1);
        timer.run();
      }
    },
    timers: () => timers.map(({ ms }) => ms),
  };
}

const file = () => Buffer.from('file');
const turn = () => new Promise((resolve) => setImmediate(resolve));

test('cleaning - no thread exists before a photo and after a time without one', async () => {
  const { cleaning, threads, pass, timers } = scene();
  expect(threads).toHaveLength(0);
  const first = cleaning.clean(file());
  threads[0]!.settle(PHOTO);
  expect(await first).toBe(PHOTO);
  await turn();
  const second = cleaning.clean(file());
  threads[0]!.settle('broken-image');
  expect(await second).toBe('broken-image');
  await turn();
  expect([threads.length, threads[0]!.ended, timers()]).toEqual([1, false, [OPTIONS.idleMs]]);
  pass(OPTIONS.idleMs);
  expect(threads[0]!.ended).toBe(true);
  void cleaning.clean(file()).catch(() => {});
  expect(threads).toHaveLength(2);
  await cleaning.stop();
});

test('cleaning - a photo that takes too long is refused, its thread ends, and the next one gets another', async () => {
  const { cleaning, threads, pass } = scene();
  const [slow, next] = [cleaning.clean(file()), cleaning.clean(file())];
  pass(OPTIONS.limitMs);
  expect(await slow).toBe('takes-too-long');
  await turn();
  expect(threads.map(({ ended }) => ended)).toEqual([true, false]);
  threads[1]!.settle(PHOTO);
  expect(await next).toBe(PHOTO);
  await cleaning.stop();
});

test('cleaning - as many wait as may, one more is refused at once', async () => {
  const { cleaning, threads } = scene();
  const results = [1, 2, 3].map(() => cleaning.clean(file()));
  await expect(cleaning.clean(file())).rejects.toMatchObject({ code: 'busy', retryable: true });
  for (const result of results) {
    threads[0]!.settle(PHOTO);
    expect(await result).toBe(PHOTO);
    await turn();
  }
  await cleaning.stop();
});

test('cleaning - photos of strangers wait for all others, and fewer of them may', async () => {
  const { cleaning, threads } = scene();
  const order: string[] = [];
  const noted = (name: string, ofStranger: boolean) => cleaning.clean(file(), ofStranger).then(() => order.push(name));
  const all = [noted('first', false), noted('stranger', true), noted('second', false), noted('third', false)];
  await expect(cleaning.clean(file(), true)).rejects.toMatchObject({ code: 'busy', retryable: true });
  for (let done = 0; done < all.length; done++) {
    threads[0]!.settle(PHOTO);
    await turn();
  }
  await Promise.all(all);
  expect(order).toEqual(['first', 'second', 'third', 'stranger']);
  await cleaning.stop();
});

test('cleaning - a thread that fails refuses the photo that it was at, and no other', async () => {
  const { cleaning, threads } = scene();
  const [lost, next] = [cleaning.clean(file()), cleaning.clean(file())];
  threads[0]!.settle(new Error('out of memory'));
  await expect(lost).rejects.toMatchObject({ code: 'busy' });
  await turn();
  threads[1]!.settle(PHOTO);
  expect(await next).toBe(PHOTO);
  await cleaning.stop();
});

test('cleaning - a stop ends the thread and refuses all photos, those that wait too', async () => {
  const { cleaning, threads } = scene();
  const results = [cleaning.clean(file()), cleaning.clean(file())];
  const refused = Promise.all(results.map((one) => expect(one).rejects.toMatchObject({ code: 'busy' })));
  await cleaning.stop();
  await refused;
  expect(threads.map(({ ended }) => ended)).toEqual([true]);
  await expect(cleaning.clean(file())).rejects.toMatchObject({ code: 'busy' });
  await cleaning.stop();
});
