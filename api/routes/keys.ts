import { z } from 'zod';
import { KEY_ROLES, KeySchema } from '../../domain/index.ts';
import type { ApiDeps } from '../deps.ts';
import { found, Id, Name, pageOf } from '../schema.ts';
import type { App } from './routes.ts';

const KeyResponse = KeySchema.meta({ id: 'Key', description: 'A key of a person or a program' });
const NewKey = KeyResponse.extend({ secret: z.string().describe('Shown once, here') }).meta({ id: 'NewKey' });

/** `/api/v1/keys`: the keys of people and programs. */
export function keyRoutes(app: App, { keys }: Pick<ApiDeps, 'keys'>): void {
  const tags = ['keys'];
  const config = { role: 'admin' } as const;
  const body = z.strictObject({
    name: z.string().min(1).max(200),
    role: z.enum(KEY_ROLES),
    department: Name.nullable().default(null),
  });
  app.post(
    '/api/v1/keys',
    { config, schema: { tags, summary: 'Adds a key; its secret is shown once', body, response: { 201: NewKey } } },
    async (request, reply) => reply.code(201).send(await keys.add(request.body)),
  );
  app.get(
    '/api/v1/keys',
    { config, schema: { tags, summary: 'Lists keys without their secrets', response: { 200: pageOf(KeyResponse) } } },
    async () => ({ items: keys.list(), next: null }),
  );
  app.delete(
    '/api/v1/keys/:id',
    { config, schema: { tags, summary: 'Revokes a key', params: Id } },
    async ({ params: { id } }, reply) => {
      found((await keys.revoke(id)) || null, `key "${id}"`);
      return reply.code(204).send();
    },
  );
}
