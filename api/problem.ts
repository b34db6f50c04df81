import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { type ErrorCode, LamppostError, type ShapeOf, wordingOf } from '../domain/index.ts';
import type { Routes } from './routing.ts';

/** What went wrong (RFC 9457). */
export const ProblemResponse = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string().describe('What is wrong, where, and what would be right'),
    instance: z.string(),
    code: z.string().optional().describe('A stable name of the error'),
    reason: z.string().optional(),
    errors: z
      .array(z.object({ message: z.string() }))
      .optional()
      .describe('Each mistake with its place'),
  })
  .meta({ id: 'Problem', description: 'What went wrong (RFC 9457)' });

/** The HTTP status of each operational fault. */
export const STATUS: Readonly<Record<ErrorCode, number>> = {
  invalid: 400,
  config: 400,
  city: 400,
  forbidden: 403,
  'not-found': 404,
  conflict: 409,
  mistakes: 422,
  precondition: 412,
  limit: 429,
  busy: 503,
  disk: 503,
  damaged: 503,
  'too-new': 503,
  history: 503,
  'journal-full': 503,
  'journal-closed': 503,
  'log-away': 503,
};

const TITLES: Readonly<Record<number, string>> = {
  400: 'Bad request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not found',
  405: 'Method not allowed',
  409: 'Conflict',
  412: 'Precondition failed',
  413: 'Payload too large',
  415: 'Unsupported media type',
  422: 'Unprocessable content',
  429: 'Too many requests',
  500: 'Internal error',
  503: 'Unavailable',
};

type More = Pick<ShapeOf<typeof ProblemResponse>, 'code' | 'reason' | 'errors'>;

/** Sends a problem (RFC 9457). */
export function problem(reply: FastifyReply, status: number, detail: string, more: More = {}): FastifyReply {
  const body: ShapeOf<typeof ProblemResponse> = {
    type: 'about:blank',
    title: TITLES[status] ?? 'Error',
    status,
    detail,
    instance: reply.request.url,
    ...more,
  };
  return reply.code(status).header('content-type', 'application/problem+json').send(JSON.stringify(body));
}

/** What a request has wrong, by its schema. Fastify adds the part of the request: `body`, `querystring` … */
class Mistakes extends Error {
  readonly validationContext: string = '';
  readonly issues: readonly Issue[];

  constructor(issues: readonly Issue[]) {
    super('the request has mistakes');
    this.issues = issues;
  }
}

/** Checks a part of a request, for Fastify. */
export function validate({ schema }: { readonly schema: z.ZodType }) {
  return (data: unknown): { value: unknown } | { error: Error } => {
    const parsed = schema.safeParse(data, { error: wordingOf });
    return parsed.success ? { value: parsed.data } : { error: new Mistakes(parsed.error.issues) };
  };
}

const NO_ROUTES: Routes = { methodsOf: () => [], near: () => '' };

/**
 * Sends every error as a problem. Only what the client can fix is in it; bugs go to the log. `routes`: what an address
 * takes, for 405.
 */
export function respondWithProblems(app: FastifyInstance, { methodsOf, near }: Routes = NO_ROUTES): void {
  app.setNotFoundHandler((request, reply) => {
    const { method, url } = request;
    const path = url.split('?')[0]!;
    const methods = methodsOf(path);
    if (methods.length === 0) return problem(reply, 404, `there is no ${method} ${url}${near(path)}`);
    const allow = methods.join(', ');
    return problem(reply.header('allow', allow), 405, `${url} does not take ${method}; it takes ${allow}`);
  });
  app.setErrorHandler((error: FastifyError, request: FastifyRequest, reply: FastifyReply) => {
    if (error instanceof Mistakes) {
      const all = error.issues.slice(0, MOST_ERRORS).flatMap((issue) => faultsOf('/', issue));
      const errors = all.slice(0, MOST_ERRORS).map(({ path, message }) => ({ path, message: brief(message) }));
      const shown = errors.map(({ path, message }) => `${error.validationContext}${path}: ${message}`);
      const more = Math.max(all.length, error.issues.length) - errors.length;
      const detail = [...shown, ...(more === 0 ? [] : [`and ${more} more`])].join('; ');
      return problem(reply, 400, detail, { errors });
    }
    if (error instanceof LamppostError) {
      return sendKnown(reply, error as LamppostError);
    }
    if (error.statusCode === 415) return problem(reply, 415, 'send the body as application/json');
    if (error.statusCode !== undefined && error.statusCode < 500)
      return problem(reply, error.statusCode, error.message);
    if (isTooDeep(error)) return problem(reply, 400, 'the body is nested too deeply');
    request.log.error({ err: error }, 'a request failed');
    return problem(reply, 500, 'internal error; the server log has the details');
  });
}

/** How long a client waits before it tries again, where the error does not say, ms. */
const RETRY_MS: Readonly<Record<number, number>> = { 429: 1_000, 503: 2_000 };

/** Mistakes that a problem lists. */
const MOST_ERRORS = 50;
const MOST_MESSAGE = 500;

/** A message may quote what was sent. */
const brief = (message: string) => (message.length > MOST_MESSAGE ? `${message.slice(0, MOST_MESSAGE)}…` : message);

/** Whether something recursed too deeply: into YAML, of which the depth is not known before it is parsed. */
const isTooDeep = (error: Error) => error instanceof RangeError && error.message.includes('call stack');

function sendKnown(reply: FastifyReply, error: LamppostError): FastifyReply {
  const { code, message, reason, problems } = error;
  const status = STATUS[code];
  const waitMs = error.retryAfterMs || RETRY_MS[status];
  if (waitMs !== undefined) reply.header('retry-after', String(Math.ceil(waitMs / 1_000)));
  const why = reason === null ? {} : { reason };
  return problem(reply, status, message, { code, ...why, ...(problems.length === 0 ? {} : { errors: problems }) });
}

/** An issue of zod; for a union, the issues of each of its forms. */
interface Issue {
  readonly path: readonly PropertyKey[];
  readonly message: string;
  readonly errors?: readonly (readonly Issue[])[];
}

/** Returns where and what; for a union only the issues of the form that was most likely meant. */
function faultsOf(parent: string, { path: steps, message, errors = [] }: Issue): { path: string; message: string }[] {
  const path = steps.length === 0 ? parent : `${parent === '/' ? '' : parent}/${steps.map(String).join('/')}`;
  const [meant] = errors.toSorted((a, b) => distance(a) - distance(b));
  return meant === undefined ? [{ path, message }] : meant.flatMap((issue) => faultsOf(path, issue));
}

/**
 * Returns how far a value is from a form: an issue of the whole, such as another type, counts more than those of its
 * parts.
 */
function distance(issues: readonly Issue[]): number {
  return issues.reduce((sum, { path }) => sum + (path.length === 0 ? 1_000 : 1), 0);
}
