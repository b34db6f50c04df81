import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import { HOUR_MS, LamppostError, PERSON_REFUSALS, type PersonPrincipal } from '../../domain/index.ts';
import {
  checkPassword,
  MOST_PASSWORD,
  newTotpSecret,
  type StoredPerson,
  TOTP_SECRET,
  totpStep,
  totpUri,
} from '../../registry/index.ts';
import { callerOf } from '../caller.ts';
import type { ApiDeps, People } from '../deps.ts';
import type { Cookies } from '../edge/index.ts';
import { MeResponse, meOf, PersonResponse, SessionResponse } from '../responses/people.ts';
import { found, Id, pageOf, partOf, Short } from '../schema.ts';
import type { App } from './routes.ts';
import { visitorOf } from './sign-in.ts';

type Deps = Pick<ApiDeps, 'people' | 'clock' | 'city'>;

const tags = ['people'];
const Password = z
  .string()
  .min(1)
  .max(4 * MOST_PASSWORD);
const Code = z.string().regex(/^\d{6}$/, 'six digits are right');
const NewTotp = z
  .object({ secret: z.string(), uri: z.string().describe('For a QR code, as authenticator apps read it') })
  .meta({ id: 'NewTotp', description: 'The secret of an authenticator, not in force yet' });

/** `/auth/…` of who is signed in: who they are, their sessions, their password and their authenticator. */
export function sessionRoutes(app: App, deps: Deps, cookies: Cookies): void {
  const { people } = deps;
  const noted = { permission: 'any' } as const;
  app.get(
    '/auth/me',
    {
      config: noted,
      schema: { tags, summary: 'Says who asks, by a key or as a person', response: { 200: MeResponse } },
    },
    async ({ key }) => meOf(key!, people),
  );
  app.post(
    '/auth/logout',
    { config: noted, schema: { tags, summary: 'Ends the session of this browser' } },
    async (request, reply) => {
      const { person, session } = signedIn(request);
      people.sessions.end(person, session);
      cookies.setSession(reply, null);
      return reply.code(204).send();
    },
  );
  app.get(
    '/auth/sessions',
    {
      config: noted,
      schema: {
        tags,
        summary: 'Lists the browsers in which the person is signed in, the newest first',
        querystring: Short,
        response: { 200: pageOf(SessionResponse) },
      },
    },
    async (request) => {
      const { person } = signedIn(request);
      return partOf(people.sessions.list(person, storedOf(people, person).stamp), request.query);
    },
  );
  app.delete(
    '/auth/sessions/:id',
    { config: noted, schema: { tags, summary: 'Ends one session of the person', params: Id } },
    async (request, reply) => {
      const { id } = request.params;
      found(people.sessions.end(signedIn(request).person, id) || null, `session "${id}" of yours`);
      return reply.code(204).send();
    },
  );
  app.delete(
    '/auth/sessions',
    {
      config: { permission: 'any', audited: 'action' },
      schema: { tags, summary: 'Signs the person out everywhere, here too' },
    },
    async (request, reply) => {
      await people.change({ do: 'person.sign-out', person: signedIn(request).person }, callerOf(request));
      cookies.setSession(reply, null);
      return reply.code(204).send();
    },
  );
  passwordRoute(app, deps, cookies);
  totpRoutes(app, deps, cookies);
}

function passwordRoute(app: App, deps: Deps, cookies: Cookies): void {
  const { people } = deps;
  app.post(
    '/auth/password',
    {
      config: { permission: 'any', audited: 'action' },
      bodyLimit: 4_096,
      schema: {
        tags,
        summary:
          'Sets the password of the person and ends all other sessions. `current` is needed where there is one, but ' +
          'for whoever came by a one-time link',
        body: z.strictObject({ password: Password, current: Password.optional() }),
        response: { 200: PersonResponse },
      },
    },
    async (request, reply) => {
      const who = signedIn(request);
      const stored = storedOf(people, who.person);
      checkPassword(request.body.password, stored.email);
      await confirmed(deps, stored, request, request.body.current);
      const hash = await people.passwords.hash(request.source, request.body.password);
      const after = await people.change({ do: 'person.password', person: who.person, hash }, caller(request));
      cookies.setSession(reply, people.signIn.begin(storedOf(people, who.person), 'password', visitorOf(request)));
      return after;
    },
  );
}

