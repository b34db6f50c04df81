import type { ServerProcess } from './server.ts';

/** What a response to a browser had. */
export interface Reply<T = Record<string, unknown>> {
  readonly status: number;
  readonly body: T;
  readonly headers: Headers;
}

/** Sends requests as the page of a server does: with the cookies that it was given, and from its own origin. */
export class Visit {
  readonly base: string;
  readonly #headers: Readonly<Record<string, string>>;
  cookie = '';

  /** `headers`: sent with each request, such as the address that a trusted proxy saw. */
  constructor(server: Pick<ServerProcess, 'httpPort'>, headers: Readonly<Record<string, string>> = {}) {
    this.base = `http://127.0.0.1:${server.httpPort}`;
    this.#headers = headers;
  }

  async send<T = Record<string, unknown>>(
    method: string,
    path: string,
    body?: unknown,
    headers: Readonly<Record<string, string>> = { 'sec-fetch-site': 'same-origin' },
  ): Promise<Reply<T>> {
    const json = body === undefined ? {} : { 'content-type': 'application/json' };
    const response = await fetch(this.base + path, {
      method,
      redirect: 'manual',
      headers: { ...this.#headers, ...json, ...(this.cookie === '' ? {} : { cookie: this.cookie }), ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    for (const set of response.headers.getSetCookie()) this.cookie = set.split(';')[0]!;
    const text = await response.text();
    const isJson = response.headers.get('content-type')?.includes('json') === true;
    return { status: response.status, headers: response.headers, body: (isJson ? JSON.parse(text) : { text }) as T };
  }

  login(email: string, password: string, code?: string): Promise<Reply> {
    return this.send('POST', '/auth/login', { email, password, ...(code === undefined ? {} : { code }) });
  }
}
