import { randomBytes, timingSafeEqual } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { type HeaderRefusal, type ProxyHeader, proxyHeaderOf, readProxyHeader } from './proxy-protocol.ts';

/** The broker's own listener for connections that its process brings it, such as those of WebSockets. */
export interface Bridge {
  readonly port: number;
  /** Known to this process only: whoever shows it may say whom it speaks for. */
  readonly token: string;
}

export const BRIDGE_HOST = '127.0.0.1';
const TOKEN_BYTES = 32;
const TOKEN_CHARACTERS = 2 * TOKEN_BYTES;

/** Returns a new token. */
export const newBridgeToken = () => randomBytes(TOKEN_BYTES).toString('hex');

/** Opens a connection to the broker that counts for the client at this address. */
export function openBridge({ port, token }: Bridge, address: string): Socket {
  const socket = connect({ port, host: BRIDGE_HOST, noDelay: true });
  socket.write(token + proxyHeaderOf(address));
  return socket;
}

/** Reads the beginning of a connection to the bridge: the token, then a header as `readProxyHeader` does. */
export function readBridgeHeader(token: string, bytes: Buffer): ProxyHeader | HeaderRefusal | null {
  if (bytes.length < TOKEN_CHARACTERS) return null;
  // Anyone on this machine can connect to the port.
  if (!timingSafeEqual(bytes.subarray(0, TOKEN_CHARACTERS), Buffer.from(token))) return 'no-proxy-header';
  const header = readProxyHeader(bytes.subarray(TOKEN_CHARACTERS));
  return header === null || typeof header === 'string'
    ? header
    : { ...header, length: header.length + TOKEN_CHARACTERS };
}