function totpRoutes(app: App, { people, clock, city }: Deps, cookies: Cookies): void {
  const config = { permission: 'any', audited: 'action' } as const;
  app.post(
    '/auth/totp',
    {
      config: { permission: 'any', audited: 'no' },
      schema: {
        tags,
        summary: 'Draws a secret for an authenticator; nothing is in force until PUT confirms it',
        response: { 200: NewTotp },
      },
    },
    async (request) => {
      const secret = newTotpSecret();
      const { email } = storedOf(people, signedIn(request).person);
      return { secret, uri: totpUri(secret, email, `Lamppost ${city().name.en}`) };
    },
  );
  app.put(
    '/auth/totp',
    {
      config,
      schema: {
        tags,
        summary:
          'Puts an authenticator in force, with a code that it shows, and ends all other sessions. `password` is ' +
          'needed where it takes the place of another one',
        body: z.strictObject({
          secret: z.string().regex(TOTP_SECRET, 'a secret of POST is right'),
          code: Code,
          password: Password.optional(),
        }),
        response: { 200: PersonResponse },
      },
    },
    async (request, reply) => {
      const who = signedIn(request);
      const { secret, code, password } = request.body;
      const step = totpStep(secret, code, clock.now());
      if (step === null) throw wrongCode();
      // A stolen session does not suffice for another authenticator.
      const stored = storedOf(people, who.person);
      if (stored.totp !== null) await confirmedBy(people, stored, request, password, 'password');
      const after = await people.change(
        { do: 'person.totp', person: who.person, secret: people.seal(secret) },
        caller(request),
      );
      await people.oneTime.useCode(who.person, step);
      cookies.setSession(reply, people.signIn.begin(storedOf(people, who.person), 'password', visitorOf(request)));
      return after;
    },
  );
  app.delete(
    '/auth/totp',
    {
      config,
      schema: {
        tags,
        summary: 'Ends the use of an authenticator; the person gives their password, and is signed out everywhere',
        body: z.strictObject({ password: Password }),
        response: { 200: PersonResponse },
      },
    },
    async (request, reply) => {
      const { person } = signedIn(request);
      await people.signIn.confirm(storedOf(people, person), request.body.password, visitorOf(request));
      const after = await people.change({ do: 'person.totp', person, secret: null }, caller(request));
      cookies.setSession(reply, null);
      return after;
    },
  );
}

/** Hashes are different each time: such a request is not repeated under the name that it had. */
const caller = (request: FastifyRequest) => ({ ...callerOf(request), key: null });

/** Whoever came by a link may set a password without the old one for this long. */
const LINK_COUNTS_MS = HOUR_MS;

/** A stolen session does not suffice for a new password. */
async function confirmed({ people, clock }: Deps, stored: StoredPerson, request: FastifyRequest, current?: string) {
  const session = people.sessions.get(signedIn(request).session);
  const byLink = session?.how === 'link' && clock.now() - session.madeMs < LINK_COUNTS_MS;
  if (stored.password === null || byLink) return;
  await confirmedBy(people, stored, request, current, 'current');
}

/** Throws `invalid` where there is no password in this field, and as `confirm` does where it is wrong. */
async function confirmedBy(
  people: People,
  stored: StoredPerson,
  request: FastifyRequest,
  given: string | undefined,
  field: string,
) {
  if (given === undefined) throw new LamppostError('invalid', `${field}: send the password that you have now`);
  await people.signIn.confirm(stored, given, visitorOf(request));
}

function signedIn({ key }: FastifyRequest): PersonPrincipal {
  if (key!.kind === 'person') return key!;
  throw new LamppostError('invalid', 'this is for people who signed in; you sent a key');
}

const storedOf = (people: People, id: string) => found(people.get(id), `person "${id}"`);

const wrongCode = () => new LamppostError('forbidden', PERSON_REFUSALS['wrong-code'], { reason: 'wrong-code' });
