import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod';
import { type ErrorCode, LamppostError } from '../domain/index.ts';

const STATUS: Readonly<Record<ErrorCode, number>> = {
  invalid: 400,
  config: 400,
  city: 400,
  forbidden: 403,
  'not-found': 404,
  conflict: 409,
  busy: 503,
  disk: 503,
  history: 503,
  'journal-full': 503,
  'journal-closed': 503,
};

const TITLES: Readonly<Record<number, string>> = {
  400: 'Bad request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not found',
  409: 'Conflict',
  413: 'Payload too large',
  415: 'Unsupported media type',
  500: 'Internal error',
  503: 'Unavailable',
};

/** Answers with a problem (RFC 9457). */
export function problem(reply: FastifyReply, status: number, detail: string, more: object = {}): FastifyReply {
  const body = {
    type: 'about:blank',
    title: TITLES[status] ?? 'Error',
    status,
    detail,
    instance: reply.request.url,
    ...more,
  };
  return reply.code(status).header('content-type', 'application/problem+json').send(JSON.stringify(body));
}

/** Every error leaves as a problem; only what its reader can mend is told. */
export function answerErrors(app: FastifyInstance): void {
  app.setNotFoundHandler((request, reply) => problem(reply, 404, `there is no ${request.method} ${request.url}`));
  app.setErrorHandler((error: FastifyError, request: FastifyRequest, reply: FastifyReply) => {
    if (hasZodFastifySchemaValidationErrors(error)) {
      const errors = error.validation.map(({ instancePath, message }) => ({ path: instancePath || '/', message }));
      const detail = errors.map(({ path, message }) => `${error.validationContext}${path}: ${message}`).join('; ');
      return problem(reply, 400, detail, { errors });
    }
    if (error instanceof LamppostError) {
      const known = error as LamppostError;
      const status = STATUS[known.code];
      if (status === 503) reply.header('retry-after', '2');
      return problem(reply, status, known.message, { code: known.code });
    }
    if (error.statusCode !== undefined && error.statusCode < 500)
      return problem(reply, error.statusCode, error.message);
    request.log.error({ err: error }, 'a request failed');
    return problem(reply, 500, 'this is a fault of the server; its log has the details');
  });
}
