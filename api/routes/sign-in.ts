import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { LamppostError, SIGN_IN } from '../../domain/index.ts';
import { MOST_PASSWORD, type Visitor } from '../../registry/index.ts';
import type { ApiDeps } from '../deps.ts';
import { type Cookies, isFromElsewhere, refuseCrossSite } from '../edge/index.ts';
import type { Oidc } from '../oidc.ts';
import { MeResponse, meOf } from '../responses/people.ts';
import { found } from '../schema.ts';
import type { App } from './routes.ts';

type Deps = Pick<ApiDeps, 'people' | 'oidc' | 'refusals'>;

/** What the sign-in knows of its server. */
export interface SignInOptions {
  readonly cookies: Cookies;
  readonly publicOrigin: string | null;
}

const tags = ['people'];
const Login = z.strictObject({
  email: z.string().min(1).max(320),
  password: z
    .string()
    .min(1)
    .max(4 * MOST_PASSWORD),
  code: z
    .string()
    .regex(/^\d{6}$/, 'six digits are right')
    .optional()
    .describe('Of the authenticator, where the person has one'),
});
const Methods = z
  .object({ password: z.literal(true), oidc: z.boolean() })
  .meta({ id: 'SignInMethods', description: 'How people sign in' });

/** Returns where somebody signs in from. */
export function visitorOf({ source, headers }: FastifyRequest): Visitor {
  return { source, agent: headers['user-agent'] ?? '' };
}

/** `/auth/…` for whoever has not signed in: with a password, a one-time link, or at an OIDC provider. */
export function signInRoutes(app: App, deps: Deps, options: SignInOptions): void {
  const { people, oidc, refusals } = deps;
  const { cookies, publicOrigin } = options;
  const open = { permission: 'open' } as const;
  const ofOurPages = {
    config: open,
    bodyLimit: 4_096,
    onRequest: async ({ headers }: FastifyRequest, reply: FastifyReply) =>
      isFromElsewhere({ headers, publicOrigin }) ? refuseCrossSite(reply, refusals) : undefined,
  };

  /** Starts a session; what is refused is counted. */
  async function letIn(reply: FastifyReply, signIn: () => Promise<string>) {
    const secret = await signIn().catch((error: unknown) => {
      if (error instanceof LamppostError) refusals.count('sign-in');
      throw error;
    });
    cookies.setSession(reply, secret);
    return meOf(people.signIn.principalOf(secret)!, people);
  }

  app.get(
    '/auth/methods',
    { config: open, schema: { tags, summary: 'Says how people sign in', response: { 200: Methods } } },
    async () => ({ password: true as const, oidc: oidc !== null }),
  );
  app.post(
    '/auth/login',
    {
      ...ofOurPages,
      schema: {
        tags,
        summary: 'Signs a person in with a password, and sets the cookie of the session',
        body: Login,
        response: { 200: MeResponse },
      },
    },
    async (request, reply) => letIn(reply, () => people.signIn.withPassword(request.body, visitorOf(request))),
  );
  app.post(
    '/auth/link',
    {
      ...ofOurPages,
      schema: {
        tags,
        summary: 'Signs a person in with the token of a one-time link',
        body: z.strictObject({ token: z.string().min(1).max(100) }),
        response: { 200: MeResponse },
      },
    },
    async (request, reply) => letIn(reply, () => people.signIn.withLink(request.body.token, visitorOf(request))),
  );
  providerRoutes(app, deps, cookies);
}

function providerRoutes(app: App, { people, oidc, refusals }: Deps, cookies: Cookies): void {
  const open = { permission: 'open' } as const;
  app.get(
    '/auth/oidc/start',
    { config: open, schema: { tags, summary: 'Sends the browser to the OIDC provider' } },
    async (_request, reply) => {
      const { url, kept } = await providerOf(oidc).start();
      cookies.setOidc(reply, kept);
      return reply.redirect(url, 302);
    },
  );
  app.get(
    '/auth/oidc/callback',
    {
      config: open,
      schema: {
        tags,
        summary: 'Where the OIDC provider sends the browser back to: it signs in, or learns why not',
      },
    },
    async (request, reply) => {
      const { search } = new URL(request.url, 'http://localhost');
      cookies.setOidc(reply, null);
      try {
        const vouched = await providerOf(oidc).finish(search, cookies.oidc(request.headers), request.source);
        const caller = { actor: SIGN_IN, address: request.source, key: null };
        const { id } = await people.change({ do: 'person.vouch', ...vouched }, caller);
        cookies.setSession(reply, people.signIn.begin(people.get(id)!, 'oidc', visitorOf(request)));
        return reply.redirect('/', 302);
      } catch (error) {
        if (!(error instanceof LamppostError)) throw error;
        refusals.count('sign-in');
        request.log.warn({ from: request.source, why: error.message }, 'sign-in at the provider refused');
        return reply.redirect(`/#refused=${error.reason ?? error.code}`, 302);
      }
    },
  );
}

const providerOf = (oidc: Oidc | null) => found(oidc, 'OIDC provider: OIDC_ISSUER is not set');
