import { connect } from 'node:net';
import { type Duplex, pipeline } from 'node:stream';

/**
 * Carries the bytes of an MQTT-over-WebSocket connection from the API's thread to the broker's listener. Limits, login
 * and back-pressure are those of every other connection.
 */
export function bridgeWebSocket(stream: Duplex, port: number, host: string): void {
  const any = host === '0.0.0.0' || host === '::';
  const socket = connect({ port, host: any ? '127.0.0.1' : host, noDelay: true });
  // When one end closes, the other is closed; nobody is left to report an error to.
  pipeline(stream, socket, stream, () => {
    stream.destroy();
    socket.destroy();
  });
}
