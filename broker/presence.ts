import type { Duplex } from 'node:stream';

/** What presence asks of the broker. */
interface PresenceDeps {
  /** Publishes a retained status. */
  readonly announce: (topic: string, payload: string) => void;
  /** Whether a device is registered. */
  readonly isKnown: (id: string) => boolean;
  /** Whether a status is retained. */
  readonly hasStatus: (topic: string) => boolean;
}

/** Which devices are connected: `devices/{id}/status` says `online` or `offline`, and nothing of a device that is revoked. */
export interface Presence {
  came(id: string, connection: Duplex): void;
  /** The connection is closed. A server that stops says nothing: after its next start nobody is online. */
  left(connection: Duplex, stopping: boolean): void;
  /** The device is not registered any more. */
  forgotten(id: string): void;
}

/** Makes the presence of devices. */
export function createPresence({ announce, isKnown, hasStatus }: PresenceDeps): Presence {
  /** The present connection of each device, and the device of each connection. */
  const online = new Map<string, Duplex>();
  const devices = new WeakMap<Duplex, string>();
  const topicOf = (id: string) => `devices/${id}/status`;

  return {
    came(id, connection) {
      devices.set(connection, id);
      online.set(id, connection);
      announce(topicOf(id), 'online');
    },
    left(connection, stopping) {
      const id = devices.get(connection);
      // A device that came back before its old connection was found dead stays online.
      if (id === undefined || online.get(id) !== connection) return;
      online.delete(id);
      if (!stopping) announce(topicOf(id), isKnown(id) ? 'offline' : '');
    },
    forgotten(id) {
      if (!online.has(id) && hasStatus(topicOf(id))) announce(topicOf(id), '');
    },
  };
}
