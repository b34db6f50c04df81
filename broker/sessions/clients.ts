import { LamppostError, type SessionChange } from '../../domain/index.ts';
import { Changes } from './changes.ts';
import type { Holders } from './holders.ts';
import type { SharedLog } from './log.ts';
import type { Session } from './session.ts';
import type { SessionTable } from './table.ts';

/** A login, as the log has it. */
export interface Login {
  /** Whether the client is a device, which has a status. */
  readonly device: boolean;
  /** Whether it begins without the session that it had. */
  readonly fresh: boolean;
  /** How long its session is kept after the connection, s; null: as long as the limit. */
  readonly expiry: number | null;
}

interface Parts {
  readonly log: SharedLog;
  readonly table: SessionTable;
  readonly holders: Holders;
  readonly changes: Changes;
  /** The status of a device, wherever it is connected. */
  readonly onStatus: (id: string, isOnline: boolean) => void;
  /** Whether the session's owner may still use it. */
  readonly isOwned: (session: Session) => boolean;
  /** The client has logged in at another node, which this connection does not know. */
  readonly onTakenOver: (connection: object) => void;
}

interface Client {
  readonly connection: object;
  /** Resolves once its session is as all nodes left it. */
  readonly ready: Promise<void>;
  /** Whether its login was refused before the log was asked. */
  readonly isRefused: boolean;
}

/** The connections of this node of a cluster: each is a record, and one that another node has taken over ends. */
export class Clients {
  readonly #parts: Parts;
  readonly #byId = new Map<string, Client>();
  readonly #idOf = new WeakMap<object, string>();
  /** By client, how many logins of this node the log does not have yet. */
  readonly #waiting = new Map<string, number>();

  /** Clients whose end waits for the log: one entry each, however often they come while it is away. */
  readonly #leaving = new Set<string>();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Says that this node is there, and follows what the others say. */
  start(): void {
    const { holders, log, changes, onStatus } = this.#parts;
    for (const id of holders.online()) onStatus(id, true);
    log.start(changes);
  }

  /** The log may have more. */
  recorded(): void {
    this.#parts.log.read();
  }

  /** A client has logged in, and has no CONNACK yet; it replaces an earlier connection of this node. */
  login(id: string, connection: object, login: Login): void {
    const isOpen = () => this.#byId.get(id)?.connection === connection;
    const isRefused = this.#parts.log.isFull;
    const ready = isRefused ? Promise.reject(tooMany()) : this.#login(id, login, isOpen);
    // Only who asks for its session waits.
    ready.catch(() => {});
    this.#byId.set(id, { connection, ready, isRefused });
    this.#idOf.set(connection, id);
  }

  /** Resolves once this node knows where every client is. Rejects with `log-away`. */
  caughtUp(): Promise<void> {
    return this.#append([]);
  }

  /** Resolves once the session of a client is as all nodes left it; rejects with `log-away` where the log is. */
  ready(id: string): Promise<void> {
    return this.#byId.get(id)?.ready ?? Promise.resolve();
  }

  /** A connection has ended; `expiry` as for the login. */
  closed(connection: object, expiry: number | null): void {
    const id = this.#idOf.get(connection);
    const client = id === undefined ? undefined : this.#byId.get(id);
    if (id === undefined || client?.connection !== connection) return;
    this.#byId.delete(id);
    // The log knows nothing of it, or its change is about to be appended already.
    if ((client.isRefused && !this.#parts.holders.isHere(id)) || this.#leaving.has(id)) return;
    const session = this.#parts.table.get(id);
    const place = session?.isHere ? this.#parts.table.acknowledged(session) : 0;
    const moved: SessionChange[] = session?.isHere && place !== session.recorded ? [{ do: 'place', id, place }] : [];
    this.#leaving.add(id);
    const isWanted = () => {
      this.#leaving.delete(id);
      return true;
    };
    this.#parts.log.append([...moved, { do: 'off', id, expiry }], isWanted).catch(() => {});
  }

  /** The log has a login of a client, at this node or another. */
  held(id: string, isHere: boolean): void {
    if (isHere) this.#noLonger(id);
    // A later login of this node is on its way, and will take over in turn.
    if (isHere || this.#waiting.has(id)) return;
    const client = this.#byId.get(id);
    this.#byId.delete(id);
    if (client !== undefined) this.#parts.onTakenOver(client.connection);
  }

  /** Says of all connections that they have ended, and appends nothing more. */
  async stop(): Promise<void> {
    for (const { connection } of [...this.#byId.values()]) this.closed(connection, null);
    await this.#parts.log.stop();
  }

  /** A connection that has ended meanwhile must not take its client from another node. */
  #login(id: string, login: Login, isOpen: () => boolean): Promise<void> {
    this.#waiting.set(id, (this.#waiting.get(id) ?? 0) + 1);
    const isWanted = () => isOpen() || this.#noLonger(id);
    return this.#parts.log.append([{ do: 'on', id, ...login }], isWanted).then(() => this.#checkOwner(id));
  }

  /** A login of this node does not wait any more; returns false. */
  #noLonger(id: string): false {
    const waiting = this.#waiting.get(id) ?? 0;
    if (waiting > 1) this.#waiting.set(id, waiting - 1);
    else this.#waiting.delete(id);
    return false;
  }

  #append(changes: readonly SessionChange[]): Promise<void> {
    return this.#parts.log.append(changes);
  }

  /** A session ends with the secret that opened it, also where nobody was there to end it. */
  async #checkOwner(id: string): Promise<void> {
    const session = this.#parts.table.get(id);
    if (session === undefined || this.#parts.isOwned(session)) return;
    await this.#append([Changes.end(session)]);
  }
}

const tooMany = () => new LamppostError('log-away', 'too many clients wait for the log', { retryable: true });
