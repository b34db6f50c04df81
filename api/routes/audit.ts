import { z } from 'zod';
import { AuditEntrySchema } from '../../actions/index.ts';
import { callerOf } from '../caller.ts';
import { auditCsv } from '../csv.ts';
import type { ApiDeps } from '../deps.ts';
import { given, Instant, Name, Paged, pageOf, sendRaw } from '../schema.ts';
import type { App } from './routes.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /**
     * How the audit trail learns of a request: `action`: the engine writes what it decides; `no`: the request changes
     * nothing. Default: noted before it is done, unless it only reads; `access`: noted although it only reads.
     */
    audited?: 'action' | 'access' | 'no';
  }
}

/** Notes who asks for what in the audit trail, before it is done: what cannot be noted is not done (promise 7). */
export function auditRequests(app: App, audit: ApiDeps['audit']): void {
  app.addHook('preHandler', async (request) => {
    const { audited, url: route } = request.routeOptions.config;
    if (request.key === null || audited === 'action' || audited === 'no') return;
    if (audited === undefined && (request.method === 'GET' || request.method === 'HEAD')) return;
    const [path] = request.url.split('?');
    await audit.note(`${request.method} ${route}`, path!, callerOf(request));
  });
}

const text = Name.exactOptional();
const Query = Paged.extend({
  actor: text,
  action: z.string().max(200).exactOptional(),
  target: z.string().max(400).exactOptional(),
  result: text,
  from: Instant.optional(),
  to: Instant.optional(),
  /** Takes precedence over the Accept header. */
  format: z.enum(['json', 'csv']).optional(),
});

/** `/api/v1/audit`: who did what, on what, with which result, from where, and when. */
export function auditRoutes(app: App, { audit }: Pick<ApiDeps, 'audit'>): void {
  app.get(
    '/api/v1/audit',
    {
      config: { permission: 'audit.read' },
      schema: {
        tags: ['system'],
        summary:
          'Lists the audit trail, newest first: who did what, on what, with which result, from where, and when. JSON or CSV',
        querystring: Query,
        response: { 200: pageOf(AuditEntrySchema) },
      },
    },
    async ({ query: { limit, after, from: fromMs, to: toMs, format, ...filter }, headers }, reply) => {
      const page = audit.page({ limit, after, ...given({ fromMs, toMs, ...filter }) });
      const asCsv = (format ?? (headers.accept?.includes('text/csv') ? 'csv' : 'json')) === 'csv';
      if (!asCsv) return page;
      if (page.next !== null) reply.header('link', `</api/v1/audit?${nextOf(page.next, limit)}>; rel="next"`);
      return sendRaw(reply, 'text/csv; charset=utf-8; header=present', auditCsv(page.items));
    },
  );
}

const nextOf = (after: string, limit: number) => new URLSearchParams({ after, limit: String(limit), format: 'csv' });
