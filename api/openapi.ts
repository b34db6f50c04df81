import { readFileSync } from 'node:fs';
import type { SwaggerTransform } from '@fastify/swagger';
import type { FastifyContextConfig } from 'fastify';
import { createJsonSchemaTransform, createJsonSchemaTransformObject } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { KEY_ROLES, ROLES } from '../domain/index.ts';
import { plainly } from '../events/index.ts';
import packaged from '../package.json' with { type: 'json' };
import { type Paths, withWords } from './parameters.ts';
import { ProblemResponse } from './problem.ts';

/** Written by `npm run examples`; read when the document is first asked for. */
const EXAMPLES = new URL('./responses/examples.json', import.meta.url);

const zodToJsonConfig = { override: plainly };
const transform = createJsonSchemaTransform({ zodToJsonConfig }) as SwaggerTransform;
const transformObject = createJsonSchemaTransformObject({ zodToJsonConfig });
const PROBLEM = {
  description: 'What went wrong',
  content: { 'application/problem+json': { schema: ProblemResponse } },
};

type Routed = Parameters<SwaggerTransform>[0];

/** The actions that are refused where `If-Match` names another version than that of the one in the path. */
const VERSIONED: ReadonlySet<string> = new Set([
  ...['devices', 'keys', 'users'].map((name) => `PATCH /api/v1/${name}/:id`),
  'POST /api/v1/devices/:id/replace',
  ...['PUT', 'DELETE'].map((method) => `${method} /api/v1/rules/:id`),
  ...['PUT', 'PATCH'].map((method) => `${method} /api/v1/devices/:id/desired`),
  ...[':action', 'parts', 'run-command'].map((action) => `POST /api/v1/tickets/:id/${action}`),
]);
const KEYED = { 'Idempotency-Key': z.string().min(1).max(255).optional() };
const OnVersion = z.object({ ...KEYED, 'If-Match': z.string().optional() });
const Keyed = z.object(KEYED);

/** The headers of a route that only some have; these are read from the request, not checked by a schema. */
function headersOf({ route }: Routed): { readonly headers?: z.ZodType } {
  if (route.config?.audited !== 'action') return {};
  return { headers: VERSIONED.has(`${route.method} ${route.url}`) ? OnVersion : Keyed };
}

/** Adds to a route's schema who may call it, its headers, and that errors are problems, where it does not say these. */
function described(routed: Routed): ReturnType<SwaggerTransform> {
  const { schema, ...rest } = routed;
  if (schema === undefined || schema.hide) return transform({ schema, ...rest });
  const who = whoMay(rest.route.config?.permission ?? 'any');
  const response = { default: PROBLEM, ...(schema.response as object | undefined) };
  return transform({ schema: { ...who, ...headersOf(routed), ...schema, response }, ...rest });
}

function whoMay(permission: NonNullable<FastifyContextConfig['permission']>) {
  if (permission === 'open') return { security: [] };
  if (permission === 'any') return { description: 'Needs any key, or a session.' };
  const roles = KEY_ROLES.filter((role) => ROLES[role].rights[permission] !== undefined);
  return { description: `Needs the right \`${permission}\`: ${roles.join(', ')}.` };
}

interface Document {
  readonly paths: Paths;
  readonly components: { readonly schemas: Readonly<Record<string, object>> };
}

const REFERENCE = /"#\/components\/schemas\/([^"]+)"/g;

const referencesIn = (part: object) => Array.from(JSON.stringify(part).matchAll(REFERENCE), ([, name]) => name!);

/** Returns the schemas that the paths refer to, and those that these refer to. */
function usedSchemas({ components, ...rest }: Document): ReadonlySet<string> {
  const used = new Set<string>();
  const waiting = referencesIn(rest);
  for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
    if (used.has(name)) continue;
    used.add(name);
    waiting.push(...referencesIn(components.schemas[name] ?? {}));
  }
  return used;
}

/** Options that turn the routes into `/openapi.json` (OpenAPI 3.1). */
export const OPENAPI = {
  openapi: {
    openapi: '3.1.0',
    info: {
      title: 'Lamppost',
      version: packaged.version,
      description: "The backend of a city's sensors",
      license: { name: 'Apache License 2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/', description: 'The server that this document comes from' }],
    components: {
      securitySchemes: {
        key: { type: 'http' as const, scheme: 'bearer' },
        session: { type: 'apiKey' as const, in: 'cookie' as const, name: 'lamppost-session' },
      },
    },
    security: [{ key: [] }, { session: [] }],
  },
  transform: described,
  transformObject: (document: Parameters<typeof transformObject>[0]) => {
    const made = transformObject(document) as Document;
    const used = usedSchemas(made);
    const schemas = Object.entries(made.components.schemas);
    const kept = schemas.filter(([name]) => used.has(name));
    const paths = withWords(made.paths, JSON.parse(readFileSync(EXAMPLES, 'utf8')));
    return { ...made, paths, components: { ...made.components, schemas: Object.fromEntries(kept) } };
  },
};
