import type { Appended, LamppostError, MessageRoute, MessageSink } from '../domain/index.ts';
import type { Identity } from '../registry/index.ts';
import { type DeclaredTopics, dropsPublish, refusePublish, type TopicRefusal } from './access.ts';

/** Called with null once the message may be acknowledged, and with why it was refused; else with a fault. */
export type Admitted = (error: LamppostError | null, refused: TopicRefusal | null) => void;

/** A client for admission. It has no part of Aedes, so that other protocols can admit messages the same way. */
export interface Publisher {
  readonly identity: Identity;
  /** Payload bytes of this client that wait for their commit. */
  inFlight: number;
  readonly routes: Map<string, MessageRoute>;
  /** Number of its messages that were passed to the journal, and of those that are settled. */
  appended: number;
  settled: number;
  /** Acknowledgements of refused messages, which wait for the messages before them (MQTT 3.1.1 §4.6). */
  readonly held: Held[];
}

interface Held {
  readonly after: number;
  readonly bytes: number;
  readonly why: TopicRefusal;
  readonly done: Admitted;
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
   * Calls `done(null, null)` once the message is on disk and may be acknowledged. A message to a topic that is not the
   * publisher's is dropped, and `done(null, reason)` is called in order: MQTT 3.1.1 has no other response, and the end
   * of the connection would also end what is right. Calls `done(error, null)` where it must not be acknowledged: `disk`
   * or `journal-full` where the journal did not take it in time.
   */
  admit(publisher: Publisher, topic: string, payload: Uint8Array, done: Admitted): void;
  /**
   * Counts since the start: messages on disk; messages that were refused; messages of network servers that are not
   * uplinks.
   */
  readonly counts: { admitted: number; refused: number; dropped: number };
}

// A device publishes to few topics; the bound keeps a faulty one from growing the map.
const MOST_ROUTES = 16;

/** Returns the admission to a journal; `onRefused` is called for each publish without the right to its topic. */
export function createAdmission(
  sink: MessageSink,
  onRefused: (identity: Identity, topic: string, why: TopicRefusal) => void,
  declared: () => DeclaredTopics | undefined = () => undefined,
): Admission {
  const counts = { admitted: 0, refused: 0, dropped: 0 };

  function routeOf(publisher: Publisher, topic: string): MessageRoute | TopicRefusal {
    const refusal = refusePublish(publisher.identity, topic, declared());
    if (refusal !== null) return refusal;
    if (publisher.routes.size >= MOST_ROUTES) publisher.routes.clear();
    const route = sink.route(publisher.identity.id, topic);
    publisher.routes.set(topic, route);
    return route;
  }

  function refuse(publisher: Publisher, topic: string, held: Omit<Held, 'after'>): void {
    if (dropsPublish(publisher.identity, topic)) counts.dropped++;
    else {
      counts.refused++;
      onRefused(publisher.identity, topic, held.why);
    }
    publisher.inFlight += held.bytes;
    publisher.held.push({ after: publisher.appended, ...held });
    release(publisher);
  }

  return {
    counts,
    admit(publisher, topic, payload, done) {
      const route = publisher.routes.get(topic) ?? routeOf(publisher, topic);
      const bytes = payload.length;
      if (typeof route === 'string') return refuse(publisher, topic, { bytes, why: route, done });
      publisher.inFlight += bytes;
      publisher.appended++;
      const settled: Appended = (error) => {
        publisher.inFlight -= bytes;
        if (error === null) counts.admitted++;
        else counts.refused++;
        done(error, null);
        publisher.settled++;
        release(publisher);
      };
      sink.append(route, payload, settled);
    },
  };
}

function release(publisher: Publisher): void {
  const { held, settled } = publisher;
  while (held.length > 0 && held[0]!.after <= settled) {
    const { bytes, why, done } = held.shift()!;
    publisher.inFlight -= bytes;
    done(null, why);
  }
}
