import type { CloudEvent } from '../../domain/index.ts';

/** An event as received over a stream. */
export interface Received {
  /** Its number. */
  readonly n: number;
  readonly event: CloudEvent;
}

interface Options {
  /** Where the server listens. */
  readonly url: () => string;
  readonly key: string;
  /** `?type=…` or nothing. */
  readonly query?: string;
  /** The id to begin after; null: only new events. */
  readonly last: string | null;
  /** How long it takes over each chunk, ms. */
  readonly delayMs?: number;
  readonly onEvent?: (received: Received) => void;
}

/**
 * A reader like those of browsers (WHATWG HTML §9.2): it keeps the last id, reconnects with it when the connection is
 * lost, and
 * does not check what it receives.
 */
export function createSseReader({ url, key, query = '', last, delayMs = 0, onEvent }: Options) {
  const received: Received[] = [];
  const resets: string[] = [];
  let connections = 0;
  let place = last;
  let connection: AbortController | null = null;
  let ended = false;

  function take(frame: string): void {
    let type = '';
    let data = '';
    for (const line of frame.split('\n')) {
      const colon = line.indexOf(':');
      const [field, value] = [line.slice(0, colon), line.slice(colon + 1).trimStart()];
      if (field === 'id') place = value;
      if (field === 'event') type = value;
      if (field === 'data') data = value;
    }
    if (type === 'reset') resets.push(data);
    else if (data !== '') {
      const one = { n: Number.parseInt(place!, 10), event: JSON.parse(data) as CloudEvent };
      received.push(one);
      onEvent?.(one);
    }
  }

  async function read(): Promise<void> {
    connection = new AbortController();
    const resumed = place === null ? {} : { 'last-event-id': place };
    const headers = { authorization: `Bearer ${key}`, accept: 'text/event-stream', ...resumed };
    const response = await fetch(`${url()}/api/v1/events${query}`, { headers, signal: connection.signal });
    if (response.status !== 200) throw new Error(`${response.status}`);
    connections++;
    let text = '';
    for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
      const frames = (text + chunk).split('\n\n');
      text = frames.pop()!;
      frames.forEach(take);
      if (delayMs > 0) await new Promise((resolve) => setTimeout(resolve, delayMs));
    }
  }

  async function loop(): Promise<void> {
    while (!ended) {
      // The server is down: retry until it is back.
      await read().catch(() => {});
      if (!ended) await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  const done = loop();
  return {
    received,
    /** Notices about positions that are no longer available. */
    resets,
    connections: () => connections,
    async end(): Promise<void> {
      ended = true;
      connection?.abort();
      await done;
    },
  };
}
