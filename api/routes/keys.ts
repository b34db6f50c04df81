import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { KEY_ROLES, KeySchema, LamppostError, REGISTRY_REFUSALS, UplinksSchema } from '../../domain/index.ts';
import type { RegisteredKey } from '../../registry/index.ts';
import { callerOf } from '../caller.ts';
import type { ApiDeps } from '../deps.ts';
import { refuseBeyond, requireGivable } from '../grants.ts';
import { etagOf, versionIn } from '../if-match.ts';
import { KeyResponse, KeyWithSecret } from '../responses/registry.ts';
import { found, given, Id, Name, OverlapBody, overlapOf, pageOf, partOf, Short } from '../schema.ts';
import type { App } from './routes.ts';

type Deps = Pick<ApiDeps, 'keys' | 'city' | 'clock'>;

const tags = ['keys'];
const admin = { permission: 'keys.write', audited: 'action' } as const;
const CHANGED = ['key-changed', REGISTRY_REFUSALS['key-changed']] as const;

const KeyName = z.string().min(1).max(200);
const Note = z.string().max(1_000);
const Expiry = z.iso.datetime().nullable();
const uplinks = UplinksSchema.exactOptional();

const NewKeyBody = z.strictObject({
  name: KeyName,
  role: z.enum(KEY_ROLES),
  department: Name.nullable().default(null),
  scopes: KeySchema.shape.scopes,
  expiresAt: Expiry.default(null),
  note: Note.default(''),
  uplinks,
});

const ChangeBody = z.strictObject({
  name: KeyName.optional(),
  note: Note.optional(),
  expiresAt: Expiry.optional(),
  uplinks,
});

/** `/api/v1/keys`: the keys of people and programs. */
export function keyRoutes(app: App, deps: Deps): void {
  const { keys } = deps;
  readRoutes(app, keys);
  changeRoutes(app, deps);
  secretRoutes(app, keys);
}

function readRoutes(app: App, keys: Deps['keys']): void {
  const config = { permission: 'keys.read' } as const;
  app.get(
    '/api/v1/keys',
    {
      config: { permission: 'keys.read' },
      schema: {
        tags,
        summary: 'Lists keys without their secrets',
        querystring: Short,
        response: { 200: pageOf(KeyResponse) },
      },
    },
    async ({ query }) => partOf(keys.list(), query),
  );
  app.get(
    '/api/v1/keys/:id',
    {
      config,
      schema: { tags, summary: 'Returns a key without its secret', params: Id, response: { 200: KeyResponse } },
    },
    async ({ params: { id } }, reply) => withTag(reply, found(keys.get(id), `key "${id}"`)),
  );
}

/** Sets the ETag of the key's version and returns the body. */
function withTag<T extends RegisteredKey>(reply: FastifyReply, key: T): T {
  reply.header('etag', etagOf(key.version));
  return key;
}

function changeRoutes(app: App, { keys, city, clock }: Deps): void {
  app.post(
    '/api/v1/keys',
    {
      config: admin,
      schema: {
        tags,
        summary:
          'Adds a key; its secret is shown once. A network server says with `uplinks` which devices it publishes for',
        body: NewKeyBody,
        response: { 201: KeyWithSecret },
      },
    },
    async (request, reply) => {
      const { expiresAt, ...key } = request.body;
      const expiresMs = instantOf(expiresAt);
      if (expiresMs !== null && expiresMs <= clock.now())
        throw new LamppostError('invalid', `expiresAt: ${expiresAt} is past: nobody could use the key`);
      refuseUplinks(key.role, key.uplinks !== undefined);
      requireGivable(key, request.grants, city());
      const added = await keys.add({ ...key, expiresMs }, callerOf(request));
      return withTag(reply.code(201), added);
    },
  );
  app.patch(
    '/api/v1/keys/:id',
    {
      config: admin,
      schema: {
        tags,
        summary: 'Changes name, note, expiry or uplinks of a key. `If-Match` limits it to a version',
        params: Id,
        body: ChangeBody,
        response: { 200: KeyResponse },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      const key = found(keys.get(id), `key "${id}"`);
      const expected = versionIn(request.headers, key.version, CHANGED);
      const { expiresAt, ...change } = request.body;
      if (change.uplinks !== undefined) {
        refuseUplinks(key.role, true);
        refuseBeyond(key, request.grants);
      }
      const expiry = expiresAt === undefined ? {} : { expiresMs: instantOf(expiresAt) };
      return withTag(reply, await keys.change(id, expected, { ...given(change), ...expiry }, callerOf(request)));
    },
  );
  app.delete(
    '/api/v1/keys/:id',
    { config: admin, schema: { tags, summary: 'Revokes a key and closes its connections', params: Id } },
    async (request: FastifyRequest<{ Params: { id: string } }>, reply) => {
      await keys.revoke(request.params.id, callerOf(request));
      return reply.code(204).send();
    },
  );
}

function secretRoutes(app: App, keys: Deps['keys']): void {
  app.post(
    '/api/v1/keys/:id/rotate',
    {
      config: admin,
      schema: {
        tags,
        summary:
          'Replaces the secret of a key; the new one is shown once. With `overlap` the old one stays valid for a time',
        params: Id,
        body: OverlapBody,
        response: { 200: KeyWithSecret },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      // Who asks learns a secret: that of a key with more rights would be those rights.
      if (id !== request.key?.id) refuseBeyond(found(keys.get(id), `key "${id}"`), request.grants);
      return withTag(reply, await keys.rotate(id, overlapOf(request.body), callerOf(request)));
    },
  );
  app.post(
    '/api/v1/keys/:id/confirm',
    {
      config: admin,
      schema: {
        tags,
        summary: 'Ends the old secret of a key before its time',
        params: Id,
        response: { 200: KeyResponse },
      },
    },
    async (request, reply) => withTag(reply, await keys.confirm(request.params.id, callerOf(request))),
  );
}

const instantOf = (iso: string | null) => (iso === null ? null : Date.parse(iso));

/** Throws `invalid` where a key of a network server does not say for which devices, or another key does. */
function refuseUplinks(role: string, said: boolean): void {
  if ((role === 'network-server') === said) return;
  const right = said
    ? 'uplinks: only a key of role network-server has them'
    : 'uplinks: say which devices the network server publishes for, {"devices": ["0004a30b001c0530"]}, ' +
      '{"tags": {"network": "port"}} or {"applications": ["parking"]}, or "all"';
  throw new LamppostError('invalid', right);
}
