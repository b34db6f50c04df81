import { once } from 'node:events';
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { connect, type Socket } from 'node:net';
import { generate, type Packet, type Parser, parser } from 'mqtt-packet';
import type { Login, Target } from './target.ts';

/** Where a packet may never come, ms. */
const PACKET_MS = 30_000;

/** Where attacks come from; the load and the operator have other addresses of the loopback net. */
export const ATTACKER = '127.66.6.6';

/** Connects from an address; null where nobody accepts. Errors of the socket later only close it. */
export async function dial(port: number, from = ATTACKER): Promise<Socket | null> {
  const socket = connect({ port, host: '127.0.0.1', localAddress: from, noDelay: true });
  socket.on('error', () => {});
  const closed = once(socket, 'close').then(() => null);
  return Promise.race([once(socket, 'connect').then(() => socket), closed]).catch(() => null);
}

/** Writes and waits until the socket takes more; false where it is closed. */
export function write(socket: Socket, bytes: Uint8Array | string): Promise<boolean> {
  if (socket.destroyed || !socket.writable) return Promise.resolve(false);
  if (socket.write(bytes)) return Promise.resolve(true);
  return new Promise((resolve) => {
    const end = (writable: boolean) => {
      socket.off('drain', drained).off('close', closed);
      resolve(writable);
    };
    const drained = () => end(true);
    const closed = () => end(false);
    socket.once('drain', drained).once('close', closed);
  });
}

interface LoginOptions {
  readonly from?: string;
  readonly clientId?: string;
  readonly clean?: boolean;
}

/** An MQTT client without any manners: it sends what it is given. */
export class RawClient {
  readonly socket: Socket;
  /** Packets that came, by command. */
  readonly seen = new Map<string, number>();
  /** Bytes that came. */
  received = 0;
  /** The longest payload that came. */
  longest = 0;
  readonly #parser: Parser = parser();
  #waiting: { readonly cmd: string; readonly resolve: (packet: Packet | null) => void }[] = [];

  constructor(socket: Socket) {
    this.socket = socket;
    this.#parser.on('packet', (packet: Packet) => this.#take(packet));
    this.#parser.on('error', () => socket.destroy());
    socket.on('data', (bytes: Buffer) => {
      this.received += bytes.length;
      this.#parser.parse(bytes);
    });
    socket.once('close', () => {
      for (const { resolve } of this.#waiting) resolve(null);
    });
  }

  /** Connects and logs in; null where either is refused. */
  static async login(target: Target, { id, secret }: Login, options: LoginOptions = {}): Promise<RawClient | null> {
    const socket = await dial(target.mqttPort, options.from);
    if (socket === null) return null;
    const client = new RawClient(socket);
    const { clientId = id, clean = true } = options;
    client.send(connectOf({ clientId, clean, username: id, password: Buffer.from(secret) }));
    const answer = await client.next('connack');
    return answer?.cmd === 'connack' && answer.returnCode === 0 ? client : null;
  }

  #take(packet: Packet): void {
    this.seen.set(packet.cmd, (this.seen.get(packet.cmd) ?? 0) + 1);
    if (packet.cmd === 'publish') this.longest = Math.max(this.longest, packet.payload.length);
    const first = this.#waiting.findIndex(({ cmd }) => cmd === packet.cmd);
    if (first >= 0) this.#waiting.splice(first, 1)[0]!.resolve(packet);
  }

  send(packet: Packet): void {
    if (!this.socket.destroyed) this.socket.write(generate(packet));
  }

  /** The next packet of a command; null where the connection ends before, or after a time. */
  next(cmd: string, withinMs = PACKET_MS): Promise<Packet | null> {
    if (this.socket.destroyed) return Promise.resolve(null);
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(null), withinMs);
      this.#waiting.push({
        cmd,
        resolve(packet) {
          clearTimeout(timer);
          resolve(packet);
        },
      });
    });
  }

  end(): void {
    this.socket.destroy();
  }
}

/** A CONNECT of MQTT 3.1.1. */
export function connectOf(more: {
  readonly clientId: string;
  readonly clean?: boolean;
  readonly username?: string;
  readonly password?: Buffer;
}): Packet {
  return { cmd: 'connect', protocolId: 'MQTT', protocolVersion: 4, clean: true, keepalive: 600, ...more };
}

export interface Asked {
  readonly method?: string;
  readonly path: string;
  readonly key?: string | undefined;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer | string;
  readonly from?: string;
  readonly signal?: AbortSignal;
  /** Bytes of the response that are kept; the rest is only counted. */
  readonly keep?: number;
}

export interface Given {
  /** 0: the connection was cut. */
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  readonly bytes: number;
  readonly ms: number;
}

/** Sends a request over a connection of its own; status 0 where that is cut or the signal ends it. */
export function ask(target: Target, { method = 'GET', path, key, body, from, signal, ...rest }: Asked): Promise<Given> {
  const began = performance.now();
  const keep = rest.keep ?? 65_536;
  const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) };
  const bearer = key === undefined ? {} : { authorization: `Bearer ${key}` };
  return new Promise((resolve) => {
    const cut = () => resolve({ status: 0, headers: {}, text: '', bytes: 0, ms: performance.now() - began });
    const sent = httpRequest(
      {
        ...{ host: '127.0.0.1', port: target.httpPort, method, path, agent: false, localAddress: from ?? ATTACKER },
        headers: { ...length, ...bearer, ...rest.headers },
        ...(signal === undefined ? {} : { signal }),
      },
      (response) => {
        let [text, bytes] = ['', 0];
        response.on('data', (chunk: Buffer) => {
          bytes += chunk.length;
          if (text.length < keep) text += chunk.toString('latin1');
        });
        response.once('error', cut);
        response.once('close', () => {
          const ms = performance.now() - began;
          resolve({ status: response.statusCode ?? 0, headers: response.headers, text, bytes, ms });
        });
      },
    );
    sent.once('error', cut);
    sent.end(body);
  });
}

/** A form of `multipart/form-data`. */
export function formOf(
  fields: Readonly<Record<string, string>>,
  files: readonly Uint8Array[],
): Required<Pick<Asked, 'headers' | 'body'>> {
  const boundary = 'a-boundary-of-tests';
  const parts: Buffer[] = [];
  for (const [name, value] of Object.entries(fields))
    parts.push(Buffer.from(`--${boundary}\r\ncontent-disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`));
  for (const file of files) {
    const head = 'content-disposition: form-data; name="media"; filename="a.jpg"\r\ncontent-type: image/jpeg';
    parts.push(Buffer.from(`--${boundary}\r\n${head}\r\n\r\n`), Buffer.from(file), Buffer.from('\r\n'));
  }
  parts.push(Buffer.from(`--${boundary}--\r\n`));
  return {
    headers: { 'content-type': `multipart/form-data; boundary=${boundary}` },
    body: Buffer.concat(parts),
  };
}
