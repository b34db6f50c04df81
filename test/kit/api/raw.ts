import { connect, type Socket } from 'node:net';

/** A connection that sends what a test writes, as slowly as it likes. */
export interface RawClient {
  readonly socket: Socket;
  /** What has arrived. */
  text(): string;
  /** Resolves with what arrived when the server has closed the connection. */
  readonly closed: Promise<string>;
  /** Resolves when the text matches; rejects where the connection closes before. */
  until(pattern: RegExp): Promise<string>;
}

/** Connects and sends the lines of a header, each with its end, or nothing. */
export function rawClient(port: number, lines: readonly string[] = [], localAddress = '127.0.0.1'): RawClient {
  const socket = connect({ port, host: '127.0.0.1', localAddress });
  let text = '';
  const waiting = new Set<() => void>();
  const look = () => {
    for (const one of waiting) one();
  };
  const closed = new Promise<string>((resolve) => socket.once('close', () => resolve(text)));
  socket.on('data', (chunk) => {
    text += chunk.toString();
    look();
  });
  socket.on('error', () => {});
  if (lines.length > 0) socket.write(lines.map((line) => `${line}\r\n`).join(''));
  return {
    socket,
    text: () => text,
    closed,
    until(pattern) {
      const { promise, resolve, reject } = Promise.withResolvers<string>();
      void closed.then(() => reject(new Error(`closed without ${pattern}: ${text}`)));
      const check = () => {
        if (!pattern.test(text)) return;
        waiting.delete(check);
        resolve(text);
      };
      waiting.add(check);
      check();
      return promise;
    },
  };
}

/** The lines of a POST with a body that is announced, the empty line included. */
export function posting(path: string, headers: Readonly<Record<string, string>>): string[] {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  return [`POST ${path} HTTP/1.1`, 'host: lamppost.example', ...lines, ''];
}
