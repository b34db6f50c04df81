import { join } from 'node:path';
import { jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import type { LogMessage, Tail } from '../../../cluster/index.ts';
import type { Block } from '../../../domain/index.ts';
import { JournalReader, JournalStore } from '../../../journal/index.ts';

/** Appends control records to the log file of a data folder. */
export function appendTo(dir: string, texts: readonly string[]): void {
  const store = new JournalStore(join(dir, 'journal.sqlite')).open();
  for (const text of texts) store.appendControl('tick', Buffer.from(text), 1_000 + store.seq, null);
  store.close();
}

/** Makes the stream of a cluster, and appends these messages. */
export async function streamWith(connection: NatsConnection, texts: readonly string[], replicas = 1): Promise<void> {
  const manager = await jetstreamManager(connection);
  await manager.streams.add({ name: 'lamppost', subjects: ['lamppost.log'], num_replicas: replicas });
  for (const text of texts) await manager.jetstream().publish('lamppost.log', text);
}

/** Whether a message is the text of a block. */
export const isSame = ({ body }: Block, { data }: LogMessage) => Buffer.compare(body, data) === 0;

/** The log file of a data folder; a message is the text of its block. */
export function tailOf(dir: string): Tail {
  const reader = new JournalReader(join(dir, 'journal.sqlite')).open();
  const block = (seq: number) => reader.after(seq - 1, 1)[0]!;
  return {
    ...{ subject: 'lamppost.log', oldest: reader.after(0, 1)[0]!.seq, newest: reader.head().seq },
    messageOf: (seq) => ({ seq, data: block(seq).body }),
    isSame: (message) => isSame(block(message.seq), message),
  };
}
