import { type Appended, LamppostError, type MessageRoute, type MessageSink } from '../domain/index.ts';
import type { Identity } from '../registry/index.ts';
import { dropsPublish, refusePublish, type TopicRefusal } from './access.ts';

/** A client for admission. It has no part of Aedes, so that other protocols can admit messages the same way. */
export interface Publisher {
  readonly identity: Identity;
  /** Payload bytes of this client that wait for their commit. */
  inFlight: number;
  readonly routes: Map<string, MessageRoute>;
  /** Number of its messages that were passed to the journal, and of those that are settled. */
  appended: number;
  settled: number;
  /** Acknowledgements of dropped messages, which wait for the messages before them (MQTT 3.1.1 §4.6). */
  readonly held: { readonly after: number; readonly bytes: number; readonly done: Appended }[];
}

/** Returns a publisher for an authenticated identity. */
export function createPublisher(identity: Identity): Publisher {
  return { identity, inFlight: 0, routes: new Map(), appended: 0, settled: 0, held: [] };
}

// Approximate memory of a waiting message beside its payload.
const MESSAGE_BYTES = 64;

/** Returns the bytes of a publisher that wait for their commit. A message without a payload also counts. */
export function waitingBytes({ inFlight, appended, settled }: Publisher): number {
  return inFlight + (appended - settled) * MESSAGE_BYTES;
}

/** Checks the right to publish, appends to the journal, calls back for the acknowledgement. */
export interface Admission {
  /**
   * Calls `done(null)` once the message is on disk and may be acknowledged. Calls `done(error)` where it must not be:
   * `forbidden` where the topic is not the publisher's, `disk` or `journal-full` where the journal did not take it in
   * time. Messages of a network server that are not uplinks are dropped: `done(null)`, in order, without a write.
   */
  admit(publisher: Publisher, topic: string, payload: Uint8Array, done: Appended): void;
  /** Counts since the start: messages on disk, refused messages, dropped messages. */
  readonly counts: { admitted: number; refused: number; dropped: number };
}

// A device publishes to few topics; the bound keeps a faulty one from growing the map.
const MOST_ROUTES = 16;

/** Returns the admission to a journal; `onRefused` is called for each publish without the right to its topic. */
export function createAdmission(
  sink: MessageSink,
  onRefused: (id: string, topic: string, why: TopicRefusal) => void,
): Admission {
  const counts = { admitted: 0, refused: 0, dropped: 0 };

  function routeOf(publisher: Publisher, topic: string): MessageRoute | TopicRefusal {
    const refusal = refusePublish(publisher.identity, topic);
    if (refusal !== null) return refusal;
    if (publisher.routes.size >= MOST_ROUTES) publisher.routes.clear();
    const route = sink.route(publisher.identity.id, topic);
    publisher.routes.set(topic, route);
    return route;
  }

  function drop(publisher: Publisher, bytes: number, done: Appended): void {
    counts.dropped++;
    publisher.inFlight += bytes;
    publisher.held.push({ after: publisher.appended, bytes, done });
    release(publisher);
  }

  function refuse(publisher: Publisher, topic: string, why: TopicRefusal, done: Appended): void {
    counts.refused++;
    onRefused(publisher.identity.id, topic, why);
    done(new LamppostError('forbidden', `${publisher.identity.id} may not publish to ${topic}: ${why}`));
  }

  return {
    counts,
    admit(publisher, topic, payload, done) {
      const route = publisher.routes.get(topic) ?? routeOf(publisher, topic);
      if (typeof route === 'string') {
        if (dropsPublish(publisher.identity, topic)) drop(publisher, payload.length, done);
        else refuse(publisher, topic, route, done);
        return;
      }
      const bytes = payload.length;
      publisher.inFlight += bytes;
      publisher.appended++;
      sink.append(route, payload, (error) => {
        publisher.inFlight -= bytes;
        if (error === null) counts.admitted++;
        else counts.refused++;
        done(error);
        publisher.settled++;
        release(publisher);
      });
    },
  };
}

function release(publisher: Publisher): void {
  const { held, settled } = publisher;
  while (held.length > 0 && held[0]!.after <= settled) {
    const { bytes, done } = held.shift()!;
    publisher.inFlight -= bytes;
    done(null);
  }
}
