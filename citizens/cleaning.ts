import { LamppostError, type Timers } from '../domain/index.ts';
import type { Photo } from './photo.ts';
import type { PhotoFault } from './picture.ts';

/** Cleans one photo at a time elsewhere: in a thread that can be ended at any moment. */
export interface PhotoThread {
  /** Takes the memory of the file. Rejects where the thread fails. */
  clean(file: Uint8Array): Promise<Photo | PhotoFault>;
  end(): Promise<unknown>;
}

/** Cleans citizens' photos, one after another, in a thread that exists only while there are any. */
export interface Cleaning {
  /**
   * Takes the memory of the file. Photos of strangers, whom no key names, wait for all others. Throws `busy` where too
   * many wait, or where the thread fails.
   */
  clean(file: Buffer, ofStranger?: boolean): Promise<Photo | PhotoFault>;
  /** Ends the thread. Photos that wait are not cleaned any more: `busy`. Idempotent. */
  stop(): Promise<void>;
}

interface Options {
  /** Photos that wait at most. */
  readonly waiting: number;
  /** Of strangers, beside these. */
  readonly strangers: number;
  /** How long one photo may take, ms; then it is refused, and the thread ends. */
  readonly limitMs: number;
  /** How long the thread waits for another photo before it ends, ms. */
  readonly idleMs: number;
}

const USUAL: Options = { waiting: 64, strangers: 8, limitMs: 30_000, idleMs: 60_000 };

interface Job {
  readonly file: Buffer;
  readonly done: (result: Photo | PhotoFault) => void;
  readonly failed: (error: Error) => void;
}

/** Returns the cleaning; `start` starts its thread. */
export function createCleaning(
  { start, timers }: { readonly start: () => PhotoThread; readonly timers: Timers },
  { waiting, strangers, limitMs, idleMs }: Options = USUAL,
): Cleaning {
  const queue: Job[] = [];
  const queueOfStrangers: Job[] = [];
  let thread: PhotoThread | null = null;
  let running = false;
  let stopped = false;
  let stopIdling = () => {};

  async function end(): Promise<void> {
    const ended = thread;
    thread = null;
    await ended?.end();
  }

  /** A photo that takes too long ends with its thread: there is no other way to interrupt it. */
  async function cleanOne(file: Buffer): Promise<Photo | PhotoFault> {
    thread ??= start();
    const { promise: late, resolve } = Promise.withResolvers<'takes-too-long'>();
    const stopTimer = timers.after(limitMs, () => resolve('takes-too-long'));
    try {
      const result = await Promise.race([thread.clean(file), late]);
      if (result === 'takes-too-long') await end();
      return result;
    } catch (cause) {
      await end();
      throw new LamppostError('busy', 'the photo could not be read now', { retryable: true, cause });
    } finally {
      stopTimer();
    }
  }

  async function run(): Promise<void> {
    if (running) return;
    running = true;
    stopIdling();
    const next = () => queue.shift() ?? queueOfStrangers.shift();
    for (let job = next(); job !== undefined; job = next()) await cleanOne(job.file).then(job.done, job.failed);
    running = false;
    if (!stopped) stopIdling = timers.after(idleMs, () => void end());
  }

  return {
    clean(file, ofStranger = false) {
      const [line, most] = ofStranger ? [queueOfStrangers, strangers] : [queue, waiting];
      if (stopped || line.length >= most)
        return Promise.reject(new LamppostError('busy', 'too many photos wait to be read', { retryable: true }));
      return new Promise((done, failed) => {
        line.push({ file, done, failed });
        void run();
      });
    },
    async stop() {
      stopped = true;
      stopIdling();
      for (const { failed } of [...queue.splice(0), ...queueOfStrangers.splice(0)])
        failed(new LamppostError('busy', 'the server stops', { retryable: true }));
      await end();
    },
  };
}
