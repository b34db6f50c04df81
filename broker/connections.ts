import type { Socket } from 'node:net';
import { shown } from '../limits/index.ts';
import { waitingBytes } from './admission.ts';
import { type Connection, firstRefusal, OPENING } from './connection.ts';
import { Edge, type EdgeHooks, type EdgeRefusal } from './edge.ts';
import { ExactlyOnce } from './exactly-once.ts';
import { farewell } from './farewell.ts';
import { type Five, refusingConnack } from './five/index.ts';
import type { Visitor } from './front-door.ts';
import { type GuardLimits, type GuardRefusal, guard } from './guard.ts';
import type { HeldReads } from './held-reads.ts';
import type { QuietLog } from './quiet-log.ts';
import type { Refusals } from './refusals.ts';
import type { Connect } from './wire/index.ts';

/** CONNACK 1 (MQTT 3.1.1 §3.2.2.3). */
const CONNACK_UNKNOWN_VERSION = Buffer.from([0x20, 2, 0, 1]);

interface Parts {
  readonly limits: GuardLimits;
  readonly quiet: QuietLog;
  readonly refusals: Refusals;
  readonly reads: HeldReads;
  /** Counts packets and bytes that were read. */
  readonly spent: (connection: Connection, packets: number, bytes: number) => void;
  /** Returns the translation for a client of MQTT 5. */
  readonly five: (socket: Socket, connect: Connect, connection: Connection) => Five;
  /** Gives Aedes a connection. */
  readonly handle: (socket: Socket) => void;
  readonly closed: (socket: Socket) => void;
}

/** The open connections: what is read of one passes its guard, then the direct way or the edge, and only then Aedes. */
export class Connections {
  readonly #parts: Parts;
  readonly #states = new WeakMap<object, Connection>();
  readonly #sockets = new Set<Socket>();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Returns the state of a connection, also after it has closed. */
  get(conn: object): Connection | undefined {
    return this.#states.get(conn);
  }

  isOpen(conn: object): boolean {
    return this.#sockets.has(conn as Socket);
  }

  /** Takes a connection that the front door let in. */
  accept(socket: Socket, visitor: Visitor): void {
    this.#sockets.add(socket);
    socket.once('close', () => this.#closed(socket));
    socket.setNoDelay(true);
    const state: Connection = {
      visitor,
      ...{ publisher: null, account: null, said: null, opened: false, nameless: false, direct: null },
      ...{ client: null, loginRefusal: null },
      edge: new Edge({
        violated: (why, fault) => this.#violated(socket, why, fault),
        five: (connect) => this.#parts.five(socket, connect, state),
      }),
      filters: new Set(),
      kept: new Set(),
      once: new ExactlyOnce(),
      committed: () => {},
    };
    this.#states.set(socket, state);
    state.committed = this.#guard(socket, state);
    this.#parts.handle(socket);
  }

  /** Closes every connection of these user names and takes nothing more from it, not even its will. */
  cut(users: ReadonlySet<string>): void {
    for (const socket of users.size === 0 ? [] : this.#sockets) {
      const connection = this.#states.get(socket);
      if (!connection?.publisher || !users.has(connection.publisher.identity.id)) continue;
      connection.publisher = null;
      connection.edge.five?.because('secret-ended');
      socket.destroy();
    }
  }

  /** Ends a connection whose client is, or may be, at another node. */
  endElsewhere(socket: Socket, why: 'taken-over' | 'cut-off'): void {
    this.#states.get(socket)?.edge.five?.because(why);
    socket.destroy();
  }

  /** The same of every connection that has logged in: this node was cut off. */
  endAllElsewhere(): void {
    for (const socket of this.#sockets)
      if (this.#states.get(socket)?.client != null) this.endElsewhere(socket, 'cut-off');
  }

  destroy(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #guard(socket: Socket, state: Connection): () => void {
    const { limits, reads, spent } = this.#parts;
    return guard(socket, limits, {
      authenticated: () => state.publisher !== null,
      inFlight() {
        if (state.direct?.blocked) return Number.POSITIVE_INFINITY;
        return state.publisher === null ? 0 : waitingBytes(state.publisher);
      },
      holds: () => reads.holds(state),
      spent: (packets, bytes) => spent(state, packets, bytes),
      peel: (bytes, before, after) => {
        if (state.edge.five !== null) {
          const packets = state.edge.take(bytes);
          return packets === null || state.direct === null ? packets : state.direct.take(packets, 0, 0);
        }
        const rest =
          state.direct === null ? this.#opened(socket, state, bytes) : state.direct.take(bytes, before, after);
        return rest === null ? null : state.edge.take(rest);
      },
      refused: (why) => this.#tooLarge(socket, state, why),
    });
  }

  #tooLarge(socket: Socket, state: Connection, why: GuardRefusal): void {
    const { limits, quiet, refusals } = this.#parts;
    refusals.counts.cutOversize++;
    state.edge.five?.because(why);
    quiet.warn(state.publisher?.identity.id ?? state.visitor.source, why, 'connection cut');
    refusals.note(state.account?.id ?? state.said, why, `the limit is ${limits.maxPacket} bytes`, socket);
  }

  /** Ends a connection that broke the protocol; one of another version learns it (MQTT 3.1.1 §3.1.2.2). */
  #violated(socket: Socket, why: EdgeRefusal, fault: Parameters<EdgeHooks['violated']>[1]): void {
    if (socket.destroyed) return;
    const { quiet, refusals } = this.#parts;
    const { account, said, visitor, edge } = this.#states.get(socket)!;
    const { message: detail, reasonCode, isConnect5 } = fault;
    quiet.warn(account?.id ?? visitor.source, why, 'connection cut', { detail: shown(detail) });
    refusals.note(account?.id ?? said, why, detail, socket);
    if (why === 'protocol-version') refusals.counts.refusedLogins++;
    if (edge.five !== null) edge.five.violated(why, detail, reasonCode);
    else if (isConnect5) farewell(socket, refusingConnack(reasonCode, detail));
    else if (why === 'protocol-version') farewell(socket, CONNACK_UNKNOWN_VERSION);
    else socket.destroy();
  }

  /** Returns the bytes of a connection that has not logged in; null where its first one ends it. */
  #opened(socket: Socket, state: Connection, bytes: Buffer): Buffer | null {
    if (state.opened) return bytes;
    state.opened = true;
    const why = firstRefusal(OPENING, bytes[0]!);
    if (why === null) return bytes;
    this.#parts.refusals.foreign(state.visitor.source, why);
    socket.destroy();
    return null;
  }

  #closed(socket: Socket): void {
    const connection = this.#states.get(socket);
    if (connection !== undefined) {
      this.#parts.reads.closed(connection);
      if (connection.account !== null) connection.account.connections--;
    }
    this.#sockets.delete(socket);
    this.#parts.closed(socket);
  }
}
