import type { NatsConnection } from '@nats-io/transport-node';
import { z } from 'zod';
import { type CountedFailures, FailuresSchema } from '../limits/index.ts';
import type { NodeIdentity } from './identity.ts';
import type { ClusterSettings } from './settings.ts';

const Message = z.object({ run: z.string(), failures: FailuresSchema });

/** A message of so many keys as there may be is shorter. */
const MOST_BYTES = 64 * 1024;

/** What nodes say to each other of failed logins. */
export interface FailuresOfCluster {
  /** Sends to the other nodes that are there now; it is lost where NATS is away. */
  send(failures: CountedFailures): void;
  /** Idempotent. */
  stop(): void;
}

interface Options {
  readonly connection: NatsConnection;
  readonly settings: ClusterSettings;
  readonly identity: NodeIdentity;
  /** Called with what another node sent. */
  readonly onReceived: (failures: CountedFailures) => void;
}

/**
 * Begins to listen on the subject `<cluster>.failures`. Its messages are in no stream: nobody stores or acknowledges
 * them, and what is not in the right shape is left out.
 */
export function openFailures({ connection, settings, identity, onReceived }: Options): FailuresOfCluster {
  const subject = `${settings.name}.failures`;
  const { run } = identity;
  const subscription = connection.subscribe(subject, {
    callback(error, message) {
      if (error !== null || message.data.length > MOST_BYTES) return;
      const received = parse(message.string());
      if (received !== null && received.run !== run) onReceived(received.failures);
    },
  });
  return {
    send(failures) {
      // The client drops what waits each time it tries to connect again.
      if (!connection.isClosed()) connection.publish(subject, JSON.stringify({ run, failures }));
    },
    stop: () => subscription.unsubscribe(),
  };
}

function parse(text: string): z.infer<typeof Message> | null {
  try {
    return Message.safeParse(JSON.parse(text)).data ?? null;
  } catch {
    return null;
  }
}
