import type { Client } from 'aedes';
import type { TopicRefusal } from './access.ts';
import type { Admission, Admitted, Publisher } from './admission.ts';
import { Peeler, type PublishTaker } from './peel.ts';

/** The connection of a direct way. */
export interface DirectHooks {
  /** Returns the publisher; null once no more messages may be taken. */
  publisher(): Publisher | null;
  /** Called when bytes of this client were committed or its acknowledgements were sent: a held read may resume. */
  settled(): void;
  /** Called before the acknowledgement of a message that was refused. */
  refused(messageId: number, why: TopicRefusal): void;
}

/** Passes messages of one connection to admission and writes their acknowledgements, without Aedes. */
export interface Direct {
  /** See `Peeler.take`. */
  take(bytes: Buffer, before: number, after: number): Buffer | null;
  /** Writes the due acknowledgements. Call it before Aedes writes one (MQTT 3.1.1 §4.6). */
  flush(): void;
  /** Restarts the keepalive timer. */
  alive(): void;
  /** True while the client does not read its acknowledgements. */
  readonly blocked: boolean;
}

/** The direct ways of all connections. */
export interface DirectWays {
  /** Returns the direct way of a client that Aedes has connected. */
  open(client: Client, hooks: DirectHooks): Direct;
  /** Writes all due acknowledgements. */
  flush(): void;
}

/** Members of clients that Aedes 1.2.0 does not declare. */
interface AedesClient {
  readonly _keepaliveInterval: number;
  readonly _keepaliveTimer: NodeJS.Timeout | null;
  /** Calls back when the socket has drained; ends the connection where that takes longer than `drainTimeout`. */
  waitForDrain(done: () => void): void;
}

const PUBACK_BYTES = 4;
const PUBACK = 0x40;
const PUBACK_LENGTH = 2;

/** Returns the direct ways into admission. One group commit causes one write per socket. */
export function createDirectWays(admission: Admission): DirectWays {
  let due: Direct[] = [];

  function flush(): void {
    const now = due;
    due = [];
    for (const direct of now) direct.flush();
  }

  function isDue(direct: Direct): void {
    // The flush runs after all callbacks of the commit.
    if (due.length === 0) process.nextTick(flush);
    due.push(direct);
  }

  return { open: (client, hooks) => new DirectWay(client, hooks, { admission, isDue }), flush };
}

class DirectWay implements Direct, PublishTaker {
  blocked = false;
  readonly #client: Client & AedesClient;
  readonly #hooks: DirectHooks;
  readonly #shared: { admission: Admission; isDue: (direct: Direct) => void };
  readonly #peeler = new Peeler(this);
  readonly #settledQos0: Admitted = (error) => this.#settle(error, 0, null);
  #acknowledged: number[] = [];

  constructor(client: Client, hooks: DirectHooks, shared: { admission: Admission; isDue: (direct: Direct) => void }) {
    this.#client = client as Client & AedesClient;
    this.#hooks = hooks;
    this.#shared = shared;
  }

  take(bytes: Buffer, before: number, after: number): Buffer | null {
    return this.#peeler.take(bytes, before, after);
  }

  taking(): boolean {
    return this.#hooks.publisher() !== null && !this.#client.conn.destroyed;
  }

  publish(topic: string, payload: Uint8Array, messageId: number): void {
    const done: Admitted = messageId === 0 ? this.#settledQos0 : (error, why) => this.#settle(error, messageId, why);
    this.#shared.admission.admit(this.#hooks.publisher()!, topic, payload, done);
  }

  /** Restarts the keepalive timer: any packet shows that the client is alive (§3.1.2.10). */
  alive(): void {
    const { _keepaliveInterval, _keepaliveTimer } = this.#client;
    if (_keepaliveInterval > 0) _keepaliveTimer?.refresh();
  }

  flush(): void {
    const ids = this.#acknowledged;
    const { conn } = this.#client;
    if (ids.length === 0) return;
    this.#acknowledged = [];
    if (conn.destroyed || conn.write(pubacks(ids)) || this.blocked) return;
    this.blocked = true;
    this.#client.waitForDrain(() => {
      this.blocked = false;
      this.#hooks.settled();
    });
  }

  #settle(error: Error | null, messageId: number, why: TopicRefusal | null): void {
    if (why !== null) this.#hooks.refused(messageId, why);
    if (error !== null) this.#fail(error);
    else if (messageId !== 0 && !this.#client.conn.destroyed) {
      if (this.#acknowledged.length === 0) this.#shared.isDue(this);
      this.#acknowledged.push(messageId);
    }
    this.#hooks.settled();
  }

  /** Lets Aedes close the connection, as for its own messages: what is not stored is not acknowledged. */
  #fail(error: Error): void {
    this.flush();
    if (!this.#client.conn.destroyed) this.#client.emit('error', error);
  }
}

/** Returns PUBACK packets (§3.4) in one buffer. */
function pubacks(messageIds: readonly number[]): Buffer {
  const bytes = Buffer.allocUnsafe(messageIds.length * PUBACK_BYTES);
  let at = 0;
  for (const id of messageIds) {
    bytes[at++] = PUBACK;
    bytes[at++] = PUBACK_LENGTH;
    bytes[at++] = id >> 8;
    bytes[at++] = id & 255;
  }
  return bytes;
}
