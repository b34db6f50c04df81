import type { IncomingMessage } from 'node:http';
import type { Clock } from '../domain/index.ts';
import { isPrivateAddress, literalOf, PrivateAddressError, publicLookup } from './address.ts';
import { type AttemptResult, outcomeOfStatus, retryAfterOf } from './retry-policy.ts';

// Not imported: see api/edge/listener.ts.
const { Agent: HttpAgent, request: requestHttp } = process.getBuiltinModule('node:http');
const { Agent: HttpsAgent, request: requestHttps } = process.getBuiltinModule('node:https');

/** A request. */
export interface Post {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Bounds of requests. */
interface PosterOptions {
  readonly allowPrivate: boolean;
  /** For the whole request: name, connection, body, response. */
  readonly timeoutMs: number;
  /** Bytes of a response that are kept; the rest is not read. */
  readonly mostKept: number;
}

/** Posts over HTTP and HTTPS. Returns a result for every failure; throws only the reason of an aborted signal. */
export interface Poster {
  post(post: Post, signal: AbortSignal): Promise<AttemptResult>;
  /** Closes the connections that are kept alive. */
  stop(): void;
}

/** Creates a poster with its own connections. It follows no redirect and decodes no content. */
export function createPoster(
  { clock }: { readonly clock: Clock },
  { allowPrivate, timeoutMs, mostKept }: PosterOptions,
): Poster {
  const keep = { keepAlive: true, timeout: 30_000, ...(allowPrivate ? {} : { lookup: publicLookup }) };
  const agents = { 'http:': new HttpAgent(keep), 'https:': new HttpsAgent(keep) };

  /** Repeats a request on a new connection where the server closed a kept one just as it was used again. */
  async function responseOf(target: URL, post: Omit<Post, 'url'>, signal: AbortSignal): Promise<IncomingMessage> {
    for (;;) {
      const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage | null>();
      const length = { 'content-length': String(Buffer.byteLength(post.body)) };
      const options = { method: 'POST', headers: { ...post.headers, ...length }, signal };
      const agent = agents[target.protocol as keyof typeof agents];
      const send = target.protocol === 'https:' ? requestHttps : requestHttp;
      const request = send(target, { ...options, agent }, resolve);
      request.once('error', (error: NodeJS.ErrnoException) => {
        if (request.reusedSocket && error.code === 'ECONNRESET') resolve(null);
        else reject(error);
      });
      request.end(post.body);
      const response = await promise;
      if (response !== null) return response;
    }
  }

  async function resultOf({ url, headers, body }: Post, signal: AbortSignal): Promise<Omit<AttemptResult, 'ms'>> {
    const target = new URL(url);
    const literal = literalOf(target);
    // A literal address is not looked up.
    if (!allowPrivate && literal !== null && isPrivateAddress(literal)) {
      throw new PrivateAddressError(`${literal} is private`);
    }
    const response = await responseOf(target, { headers, body }, signal);
    const text = await readUpTo(response, mostKept);
    const status = response.statusCode!;
    const retryAfterMs = retryAfterOf(response.headers['retry-after'], clock.now());
    return { outcome: outcomeOfStatus(status), status, retryAfterMs, text };
  }

  return {
    async post(post, signal) {
      const from = clock.now();
      const patience = AbortSignal.timeout(timeoutMs);
      try {
        const result = await resultOf(post, AbortSignal.any([signal, patience]));
        return { ...result, ms: clock.now() - from };
      } catch (error) {
        signal.throwIfAborted();
        return { ...failureOf(error as NodeJS.ErrnoException, patience.aborted, timeoutMs), ms: clock.now() - from };
      }
    },
    stop() {
      for (const agent of Object.values(agents)) agent.destroy();
    },
  };
}

/** Returns the text of a response. After the status, a connection that breaks only shortens the text. */
async function readUpTo(response: IncomingMessage, most: number): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      length += chunk.length;
      if (length >= most) break;
    }
  } catch {
    return `${textOf(chunks, most)} … (broken off)`;
  } finally {
    response.destroy();
  }
  return length > most ? `${textOf(chunks, most)} … (cut)` : textOf(chunks, most);
}

function textOf(chunks: readonly Buffer[], most: number): string {
  return Buffer.concat(chunks).subarray(0, most).toString('utf8');
}

function failureOf(error: NodeJS.ErrnoException, timedOut: boolean, timeoutMs: number): Omit<AttemptResult, 'ms'> {
  const none = { status: null, retryAfterMs: null };
  if (timedOut) return { ...none, outcome: 'timed-out', text: `no response within ${timeoutMs / 1_000} s` };
  if (error instanceof PrivateAddressError) return { ...none, outcome: 'private-address', text: error.message };
  return { ...none, outcome: 'unreachable', text: reasonOf(error) };
}

/** A connection that was tried at several addresses fails with one error for each and no message of its own. */
function reasonOf(error: NodeJS.ErrnoException): string {
  const errors = error instanceof AggregateError ? (error.errors as Error[]) : [error];
  return errors.map(({ message }) => message).join('; ');
}
