import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import type { TrustedProxies } from '../../limits/index.ts';

type Asked = Pick<IncomingMessage, 'headers'> & { readonly socket: { readonly remoteAddress?: string | undefined } };

/**
 * Returns the address of the client: that of the socket or, where a trusted proxy has it, the last one in
 * X-Forwarded-For that no trusted proxy has. What stands before it was written by the client.
 */
export function addressOf({ headers, socket }: Asked, { trusts }: TrustedProxies): string {
  let address = socket.remoteAddress ?? '';
  const forwarded = String(headers['x-forwarded-for'] ?? '').split(',');
  while (forwarded.length > 0 && trusts(address)) {
    const before = plain(forwarded.pop()!.trim());
    if (isIP(before) === 0) break;
    address = before;
  }
  return address;
}

/** Whether the client sends by TLS: to this server, or to a trusted proxy, which says so in X-Forwarded-Proto. */
export function isSecure({ headers, socket }: Asked, { trusts }: TrustedProxies): boolean {
  const said = headers['x-forwarded-proto'];
  if (said !== undefined && trusts(socket.remoteAddress ?? ''))
    return String(said).split(',').at(-1)!.trim() === 'https';
  return 'encrypted' in socket && socket.encrypted === true;
}

/** Returns an address without the port that some proxies add: `192.0.2.1:5678`, `[2001:db8::1]:5678`. */
function plain(text: string): string {
  return /^\[([^\]]+)\](?::\d+)?$/.exec(text)?.[1] ?? /^([\d.]+):\d+$/.exec(text)?.[1] ?? text;
}
