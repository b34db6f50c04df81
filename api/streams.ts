import type { ServerResponse } from 'node:http';
import { LamppostError } from '../domain/index.ts';
import { type EventFilter, passes, placeOf, resetOf, resumeAt, sseOf } from '../events/index.ts';
import { createGate } from '../limits/index.ts';
import type { ApiDeps } from './deps.ts';
import type { Refusals } from './edge/index.ts';

/** Limits of the event streams. */
export interface StreamOptions {
  /**
   * Time between heartbeats. A reader that takes nothing for that long is disconnected and resumes by Last-Event-ID.
   */
  readonly heartbeatMs: number;
  /** The number of open streams, in total, of one key and of one address. */
  readonly maxStreams: number;
  readonly maxStreamsOfKey: number;
  readonly maxStreamsOfAddress: number;
}

/** What a reader wants. */
export interface StreamRequest {
  /** The id of its key or person. */
  readonly key: string;
  /** The id of its session; null with a key. */
  readonly session: string | null;
  /** Whether the reader may go on: asked at each heartbeat. */
  readonly mayRead: () => boolean;
  /** What its address is counted as. */
  readonly source: string;
  readonly filter: EventFilter;
  /** The id of its last event; null: only new events. */
  readonly last: string | null;
}

/** The open event streams. */
export interface Streams {
  /**
   * Takes a place for a stream; returns the function that sends the events to the response until it closes. Where all
   * places are taken, the newest stream of the key that has the most ends; its reader may resume. Throws `limit` where
   * the key or the address has too many, and `busy` where no other key has more.
   */
  admit(response: ServerResponse, request: StreamRequest): () => void;
  /** Ends the streams of a key, a person or a session. */
  endOf(id: string): void;
  /** Ends all streams. */
  stop(): void;
}

/** Events per page. A reader that does not read holds one page in memory: about 100 KB. */
const PAGE = 50;
/** What is looked at for one page. */
const WITHIN = { events: 2_000, characters: 256 * 1024 };

const HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-store',
  'x-accel-buffering': 'no',
};

type Events = ApiDeps['events'];

/** Creates the streams of the outbox as server-sent events (WHATWG HTML §9.2). */
export function createStreams(events: Events, options: StreamOptions, refusals: Refusals): Streams {
  const open = new Map<ServerResponse, Pick<StreamRequest, 'key' | 'session'>>();
  const recent = createRecent(events);
  const inTurn = createTurns();
  const keys = createGate({ perHolder: options.maxStreamsOfKey, total: options.maxStreams });
  const addresses = createGate({ perHolder: options.maxStreamsOfAddress, total: Number.POSITIVE_INFINITY });

  function endOf(id: string | null): void {
    for (const [response, { key, session }] of open) if (id === null || key === id || session === id) response.end();
  }

  function refused({ key, source }: StreamRequest): LamppostError {
    refusals.count('streams');
    if (addresses.count(source) >= options.maxStreamsOfAddress) return limit(options.maxStreamsOfAddress, 'address');
    if (keys.count(key) >= options.maxStreamsOfKey) return limit(options.maxStreamsOfKey, 'key');
    const all = `${options.maxStreams} event streams are open, which is the limit`;
    return new LamppostError('busy', all, { retryable: true });
  }

  return {
    admit(response, request) {
      const { key, source, filter, last, mayRead } = request;
      const leaveAddress = addresses.enter(source);
      const giveWay = () => {
        refusals.count('stream-gave-way');
        endNow(response);
      };
      const leaveKey = leaveAddress && keys.enter(key, giveWay);
      if (leaveKey === null) {
        leaveAddress?.();
        throw refused(request);
      }
      open.set(response, request);
      response.once('close', () => {
        open.delete(response);
        leaveAddress!();
        leaveKey();
      });
      return () => {
        response.writeHead(200, HEADERS);
        const after = begin(response, events, last);
        stream(response, { events, recent, inTurn, filter, after, mayRead }, options.heartbeatMs);
      };
    },
    endOf,
    stop: () => endOf(null),
  };
}

function limit(most: number, whose: string): LamppostError {
  const detail = `${most} event streams of one ${whose} are open, which is the limit; close one first`;
  return new LamppostError('limit', detail, { retryable: true, retryAfterMs: 2_000 });
}

