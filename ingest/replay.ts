import { z } from 'zod';
import {
  type Clock,
  isoOf,
  LamppostError,
  type ReplayControl,
  type ReplayItem,
  type ShapeOf,
} from '../domain/index.ts';
import type { QuarantineFilter, QuarantineReader, ReplayPage } from './quarantine-reader.ts';

/** Selects what to replay: single entries by id, or all that match a filter. */
export type ReplayRequest = { readonly ids: readonly string[] } | QuarantineFilter;

/** The state of a replay. */
export const ReplayJobSchema = z
  .object({
    id: z.string(),
    state: z.enum(['running', 'done', 'failed', 'cancelled']),
    startedAt: z.iso.datetime(),
    endedAt: z.iso.datetime().nullable(),
    entries: z.int().describe('Entries of the quarantine that were selected when it started'),
    settled: z.int().describe('Of these: replayed and settled'),
    refusedAgain: z.int().describe('Of these: refused once more'),
    error: z.string().nullable(),
  })
  .meta({ id: 'Replay', description: 'The state of a replay of refused messages' });
export type ReplayJob = ShapeOf<typeof ReplayJobSchema>;
type RunningJob = z.output<typeof ReplayJobSchema>;

interface Replayed {
  readonly settled: number;
  readonly refusedAgain: number;
}

const BYTES_AT_ONCE = 4 * 1024 * 1024;
const LOOK_MS = 20;
const KEPT = 100;

/**
 * Runs replays one at a time, block by block, so that new messages are processed in between. `append` writes to the
 * journal and resolves to the number of the block. `status` resolves to the history's cursor and to how many entries
 * were settled since the start of the process.
 */
export function createReplays({
  quarantine,
  append,
  status,
  clock,
}: {
  readonly quarantine: Pick<QuarantineReader, 'count' | 'countOf' | 'replayable' | 'chosen'>;
  readonly append: (control: ReplayControl) => Promise<number>;
  readonly status: () => Promise<{ history: number; replayed: Replayed }>;
  readonly clock: Clock;
}) {
  const jobs = new Map<string, RunningJob>();
  const cancelled = new Set<string>();
  let running: Promise<void> | null = null;
  let stopping = false;

  /** Waits until a block is settled: the next page of the quarantine can be read only then. */
  async function settle(job: RunningJob, seq: number, before: Replayed): Promise<void> {
    for (;;) {
      const { history, replayed } = await status();
      job.settled = replayed.settled - before.settled;
      job.refusedAgain = replayed.refusedAgain - before.refusedAgain;
      if (history >= seq || stopping) return;
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }

  async function send(job: RunningJob, pages: Iterable<readonly ReplayItem[]>): Promise<void> {
    const before = (await status()).replayed;
    for (const page of pages) {
      // The main thread has other work, too: a page that looked at many entries may have found none.
      await new Promise((resolve) => setImmediate(resolve));
      for (const items of inBlocks(page)) {
        if (stopping) {
          throw new LamppostError('busy', 'the server stopped; what was not replayed is still in quarantine');
        }
        if (cancelled.has(job.id)) return;
        await settle(job, await append({ items, job: job.id }), before);
      }
    }
  }

  /**
   * Oldest first, up to the newest at the start: a message that is refused again keeps its number and is not read
   * twice.
   */
  function* pagesOf(filter: QuarantineFilter, last: number): Iterable<readonly ReplayItem[]> {
    for (let after: number | null = Number.MIN_SAFE_INTEGER; after !== null; ) {
      const page: ReplayPage = quarantine.replayable(filter, after, last);
      after = page.next;
      yield page.items;
    }
  }

  function jobOf(id: string, entries: number): RunningJob {
    const startedAt = isoOf(clock.now());
    const none = { settled: 0, refusedAgain: 0, endedAt: null, error: null };
    const job: RunningJob = { id, state: 'running', startedAt, entries, ...none };
    jobs.set(job.id, job);
    if (jobs.size > KEPT) jobs.delete(jobs.keys().next().value!);
    return job;
  }

  function refuseAnother(): void {
    if (running === null) return;
    throw new LamppostError('conflict', 'a replay is running already; look at it, then try again');
  }

  async function run(job: RunningJob, pages: Iterable<readonly ReplayItem[]>): Promise<void> {
    try {
      await send(job, pages);
      job.state = cancelled.has(job.id) ? 'cancelled' : 'done';
    } catch (error) {
      job.state = 'failed';
      job.error = (error as Error).message;
    } finally {
      job.endedAt = isoOf(clock.now());
      cancelled.delete(job.id);
      running = null;
    }
  }

  return {
    /** Throws `conflict` while a replay runs. */
    refuseAnother,
    /** Starts the replay of this id, or returns it where it was started. Throws `conflict` while another one runs. */
    start(id: string, request: ReplayRequest): ReplayJob {
      const known = jobs.get(id);
      if (known !== undefined) return known;
      refuseAnother();
      if ('ids' in request) {
        const job = jobOf(id, quarantine.countOf(request.ids));
        running = run(job, quarantine.chosen(request.ids));
        return job;
      }
      const { entries, last } = quarantine.count(request);
      const job = jobOf(id, entries);
      running = run(job, pagesOf(request, last));
      return job;
    },
    get: (id: string): ReplayJob | null => jobs.get(id) ?? null,
    /**
     * Cancels a running replay behind its current block; what was not replayed stays in quarantine. Returns the job;
     * null where there is none of this id.
     */
    cancel(id: string): ReplayJob | null {
      const job = jobs.get(id) ?? null;
      if (job?.state === 'running') cancelled.add(id);
      return job;
    },
    running: () => running !== null,
    /** Stops the running replay behind its current block; resolves when it has ended. */
    async stop(): Promise<void> {
      stopping = true;
      await running;
    },
  };
}

function* inBlocks(items: readonly ReplayItem[]): Iterable<ReplayItem[]> {
  let block: ReplayItem[] = [];
  let bytes = 0;
  for (const item of items) {
    block.push(item);
    bytes += item.payload.length + item.entries.reduce((sum, { members = '' }) => sum + members.length, 0);
    if (bytes < BYTES_AT_ONCE) continue;
    yield block;
    block = [];
    bytes = 0;
  }
  if (block.length > 0) yield block;
}
