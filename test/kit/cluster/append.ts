import type { BlockKind } from '../../../domain/index.ts';
import { StreamLog } from '../../../journal/index.ts';
import { type NatsServer, nodeOf } from '../nats.ts';

/** A record as it is in the stream, of any version and kind. */
interface Written {
  readonly v: number;
  readonly kind: BlockKind | string;
  readonly body: unknown;
}

/** Appends a record to the log of a cluster, as a node of another release does. Resolves to its number. */
export async function appendRecord(servers: readonly NatsServer[], { v, kind, body }: Written): Promise<number> {
  const settings = nodeOf(servers, 'another');
  const log = await StreamLog.open(settings);
  try {
    const facts = { v, kind, count: 0, head: null, steadyAt: Date.now(), offsetMs: 0, node: settings.node };
    const header = Buffer.from(JSON.stringify(facts));
    const length = Buffer.alloc(4);
    length.writeUInt32LE(header.length);
    const message = Buffer.concat([length, header, Buffer.from(JSON.stringify(body))]);
    const { seq } = await log.publish(message, `another-${v}-${kind}-${Date.now()}`);
    log.announce(seq);
    await log.connection.flush();
    return seq;
  } finally {
    await log.close();
  }
}
