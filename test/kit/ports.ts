import { once } from 'node:events';
import { createServer } from 'node:net';

/** The most workers at a time. Each has ports of its own: none takes another's while its server is down. */
export const WORKERS = 16;
const PORTS = Math.floor(22_000 / WORKERS);
/** Ports that were given already: their servers may not have begun to listen, or may be down for a moment. */
const given = new Set<number>();
const FIRST_PORT = 10_000 + (Number(process.env.VITEST_POOL_ID ?? 0) % WORKERS) * PORTS;

/**
 * A free port below those that the system gives to outgoing connections (usually from 32768): none of these can take it
 * while a server is down, not even one that tries to reach that server (it would connect to itself).
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = FIRST_PORT + Math.floor(Math.random() * PORTS);
    if (given.has(port)) continue;
    given.add(port);
    const server = createServer().listen(port, '127.0.0.1');
    const isFree = await once(server, 'listening').then(
      () => true,
      () => false,
    );
    if (!isFree) continue;
    server.close();
    await once(server, 'close');
    return port;
  }
}
