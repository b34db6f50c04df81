import type { ServerResponse } from 'node:http';
import { LamppostError } from '../domain/index.ts';
import { type EventFilter, passes, placeOf, resetOf, resumeAt, sseOf } from '../events/index.ts';
import type { ApiDeps } from './deps.ts';

/** How event streams behave. */
export interface StreamOptions {
  /** How often a quiet stream says that it lives. A reader that takes nothing for so long is cut; it resumes by Last-Event-ID. */
  readonly heartbeatMs: number;
  /** Most open streams, in all and of one key. */
  readonly maxStreams: number;
  readonly maxStreamsOfKey: number;
}

/** What a reader asks for. */
export interface StreamRequest {
  /** Id of its key. */
  readonly key: string;
  readonly filter: EventFilter;
  /** Its last event; null: what comes from now on. */
  readonly last: string | null;
}

/** The open event streams. */
export interface Streams {
  /** Throws `busy`, retryable, where there are too many already; else the response is the stream's from here on. */
  refuseTooMany(key: string): void;
  open(response: ServerResponse, request: StreamRequest): void;
  /** Ends those of a key. */
  endOf(key: string): void;
  /** Ends all. */
  stop(): void;
}

/** Also what a reader that does not read costs: about 100 KB. */
const PAGE = 50;

const HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-store',
  'x-accel-buffering': 'no',
  'x-content-type-options': 'nosniff',
};

type Events = ApiDeps['events'];

/** Server-sent events (WHATWG HTML §9.2) of the outbox. */
export function createStreams(events: Events, options: StreamOptions): Streams {
  const open = new Map<ServerResponse, string>();
  const recent = createRecent(events);

  function endOf(key: string | null): void {
    for (const [response, its] of open) if (key === null || its === key) response.end();
  }

  return {
    refuseTooMany(key) {
      const own = [...open.values()].filter((one) => one === key).length;
      if (open.size < options.maxStreams && own < options.maxStreamsOfKey) return;
      const most = open.size < options.maxStreams ? `${options.maxStreamsOfKey} of one key` : `${options.maxStreams}`;
      throw new LamppostError('busy', `there are ${most} event streams open, which is the most`, { retryable: true });
    },
    open(response, { key, filter, last }) {
      open.set(response, key);
      response.once('close', () => open.delete(response));
      response.writeHead(200, HEADERS);
      stream(response, { events, recent, filter, after: begin(response, events, last) }, options.heartbeatMs);
    },
    endOf,
    stop: () => endOf(null),
  };
}

/** Where to begin: behind the reader's last event; now where it has none; from the oldest, said aloud, where its place is gone. */
function begin(response: ServerResponse, events: Events, last: string | null): number {
  const kept = { oldest: events.oldest(), head: events.head(), store: events.store() };
  const { after, reset } = last === null ? { after: kept.head, reset: null } : resumeAt(last, kept);
  // An id without data is no event, but a place to resume at, also for one that is cut before its first event.
  response.write(`retry: 2000\nid: ${placeOf(after, kept.store)}\n\n`);
  if (reset !== null) response.write(resetOf({ asked: last!, reason: reset, kept }));
  return after;
}

interface Flow {
  readonly events: Events;
  readonly recent: Recent;
  readonly filter: EventFilter;
  readonly after: number;
}

function stream(response: ServerResponse, { events, recent, filter, after }: Flow, heartbeatMs: number): void {
  const store = events.store();
  let cursor = after;
  /** Whether the reader took all there was, or anything since the last heartbeat. */
  let taking = true;

  /** What comes next, and where the reader stands after it. */
  function next(head: number): { texts: readonly string[]; to: number } {
    if (head - cursor <= PAGE) {
      const matching = recent(cursor, head).filter(({ event }) => passes(event, filter));
      return { texts: matching.map(({ text }) => text), to: head };
    }
    const page = events.page({ ...filter, limit: PAGE, after: String(cursor) });
    const last = page.items.at(-1)?.n ?? 0;
    return {
      texts: page.items.map((item) => sseOf(item, store)),
      to: page.next === null ? Math.max(head, last) : last,
    };
  }

  /** What the socket does not take yet stays in the outbox: the reader goes on from its cursor when it has read. */
  function push(): void {
    while (!response.writableNeedDrain && !response.writableEnded && !response.destroyed) {
      // Asked before the page: what is appended meanwhile is met again, what does not match is not searched twice.
      const head = events.head();
      if (head === cursor) return;
      const { texts, to } = next(head);
      // Asked after the page: a reader so slow that its events were forgotten is told.
      const oldest = events.oldest();
      if (cursor < oldest - 1) {
        response.write(resetOf({ asked: placeOf(cursor, store), reason: 'too-old', kept: { oldest, head, store } }));
        cursor = oldest - 1;
      } else {
        for (const text of texts) response.write(text);
        cursor = to;
      }
    }
  }

  function beat(): void {
    // With the place, so that one whose events are rare does not fall behind what is kept.
    if (!response.writableNeedDrain) response.write(`: still here\nid: ${placeOf(cursor, store)}\n\n`);
    else if (taking) taking = false;
    else response.destroy();
  }

  response.on('drain', () => {
    taking = true;
    push();
  });
  const stopListening = events.onAppended(push);
  const heartbeat = setInterval(beat, heartbeatMs);
  response.once('close', () => {
    stopListening();
    clearInterval(heartbeat);
  });
  push();
}

/** The events in (after, head], at most a page of them, as a stream sends them. */
type Recent = (
  after: number,
  head: number,
) => readonly (ReturnType<Events['page']>['items'][number] & { text: string })[];

/** Readers that have all there was stand at the same place: what is new is looked up and written out once for all of them. */
function createRecent(events: Events): Recent {
  let known = { after: -1, head: -1, items: [] as ReturnType<Recent> };
  return (after, head) => {
    if (known.after !== after || known.head !== head) {
      const store = events.store();
      const { items } = after === head ? { items: [] } : events.page({ limit: head - after, after: String(after) });
      known = { after, head, items: items.map((item) => ({ ...item, text: sseOf(item, store) })) };
    }
    return known.items;
  };
}
