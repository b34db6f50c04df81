import createClient, { type Middleware } from 'openapi-fetch';
import type { Refusal } from '../texts/refusals.ts';
import type { Problem, paths } from './schema.ts';

/** A response that is not 2xx. `detail` is the server's own sentence: what is wrong, and what would be right. */
export class ProblemError extends Error implements Refusal {
  readonly status: number;
  readonly reason: string;
  readonly detail: string;
  constructor(status: number, problem: Partial<Problem> | undefined) {
    const detail = problem?.detail ?? problem?.title ?? '';
    super(detail || String(status));
    this.detail = detail;
    this.status = status;
    this.reason = problem?.reason ?? problem?.code ?? '';
  }
}

const KEY = 'key';
let turnedAway: () => void = () => {};

/** The key that somebody entered instead of signing in; it lasts as long as the tab. Null: the cookie counts. */
export const keyStore = {
  get: () => sessionStorage.getItem(KEY),
  set: (key: string | null) => (key === null ? sessionStorage.removeItem(KEY) : sessionStorage.setItem(KEY, key)),
};

/** Headers of a request that say who asks; the browser adds the cookie. */
export function credentials(): Record<string, string> {
  const key = keyStore.get();
  // A header cannot hold other characters, and no key has them: the server then says that it knows nobody.
  return key === null || !/^[\x21-\x7e]+$/.test(key) ? {} : { authorization: `Bearer ${key}` };
}

/** Calls back when the server does not know any more who asks. */
export function onTurnedAway(callback: () => void): void {
  turnedAway = callback;
}

/** For requests that the client below does not send: to call where the response to one was 401. */
export const turnAway = (): void => turnedAway();

const identified: Middleware = {
  onRequest({ request }) {
    for (const [name, value] of Object.entries(credentials())) request.headers.set(name, value);
    return request;
  },
  onResponse({ response, schemaPath }) {
    if (response.status === 401 && !schemaPath.startsWith('/auth/')) turnedAway();
    return response;
  },
};

/** The client of Lamppost's API: paths, parameters and responses as its OpenAPI document has them. */
export const api = createClient<paths>({ baseUrl: '' });
api.use(identified);

interface Outcome<T> {
  readonly data?: T;
  readonly error?: unknown;
  readonly response: Response;
}

/** Resolves to the body of a response. Throws `ProblemError` where it is not 2xx. */
export async function bodyOf<T>(outcome: Promise<Outcome<T>>): Promise<T> {
  return (await inFull(outcome)).data;
}

/** The same with the entity tag of the response. */
export async function inFull<T>(outcome: Promise<Outcome<T>>): Promise<{ data: T; etag: string }> {
  const { data, error, response } = await outcome;
  if (!response.ok) throw new ProblemError(response.status, error as Partial<Problem> | undefined);
  return { data: data as T, etag: response.headers.get('etag') ?? '' };
}
