import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { gunzipSync } from 'node:zlib';

/** A write as the server received it. */
export interface MetWrite {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly lines: readonly string[];
  /** Whether the body was compressed. */
  readonly packed: boolean;
}

/** Responds to one write; a response that it does not end hangs. */
export type Responder = (write: MetWrite, response: ServerResponse, server: InfluxScript) => void;

/**
 * A server that speaks HTTP and line protocol and responds as a test decides: for responses that the databases
 * installed
 * here do not give. It keeps points as InfluxDB does: by series, field and time; the newest value wins.
 */
export class InfluxScript {
  readonly points = new Map<string, number>();
  readonly writes: MetWrite[] = [];
  /** Connections that are open now. */
  readonly sockets = new Set<Socket>();
  respond: Responder;
  #server: Server | null = null;
  #port = 0;

  constructor(respond: Responder = stored) {
    this.respond = respond;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Starts listening; after the first time, on the same port as before. */
  async start(): Promise<void> {
    const server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const packed = request.headers['content-encoding'] === 'gzip';
        const body = packed ? gunzipSync(Buffer.concat(chunks)) : Buffer.concat(chunks);
        const lines = body.toString().split('\n').filter(Boolean);
        const write = { path: request.url!, headers: request.headers, lines, packed };
        this.writes.push(write);
        this.respond(write, response, this);
      });
    });
    server.on('connection', (socket) => {
      this.sockets.add(socket);
      socket.once('close', () => this.sockets.delete(socket));
    });
    this.#server = server.listen(this.#port, '127.0.0.1');
    await once(server, 'listening');
    this.#port = (server.address() as AddressInfo).port;
  }

  /** Stops listening and closes every connection. */
  async stop(): Promise<void> {
    const server = this.#server;
    if (server === null) return;
    this.#server = null;
    const closed = once(server, 'close');
    server.close();
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }

  /** Stores one line. */
  store(line: string): void {
    const { series, fields, ts } = parseLine(line);
    for (const [field, value] of fields) this.points.set(`${series} ${field} ${ts}`, value);
  }
}

/** Parses one line, without unescaping its names. Throws where it is not valid. */
export function parseLine(line: string): { series: string; fields: [string, number][]; ts: number } {
  const parts = /^((?:\\.|[^\\ ])+) ((?:\\.|[^\\ ])+) (-?\d+)$/.exec(line);
  if (parts === null) throw new Error(`not a line: ${line}`);
  const fields = parts[2]!.split(/(?<!\\),/).map((field): [string, number] => {
    const at = field.lastIndexOf('=');
    const value = Number(field.slice(at + 1));
    if (!Number.isFinite(value)) throw new Error(`not a number: ${line}`);
    return [field.slice(0, at), value];
  });
  return { series: parts[1]!, fields, ts: Number(parts[3]) };
}

/** Stores all. */
export const stored: Responder = ({ lines }, response, server) => {
  for (const line of lines) server.store(line);
  response.writeHead(204).end();
};

/** Responds with JSON and stores nothing. */
export const says =
  (status: number, body: object, headers: Record<string, string> = {}): Responder =>
  (_write, response) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
  };
