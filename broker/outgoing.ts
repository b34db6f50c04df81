import type { Publication } from '../domain/index.ts';
import type { IngestAedes } from './ingest-aedes.ts';
import type { Sessions } from './sessions/index.ts';

/** What Lamppost itself publishes. */
export interface Outgoing {
  /** Fans out at once; what is to outlive the broker is on its way to the disk. */
  send(publication: Publication): void;
  /**
   * Publishes in the order of the calls; resolves when it is on disk for every kept session that is to have it, and as a
   * retained message.
   */
  publish(publication: Publication): Promise<void>;
  /** Makes these the only retained messages that match the filter; tells subscribers only of what differs. */
  restate(filter: string, publications: readonly Publication[]): Promise<void>;
}

const TAKEN = Promise.resolve();

/** Makes the way out; nothing is published before the sessions are open. */
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
