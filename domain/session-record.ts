/** A subscription as Aedes passes it: MQTT 3.1.1 has no other option than the QoS. The others are those of MQTT 5. */
export interface SessionFilter {
  readonly topic: string;
  readonly qos: 0 | 1 | 2;
  readonly identifier?: number;
  readonly asPublished?: boolean;
}

/**
 * The body of a `sessions` block: what happened to the MQTT clients of one node, in its order. Without a change it says
 * that the node is there.
 */
export interface SessionsControl {
  readonly node: string;
  /** The run of its process: what was connected in the run before is not any more. */
  readonly run: string;
  /** The number of this record among those of the run: 0, 1, 2 … A record that comes twice changes nothing. */
  readonly n: number;
  /** When it was written, steady ms: a login in a record that comes much later counts no more. */
  readonly atMs: number;
  readonly changes: readonly SessionChange[];
}

/** One change. `id` is the name of the session: the client id, after the user name where that is another. */
export type SessionChange = Connected | Disconnected | Begun | Subscribed | Unsubscribed | Placed | Ended;

/** The client has logged in here: whatever connection it has elsewhere ends, and the session is this node's. */
interface Connected {
  readonly do: 'on';
  readonly id: string;
  /** Whether the client is a device, which has a status. */
  readonly device: boolean;
  /** Whether it begins without the session that it had. */
  readonly fresh: boolean;
  /** How long the session is kept after the connection, s; null: as long as the limit. */
  readonly expiry: number | null;
}

/** The connection has ended; with an `expiry` of 0 the session has, too. */
interface Disconnected {
  readonly do: 'off';
  readonly id: string;
  readonly expiry: number | null;
}

/** A session begins: only events after number `place` are for it. */
interface Begun {
  readonly do: 'begin';
  readonly id: string;
  readonly user: string;
  /** SHA-256 of the secret that opened it, hex. */
  readonly secret: string;
  readonly place: number;
  readonly connected: boolean;
  readonly expiry: number | null;
}

/** Subscriptions to events after number `since`. */
interface Subscribed {
  readonly do: 'subscribe';
  readonly id: string;
  readonly subscriptions: readonly SessionFilter[];
  readonly since: number;
}

interface Unsubscribed {
  readonly do: 'unsubscribe';
  readonly id: string;
  readonly filters: readonly string[];
}

/** The client has acknowledged all that is for it up to event `place`. */
interface Placed {
  readonly do: 'place';
  readonly id: string;
  readonly place: number;
}

/** A session ends. Changes nothing where another session of this name has begun meanwhile. */
interface Ended {
  readonly do: 'end';
  readonly id: string;
  /** That of its beginning. */
  readonly secret: string;
  /** Only where it has not been connected since this time; absent: in any case. */
  readonly seen?: number;
  /** Why its messages are dropped; absent: its owner wants no more of them. */
  readonly reason?: 'expired' | 'too-many-sessions';
}
