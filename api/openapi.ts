import type { SwaggerTransform } from '@fastify/swagger';
import { createJsonSchemaTransform, createJsonSchemaTransformObject } from 'fastify-type-provider-zod';
import { plainly } from '../events/index.ts';
import { ProblemAnswer } from './problem.ts';

const zodToJsonConfig = { override: plainly };
const transform = createJsonSchemaTransform({ zodToJsonConfig }) as SwaggerTransform;
const transformObject = createJsonSchemaTransformObject({ zodToJsonConfig });
const PROBLEM = { description: 'What went wrong', content: { 'application/problem+json': { schema: ProblemAnswer } } };

type Routed = Parameters<SwaggerTransform>[0];

/** Adds to a route's schema who may call it, and that errors are problems, unless the schema says otherwise. */
function described({ schema, ...rest }: Routed): ReturnType<SwaggerTransform> {
  if (schema === undefined || schema.hide) return transform({ schema, ...rest });
  const role = rest.route.config?.role ?? 'viewer';
  const who = role === 'open' ? { security: [] } : { description: `Needs a key of role ${role} or more.` };
  const response = { default: PROBLEM, ...(schema.response as object | undefined) };
  return transform({ schema: { ...who, ...schema, response }, ...rest });
}

/** Whether anything but itself refers to a schema. */
function isUsed(name: string, { components, ...rest }: { components: { schemas: Record<string, object> } }): boolean {
  const others = Object.entries(components.schemas).filter(([other]) => other !== name && other !== `${name}Input`);
  return JSON.stringify([rest, others]).includes(`"#/components/schemas/${name}"`);
}

/** Options that turn the routes into `/openapi.json` (OpenAPI 3.1). */
export const OPENAPI = {
  openapi: {
    openapi: '3.1.0',
    info: { title: 'Lamppost', version: '0.1.0', description: "The backend of a city's sensors" },
    components: { securitySchemes: { key: { type: 'http' as const, scheme: 'bearer' } } },
    security: [{ key: [] }],
  },
  transform: described,
  transformObject: (document: Parameters<typeof transformObject>[0]) => {
    const made = transformObject(document) as { components: { schemas: Record<string, object> } };
    const schemas = Object.entries(made.components.schemas);
    // Responses only: no request body is one of these, so that their input forms add nothing.
    const responses = schemas.filter(([name]) => !name.endsWith('Input') && isUsed(name, made));
    return { ...made, components: { ...made.components, schemas: Object.fromEntries(responses) } };
  },
};
