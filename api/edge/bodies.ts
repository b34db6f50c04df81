import type { IncomingMessage } from 'node:http';
import type { FastifyInstance } from 'fastify';
import { LamppostError } from '../../domain/index.ts';
import { problem } from '../problem.ts';
import { sendFault } from './faults.ts';
import type { Timeouts } from './options.ts';
import type { Refusals } from './refusals.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Whether the route decodes bodies with a Content-Encoding itself. Default: they are refused. */
    encoded?: boolean;
  }
}

/** The largest body of a route that does not say its own, bytes. */
export const BODY_LIMIT = 64 * 1024;
/** How deeply lists and objects may stand inside each other. */
const MOST_NESTED = 64;
/** How much of a refused body is read, bytes. */
const MOST_DRAINED = 1024 * 1024;

/** Bounds bodies in time, and those of JSON in depth; refuses encoded ones; ends those that were not asked for. */
export function boundBodies(app: FastifyInstance, timeouts: Timeouts, refusals: Refusals): void {
  parseJson(app, refusals);
  app.addHook('onRequest', async (request, reply) => {
    const { 'content-encoding': encoding = 'identity' } = request.headers;
    if (encoding.toLowerCase() !== 'identity' && request.routeOptions.config.encoded !== true) {
      refusals.count('content-encoding');
      reply.header('accept-encoding', 'identity');
      return problem(reply, 415, `send the body without Content-Encoding: ${encoding.slice(0, 100)}`);
    }
    if (!hasBody(request.raw)) return undefined;
    endStalled(request.raw, timeouts.stallMs, refusals);
    // Fastify reads the body before it says that there is no such route.
    return request.is404 ? request.routeOptions.handler.call(app, request, reply) : undefined;
  });
  app.addHook('onSend', async ({ raw }, reply) => {
    if (!raw.complete && hasBody(raw)) drain(raw, timeouts.drainMs, () => refusals.count('body-not-ended'));
    if (reply.statusCode === 413) refusals.count('body-too-large');
    // Of a response that its client does not take. When it has ended, Node sets the time of an idle connection.
    reply.raw.setTimeout(timeouts.stallMs);
  });
}

const hasBody = ({ headers }: IncomingMessage) =>
  headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;

/** Ends a request of whose body nothing arrives for a time. */
function endStalled(request: IncomingMessage, stallMs: number, refusals: Refusals): void {
  const { socket } = request;
  request.setTimeout(stallMs, () => {
    refusals.count('timeout');
    sendFault(socket, 408, `no byte of the body arrived for ${stallMs / 1_000} s`);
  });
  request.once('end', () => socket.setTimeout(0));
}

/**
 * Reads the rest of a body that the response does not need, so that its client can read the response, within a bound of
 * bytes and of time; then closes the connection.
 */
function drain(request: IncomingMessage, drainMs: number, onCut: () => void): void {
  let bytes = 0;
  const cut = () => {
    clearTimeout(timer);
    if (request.complete || request.socket.destroyed) return;
    onCut();
    request.socket.destroy();
  };
  const timer = setTimeout(cut, drainMs);
  request.once('close', () => clearTimeout(timer));
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > MOST_DRAINED) cut();
  });
}

/** JSON that is nested too deeply is refused before it is parsed: what walks it later may recurse. */
function parseJson(app: FastifyInstance, refusals: Refusals): void {
  const parse = app.getDefaultJsonParser('error', 'error');
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
    if (depthOf(String(body)) > MOST_NESTED) {
      refusals.count('nesting');
      const detail = `the body is nested more deeply than ${MOST_NESTED} lists and objects`;
      done(new LamppostError('invalid', detail));
    } else void parse(request, String(body), done);
  });
}

/** Returns how deeply lists and objects stand inside each other in a text of JSON; of other text any number. */
function depthOf(text: string): number {
  let [depth, most, quoted] = [0, 0, false];
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (quoted) {
      if (code === BACKSLASH) i++;
      else if (code === QUOTE) quoted = false;
    } else if (code === QUOTE) quoted = true;
    else if (code === OPEN_LIST || code === OPEN_OBJECT) most = Math.max(most, ++depth);
    else if (code === CLOSE_LIST || code === CLOSE_OBJECT) depth--;
  }
  return most;
}

const [QUOTE, BACKSLASH, OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = [0x22, 0x5c, 0x5b, 0x5d, 0x7b, 0x7d];
