import type { JetStreamManager, StreamInfo } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { LamppostError } from '../domain/index.ts';
import { isOfApi, jetStreamOf, patiently, REQUEST_MS } from './jetstream.ts';
import type { ClusterSettings } from './settings.ts';

/** Which blocks of the log the stream has; `first` is past `last` where it has none. */
export interface StreamRange {
  readonly first: number;
  readonly last: number;
}

/** A message of the stream, which is one block of the log. */
export interface LogMessage {
  readonly seq: number;
  readonly data: Uint8Array;
}

const STREAM_NOT_FOUND = 10_059;
const NO_MESSAGE = 10_037;

const managerOf = (connection: NatsConnection, settings: ClusterSettings): Promise<JetStreamManager> =>
  jetStreamOf(connection, settings).jetstreamManager(false);

/** Returns what the server says of the stream of the log; null where there is none yet. Throws `log-away`. */
export async function streamInfo(connection: NatsConnection, settings: ClusterSettings): Promise<StreamInfo | null> {
  const manager = await managerOf(connection, settings);
  return patiently(`the stream ${settings.name}`, () =>
    manager.streams.info(settings.name).catch((error: unknown) => {
      if (isOfApi(error) && error.code === STREAM_NOT_FOUND) return null;
      throw error;
    }),
  );
}

/** Returns which blocks the stream has; null where there is no stream yet. Throws `log-away`. */
export async function streamRange(connection: NatsConnection, settings: ClusterSettings): Promise<StreamRange | null> {
  const info = await streamInfo(connection, settings);
  if (info === null) return null;
  const { first_seq, last_seq, messages } = info.state;
  return { first: messages === 0 ? last_seq + 1 : first_seq, last: last_seq };
}

/** Returns one message of the stream; null where it does not have it. Throws `log-away`. */
export async function messageAt(
  connection: NatsConnection,
  settings: ClusterSettings,
  seq: number,
): Promise<LogMessage | null> {
  const manager = await managerOf(connection, settings);
  const found = await patiently(`message ${seq} of the stream ${settings.name}`, () =>
    manager.streams.getMessage(settings.name, { seq }).catch((error: unknown) => {
      if (isOfApi(error) && error.code === NO_MESSAGE) return null;
      throw error;
    }),
  );
  return found === null ? null : { seq, data: found.data };
}

/**
 * Deletes the blocks up to `upTo` from the stream, but never the newest one, with which a node compares its own.
 * Numbers stay. Returns how many it deleted.
 */
export async function trimStream(connection: NatsConnection, settings: ClusterSettings, upTo: number): Promise<number> {
  const range = await streamRange(connection, settings);
  const seq = Math.min(upTo + 1, range?.last ?? 0);
  if (range === null || seq <= range.first) return 0;
  const manager = await managerOf(connection, settings);
  const { purged } = await patiently('a purge', () => manager.streams.purge(settings.name, { seq }));
  return purged;
}

/** Lets another server lead the stream of the log. Rejects where no server responds. */
export async function electAnother(connection: NatsConnection, { name, domain }: ClusterSettings): Promise<void> {
  const api = domain === null ? '$JS.API' : `$JS.${domain}.API`;
  await connection.request(`${api}.STREAM.LEADER.STEPDOWN.${name}`, '', { timeout: REQUEST_MS });
}

/** Makes an empty stream begin with block `seq`. Throws `conflict` where it has blocks, or had later ones. */
export async function beginStreamAt(connection: NatsConnection, settings: ClusterSettings, seq: number): Promise<void> {
  const manager = await managerOf(connection, settings);
  const before = await streamRange(connection, settings);
  if (before === null || before.first <= before.last || before.last >= seq)
    throw new LamppostError('conflict', `the stream ${settings.name} is not empty, or had blocks after ${seq}`);
  if (before.last === seq - 1) return;
  await patiently('a purge', () => manager.streams.purge(settings.name, { seq }));
  const after = await streamRange(connection, settings);
  if (after?.last !== seq - 1)
    throw new LamppostError('conflict', `the stream ${settings.name} cannot begin with block ${seq}`);
}
