import { z } from 'zod';
import type { ApiDeps } from '../deps.ts';
import { Item } from '../schema.ts';
import type { App } from './routes.ts';

/** `/health`, `/ready`, `/metrics`, `/openapi.json`. */
export function systemRoutes(app: App, deps: ApiDeps): void {
  const tags = ['system'];
  const open = { role: 'open' } as const;
  app.get(
    '/health',
    { config: open, schema: { tags, summary: 'The process lives', response: { 200: Item } } },
    async () => ({
      status: 'ok',
    }),
  );
  app.get(
    '/ready',
    {
      config: open,
      schema: {
        tags,
        summary: '200 when all works, 503 with the reasons when not',
        response: { 200: Item, 503: Item },
      },
    },
    async (_request, reply) => {
      const { ready, reasons } = await deps.readiness();
      return reply.code(ready ? 200 : 503).send({ ready, reasons });
    },
  );
  app.get(
    '/metrics',
    { schema: { tags, summary: 'Prometheus text', response: { 200: z.string() } } },
    async (_request, reply) => reply.type('text/plain; version=0.0.4; charset=utf-8').send(await deps.metrics()),
  );
  app.get('/openapi.json', { config: open, schema: { hide: true } }, async () => app.swagger());
}
