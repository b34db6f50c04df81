import { z } from 'zod';
import { EVENT_TYPES } from '../../domain/index.ts';
import { JSON_SCHEMAS } from '../../events/index.ts';
import { rulesJsonSchema } from '../../rules/index.ts';
import { ASYNCAPI } from '../asyncapi/document.ts';
import { type Rendered, renderedOf, sendRendered } from '../cache.ts';
import type { ApiDeps } from '../deps.ts';
import { ReadinessSchema } from '../readiness.ts';
import { found, Name } from '../schema.ts';
import { pageRoutes } from './pages.ts';
import type { App } from './routes.ts';

/** Names of JSON Schemas: of the data of events, of what they name, and of a rule. */
const SCHEMAS = [...Object.keys(JSON_SCHEMAS), 'rule'];
const OTHERS = SCHEMAS.filter((name) => !(EVENT_TYPES as readonly string[]).includes(name));
const Health = z.object({ status: z.literal('ok') });
const ReadyQuery = z.object({
  for: z.enum(['devices', 'all']).default('all').describe('`devices`: 200 as soon as devices are accepted'),
});
const JsonSchemaResponse = z.looseObject({});

/** The state of the process, the documents of the API, and the pages of `console/`. */
export function systemRoutes(
  app: App,
  { readiness, metrics, city }: Pick<ApiDeps, 'readiness' | 'metrics' | 'city'>,
): void {
  pageRoutes(app, { city });
  const tags = ['system'];
  const open = { permission: 'open' } as const;
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
        summary: '200 when everything works, else 503 with the reasons; a part that catches up is ready',
        querystring: ReadyQuery,
        response: { 200: ReadinessSchema, 503: ReadinessSchema },
      },
    },
    async ({ query }, reply) => {
      const found = await readiness();
      const isServed = query.for === 'devices' ? found.parts.devices.state === 'ready' : found.ready;
      return reply.code(isServed ? 200 : 503).send(found);
    },
  );
  app.get(
    '/metrics',
    {
      config: { permission: 'metrics.read' },
      schema: {
        tags,
        summary: 'Metrics in the text format of Prometheus',
        response: { 200: { description: 'Metrics', content: { 'text/plain': { schema: z.string() } } } },
      },
    },
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
      return { ...found(schemaOf(name), `schema "${name}"; there are ${SCHEMAS.join(', ')}`) };
    },
  );
}

let ruleSchema: object | null = null;

/**
 * Returns a schema, which is made when it is first asked for, not at the start; null where there is none of the name.
 */
function schemaOf(name: string): object | null {
  if (name === 'rule') {
    ruleSchema ??= rulesJsonSchema();
    return ruleSchema;
  }
  return Object.hasOwn(JSON_SCHEMAS, name) ? JSON_SCHEMAS[name]! : null;
}

/** A document that anybody may read: it is written once, and sent to a client that does not have it yet. */
function documentRoute(app: App, path: string, read: () => object): void {
  let rendered: Rendered | null = null;
  app.get(path, { config: { permission: 'open' }, schema: { hide: true } }, async (_request, reply) => {
    rendered ??= renderedOf(JSON.stringify(read()));
    // After an upgrade it is another one: each time the client asks whether its own is the newest.
    return sendRendered(reply.type('application/json; charset=utf-8'), rendered, 0);
  });
}
