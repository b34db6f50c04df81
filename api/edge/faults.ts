import type { Socket } from 'node:net';
import { HEADERS } from './headers.ts';
import type { Refusals, Refused } from './refusals.ts';

// Not imported: see listener.ts.
const { STATUS_CODES } = process.getBuiltinModule('node:http');

/** Sends a problem over a socket that has no request (RFC 9457), unless a response has begun, and closes it. */
export function sendFault(socket: Socket, status: number, detail: string, more: Record<string, string> = {}): void {
  const title = STATUS_CODES[status]!;
  const body = JSON.stringify({ type: 'about:blank', title, status, detail, instance: '' });
  const headers = {
    ...HEADERS,
    ...more,
    'content-type': 'application/problem+json',
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    connection: 'close',
  };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  if (socket.writable && !responding(socket))
    socket.write(`HTTP/1.1 ${status} ${title}\r\n${lines.join('')}\r\n${body}`);
  socket.destroySoon();
}

/** Whether a part of a response was sent already; Node's own handler asks the same. */
function responding(socket: Socket): boolean {
  return (socket as { _httpMessage?: { headersSent: boolean } | null })._httpMessage?.headersSent === true;
}

interface Fault {
  readonly reason: Refused;
  readonly status: number;
  readonly detail: string;
}

const FAULTS: Readonly<Record<string, Fault>> = {
  ERR_HTTP_REQUEST_TIMEOUT: { reason: 'timeout', status: 408, detail: 'the request did not arrive in time' },
  HPE_HEADER_OVERFLOW: {
    reason: 'headers-too-large',
    status: 431,
    detail: 'the first line and the headers of a request have at most 16 KiB',
  },
};
const NOT_HTTP: Fault = { reason: 'not-http', status: 400, detail: 'this is not a request of HTTP/1.1' };

/** Returns the handler of what does not become a request. */
export function clientErrors(refusals: Refusals): (error: Error & { code?: string }, socket: Socket) => void {
  return ({ code = '' }, socket) => {
    if (code === 'ECONNRESET' || socket.destroyed) return;
    const { reason, status, detail } = FAULTS[code] ?? NOT_HTTP;
    refusals.count(reason);
    sendFault(socket, status, detail);
  };
}
