import { type Appended, LamppostError, type MessageRoute, type MessageSink } from '../domain/index.ts';
import { refusePublish, type TopicRefusal } from './access.ts';
import type { Identity } from './credentials.ts';

/** A client as admission sees it. Knows nothing of Aedes, so that another front can admit messages the same way. */
export interface Publisher {
  readonly identity: Identity;
  /** Bytes of this client that wait for their commit. */
  inFlight: number;
  readonly routes: Map<string, MessageRoute>;
}

/** Makes a publisher of an authenticated identity. */
export function createPublisher(identity: Identity): Publisher {
  return { identity, inFlight: 0, routes: new Map() };
}

/** The way into the journal: who may publish, the append, the acknowledgement. */
export interface Admission {
  /**
   * `done(null)`: the message is on disk and may be acknowledged. `done(error)`: it must not be; `forbidden` where the
   * topic is not the publisher's, `disk` or `journal-full` where the journal did not take it in time.
   */
  admit(publisher: Publisher, topic: string, payload: Uint8Array, done: Appended): void;
  /** Counts since the start. */
  readonly counts: { admitted: number; refused: number };
}

// A device publishes to few topics; a bound keeps a wild one from growing the map.
const MOST_ROUTES = 16;

/** Admits messages to the journal. */
export function createAdmission(
  sink: MessageSink,
  onRefused: (id: string, topic: string, why: TopicRefusal) => void,
): Admission {
  const counts = { admitted: 0, refused: 0 };

  function routeOf(publisher: Publisher, topic: string): MessageRoute | TopicRefusal {
    const refusal = refusePublish(publisher.identity, topic);
    if (refusal !== null) return refusal;
    if (publisher.routes.size >= MOST_ROUTES) publisher.routes.clear();
    const route = sink.route(publisher.identity.id, topic);
    publisher.routes.set(topic, route);
    return route;
  }

  return {
    counts,
    admit(publisher, topic, payload, done) {
      const route = publisher.routes.get(topic) ?? routeOf(publisher, topic);
      if (typeof route === 'string') {
        counts.refused++;
        onRefused(publisher.identity.id, topic, route);
        done(new LamppostError('forbidden', `${publisher.identity.id} may not publish to ${topic}: ${route}`));
        return;
      }
      const bytes = payload.length;
      publisher.inFlight += bytes;
      sink.append(route, payload, (error) => {
        publisher.inFlight -= bytes;
        counts.admitted++;
        done(error);
      });
    },
  };
}
