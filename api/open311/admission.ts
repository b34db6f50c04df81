import type { FastifyReply } from 'fastify';
import { type Clock, type Key, lackOf, mayAny } from '../../domain/index.ts';
import { type Fault, Refused } from './protocol.ts';

const WINDOW_MS = 60_000;
/** The limit of a whole key, in limits of one address. */
const ADDRESSES = 10;
/** How many times as many may come of addresses that had none in this minute, where anybody may ask. */
const FIRSTS = 10;
/** The part of an address's limit that one declared id has: behind one address may be the server of an app. */
const DECLARED = 1 / 4;

/** Counts the requests of an app, of the addresses that use it, and of the ids that it declares, over fixed minutes. */
export interface RequestLimit {
  /** Counts a request as soon as its key is known. Throws `Refused` (429) past a limit; it then counts for nobody. */
  arrive(key: string, source: string, reply: FastifyReply): void;
  /**
   * Counts it for an id that the app declares. Past the limit it throws, and the request is taken back from the others.
   * Ids are free to invent, so those of the address hold beside it.
   */
  declare(key: string, source: string, id: string, reply: FastifyReply): void;
}

interface Senders {
  /**
   * Whether they are strangers, of whom nobody is responsible for the others: some addresses that send as much as they
   * may do not use up what is there for all, as the first request of each other address has room of its own.
   */
  readonly strangers: boolean;
}

/** Returns the limit; 0 requests a minute: none. Sets the RateLimit headers (IETF draft 10) and Retry-After. */
export function createRequestLimit(
  clock: Clock,
  perMinute: number,
  { strangers }: Senders = { strangers: false },
): RequestLimit {
  const counts = new Map<string, number>();
  let began = 0;

  /** Returns the seconds that are left of this minute. */
  function turn(): number {
    const nowMs = clock.now();
    if (nowMs - began >= WINDOW_MS || nowMs < began) {
      counts.clear();
      began = nowMs;
    }
    return Math.ceil((began + WINDOW_MS - nowMs) / 1_000);
  }

  const count = (who: string) => counts.get(who) ?? 0;
  const add = (who: string, more: 1 | -1) => void counts.set(who, count(who) + more);

  function setLimits(
    reply: FastifyReply,
    { left, seconds }: { readonly left: number; readonly seconds: number },
  ): void {
    reply.header('ratelimit-policy', `"requests";q=${perMinute};w=${WINDOW_MS / 1_000}`);
    reply.header('ratelimit', `"requests";r=${Math.max(0, left)};t=${seconds}`);
  }

  return {
    arrive(key, source, reply) {
      if (perMinute === 0) return;
      const seconds = turn();
      const sender = `${key} ${source}`;
      const most = ADDRESSES * perMinute * (strangers && count(sender) === 0 ? FIRSTS : 1);
      const left = () => Math.min(perMinute - count(sender), most - count(key));
      if (left() <= 0) {
        setLimits(reply, { left: 0, seconds });
        const whose = count(sender) >= perMinute ? 'from your address with this api_key' : 'with this api_key';
        throw tooMany(whose, seconds);
      }
      add(key, 1);
      add(sender, 1);
      setLimits(reply, { left: left(), seconds });
    },
    declare(key, source, id, reply) {
      if (perMinute === 0) return;
      const seconds = turn();
      const who = `${key} ${source} ${id}`;
      if (count(who) < Math.ceil(perMinute * DECLARED)) return add(who, 1);
      for (const other of [key, `${key} ${source}`]) if (count(other) > 0) add(other, -1);
      setLimits(reply, { left: 0, seconds });
      throw tooMany('from this device_id or account_id', seconds);
    },
  };
}

function tooMany(whose: string, seconds: number): Refused {
  return new Refused(
    [{ code: 429, description: `too many requests ${whose}; Retry-After says when to try again` }],
    seconds,
  );
}

/** What one form holds in memory while it is read. */
export interface Held {
  /** Adds bytes. Throws `Refused`: 429 where the holder has its share, 503 where there is no room. */
  add(bytes: number): void;
  /** The bytes that were added. */
  readonly bytes: number;
  /** Gives them back. Calling it again does nothing. */
  release(): void;
}

const RETRY_S = 5;

/**
 * Returns the room for forms that are being read: bytes in all. A holder may have as much as is then left for all
 * others: one alone at most half, several less each, and there is always room for one more.
 */
export function createRoom(total: number): { readonly held: number; hold(who: string): Held } {
  const holders = new Map<string, number>();
  let held = 0;

  function change(who: string, bytes: number): void {
    held += bytes;
    const own = (holders.get(who) ?? 0) + bytes;
    if (own === 0) holders.delete(who);
    else holders.set(who, own);
  }

  function refuse(own: number): never {
    const mine = 2 * own > total - held;
    const fault: Fault = mine
      ? { code: 429, description: 'too many forms at once from your address; send the next when one is done' }
      : { code: 503, description: 'too many forms are being sent; try again in some seconds' };
    throw new Refused([fault], RETRY_S);
  }

  return {
    get held() {
      return held;
    },
    hold(who) {
      let bytes = 0;
      return {
        add(more) {
          const own = holders.get(who) ?? 0;
          if (own + more > total - held - more) refuse(own);
          change(who, more);
          bytes += more;
        },
        get bytes() {
          return bytes;
        },
        release() {
          change(who, -bytes);
          bytes = 0;
        },
      };
    },
  };
}

/** Returns the fault of a key that may not request a service; null where it may. */
export function keyFault(key: Key | null): Fault | null {
  if (key === null)
    return { code: 403, description: 'api_key: is missing or not valid; service discovery says how to get one' };
  if (mayAny([key], 'requests.submit')) return null;
  return { code: 403, description: `api_key: ${lackOf([key], 'requests.submit')}` };
}
