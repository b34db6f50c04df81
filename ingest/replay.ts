import { randomUUID } from 'node:crypto';
import { type Clock, isoOf, LamppostError, type ReplayControl, type ReplayItem } from '../domain/index.ts';
import type { createQuarantineReader, QuarantineFilter } from './quarantine-reader.ts';

/** What goes the way again: single entries by id, or all that match. */
export type ReplayRequest = { readonly ids: readonly string[] } | QuarantineFilter;

/** A replay of quarantined messages, as it stands. */
export interface ReplayJob {
  readonly id: string;
  state: 'running' | 'done' | 'failed';
  /** ISO 8601 UTC. */
  readonly startedAt: string;
  endedAt: string | null;
  /** Entries of the quarantine that were meant when it began. */
  readonly entries: number;
  /** Of these: gone the way again and settled … */
  settled: number;
  /** … and refused once more. */
  refusedAgain: number;
  error: string | null;
}

interface Deps {
  readonly quarantine: Pick<ReturnType<typeof createQuarantineReader>, 'count' | 'replayable' | 'chosen'>;
  /** Appends to the journal; answers the number of the block. */
  readonly append: (control: ReplayControl) => Promise<number>;
  /** How far the history is, and how many entries settled since the start of the process. */
  readonly status: () => Promise<{ history: number; replayed: { settled: number; refusedAgain: number } }>;
  readonly clock: Clock;
}

const MESSAGES_AT_ONCE = 200;
const BYTES_AT_ONCE = 4 * 1024 * 1024;
const LOOK_MS = 20;
const KEPT = 100;

/** Runs replays one at a time, block by block: the way of a reading is shared with what comes in meanwhile. */
export function createReplays({ quarantine, append, status, clock }: Deps) {
  const jobs = new Map<string, ReplayJob>();
  let running: Promise<void> | null = null;
  let stopping = false;

  /** Waits until a block is settled: only then may the next page be looked for in the quarantine. */
  async function settle(job: ReplayJob, seq: number, before: { settled: number; refusedAgain: number }): Promise<void> {
    for (;;) {
      const { history, replayed } = await status();
      job.settled = replayed.settled - before.settled;
      job.refusedAgain = replayed.refusedAgain - before.refusedAgain;
      if (history >= seq || stopping) return;
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }

  async function send(job: ReplayJob, pages: Iterable<ReplayItem[]>): Promise<void> {
    const before = (await status()).replayed;
    for (const page of pages) {
      for (const items of inBlocks(page)) {
        if (stopping)
          throw new LamppostError('busy', 'the server stopped; what was not replayed is still in quarantine');
        await settle(job, await append({ items }), before);
      }
    }
  }

  /** Oldest first, up to the newest there is now: what is refused again keeps its number and is not met twice. */
  function* pagesOf(filter: QuarantineFilter, last: number): Iterable<ReplayItem[]> {
    for (let after = Number.MIN_SAFE_INTEGER; ; ) {
      const page = quarantine.replayable(filter, after, last, MESSAGES_AT_ONCE);
      if (page.length === 0) return;
      after = page.at(-1)!.position;
      yield page;
    }
  }

  function jobOf(entries: number): ReplayJob {
    const startedAt = isoOf(clock.now());
    const none = { settled: 0, refusedAgain: 0, endedAt: null, error: null };
    const job: ReplayJob = { id: randomUUID(), state: 'running', startedAt, entries, ...none };
    jobs.set(job.id, job);
    if (jobs.size > KEPT) jobs.delete(jobs.keys().next().value!);
    return job;
  }

  async function run(job: ReplayJob, pages: Iterable<ReplayItem[]>): Promise<void> {
    try {
      await send(job, pages);
      job.state = 'done';
    } catch (error) {
      job.state = 'failed';
      job.error = (error as Error).message;
    } finally {
      job.endedAt = isoOf(clock.now());
      running = null;
    }
  }

  return {
    /** Begins a replay. Throws `conflict` while another one runs. */
    start(request: ReplayRequest): ReplayJob {
      if (running !== null)
        throw new LamppostError('conflict', 'a replay is running already; look at it, then try again');
      if ('ids' in request) {
        const items = quarantine.chosen(request.ids);
        const job = jobOf(items.reduce((sum, item) => sum + item.entries.length, 0));
        running = run(job, [items]);
        return job;
      }
      const { entries, last } = quarantine.count(request);
      const job = jobOf(entries);
      running = run(job, pagesOf(request, last));
      return job;
    },
    get: (id: string): ReplayJob | null => jobs.get(id) ?? null,
    running: () => running !== null,
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
    bytes += item.payload.length;
    if (bytes < BYTES_AT_ONCE) continue;
    yield block;
    block = [];
    bytes = 0;
  }
  if (block.length > 0) yield block;
}
