import { z } from 'zod';
import { type Grant, GrantSchema, isoOf, LANGUAGES, LamppostError, PERSON_REFUSALS } from '../../domain/index.ts';
import { shownPerson } from '../../registry/index.ts';
import { callerOf } from '../caller.ts';
import type { ApiDeps } from '../deps.ts';
import { refuseBeyond, requireGivable } from '../grants.ts';
import { etagOf, versionIn } from '../if-match.ts';
import { PersonResponse, SessionResponse } from '../responses/people.ts';
import { found, given, Id, Name, Paged, pageOf, partOf, Short } from '../schema.ts';
import type { App } from './routes.ts';

type Deps = Pick<ApiDeps, 'people' | 'city'>;

const tags = ['people'];
const reads = { permission: 'users.read' } as const;
const changes = { permission: 'users.write' } as const;
const decided = { permission: 'users.write', audited: 'action' } as const;
const CHANGED = ['person-changed', PERSON_REFUSALS['person-changed']] as const;

const Described = z.strictObject({
  name: z.string().trim().min(1).max(200),
  email: z
    .string()
    .max(320)
    .regex(/^[^\s@]{1,64}@[^\s@]{1,255}$/, 'an e-mail address is right, such as mei@city.example'),
  language: z.enum(LANGUAGES),
  roles: z.array(GrantSchema).min(1).max(50),
});
const Added = Described.extend({ language: z.enum(LANGUAGES).default('en') });
const LinkResponse = z
  .object({ path: z.string().describe('Follows the address of this server'), until: z.iso.datetime() })
  .meta({ id: 'SignInLink', description: 'A link that signs a person in, once' });

/** `/api/v1/users`: the people who may sign in. */
export function userRoutes(app: App, deps: Deps): void {
  listRoutes(app, deps);
  changeRoutes(app, deps);
  sessionsRoutes(app, deps);
}

function listRoutes(app: App, { people }: Deps): void {
  app.get(
    '/api/v1/users',
    {
      config: reads,
      schema: {
        tags,
        summary: 'Lists people; with `removed=true` also those who were removed',
        querystring: Paged.extend({ removed: z.stringbool().default(false) }),
        response: { 200: pageOf(PersonResponse) },
      },
    },
    async ({ query }) => people.list(query),
  );
  app.get(
    '/api/v1/users/:id',
    { config: reads, schema: { tags, summary: 'Returns a person', params: Id, response: { 200: PersonResponse } } },
    async ({ params: { id } }, reply) => {
      const person = shownPerson(found(people.get(id), `person "${id}"`));
      reply.header('etag', etagOf(person.version));
      return person;
    },
  );
}

