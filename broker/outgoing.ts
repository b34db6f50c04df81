import type { Duplex } from 'node:stream';
import type { Publication } from '../domain/index.ts';
import type { IngestAedes } from './ingest-aedes.ts';
import type { Sessions } from './sessions/index.ts';

/** Publishes messages of Lamppost itself. */
export interface Outgoing {
  /** Fans out at once; does not wait until queued and retained messages are on disk. */
  send(publication: Publication): void;
  /**
   * Publishes in the order of the calls; resolves when the message is on disk, in the queues of kept sessions and as a
   * retained message.
   */
  publish(publication: Publication): Promise<void>;
  /**
   * Makes these the only retained messages that match the filter; publishes only differences. Resolves when they are
   * on disk.
   */
  restate(filter: string, publications: readonly Publication[]): Promise<void>;
}

const TAKEN = Promise.resolve();

/** Returns the publisher of Lamppost's messages; call it only after the sessions are open. */
export function createOutgoing(aedes: IngestAedes, sessions: () => Sessions): Outgoing {
  function send({ payload, ...rest }: Publication): void {
    aedes.publish({ cmd: 'publish' as const, dup: false, payload: Buffer.from(payload), ...rest }, () => {});
  }

  return {
    send,
    publish(publication) {
      send(publication);
      return publication.qos > 0 || publication.retain ? sessions().synced() : TAKEN;
    },
    restate(filter, publications) {
      const { retained } = sessions();
      const wanted = new Map(publications.map((publication) => [publication.topic, publication]));
      for (const { topic } of [...retained.matching(filter)]) {
        if (!wanted.has(topic)) send({ topic, payload: '', qos: 1, retain: true });
      }
      for (const publication of wanted.values()) {
        if (retained.payload(publication.topic) !== publication.payload) send(publication);
      }
      return sessions().synced();
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
  /** The device is no longer registered. */
  revoked(id: string): void;
}

/** Returns the presence of devices. */
export function createPresence({ announce, isKnown, hasStatus }: PresenceDeps): Presence {
  /** The current connection of each device, and the device of each connection. */
  const online = new Map<string, Duplex>();
  const devices = new WeakMap<Duplex, string>();
  const topicOf = (id: string) => `devices/${id}/status`;

  return {
    connected(id, connection) {
      devices.set(connection, id);
      online.set(id, connection);
      announce(topicOf(id), 'online');
    },
    disconnected(connection, stopping) {
      const id = devices.get(connection);
      // A device that reconnected before its old connection timed out stays online.
      if (id === undefined || online.get(id) !== connection) return;
      online.delete(id);
      if (!stopping) announce(topicOf(id), isKnown(id) ? 'offline' : '');
    },
    revoked(id) {
      if (!online.has(id) && hasStatus(topicOf(id))) announce(topicOf(id), '');
    },
  };
}
