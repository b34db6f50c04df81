import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { EVENT_TYPES } from '../../domain/index.ts';
import { JSON_SCHEMAS } from '../../events/index.ts';
import { ASYNCAPI } from '../asyncapi/document.ts';
import type { ApiDeps } from '../deps.ts';
import { PAGE_CSP } from '../edge/index.ts';
import { found, Name } from '../schema.ts';
import type { App } from './routes.ts';

const OTHERS = Object.keys(JSON_SCHEMAS).filter((name) => !(EVENT_TYPES as readonly string[]).includes(name));
const Health = z.object({ status: z.literal('ok') });
const Readiness = z.object({
  ready: z.boolean(),
  reasons: z.array(z.string()).readonly(),
  notes: z.array(z.string()).readonly().optional().describe('What an operator should know although it is ready'),
});
const JsonSchemaResponse = z.looseObject({});

/** The state of the process, the documents of the API, and the pages of `console/`. */
export function systemRoutes(app: App, { readiness, metrics }: Pick<ApiDeps, 'readiness' | 'metrics'>): void {
  pageRoutes(app);
  const tags = ['system'];
  const open = { role: 'open' } as const;
  const always = { ...open, uncounted: true } as const;
  app.get(
    '/health',
    { config: always, schema: { tags, summary: 'Says that the process runs', response: { 200: Health } } },
    async () => ({ status: 'ok' as const }),
  );
  app.get(
    '/ready',
    {
      config: always,
      schema: {
        tags,
        summary: '200 when everything works, else 503 with the reasons',
        response: { 200: Readiness, 503: Readiness },
      },
    },
    async (_request, reply) => {
      const { ready, reasons, notes = [] } = await readiness();
      return reply.code(ready ? 200 : 503).send({ ready, reasons, ...(notes.length > 0 ? { notes } : {}) });
    },
  );
  app.get(
    '/metrics',
    { schema: { tags, summary: 'Metrics in the text format of Prometheus', response: { 200: z.string() } } },
    async (_request, reply) => reply.type('text/plain; version=0.0.4; charset=utf-8').send(await metrics()),
  );
  documentRoute(app, '/openapi.json', () => app.swagger());
  documentRoute(app, '/asyncapi.json', () => ASYNCAPI);
  app.get(
    '/schemas/:name.json',
    {
      config: open,
      schema: {
        tags,
        summary: `JSON Schema of the data of an event type, and of ${OTHERS.join(', ')}`,
        params: z.object({ name: Name }),
        response: { 200: JsonSchemaResponse },
      },
    },
    async ({ params: { name } }) => {
      const schema = Object.hasOwn(JSON_SCHEMAS, name) ? JSON_SCHEMAS[name]! : null;
      return found(schema, `schema "${name}"; there are ${Object.keys(JSON_SCHEMAS).join(', ')}`);
    },
  );
}

/** A document that anybody may read: it is written once. */
function documentRoute(app: App, path: string, read: () => object): void {
  let text: Buffer | null = null;
  app.get(path, { config: { role: 'open' }, schema: { hide: true } }, async (_request, reply) => {
    text ??= Buffer.from(JSON.stringify(read()));
    return reply.type('application/json; charset=utf-8').send(text);
  });
}

const PAGES: Readonly<Record<string, readonly [file: string, type: string]>> = {
  '/': ['index.html', 'text/html; charset=utf-8'],
  '/app.js': ['app.js', 'text/javascript; charset=utf-8'],
  '/texts.js': ['texts.js', 'text/javascript; charset=utf-8'],
  '/ticket.js': ['ticket.js', 'text/javascript; charset=utf-8'],
  '/style.css': ['style.css', 'text/css; charset=utf-8'],
  '/public': ['public.html', 'text/html; charset=utf-8'],
  '/public.js': ['public.js', 'text/javascript; charset=utf-8'],
  '/docs': ['docs.html', 'text/html; charset=utf-8'],
  '/docs.js': ['docs.js', 'text/javascript; charset=utf-8'],
  '/docs-shape.js': ['docs-shape.js', 'text/javascript; charset=utf-8'],
  '/docs.css': ['docs.css', 'text/css; charset=utf-8'],
};

/** The console, the API's documentation and the page of open data: static files, served from memory, without a key. */
function pageRoutes(app: App): void {
  for (const [url, [file, type]] of Object.entries(PAGES)) {
    const body = readFileSync(new URL(`../../console/${file}`, import.meta.url));
    app.get(url, { config: { role: 'open' }, schema: { hide: true } }, async (_request, reply) =>
      reply.type(type).header('content-security-policy', PAGE_CSP).header('cache-control', 'no-cache').send(body),
    );
  }
}
