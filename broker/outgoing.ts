import type { Duplex } from 'node:stream';
import type { Publication } from '../domain/index.ts';
import type { IngestAedes } from './ingest-aedes.ts';
import type { Sessions } from './sessions/index.ts';

/** Publishes messages of Lamppost itself. */
export interface Outgoing {
  /** Publishes a message that is not in the outbox: nobody gets it later. */
  publish(publication: Publication): void;
  /** Publishes the new events of the outbox, in order; those of a long page in later turns. */
  appended(): void;
}

/** Events that are published without a pause. */
const PAGE = 50;

/** Returns the publisher of Lamppost's messages; call it only after the sessions are open. */
export function createOutgoing(aedes: IngestAedes, sessions: () => Sessions): Outgoing & { stop(): void } {
  let more: NodeJS.Immediate | undefined;
  let isStopped = false;

  function appended(): void {
    if (more === undefined && !isStopped) publishPage();
  }

  function publishPage(): void {
    more = undefined;
    const events = sessions().events(PAGE);
    for (const event of events) aedes.publishEvent(event);
    if (events.length === PAGE) more = setImmediate(publishPage);
  }

  return {
    publish({ payload, ...rest }) {
      aedes.publish({ cmd: 'publish' as const, dup: false, payload: Buffer.from(payload), ...rest }, () => {});
    },
    appended,
    stop() {
      isStopped = true;
      clearImmediate(more);
    },
  };
}

/** The parts of the broker behind presence. */
interface PresenceDeps {
  /** Publishes a retained status. */
  readonly announce: (topic: string, payload: string) => void;
  /** Whether a device is registered. */
  readonly isKnown: (id: string) => boolean;
  /** Whether a status is retained. */
  readonly hasStatus: (topic: string) => boolean;
}

/**
 * Publishes which devices are connected: `devices/{id}/status` is `online` or `offline`, and empty for a revoked
 * device.
 */
export interface Presence {
  connected(id: string, connection: Duplex): void;
  /** Publishes `offline`, except while the server stops: after its next start no device is online. */
  disconnected(connection: Duplex, stopping: boolean): void;
  /** Publishes the status of a device that is connected to some node of a cluster, or to none. */
  status(id: string, isOnline: boolean): void;
  /** The device is no longer registered. */
  revoked(id: string): void;
}

/** Returns the presence of devices. */
export function createPresence({ announce, isKnown, hasStatus }: PresenceDeps): Presence {
  /** The current connection of each device, and the device of each connection. */
  const online = new Map<string, Duplex>();
  const devices = new WeakMap<Duplex, string>();
  const topicOf = (id: string) => `devices/${id}/status`;

  function status(id: string, isOnline: boolean): void {
    if (isOnline) announce(topicOf(id), 'online');
    else announce(topicOf(id), isKnown(id) ? 'offline' : '');
  }

  return {
    status,
    connected(id, connection) {
      devices.set(connection, id);
      online.set(id, connection);
      status(id, true);
    },
    disconnected(connection, stopping) {
      const id = devices.get(connection);
      // A device that reconnected before its old connection timed out stays online.
      if (id === undefined || online.get(id) !== connection) return;
      online.delete(id);
      if (!stopping) status(id, false);
    },
    revoked(id) {
      if (!online.has(id) && hasStatus(topicOf(id))) announce(topicOf(id), '');
    },
  };
}
