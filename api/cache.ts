import { createHash } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type Clock, LamppostError } from '../domain/index.ts';
import { createTurns } from '../limits/index.ts';
import type { Pause } from '../tickets/index.ts';
import { varyBy } from './edge/index.ts';

/** A document as it is sent to everybody who asks for the same. */
export interface Rendered {
  readonly body: Buffer;
  readonly etag: string;
  /** Whether there is another page. */
  readonly more: boolean;
}

/**
 * Returns a document with its entity tag (RFC 9110 §8.8.3): of the same text it is the same, and weak, as the bytes are
 * others where they are compressed.
 */
export function renderedOf(text: string, more = false): Rendered {
  const body = Buffer.from(text);
  const etag = `W/"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`;
  return { body, etag, more };
}

/** Sends a document that anybody may cache; 304 where the client has it already. */
export function sendRendered(reply: FastifyReply, { body, etag }: Rendered, maxAgeMs: number): FastifyReply {
  reply.header('etag', etag).header('cache-control', `public, max-age=${maxAgeMs / 1_000}`);
  varyBy(reply, 'accept-encoding');
  const opaque = (tag: string) => tag.trim().replace(/^W\//, '');
  const known = reply.request.headers['if-none-match']?.split(',').map(opaque) ?? [];
  if (known.includes(opaque(etag)) || known.includes('*')) return reply.removeHeader('content-type').code(304).send();
  return reply.send(body);
}

interface Options {
  /** How long a document is sent without being made again, ms. */
  readonly forMs: number;
  /** Bounds of what is kept. */
  readonly mostEntries: number;
  readonly mostBytes: number;
  /** Documents that are made at once, one of an address. */
  readonly atOnce: number;
  /** Documents that wait for it: of one address, and of all. */
  readonly perSource: number;
  readonly total: number;
}

const USUAL: Options = {
  ...{ forMs: 5_000, mostEntries: 200, mostBytes: 16 * 1024 * 1024 },
  ...{ atOnce: 1, perSource: 16, total: 128 },
};

interface Entry {
  readonly version: unknown;
  readonly madeMs: number;
  readonly made: Promise<Rendered>;
  /** Renders the document in the turn of an address, once: the first of all who wait for it. Throws `limit`, `busy`. */
  readonly queue: (source: string) => Promise<void>;
  /** Clients that wait for it. */
  waiting: number;
  bytes: number;
}

/** Documents for everybody: a few are made at a time, in pieces, addresses in turns, and kept for a short while. */
export interface Cache {
  /**
   * Resolves to the document of a name and version: the same promise for all who ask while it is made, and for a while
   * after. `make` pauses between its pieces; it is ended where all who wait have gone. Throws `limit` where an address
   * waits for too many documents, `busy` where all do.
   */
  get(request: FastifyRequest, name: string, make: (pause: Pause) => Promise<Rendered>): Promise<Rendered>;
}

/** Returns a cache; what it has of another version is not sent. */
export function createCache(clock: Clock, version: () => string, options: Partial<Options> = {}): Cache {
  const { forMs, mostEntries, mostBytes, atOnce, perSource, total } = { ...USUAL, ...options };
  /** The oldest first. */
  const entries = new Map<string, Entry>();
  // Who asks for many documents waits for their own: another address is next.
  const turns = createTurns({ atOnce, eachAtOnce: 1, perHolder: perSource, total });
  let bytes = 0;

  function forget(name: string, entry: Entry): void {
    if (entries.get(name) !== entry) return;
    entries.delete(name);
    bytes -= entry.bytes;
  }

  function keep(name: string, entry: Entry, size: number): void {
    if (entries.get(name) !== entry) return;
    entry.bytes = size;
    bytes += size;
    for (const [other, old] of entries) {
      if (entries.size <= mostEntries && bytes <= mostBytes) return;
      if (old.bytes > 0) forget(other, old);
    }
  }

  function fresh(name: string): Entry | null {
    const entry = entries.get(name);
    const ageMs = entry === undefined ? forMs : clock.now() - entry.madeMs;
    // A clock that was set back makes nothing last longer.
    return entry?.version === version() && ageMs >= 0 && ageMs < forMs ? entry : null;
  }

  function begin(name: string, make: (pause: Pause) => Promise<Rendered>): Entry {
    const { promise: made, resolve } = Promise.withResolvers<Rendered>();
    const sources = new Set<string>();
    let begun = false;
    const pause = async () => {
      await setImmediate();
      if (entry.waiting === 0) throw new LamppostError('busy', 'nobody waits for the list any more');
    };
    async function start(): Promise<void> {
      if (begun) return;
      begun = true;
      resolve(pause().then(() => make(pause)));
      await made.catch(() => {});
    }
    async function queue(source: string): Promise<void> {
      if (begun || sources.has(source)) return;
      sources.add(source);
      try {
        await turns.run(source, start);
      } catch (error) {
        sources.delete(source);
        if (sources.size === 0) forget(name, entry);
        throw error;
      }
    }
    const entry: Entry = { version: version(), madeMs: clock.now(), made, queue, waiting: 0, bytes: 0 };
    const old = entries.get(name);
    if (old !== undefined) forget(name, old);
    entries.set(name, entry);
    made.then(
      ({ body }) => keep(name, entry, body.length),
      () => forget(name, entry),
    );
    return entry;
  }

  return {
    async get(request, name, make) {
      const entry = fresh(name) ?? begin(name, make);
      entry.waiting++;
      let here = true;
      const leave = () => {
        if (here) entry.waiting--;
        here = false;
      };
      request.raw.socket.once('close', leave);
      try {
        return await Promise.race([entry.made, entry.queue(request.source).then(() => entry.made)]);
      } finally {
        request.raw.socket.off('close', leave);
        leave();
      }
    },
  };
}
