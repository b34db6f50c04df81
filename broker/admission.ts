import { type Appended, LamppostError, type MessageRoute, type MessageSink } from '../domain/index.ts';
import type { Identity } from '../registry/index.ts';
import { dropsPublish, refusePublish, type TopicRefusal } from './access.ts';

/** A client as admission sees it. Knows nothing of Aedes, so that another front can admit messages the same way. */
export interface Publisher {
  readonly identity: Identity;
  /** Bytes of this client that wait for their commit. */
  inFlight: number;
  readonly routes: Map<string, MessageRoute>;
  /** How many of its messages were given to the journal, and how many of these are settled. */
  appended: number;
  settled: number;
  /** Acknowledgements of dropped messages that wait for the messages before them (MQTT 3.1.1 §4.6). */
  readonly held: { readonly after: number; readonly bytes: number; readonly done: Appended }[];
}

/** Makes a publisher of an authenticated identity. */
export function createPublisher(identity: Identity): Publisher {
  return { identity, inFlight: 0, routes: new Map(), appended: 0, settled: 0, held: [] };
}

// What a message that waits takes beside its payload, about.
const MESSAGE_BYTES = 64;

/** Bytes of a publisher that wait for their commit. A message without a payload counts, too. */
export function waitingBytes({ inFlight, appended, settled }: Publisher): number {
  return inFlight + (appended - settled) * MESSAGE_BYTES;
}

/** The way into the journal: who may publish, the append, the acknowledgement. */
export interface Admission {
  /**
   * `done(null)`: the message is on disk and may be acknowledged. `done(error)`: it must not be; `forbidden` where the
   * topic is not the publisher's, `disk` or `journal-full` where the journal did not take it in time. What a network server
   * publishes beside uplinks is dropped: `done(null)`, in its order, and not on disk.
   */
  admit(publisher: Publisher, topic: string, payload: Uint8Array, done: Appended): void;
  /** Counts since the start: messages that are on disk, and those that are not and will not be. */
  readonly counts: { admitted: number; refused: number; dropped: number };
}

// A device publishes to few topics; a bound keeps a wild one from growing the map.
const MOST_ROUTES = 16;

/** Admits messages to the journal. */
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
