import type { Agent as HttpAgentType } from 'node:http';
import { createRequire } from 'node:module';
import type { Duplex } from 'node:stream';
import type { HttpError } from '@influxdata/influxdb-client';
import { LamppostError } from '../../domain/index.ts';

/** Node's module of HTTP; an import of it would load undici too: 0.1 s and more in each thread. */
const { Agent: HttpAgent } = process.getBuiltinModule('node:http');
const { Agent: HttpsAgent } = process.getBuiltinModule('node:https');
const require = createRequire(import.meta.url);
/** The client, loaded where an InfluxDB is the history. */
const client = () => require('@influxdata/influxdb-client') as typeof import('@influxdata/influxdb-client');

/** The InfluxDB that is the history, and which API it has. */
export interface InfluxSettings {
  /** `http://host:8086`, optionally with a path prefix. */
  readonly url: string;
  /** The token; with v1, `user:password` is sent as basic authentication; empty where the server needs none. */
  readonly token: string;
  /** v2 only. */
  readonly org: string;
  /** The bucket; with v1, and for queries, the database of this name. */
  readonly bucket: string;
  /**
   * The path of writes: `/api/v2/write` (InfluxDB 2 and 3, VictoriaMetrics) or `/write` (InfluxDB 1, also supported by
   * the others).
   */
  readonly api: 'v2' | 'v1';
}

/** Limits of the requests. */
export interface InfluxLimits {
  /** Most lines of one write. */
  readonly lines: number;
  /** Most writes at the same time. */
  readonly inFlight: number;
  /** How long one request may take in all, ms: a half-open connection never responds. */
  readonly timeoutMs: number;
}

/** The batch size that InfluxDB recommends, and a timeout that it keeps even while it compacts. */
export const INFLUX_LIMITS: InfluxLimits = { lines: 5_000, inFlight: 3, timeoutMs: 30_000 };

