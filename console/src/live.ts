import type { QueryClient } from '@tanstack/react-query';
import { api, bodyOf, credentials, turnAway } from './api/client.ts';
import type { ShownSilence } from './api/schema.ts';
import { createStore, type Store } from './store.ts';

/** An event, as far as the page reads it. */
export interface LiveEvent {
  readonly id: string;
  readonly type: string;
  readonly subject: string;
  readonly time: string;
  readonly data: {
    readonly id?: string;
    readonly title?: string;
    readonly titleZh?: string;
    readonly severity?: string;
    readonly ticket?: string | null;
    /** Of a silence: what it is about, and why. */
    readonly matchers?: ShownSilence['matchers'];
    readonly comment?: string;
    /** Of a command, and of what a device is wanted to be. */
    readonly device?: string;
    readonly command?: string;
  };
}

export interface Live {
  readonly state: 'connecting' | 'live' | 'behind' | 'lost';
  /** The newest first. */
  readonly events: readonly LiveEvent[];
}

const KEPT = 100;
const AGAIN_MS = 2_000;
/** What events change. */
const CHANGING = ['tickets', 'ticket', 'counts', 'alerts'];
/** The server sends a heartbeat every 15 s: a stream that is silent for longer is lost. */
const SILENT_MS = 40_000;
/** An event that is older when it arrives: the page is catching up. */
const BEHIND_MS = 30_000;

export const live: Store<Live> = createStore<Live>({ state: 'connecting', events: [] });

/**
 * Follows the events of the city until it is stopped: resumes after the last one, and refetches what they change. A
 * header carries the key, which EventSource cannot send.
 */
export function follow(client: QueryClient): () => void {
  const ended = new AbortController();
  let last: string | null = null;
  let due: ReturnType<typeof setTimeout> | null = null;
  let more = false;
  live.set({ state: 'connecting', events: [] });

  /** Many events in one second are one refetch. The next waits for it: a long list takes more than a second. */
  function changed(): void {
    more = true;
    due ??= setTimeout(() => void refetch(), 1_000);
  }

  async function refetch(): Promise<void> {
    more = false;
    const all = Promise.all(CHANGING.map((key) => client.invalidateQueries({ queryKey: [key] })));
    await Promise.race([all, new Promise((resolve) => setTimeout(resolve, SILENT_MS))]);
    due = null;
    if (more && !ended.signal.aborted) changed();
  }

  function take(events: readonly LiveEvent[], fresh: boolean): void {
    // Who comes next is not shown what this one saw.
    if (ended.signal.aborted) return;
    live.set(({ state, events: before }) => {
      const known = new Set(before.map(({ id }) => id));
      const some = events.filter(({ id }) => !known.has(id)).reverse();
      // Those of before the stream come later than its first ones.
      return { state, events: (fresh ? [...some, ...before] : [...before, ...some]).slice(0, KEPT) };
    });
    if (fresh && events.length > 0) changed();
  }

  const say = (state: Live['state']) => live.set((before) => ({ ...before, state }));

  /** The newest events before the place at which the stream begins. Numbers have no gaps. */
  async function fill(place: string): Promise<void> {
    const n = Number.parseInt(place, 10);
    const after = String(Math.max(0, n - KEPT));
    const { items } = await bodyOf(api.GET('/api/v1/events', { params: { query: { after, limit: KEPT } } }));
    take(
      items.map(({ event }) => event as LiveEvent),
      false,
    );
  }

  function takePart(part: string): void {
    const fields = fieldsOf(part);
    if (fields.event === 'reset') last = null;
    else if (fields.id !== undefined) {
      const isFirst = last === null;
      last = fields.id;
      if (isFirst && fields.data === undefined) void fill(fields.id).catch(() => {});
    }
    if (fields.data === undefined || fields.event === 'reset') return;
    const event = JSON.parse(fields.data) as LiveEvent;
    say(Date.now() - Date.parse(event.time) > BEHIND_MS ? 'behind' : 'live');
    take([event], true);
  }

  async function once(): Promise<void> {
    const silence = new AbortController();
    let timer = setTimeout(() => silence.abort(), SILENT_MS);
    const headers = {
      ...credentials(),
      accept: 'text/event-stream',
      ...(last === null ? {} : { 'last-event-id': last }),
    };
    const response = await fetch('/api/v1/events', {
      headers,
      signal: AbortSignal.any([ended.signal, silence.signal]),
    });
    if (response.status === 401) turnAway();
    if (!response.ok || response.body === null) throw new Error(String(response.status));
    say('live');
    changed();
    let rest = '';
    for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), SILENT_MS);
      const parts = (rest + text).split('\n\n');
      rest = parts.pop() ?? '';
      for (const part of parts) takePart(part);
      if (live.get().state === 'behind' && rest === '') say('live');
    }
    clearTimeout(timer);
  }

  async function always(): Promise<void> {
    while (!ended.signal.aborted) {
      await once().catch(() => {});
      if (ended.signal.aborted) return;
      say('lost');
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
  }

  void always();
  return () => {
    ended.abort();
    if (due !== null) clearTimeout(due);
    live.set({ state: 'connecting', events: [] });
  };
}

function fieldsOf(part: string): Partial<Record<'id' | 'event' | 'data', string>> {
  return Object.fromEntries(
    part.split('\n').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]),
  );
}
