import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { createWebSocketStream, WebSocketServer } from 'ws';
import { sourceOf, type TrustedProxies } from '../../limits/index.ts';
import type { ApiDeps } from '../deps.ts';
import { addressOf, isSecure } from './client.ts';
import type { Connections } from './connections.ts';
import { sendFault } from './faults.ts';
import type { Refusals } from './refusals.ts';

const MAX_PAYLOAD = 512 * 1024;

interface Parts {
  readonly proxies: TrustedProxies;
  /** Where clients without TLS belong; null: they may stay, unless MQTT needs TLS. */
  readonly redirect: string | null;
  readonly mqttNeedsTls: boolean;
  readonly publicOrigin: string | null;
  readonly connections: Connections;
  readonly refusals: Refusals;
  readonly acceptWebSocket: ApiDeps['acceptWebSocket'];
}

/** Whether a request asks for MQTT over WebSocket. Any other request is served as if it asked for no upgrade. */
export function isWebSocket({ url, headers }: IncomingMessage): boolean {
  return url?.split('?')[0] === '/mqtt' && headers.upgrade?.toLowerCase() === 'websocket';
}

/**
 * Accepts MQTT over WebSocket at `/mqtt` (MQTT 3.1.1 §6, subprotocol `mqtt`). MQTT's own CONNECT authenticates the
 * client.
 */
export function acceptWebSockets(
  server: Server,
  { proxies, redirect, mqttNeedsTls, publicOrigin, connections, refusals, acceptWebSocket }: Parts,
): WebSocketServer {
  const tls = (redirect ?? publicOrigin)?.match(/^https(:.*)/)?.[1];
  const needed = `MQTT over WebSocket needs TLS here${tls === undefined ? '' : `: wss${tls}/mqtt`}`;
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: MAX_PAYLOAD,
    perMessageDeflate: false,
    handleProtocols: (offered) => ['mqtt', 'mqttv3.1'].find((name) => offered.has(name)) ?? false,
  });
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    if ((redirect !== null || mqttNeedsTls) && !isSecure(request, proxies)) {
      // Clients of WebSockets follow no redirection: a secret would be sent again without TLS.
      refusals.count('no-tls');
      sendFault(socket as Socket, 403, needed);
      return;
    }
    const address = addressOf(request, proxies);
    if (!connections.upgrade(socket as Socket, sourceOf(address))) {
      refusals.count('web-sockets');
      sendFault(socket as Socket, 429, 'too many WebSockets of this address are open', { 'retry-after': '5' });
      return;
    }
    sockets.handleUpgrade(request, socket, head, (webSocket) => {
      const stream = createWebSocketStream(webSocket);
      stream.on('error', () => stream.destroy());
      acceptWebSocket(stream, address);
    });
  });
  return sockets;
}
