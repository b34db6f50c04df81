import type { JetStreamApiError, JetStreamClient } from '@nats-io/jetstream';
import type { KV, KvEntry, KvOptions } from '@nats-io/kv';
import type { NatsConnection } from '@nats-io/transport-node';
import { LamppostError } from '../domain/index.ts';
import { nats } from './nats.ts';
import type { ClusterSettings } from './settings.ts';

/** How long one request waits: less than a lease lives, so that it can be tried again within that. */
export const REQUEST_MS = 2_000;
/** How long somebody waits who asked for something, as long as for the log. */
export const ASKED_MS = 10_000;
/** How long a start waits for servers that are elected a leader yet. */
const PATIENCE_MS = 30_000;
const AGAIN_MS = 250;

/** JetStream as the settings name it. */
export function jetStreamOf(connection: NatsConnection, { domain }: ClusterSettings): JetStreamClient {
  return nats().jetstream.jetstream(connection, { timeout: REQUEST_MS, ...(domain === null ? {} : { domain }) });
}

/**
 * Opens a bucket of keys, and creates it where there is none yet. Reads go to its leader: what they return is not older
 * than what was acknowledged before. Throws `log-away`.
 */
export function bucketOf(
  connection: NatsConnection,
  settings: ClusterSettings,
  what: string,
  more: Partial<KvOptions> = {},
): Promise<KV> {
  const options = { replicas: settings.replicas, history: 1, allow_direct: false, ...more };
  const kvm = new (nats().keys.Kvm)(jetStreamOf(connection, settings));
  return patiently(`the bucket ${settings.name}-${what}`, () => kvm.create(`${settings.name}-${what}`, options));
}

/** Returns the names of the keys of a bucket, with one request. */
export async function keysIn(connection: NatsConnection, settings: ClusterSettings, what: string): Promise<string[]> {
  const bucket = `${settings.name}-${what}`;
  const manager = await jetStreamOf(connection, settings).jetstreamManager(false);
  const { state } = await manager.streams.info(`KV_${bucket}`, { subjects_filter: '>' });
  return Object.keys(state.subjects ?? {}).map((subject) => subject.slice(`$KV.${bucket}.`.length));
}

/** The JSON of a key; null where it was deleted, or is none. */
export function jsonOf(entry: KvEntry | null): unknown {
  if (entry?.operation !== 'PUT') return null;
  try {
    return entry.json();
  } catch {
    return null;
  }
}

/**
 * Tries something again while JetStream has no leader or too few servers, for so many ms. Throws `log-away` with its
 * last error.
 */
export async function patiently<T>(what: string, work: () => Promise<T>, ms = PATIENCE_MS): Promise<T> {
  const deadline = performance.now() + ms;
  for (;;) {
    try {
      return await work();
    } catch (cause) {
      if (!mayPass(cause)) throw cause;
      if (performance.now() > deadline) throw away(what, cause);
    }
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
  }
}

/** The error of something that NATS did not do in time. */
export function away(what: string, cause: unknown): LamppostError {
  const message = `NATS does not respond about ${what}: ${(cause as Error).message}`;
  return new LamppostError('log-away', message, { retryable: true, cause });
}

// Of the server's errors.json.
const NO_SUITABLE_PEERS = 10_005;
const INSUFFICIENT_RESOURCES = 10_023;
const NOT_AVAILABLE = 10_008;
const WRONG_LAST_SEQUENCE = 10_071;

/** Whether JetStream itself refused a request. */
export const isOfApi = (error: unknown): error is JetStreamApiError =>
  error instanceof nats().jetstream.JetStreamApiError;

/** Whether the servers may do it in a moment: a request without a response, or a cluster without a leader. */
export function mayPass(error: unknown): boolean {
  if (isOfApi(error))
    return [NO_SUITABLE_PEERS, INSUFFICIENT_RESOURCES, NOT_AVAILABLE].includes(error.code) || error.status === 503;
  return /timeout|no responders|disconnect/i.test((error as Error).message);
}

/** Whether somebody else wrote since the revision that a write expected. */
export const isOvertaken = (error: unknown): boolean => isOfApi(error) && error.code === WRONG_LAST_SEQUENCE;
