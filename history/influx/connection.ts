import * as http from 'node:http';
import * as https from 'node:https';
import { HttpError, InfluxDB } from '@influxdata/influxdb-client';
import { LamppostError } from '../../domain/index.ts';

/** Which InfluxDB is the history, and how it is spoken to. */
export interface InfluxSettings {
  /** `http://host:8086`, also with a path in front of the API's own. */
  readonly url: string;
  /** The token; `user:password` is sent as such; empty where the server asks for none. */
  readonly token: string;
  /** v2 only. */
  readonly org: string;
  /** The bucket; with v1, and for queries, the database of this name. */
  readonly bucket: string;
  /** Which path is written to: `/api/v2/write` (InfluxDB 2 and 3, VictoriaMetrics) or `/write` (InfluxDB 1, and the others too). */
  readonly api: 'v2' | 'v1';
}

/** How the history writes. */
export interface InfluxLimits {
  /** Lines of one request. */
  readonly lines: number;
  /** Requests on their way at the same time. */
  readonly inFlight: number;
  /** How long one request may take in all, ms: a half-open connection answers never. */
  readonly timeoutMs: number;
}

/** What InfluxDB recommends, and a time that it stays within even while it compacts. */
export const INFLUX_LIMITS: InfluxLimits = { lines: 5_000, inFlight: 3, timeoutMs: 30_000 };

/** What a server answered, whatever it was. */
export interface Response {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

/** Requests to one InfluxDB, each tried once and ended in time. What could not be asked is thrown as `history`, retryable. */
export interface InfluxConnection {
  /** Sends lines, with timestamps in ms. */
  write(lines: string): Promise<Response>;
  /** One InfluxQL statement; yields the answer as it comes. An answer other than 200 is thrown as an HttpError. */
  query(statement: string): AsyncIterable<Uint8Array>;
  /** Ends what is on its way; later requests are not hindered. */
  interrupt(): void;
  /** Ends what is on its way, and the idle connections. */
  close(): void;
}

// Smaller bodies are not worth packing.
const GZIP_FROM = 1_000;

/** A connection to the server of the settings; opens nothing before the first request. */
export function createConnection(settings: InfluxSettings, timeoutMs: number): InfluxConnection {
  const Agent = settings.url.startsWith('https:') ? https.Agent : http.Agent;
  const agent = new Agent({ keepAlive: true, maxSockets: 16 });
  // The client's own timeout leaves the socket of a silent server open: ours, by signal, closes it.
  const { transport } = new InfluxDB({ url: settings.url, timeout: 0, transportOptions: { agent } });
  const underWay = new Set<AbortController>();
  const headers = { ...authorization(settings), 'user-agent': 'lamppost' };
  const writePath = pathOf(settings);
  const queryPath = `/query?db=${encodeURIComponent(settings.bucket)}&epoch=ms&chunked=true&chunk_size=10000`;

  /** A signal that ends one request, with the reason why it did. */
  function limit() {
    const controller = new AbortController();
    let reason = 'it was interrupted';
    const timer = setTimeout(() => {
      reason = `no answer within ${timeoutMs} ms`;
      controller.abort();
    }, timeoutMs);
    underWay.add(controller);
    return {
      signal: controller.signal,
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
      let answered: Response['headers'] = {};
      try {
        const options = {
          method: 'POST',
          headers: { ...headers, 'content-type': 'text/plain; charset=utf-8', accept: 'application/json' },
          gzipThreshold: GZIP_FROM,
          signal,
        };
        const body = await transport.request(writePath, lines, options, (found, code) => {
          answered = found;
          status = code ?? 0;
        });
        return { status, headers: answered, body: body === undefined ? '' : JSON.stringify(body) };
      } catch (error) {
        if (error instanceof HttpError) return responseOf(error);
        // A success whose body is not the JSON that was asked for.
        if (error instanceof SyntaxError) return { status, headers: answered, body: '' };
        throw fault(error);
      } finally {
        done();
      }
    },
    async *query(statement) {
      const { signal, fault, done } = limit();
      try {
        const form = { ...headers, 'content-type': 'application/x-www-form-urlencoded', accept: 'application/json' };
        const body = `q=${encodeURIComponent(statement)}`;
        yield* transport.iterate(queryPath, body, { method: 'POST', headers: form, signal });
      } catch (error) {
        throw error instanceof HttpError ? error : fault(error);
      } finally {
        done();
      }
    },
    interrupt,
    close() {
      interrupt();
      agent.destroy();
    },
  };
}

/** The answer inside the client's error. */
export function responseOf(error: HttpError): Response {
  return { status: error.statusCode, headers: error.headers ?? {}, body: error.body ?? '' };
}

/** Host and port, for sentences. */
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
  if (error.name === 'AbortError') return 'the connection broke in the middle of the answer';
  return known[error.code ?? ''] ?? error.message;
}