/** Ends a stream without waiting for a reader that does not read. */
function endNow(response: ServerResponse): void {
  if (response.writableNeedDrain) response.destroy();
  else response.end(': all places are taken, and your key has the most: this stream ends, resume it later\n\n');
}

/**
 * Returns where to begin: after the reader's last event, or now where it has none. Where its place is gone: the oldest
 * event, after an `event: reset`.
 */
function begin(response: ServerResponse, events: Events, last: string | null): number {
  const kept = { oldest: events.oldest(), head: events.head(), store: events.store(), isShared: events.isShared };
  const { after, reset } = last === null ? { after: kept.head, reset: null } : resumeAt(last, kept);
  // An id without data is no event: it lets a reader resume that is disconnected before its first event.
  response.write(`retry: 2000\nid: ${placeOf(after, kept.store)}\n\n`);
  if (reset !== null) response.write(resetOf({ asked: last!, reason: reset, kept }));
  return after;
}

interface Reader {
  readonly events: Events;
  readonly recent: Recent;
  readonly inTurn: Turns;
  readonly filter: EventFilter;
  readonly after: number;
  readonly mayRead: StreamRequest['mayRead'];
}

function stream(response: ServerResponse, reader: Reader, heartbeatMs: number): void {
  const { events, recent, inTurn, filter } = reader;
  let cursor = reader.after;
  /** Whether a page waits for its turn. */
  let waiting = false;
  /** Whether the reader took everything, or anything since the last heartbeat. */
  let taking = true;

  /** Returns what comes next, and the reader's position after it. */
  function next(head: number): { texts: readonly string[]; to: number } {
    if (head - cursor <= PAGE) {
      const matching = recent(cursor, head).filter(({ event }) => passes(event, filter));
      return { texts: matching.map(({ text }) => text), to: head };
    }
    const page = events.page({ ...filter, limit: PAGE, after: String(cursor), within: WITHIN });
    const store = events.store();
    return {
      texts: page.items.map((item) => sseOf(item, store)),
      to: page.next === null ? Math.max(head, page.items.at(-1)?.n ?? 0) : Number(page.next),
    };
  }

  const mayWrite = () => !response.writableNeedDrain && !response.writableEnded && !response.destroyed;

  /** Writes until the socket is full. The rest stays in the outbox: the reader continues from its cursor. */
  function push(): void {
    while (mayWrite() && !waiting) {
      // Read before the page, so that events that do not match are not searched twice.
      const head = events.head();
      if (head <= cursor) return;
      if (head - cursor <= PAGE) write(head);
      else catchUp();
    }
  }

  /** A long page is read in its turn: a thousand readers that are behind would hold up all other requests. */
  function catchUp(): void {
    waiting = true;
    inTurn(() => {
      waiting = false;
      if (mayWrite()) write(events.head());
      push();
    });
  }

  function write(head: number): void {
    if (head <= cursor) return;
    const { texts, to } = next(head);
    // Read after the page, to notice a reader so slow that its events are gone.
    const oldest = events.oldest();
    if (cursor < oldest - 1) {
      const store = events.store();
      response.write(resetOf({ asked: placeOf(cursor, store), reason: 'too-old', kept: { oldest, store } }));
      cursor = oldest - 1;
    } else {
      for (const text of texts) response.write(text);
      cursor = to;
    }
  }

  function beat(): void {
    if (!reader.mayRead()) {
      response.end();
      return;
    }
    // With the position, so that a reader of rare events does not fall behind the oldest event.
    if (!response.writableNeedDrain) response.write(`: still here\nid: ${placeOf(cursor, events.store())}\n\n`);
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

/** Runs a piece of work when it is its turn. */
type Turns = (run: () => void) => void;

/** One piece of work in each turn of the event loop, in the order of the calls: requests come in between. */
function createTurns(): Turns {
  const queue: (() => void)[] = [];
  let scheduled = false;
  function schedule(): void {
    if (scheduled || queue.length === 0) return;
    scheduled = true;
    setImmediate(() => {
      scheduled = false;
      queue.shift()!();
      schedule();
    });
  }
  return (run) => {
    queue.push(run);
    schedule();
  };
}

/** Returns the events in (after, head], at most a page, as a stream sends them. */
type Recent = (
  after: number,
  head: number,
) => readonly (ReturnType<Events['page']>['items'][number] & { text: string })[];

/** Readers that are up to date share a position: new events are read and serialized once for all of them. */
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
