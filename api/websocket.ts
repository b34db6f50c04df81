import type { Server } from 'node:http';
import { createWebSocketStream, WebSocketServer } from 'ws';
import type { ApiDeps } from './deps.ts';

const MAX_PAYLOAD = 512 * 1024;

/** MQTT over WebSocket at `/mqtt` (MQTT 3.1.1 §6, subprotocol `mqtt`). Who connects is found out by MQTT's own CONNECT. */
export function acceptWebSockets(server: Server, deps: Pick<ApiDeps, 'acceptWebSocket'>): WebSocketServer {
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: MAX_PAYLOAD,
    perMessageDeflate: false,
    handleProtocols: (offered) => ['mqtt', 'mqttv3.1'].find((name) => offered.has(name)) ?? false,
  });
  server.on('upgrade', (request, socket, head) => {
    if (request.url?.split('?')[0] !== '/mqtt') {
      socket.end('HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n');
      return;
    }
    sockets.handleUpgrade(request, socket, head, (webSocket) => {
      const stream = createWebSocketStream(webSocket);
      stream.on('error', () => stream.destroy());
      deps.acceptWebSocket(stream, request.socket.remoteAddress ?? '');
    });
  });
  return sockets;
}
