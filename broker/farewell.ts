import type { Duplex } from 'node:stream';

/** How long the other side has to read the last packet and to close, ms. */
const LINGER_MS = 1_000;

/**
 * Sends a last packet and closes the connection. What still comes is read and discarded: bytes that nobody read would
 * make the system reset the connection, and the packet be lost on the way.
 */
export function farewell(socket: Duplex, packet: Uint8Array, destroy: () => void = () => socket.destroy()): void {
  if (socket.destroyed || socket.writableEnded || socket.writableNeedDrain) {
    destroy();
    return;
  }
  const timer = setTimeout(destroy, LINGER_MS);
  socket.once('close', () => clearTimeout(timer));
  socket.once('end', destroy);
  socket.removeAllListeners('readable');
  socket.end(packet);
  socket.resume();
}
