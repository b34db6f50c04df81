import type { Socket } from 'node:net';
import { sourceOf, type TrustedProxies } from '../../limits/index.ts';
import type { ConnectionLimits } from './options.ts';

type Kind = 'stranger' | 'known' | 'web-socket';

interface Connection {
  readonly socket: Socket;
  readonly kind: Kind;
  /** An address or a key. */
  readonly who: string;
  /** Requests whose response has not ended. */
  busy: number;
}

/** The open connections: no address and no key takes the places of the others. */
export interface Connections {
  /** Counts a new connection. Where its address has too many, the oldest of them is closed. */
  accept(socket: Socket): void;
  /** It is counted as another from now on. */
  leave(socket: Socket): void;
  /** Notes that a request began on the connection; returns the function that notes its end. */
  begin(socket: Socket): () => void;
  /** Returns how many requests of the connection are not responded to yet. */
  busyOf(socket: Socket): number;
  /** From now on the connection is that of a key. False where the key has too many that are in use. */
  claim(socket: Socket, key: string): boolean;
  /** From now on the connection is a WebSocket of an address. False where the address has too many. */
  upgrade(socket: Socket, source: string): boolean;
  readonly size: number;
}

/**
 * Returns the connections of a listener. A stranger's connection can be closed for a newer one: a socket that sends
 * nothing holds its place only while nobody else needs it. `onClosed` is called for each that is closed so.
 */
export function createConnections(
  { perHolder, total, reserve }: ConnectionLimits,
  proxies: TrustedProxies,
  onClosed: () => void,
): Connections {
  const all = new Map<Socket, Connection>();
  /** By kind and holder, the oldest first. */
  const holders = new Map<string, Set<Connection>>();
  const sizes: Record<Kind, number> = { stranger: 0, known: 0, 'web-socket': 0 };
  const nameOf = ({ kind, who }: Pick<Connection, 'kind' | 'who'>) => `${kind} ${who}`;
  const of = (kind: Kind, who: string) => holders.get(nameOf({ kind, who })) ?? new Set<Connection>();

  function add(connection: Connection): void {
    const name = nameOf(connection);
    all.set(connection.socket, connection);
    holders.set(name, (holders.get(name) ?? new Set()).add(connection));
    sizes[connection.kind]++;
  }

  function remove(socket: Socket): Connection | null {
    const connection = all.get(socket);
    if (connection === undefined) return null;
    const own = holders.get(nameOf(connection))!;
    own.delete(connection);
    if (own.size === 0) holders.delete(nameOf(connection));
    all.delete(socket);
    sizes[connection.kind]--;
    return connection;
  }

  /** Closes the oldest connection of some that is idle; where none is, the oldest, unless only idle ones may go. */
  function closeOldest(some: ReadonlySet<Connection>, onlyIdle = false): boolean {
    let chosen: Connection | null = null;
    for (const connection of some) {
      if (connection.busy > 0) {
        if (!onlyIdle) chosen ??= connection;
        continue;
      }
      chosen = connection;
      break;
    }
    if (chosen === null) return false;
    remove(chosen.socket);
    chosen.socket.destroy();
    onClosed();
    return true;
  }

  /** Returns the connections of the holder that has the most of a kind, or of any. */
  function heaviest(kind: Kind | null): ReadonlySet<Connection> {
    let most: ReadonlySet<Connection> = new Set();
    for (const [name, own] of holders) {
      if (own.size > most.size && (kind === null || name.startsWith(`${kind} `))) most = own;
    }
    return most;
  }

  return {
    accept(socket) {
      const address = socket.remoteAddress ?? '';
      const kind = proxies.trusts(address) ? 'known' : 'stranger';
      const who = kind === 'known' ? 'proxies' : sourceOf(address);
      if (kind === 'stranger') {
        if (of(kind, who).size >= perHolder) closeOldest(of(kind, who));
        if (sizes.stranger >= total - reserve) closeOldest(heaviest('stranger'));
      }
      if (all.size >= total) closeOldest(heaviest(null));
      add({ socket, kind, who, busy: 0 });
      socket.once('close', () => remove(socket));
    },
    leave: (socket) => void remove(socket),
    begin(socket) {
      const connection = all.get(socket);
      if (connection === undefined) return () => {};
      connection.busy++;
      return () => {
        // It may be another's by now.
        const now = all.get(socket);
        if (now !== undefined) now.busy--;
      };
    },
    busyOf: (socket) => all.get(socket)?.busy ?? 0,
    claim(socket, key) {
      const connection = all.get(socket);
      if (connection === undefined || connection.who === 'proxies') return true;
      if (connection.kind === 'known' && connection.who === key) return true;
      if (of('known', key).size >= perHolder && !closeOldest(of('known', key), true)) return false;
      remove(socket);
      add({ ...connection, kind: 'known', who: key });
      return true;
    },
    upgrade(socket, source) {
      const connection = all.get(socket);
      if (connection === undefined) return true;
      if (of('web-socket', source).size >= perHolder) return false;
      remove(socket);
      add({ ...connection, kind: 'web-socket', who: source, busy: 1 });
      return true;
    },
    get size() {
      return all.size;
    },
  };
}