function changeRoutes(app: App, { people, city }: Deps): void {
  function checkRoles(roles: readonly Grant[] = [], by: readonly Grant[]): void {
    for (const role of roles) requireGivable(role, by, city(), 'roles: ');
  }

  app.post(
    '/api/v1/users',
    {
      config: decided,
      schema: {
        tags,
        summary: 'Adds a person, who has no password yet',
        body: Added,
        response: { 201: PersonResponse },
      },
    },
    async (request, reply) => {
      checkRoles(request.body.roles, request.grants);
      const person = await people.change({ do: 'person.add', ...request.body }, callerOf(request));
      return reply.code(201).header('location', `/api/v1/users/${person.id}`).header('etag', etagOf(1)).send(person);
    },
  );
  app.patch(
    '/api/v1/users/:id',
    {
      config: decided,
      schema: {
        tags,
        summary: 'Changes name, address, language or roles of a person; roles count from the next request on',
        params: Id,
        body: Described.partial(),
        response: { 200: PersonResponse },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      checkRoles(request.body.roles, request.grants);
      const { version } = found(people.get(id), `person "${id}"`);
      const seen = versionIn(request.headers, version, CHANGED);
      const set = given(request.body);
      const person = await people.change({ do: 'person.change', person: id, version: seen, set }, callerOf(request));
      reply.header('etag', etagOf(person.version));
      return person;
    },
  );
  app.delete(
    '/api/v1/users/:id',
    { config: decided, schema: { tags, summary: 'Removes a person and ends their sessions at once', params: Id } },
    async (request, reply) => {
      await people.change({ do: 'person.remove', person: request.params.id }, callerOf(request));
      return reply.code(204).send();
    },
  );
  const stateOf = (summary: string) => ({
    config: decided,
    schema: { tags, summary, params: Id, response: { 200: PersonResponse } },
  });
  app.post(
    '/api/v1/users/:id/suspend',
    stateOf('Signs a person out everywhere, and refuses them until they are resumed'),
    async (request, reply) => {
      const person = await people.change({ do: 'person.suspend', person: request.params.id }, callerOf(request));
      return reply.header('etag', etagOf(person.version)).send(person);
    },
  );
  app.post(
    '/api/v1/users/:id/resume',
    stateOf('Lets a suspended person sign in again, as before'),
    async (request, reply) => {
      const person = await people.change({ do: 'person.resume', person: request.params.id }, callerOf(request));
      return reply.header('etag', etagOf(person.version)).send(person);
    },
  );
  app.delete(
    '/api/v1/users/:id/totp',
    { config: decided, schema: { tags, summary: 'Ends the use of a lost authenticator', params: Id } },
    async (request, reply) => {
      await people.change({ do: 'person.totp', person: request.params.id, secret: null }, callerOf(request));
      return reply.code(204).send();
    },
  );
}

function sessionsRoutes(app: App, { people }: Deps): void {
  const present = (id: string) => {
    const person = people.get(id);
    return found(person === null || person.removedAt !== null ? null : person, `person "${id}"`);
  };
  app.post(
    '/api/v1/users/:id/link',
    {
      config: changes,
      schema: {
        tags,
        summary: 'Makes a link that signs the person in, once and within a day; an earlier one does not count any more',
        params: Id,
        response: { 201: LinkResponse },
      },
    },
    async ({ params: { id }, grants }, reply) => {
      const person = present(id);
      // Who has the link is this person.
      for (const role of person.roles) refuseBeyond(role, grants);
      const reason = 'person-suspended';
      if (person.suspendedAt !== null) throw new LamppostError('conflict', PERSON_REFUSALS[reason], { reason });
      const { secret, untilMs } = await people.oneTime.makeLink(person);
      return reply.code(201).send({ path: `/auth/link#${secret}`, until: isoOf(untilMs) });
    },
  );
  app.get(
    '/api/v1/users/:id/sessions',
    {
      config: reads,
      schema: {
        tags,
        summary: "Lists a person's sessions",
        params: Id,
        querystring: Short,
        response: { 200: pageOf(SessionResponse) },
      },
    },
    async ({ params: { id }, query }) => partOf(people.sessions.list(id, present(id).stamp), query),
  );
  app.delete(
    '/api/v1/users/:id/sessions',
    { config: decided, schema: { tags, summary: 'Signs a person out everywhere', params: Id } },
    async (request, reply) => {
      await people.change({ do: 'person.sign-out', person: request.params.id }, callerOf(request));
      return reply.code(204).send();
    },
  );
  app.delete(
    '/api/v1/users/:id/sessions/:session',
    {
      config: decided,
      schema: { tags, summary: 'Ends one session of a person', params: Id.extend({ session: Name }) },
    },
    async (request, reply) => {
      const { id, session } = request.params;
      const isOf = people.sessions.get(session)?.person === present(id).id;
      found(isOf || null, `session "${session}" of person "${id}"`);
      // What cannot be noted is not done (promise 7).
      await people.change({ do: 'person.end-session', person: id, session }, callerOf(request));
      people.sessions.end(id, session);
      return reply.code(204).send();
    },
  );
}
