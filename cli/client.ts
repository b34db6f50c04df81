import { LamppostError } from '../domain/index.ts';

/** Flags of every command that talks to a running server. */
export const SERVER_FLAGS = { url: { type: 'string' }, key: { type: 'string' } } as const;

interface Init {
  readonly body?: unknown;
  readonly accept?: string;
  readonly signal?: AbortSignal | undefined;
}

/** An HTTP client of a running server, authorized with a key. */
export class Client {
  readonly #url: string;
  readonly #key: string;

  constructor(url: string, key: string) {
    this.#url = url;
    this.#key = key;
  }

  /**
   * Sends a request, with `body` as JSON, and returns the response, whatever its status. Throws `config` where the URL is not
   * valid, `busy` where no server responds, and the signal's reason when it aborts.
   */
  async send(method: string, path: string, { body, accept, signal }: Init = {}): Promise<Response> {
    if (!URL.canParse(this.#url)) {
      throw new LamppostError('config', `--url: "${this.#url}" is not a URL; write http://host:8080`);
    }
    const headers: Record<string, string> = this.#key === '' ? {} : { authorization: `Bearer ${this.#key}` };
    if (body !== undefined) headers['content-type'] = 'application/json';
    if (accept !== undefined) headers.accept = accept;
    const sent = body === undefined ? {} : { body: JSON.stringify(body) };
    try {
      return await fetch(`${this.#url}${path}`, { method, headers, ...sent, ...(signal && { signal }) });
    } catch (error) {
      if (signal?.aborted) throw error;
      const { cause, message } = error as Error & { cause?: Error };
      throw new LamppostError('busy', `no server responds at ${this.#url}: ${cause?.message || message}`, {
        cause: error,
      });
    }
  }

  /** Sends a request and returns the text of the response. Throws as `send` does, and `invalid` with the server's reason. */
  async text(method: string, path: string, body?: unknown): Promise<string> {
    const response = await this.send(method, path, { body });
    const text = await response.text();
    if (!response.ok) throw this.#problem(text, response.status);
    return text;
  }

  /** As `text`, for a response in JSON. */
  async json<T>(method: string, path: string, body?: unknown): Promise<T> {
    return JSON.parse(await this.text(method, path, body)) as T;
  }

  /**
   * Sends a request and yields the server-sent events of the response. Throws as `text` does, also for an event `problem`,
   * and `busy` where the stream ends. An abort closes the connection.
   */
  async *events(path: string, body: unknown, signal?: AbortSignal): AsyncGenerator<{ event: string; data: string }> {
    const response = await this.send('POST', path, { body, accept: 'text/event-stream', signal });
    if (!response.ok) throw this.#problem(await response.text(), response.status);
    let rest = '';
    for await (const text of response.body!.pipeThrough(new TextDecoderStream())) {
      const blocks = (rest + text).split('\n\n');
      rest = blocks.pop()!;
      for (const block of blocks) {
        const event = eventOf(block);
        if (event.event === 'problem') throw this.#problem(event.data, response.status);
        yield event;
      }
    }
    throw new LamppostError('busy', `${this.#url} closed the connection before the end`, { retryable: true });
  }

  #problem(text: string, status: number): LamppostError {
    return new LamppostError('invalid', detailOf(text) ?? `${this.#url} responds ${status}: ${text.slice(0, 200)}`);
  }
}

/** Makes the client of a command: `--url`, by default port 8080 of this machine, and `--key`, by default LAMPPOST_ADMIN_KEY. */
export function clientOf(
  { url = 'http://127.0.0.1:8080', key }: { url?: string | undefined; key?: string | undefined },
  environment: NodeJS.ProcessEnv,
): Client {
  return new Client(url, key ?? environment.LAMPPOST_ADMIN_KEY ?? '');
}

/** Reads one server-sent event: its last `event:` and its `data:` lines. */
function eventOf(block: string): { event: string; data: string } {
  const lines = block.split('\n');
  const field = (name: string) =>
    lines.flatMap((line) => (line.startsWith(`${name}: `) ? line.slice(name.length + 2) : [])).join('\n');
  return { event: field('event'), data: field('data') };
}

/** Returns the sentence of a problem (RFC 9457); undefined where the text is something else. */
function detailOf(text: string): string | undefined {
  try {
    return (JSON.parse(text) as { detail?: string }).detail;
  } catch {
    return undefined;
  }
}
