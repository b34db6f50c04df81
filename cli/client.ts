import { LamppostError, type Page } from '../domain/index.ts';
import { readLogin } from './login.ts';

interface Init {
  readonly body?: unknown;
  /** Sent as they are, in place of a body. */
  readonly bytes?: Buffer<ArrayBuffer>;
  readonly accept?: string;
  readonly signal?: AbortSignal | undefined;
}

/** An HTTP client of a running server, authorized with a key. */
export class Client {
  readonly #url: string;
  readonly #key: string;
  readonly #keyFrom: string;

  /** `keyFrom`: where the key was found, for the sentence on a wrong one. */
  constructor(url: string, key: string, keyFrom = '--key') {
    this.#url = url;
    this.#key = key;
    this.#keyFrom = keyFrom;
  }

  /**
   * Sends a request, with `body` as JSON, and returns the response, whatever its status. Throws `config` where the URL
   * or the key is not valid, `busy` where no server responds, and the signal's reason when it aborts.
   */
  async send(method: string, path: string, { body, bytes, accept, signal }: Init = {}): Promise<Response> {
    checkUrl(this.#url);
    checkKey(this.#key, this.#keyFrom);
    const headers: Record<string, string> = this.#key === '' ? {} : { authorization: `Bearer ${this.#key}` };
    if (body !== undefined) headers['content-type'] = 'application/json';
    if (accept !== undefined) headers.accept = accept;
    const content = bytes ?? (body === undefined ? undefined : JSON.stringify(body));
    const sent = content === undefined ? {} : { body: content };
    try {
      return await fetch(`${this.#url}${path}`, { method, headers, ...sent, ...(signal && { signal }) });
    } catch (error) {
      if (signal?.aborted) throw error;
      const message = `no server responds at ${this.#url}: ${whyOf(error as Error)} (another: --url, LAMPPOST_URL)`;
      throw new LamppostError('busy', message, { cause: error });
    }
  }

  /**
   * Sends a request and returns the text of the response. Throws as `send` does, and `invalid` with the server's
   * reason.
   */
  async text(method: string, path: string, body?: unknown): Promise<string> {
    const response = await this.send(method, path, { body });
    const text = await response.text();
    if (!response.ok) throw this.problem(text, response.status);
    return text;
  }

  /** As `text`, for a response in JSON. */
  async json<T>(method: string, path: string, body?: unknown): Promise<T> {
    return JSON.parse(await this.text(method, path, body)) as T;
  }

  /**
   * Sends a request and yields the server-sent events of the response. Throws as `text` does, also for an event
   * `problem`, and `busy` where the stream ends. An abort closes the connection.
   */
  async *events(path: string, body: unknown, signal?: AbortSignal): AsyncGenerator<{ event: string; data: string }> {
    const response = await this.send('POST', path, { body, accept: 'text/event-stream', signal });
    if (!response.ok) throw this.problem(await response.text(), response.status);
    let rest = '';
    for await (const text of response.body!.pipeThrough(new TextDecoderStream())) {
      const blocks = (rest + text).split('\n\n');
      rest = blocks.pop()!;
      for (const block of blocks) {
        const event = eventOf(block);
        if (event.event === 'problem') throw this.problem(event.data, response.status);
        yield event;
      }
    }
    throw new LamppostError('busy', `${this.#url} closed the connection before the end`, { retryable: true });
  }

  /** Returns the error of a response that is none of success. */
  problem(text: string, status: number): LamppostError {
    const detail = detailOf(text);
    if (status === 401 && detail !== undefined) return new LamppostError('invalid', this.#unauthorized(detail));
    return new LamppostError('invalid', detail ?? `${this.#url} responds ${status}: ${text.slice(0, 200)}`);
  }

  #unauthorized(detail: string): string {
    if (this.#key === '')
      return `${this.#url} needs a key: write --key, set LAMPPOST_KEY, or run lamppost login (${detail})`;
    return `${this.#url} does not accept the key of ${this.#keyFrom}: ${detail}`;
  }
}

/** Throws `config` where an address is not that of a server: the beginning of a URL, without a path. */
function checkUrl(text: string): void {
  const url = URL.canParse(text) ? new URL(text) : null;
  const is =
    url === null || !/^https?:$/.test(url.protocol) ? 'not a URL' : url.pathname === '/' ? null : 'more than it';
  if (is === 'not a URL')
    throw new LamppostError('config', `--url, LAMPPOST_URL: "${text}" is no URL; write http://host:8080`);
  if (is !== null) throw new LamppostError('config', `--url, LAMPPOST_URL: "${text}" has a path; write ${url!.origin}`);
}

/** Throws `config` where a key has what no key has, and no header of HTTP takes. */
function checkKey(key: string, from: string): void {
  if (/[^\x21-\x7e]/.test(key))
    throw new LamppostError('config', `${from}: this is no key: keys have neither spaces nor letters beyond ASCII`);
}

/** Returns why a request got no response. */
function whyOf({ cause, message }: Error & { cause?: unknown }): string {
  const why = (cause as Error | undefined)?.message || message;
  return why.includes('wrong version number') ? 'it does not speak TLS; write http://' : why;
}

/** What a command that talks to a running server was given. */
interface Where {
  readonly url?: string | undefined;
  readonly key?: string | undefined;
}

/** Returns where the server is: `--url`, LAMPPOST_URL, the saved login, or HTTP_PORT of this machine. */
export function urlOf({ url }: Where, environment: NodeJS.ProcessEnv): string {
  const port = Number(environment.HTTP_PORT) || 8080;
  const found =
    url ?? (environment.LAMPPOST_URL || undefined) ?? readLogin(environment)?.url ?? `http://127.0.0.1:${port}`;
  return found.replace(/\/+$/, '');
}

/**
 * Makes the client of a command. The key is that of `--key`, LAMPPOST_KEY, LAMPPOST_ADMIN_KEY, or of the saved login,
 * which is for its own server only. Where the saved login says where the server is, its key is before
 * LAMPPOST_ADMIN_KEY.
 */
export function clientOf(where: Where, environment: NodeJS.ProcessEnv): Client {
  const { api, key, from } = loginFor(where, environment);
  return new Client(api, key, from);
}

/** A key, and where it was found. */
export interface FoundKey {
  readonly key: string;
  readonly from: string;
}

/** Returns the key that a command was given by `--key` or LAMPPOST_KEY; null where it was given none. */
export function givenKey({ key }: Where, { LAMPPOST_KEY }: NodeJS.ProcessEnv): FoundKey | null {
  // A key that was copied may end with the line.
  if (key !== undefined) return { key: key.trim(), from: '--key' };
  return LAMPPOST_KEY ? { key: LAMPPOST_KEY.trim(), from: 'LAMPPOST_KEY' } : null;
}

/** Returns the address of the server, the key, and where the key was found. */
export function loginFor(where: Where, environment: NodeJS.ProcessEnv): FoundKey & { readonly api: string } {
  const api = urlOf(where, environment);
  const given = givenKey(where, environment);
  if (given !== null) return { api, ...given };
  const { LAMPPOST_URL, LAMPPOST_ADMIN_KEY } = environment;
  // It is the key of this machine's server, not of one that somebody logged in to elsewhere.
  const isNamed = where.url !== undefined || Boolean(LAMPPOST_URL);
  const hasAdminKey = LAMPPOST_ADMIN_KEY && LAMPPOST_ADMIN_KEY !== 'off';
  if (hasAdminKey && (isNamed || readLogin(environment) === null))
    return { api, key: LAMPPOST_ADMIN_KEY.trim(), from: 'LAMPPOST_ADMIN_KEY' };
  const login = readLogin(environment);
  return login?.url === api ? { api, key: login.key, from: 'the saved login' } : { api, key: '', from: '--key' };
}

type Asked = readonly [method: string, path: string, body?: unknown];

interface Asking {
  readonly flags: { readonly url: string | undefined; readonly key: string | undefined; readonly json: boolean };
}

/** Prints a response, which is JSON; where it is empty, `done`, or `{}` with --json. Returns the exit code. */
export function printResponse(text: string, { json }: Asking['flags']): number {
  console.log(text || (json ? '{}' : 'done'));
  return 0;
}

/** Returns what a change was given. Throws `config` where that is nothing. */
export function changesOf<T extends object>(command: string, body: T): T {
  if (Object.values(body).some((value) => value !== undefined)) return body;
  throw new LamppostError('config', `${command}: write what to change (lamppost ${command} --help)`);
}

/** Sends a request and prints the response as `printResponse` does. */
export async function requestAndPrint(
  { flags }: Asking,
  environment: NodeJS.ProcessEnv,
  [method, path, body]: Asked,
): Promise<number> {
  return printResponse(await clientOf(flags, environment).text(method, path, body), flags);
}

/** Returns all items of a list, page by page. */
export async function allOf<T>(client: Client, path: string): Promise<T[]> {
  const found: T[] = [];
  const sign = path.includes('?') ? '&' : '?';
  for (let after: string | null = ''; after !== null; ) {
    const page: Page<T> = await client.json(
      'GET',
      `${path}${sign}limit=1000${after && `&after=${encodeURIComponent(after)}`}`,
    );
    found.push(...page.items);
    after = page.next;
  }
  return found;
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
