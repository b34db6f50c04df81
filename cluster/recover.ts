import type { JetStreamClient } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { LamppostError } from '../domain/index.ts';
import { isOvertaken, jetStreamOf, patiently } from './jetstream.ts';
import { commonBlock } from './mirror.ts';
import type { SeenNode } from './nodes.ts';
import type { ClusterSettings } from './settings.ts';
import { beginStreamAt, type LogMessage, messageAt, streamRange } from './stream.ts';

/** The log file of the node that has the longest one. */
export interface Tail {
  /** The subject of the stream. */
  readonly subject: string;
  readonly oldest: number;
  readonly newest: number;
  /** A block as the message that it was. Throws `damaged`. */
  messageOf(seq: number): LogMessage;
  /** Whether a message of the stream is the block of its number. */
  isSame(message: LogMessage): boolean;
}

/** What a recovery does: the blocks that it puts back, both ends included; null: the stream lacks none. */
export type Missing = { readonly from: number; readonly to: number } | null;

/**
 * Returns which blocks of a log file the stream lacks. Throws `conflict` where a node runs, where another node has a
 * longer log, or where the file does not go on from the stream.
 */
export async function missingTail(
  connection: NatsConnection,
  settings: ClusterSettings,
  tail: Tail,
  nodes: readonly SeenNode[],
): Promise<Missing> {
  const running = nodes.filter(({ state }) => state === 'running').map(({ node }) => node);
  if (running.length > 0)
    throw new LamppostError('conflict', `stop every node first: ${running.join(', ')} said that it runs within 15 s`);
  const longer = nodes.find(({ mirrored }) => mirrored > tail.newest);
  if (longer !== undefined)
    throw new LamppostError(
      'conflict',
      `node ${longer.node} has blocks up to ${longer.mirrored}, and this log ends with ${tail.newest}: run it there`,
    );
  const range = (await streamRange(connection, settings)) ?? { first: 1, last: 0 };
  if (range.last >= tail.newest) return null;
  const isEmpty = range.first > range.last;
  const from = isEmpty ? Math.max(tail.oldest, range.last + 1) : range.last + 1;
  if (from < tail.oldest)
    throw new LamppostError(
      'conflict',
      `the stream ends with block ${range.last} and this log begins with ${tail.oldest}: the blocks between are lost ` +
        'here; look for a node or a backup that has them',
    );
  const common = commonBlock(tail.newest, range);
  const message = common === null ? null : await messageAt(connection, settings, common);
  if (message !== null && !tail.isSame(message))
    throw new LamppostError(
      'conflict',
      `block ${common} of the stream is another one: something was appended after blocks were lost. What is in this ` +
        'log after it cannot be put back; keep the folder, and read it with lamppost restore --log',
    );
  return { from, to: tail.newest };
}

/**
 * Puts blocks of a log file back into the stream, in order, each only where the one before it is the newest. Throws
 * `conflict` where somebody else appended meanwhile: then the blocks until there are back.
 */
export async function putBack(
  connection: NatsConnection,
  settings: ClusterSettings,
  tail: Tail,
  { from, to }: NonNullable<Missing>,
  onProgress: (seq: number) => void = () => {},
): Promise<void> {
  const client = jetStreamOf(connection, settings);
  const { last = 0 } = (await streamRange(connection, settings)) ?? {};
  if (from > last + 1) await beginStreamAt(connection, settings, from);
  for (let seq = from; seq <= to; seq++) {
    const message = tail.messageOf(seq);
    await publish(client, tail.subject, message).catch(async (error: unknown) => {
      if (!isOvertaken(error)) throw error;
      const found = await messageAt(connection, settings, seq);
      if (found === null) await publishNext(client, tail.subject, message);
      // The block itself, whose acknowledgement was lost, or one of somebody else.
      else if (!tail.isSame(found)) throw appendedBy(seq);
    });
    onProgress(seq);
  }
}

/**
 * Publishes a block of a stream whose numbers were moved. Until its server starts anew, that compares what is expected
 * with a count from 0, so nothing can be expected; one of several responds the first time with an error by which it
 * learns.
 */
async function publishNext(client: JetStreamClient, subject: string, { seq, data }: LogMessage): Promise<void> {
  const send = () =>
    client.publish(subject, data, { msgID: `recovered-${seq}` }).catch((error: unknown) => {
      if (!/sequence does not match/i.test((error as Error).message)) throw error;
      return client.publish(subject, data, { msgID: `recovered-${seq}` });
    });
  const ack = await patiently(`block ${seq}`, send);
  if (ack.seq !== seq) throw appendedBy(seq);
}

async function publish(client: JetStreamClient, subject: string, { seq, data }: LogMessage): Promise<void> {
  await patiently(`block ${seq}`, () => client.publish(subject, data, { expect: { lastSequence: seq - 1 } }));
}

const appendedBy = (seq: number) =>
  new LamppostError('conflict', `somebody appended to the stream: block ${seq} is another one. Stop every node`);