/** A response of the server, of any status. */
export interface Response {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

/**
 * Requests to one InfluxDB, each sent once and with a timeout. A request that gets no response throws `history`,
 * retryable.
 */
export interface InfluxConnection {
  /** Sends lines, with timestamps in ms. */
  write(lines: string): Promise<Response>;
  /**
   * Runs one InfluxQL statement and yields the response as it arrives. Throws an HttpError for a status other than 200,
   * and the signal's reason where that aborts: then the request is aborted, too.
   */
  query(statement: string, signal?: AbortSignal): AsyncIterable<Uint8Array>;
  /** Returns how often the server ended a connection for writes that nobody had asked it to end. */
  losses(): number;
  /** Aborts the requests in progress; later requests are possible. */
  interrupt(): void;
  /** Aborts the requests in progress and closes idle connections. */
  close(): void;
}

// Smaller bodies are not worth compressing.
const GZIP_FROM = 1_000;

/** Creates the connection to a server; opens no socket before the first request. */
export function createConnection(settings: InfluxSettings, timeoutMs: number): InfluxConnection {
  const Agent = settings.url.startsWith('https:') ? HttpsAgent : HttpAgent;
  const agent = new Agent({ keepAlive: true, maxSockets: 16 });
  // Of their own: readers end their connections when they please.
  const writeAgent = new Agent({ keepAlive: true, maxSockets: 16 });
  let losses = 0;
  let closing = false;
  onIdleClose(writeAgent, () => {
    if (!closing) losses++;
  });
  // The client's own timeout leaves the socket of a silent server open; a signal closes it.
  const transportOf = (of: typeof agent) =>
    new (client().InfluxDB)({ url: settings.url, timeout: 0, transportOptions: { agent: of } }).transport;
  const [transport, writing] = [transportOf(agent), transportOf(writeAgent)];
  const underWay = new Set<AbortController>();
  const headers = { ...authorization(settings), 'user-agent': 'lamppost' };
  const writePath = pathOf(settings);
  const queryPath = `/query?db=${encodeURIComponent(settings.bucket)}&epoch=ms&chunked=true&chunk_size=10000`;

  /** A signal that aborts one request, and the error with the reason. */
  function limit() {
    const controller = new AbortController();
    let reason = 'it was interrupted';
    const timer = setTimeout(() => {
      reason = `no response within ${timeoutMs} ms`;
      controller.abort();
    }, timeoutMs);
    underWay.add(controller);
    return {
      signal: controller.signal,
      abort: () => controller.abort(),
      fault(error: unknown): LamppostError {
        const why = controller.signal.aborted ? reason : faultOf(error as NodeJS.ErrnoException);
        return new LamppostError('history', `InfluxDB at ${hostOf(settings)}: ${why}`, {
          retryable: true,
          cause: error,
        });
      },
      done() {
        clearTimeout(timer);
        underWay.delete(controller);
      },
    };
  }

  function interrupt(): void {
    for (const controller of underWay) controller.abort();
  }

  return {
    async write(lines) {
      const { signal, fault, done } = limit();
      let status = 0;
      let received: Response['headers'] = {};
      try {
        const options = {
          method: 'POST',
          headers: { ...headers, 'content-type': 'text/plain; charset=utf-8', accept: 'application/json' },
          gzipThreshold: GZIP_FROM,
          signal,
        };
        const body = await writing.request(writePath, lines, options, (found, code) => {
          received = found;
          status = code ?? 0;
        });
        return { status, headers: received, body: body === undefined ? '' : JSON.stringify(body) };
      } catch (error) {
        if (isHttpError(error)) return responseOf(error);
        // A success whose body is not JSON although JSON was requested.
        if (error instanceof SyntaxError) return { status, headers: received, body: '' };
        losses++;
        throw fault(error);
      } finally {
        done();
      }
    },
    async *query(statement, ending) {
      ending?.throwIfAborted();
      const { signal, abort, fault, done } = limit();
      ending?.addEventListener('abort', abort, { once: true });
      try {
        const form = { ...headers, 'content-type': 'application/x-www-form-urlencoded', accept: 'application/json' };
        const body = `q=${encodeURIComponent(statement)}`;
        yield* transport.iterate(queryPath, body, { method: 'POST', headers: form, signal });
      } catch (error) {
        if (ending?.aborted) throw ending.reason;
        throw isHttpError(error) ? error : fault(error);
      } finally {
        ending?.removeEventListener('abort', abort);
        done();
      }
    },
    losses: () => losses,
    interrupt,
    close() {
      closing = true;
      interrupt();
      agent.destroy();
      writeAgent.destroy();
    },
  };
}

/**
 * Calls the listener when the other end closes a connection that waits for its next request. One that it announced to
 * close never waits.
 */
function onIdleClose(agent: HttpAgentType, listener: () => void): void {
  const listened = new WeakSet<object>();
  const idle = new WeakSet<object>();
  agent.on('free', (socket: Duplex) => {
    idle.add(socket);
    if (listened.has(socket)) return;
    listened.add(socket);
    socket.once('close', () => {
      if (idle.has(socket)) listener();
    });
  });
  const { reuseSocket } = agent;
  agent.reuseSocket = (socket, request) => {
    idle.delete(socket);
    reuseSocket.call(agent, socket, request);
  };
}

/** Whether the server responded with a status of failure. */
export const isHttpError = (error: unknown): error is HttpError => error instanceof client().HttpError;

/** The response inside the client's error. */
export function responseOf(error: HttpError): Response {
  return { status: error.statusCode, headers: error.headers ?? {}, body: error.body ?? '' };
}

/** Host and port, for messages. */
export function hostOf({ url }: InfluxSettings): string {
  return new URL(url).host;
}

function pathOf({ api, org, bucket }: InfluxSettings): string {
  const name = encodeURIComponent(bucket);
  if (api === 'v1') return `/write?db=${name}&precision=ms`;
  return `/api/v2/write?org=${encodeURIComponent(org)}&bucket=${name}&precision=ms`;
}

function authorization({ api, token }: InfluxSettings): Record<string, string> {
  if (token === '') return {};
  const basic = api === 'v1' && token.includes(':');
  return { authorization: basic ? `Basic ${Buffer.from(token).toString('base64')}` : `Token ${token}` };
}

function faultOf(error: NodeJS.ErrnoException): string {
  const known: Readonly<Record<string, string>> = {
    ECONNREFUSED: 'nothing listens there',
    ENOTFOUND: 'there is no host of this name',
    ECONNRESET: 'the connection broke',
    EPIPE: 'the connection broke',
  };
  if (error.name === 'AbortError') return 'the connection broke in the middle of the response';
  return known[error.code ?? ''] ?? error.message;
}
