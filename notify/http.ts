import { Agent as HttpAgent, type IncomingMessage, request as requestHttp } from 'node:http';
import { Agent as HttpsAgent, request as requestHttps } from 'node:https';
import type { Clock } from '../domain/index.ts';
import { isPrivateAddress, literalOf, PrivateAddressError, publicLookup } from './address.ts';
import { type Answer, outcomeOfStatus, retryAfterOf } from './ladder.ts';

/** What is posted where. */
export interface Post {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** How requests are made. */
export interface PosterOptions {
  readonly allowPrivate: boolean;
  /** For all of a request: name, connection, body, answer. */
  readonly timeoutMs: number;
  /** So much of an answer is kept, bytes; the rest is not read. */
  readonly mostKept: number;
}

/** Posts over HTTP and HTTPS. Whatever happens is an answer; nothing is thrown but the reason of an aborted signal. */
export interface Poster {
  post(post: Post, signal: AbortSignal): Promise<Answer>;
  close(): void;
}

/** Makes a poster with connections of its own. It follows no redirect and decodes no content. */
export function createPoster(clock: Clock, { allowPrivate, timeoutMs, mostKept }: PosterOptions): Poster {
  const keep = { keepAlive: true, timeout: 30_000, ...(allowPrivate ? {} : { lookup: publicLookup }) };
  const agents = { 'http:': new HttpAgent(keep), 'https:': new HttpsAgent(keep) };

  /** The server may close a connection that is kept alive just as it is used again: that says nothing about the server. */
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

  async function answerOf({ url, headers, body }: Post, signal: AbortSignal): Promise<Omit<Answer, 'ms'>> {
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
        const answer = await answerOf(post, AbortSignal.any([signal, patience]));
        return { ...answer, ms: clock.now() - from };
      } catch (error) {
        signal.throwIfAborted();
        return { ...failureOf(error as NodeJS.ErrnoException, patience.aborted, timeoutMs), ms: clock.now() - from };
      }
    },
    close() {
      for (const agent of Object.values(agents)) agent.destroy();
    },
  };
}

/** The answer's text. A status is an answer already: what breaks off after it is an answer that is short. */
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

function failureOf(error: NodeJS.ErrnoException, timedOut: boolean, timeoutMs: number): Omit<Answer, 'ms'> {
  const none = { status: null, retryAfterMs: null };
  if (timedOut) return { ...none, outcome: 'timed-out', text: `no answer within ${timeoutMs / 1_000} s` };
  if (error instanceof PrivateAddressError) return { ...none, outcome: 'private-address', text: error.message };
  return { ...none, outcome: 'unreachable', text: reasonOf(error) };
}

/** A connection tried at several addresses fails with an error for each, and no message of its own. */
function reasonOf(error: NodeJS.ErrnoException): string {
  const errors = error instanceof AggregateError ? (error.errors as Error[]) : [error];
  return errors.map(({ message }) => message).join('; ');
}
