import type { KvEntry } from '@nats-io/kv';
import type { NatsConnection } from '@nats-io/transport-node';
import { ASKED_MS, bucketOf, isOvertaken, patiently, REQUEST_MS } from './jetstream.ts';
import type { ClusterSettings } from './settings.ts';

/** Keys of which something happens once, whichever nodes are asked. All throw `log-away`. */
export interface OnceKeys {
  put(key: string, value: string): Promise<void>;
  /** Takes the value of a key away and returns it; null where there is none, `isIt` says no, or another was first. */
  take(key: string, isIt: (value: string) => boolean): Promise<string | null>;
  /** Raises the number of a key; false where it is as high already, or another node was first. */
  raise(key: string, to: number): Promise<boolean>;
}

/** Opens the bucket `<cluster>-once`, and creates it where there is none. Throws `log-away`. */
export async function openOnceKeys(connection: NatsConnection, settings: ClusterSettings): Promise<OnceKeys> {
  const bucket = await bucketOf(connection, settings, 'once');
  const ask = <T>(work: () => Promise<T>) => patiently('what counts once', work, ASKED_MS);
  const get = (key: string) => ask(() => bucket.get(key));
  /** An acknowledgement that was lost counts as that of another node: nothing counts twice. */
  async function first(write: () => Promise<unknown>): Promise<boolean> {
    try {
      await ask(write);
      return true;
    } catch (error) {
      if (isOvertaken(error)) return false;
      throw error;
    }
  }
  return {
    put: async (key, value) => void (await ask(() => bucket.put(key, value))),
    async take(key, isIt) {
      const entry = await get(key);
      const value = storedIn(entry);
      if (value === null || !isIt(value)) return null;
      return (await first(() => bucket.delete(key, { previousSeq: entry!.revision }))) ? value : null;
    },
    async raise(key, to) {
      const entry = await get(key);
      if (Number(storedIn(entry) ?? 0) >= to) return false;
      return first(() => bucket.put(key, String(to), { previousSeq: entry?.revision ?? 0, timeout: REQUEST_MS }));
    },
  };
}

const storedIn = (entry: KvEntry | null) => (entry?.operation === 'PUT' ? entry.string() : null);
