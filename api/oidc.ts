import { createRequire } from 'node:module';
import type * as oidc from 'openid-client';
import { z } from 'zod';
import { type Grant, LamppostError, PERSON_REFUSALS, type Person, type PersonRefusal } from '../domain/index.ts';
import { createTurns } from '../limits/index.ts';

const require = createRequire(import.meta.url);
/** Loaded at the first sign-in at a provider. */
const loaded = () => require('openid-client') as typeof oidc;

/** How Lamppost is known to an OIDC provider. */
export interface OidcSettings {
  readonly issuer: string;
  readonly clientId: string;
  readonly clientSecret: string;
  /** Where the provider sends people back to. */
  readonly redirectUri: string;
  /** The claim whose values are looked up in `roles`. */
  readonly claim: string;
  readonly roles: ReadonlyMap<string, Grant>;
}

/** Whom a provider vouches for. */
export type Vouched = Pick<Person, 'name' | 'email' | 'language' | 'roles'> & {
  readonly issuer: string;
  readonly subject: string;
};

/** Signing in at an OIDC provider (authorization code with PKCE, state and nonce). */
export interface Oidc {
  /** Returns where to send the browser, and what it has to bring back. Throws `busy` where no provider responds. */
  start(): Promise<{ readonly url: string; readonly kept: string }>;
  /**
   * Returns who signed in. `query`: of the address that the provider sent the browser to; `kept`: of `start`; `who`
   * waits for its own turn. Throws `forbidden` with `provider-failed` or `no-role`.
   */
  finish(query: string, kept: string | null, who: string): Promise<Vouched>;
}

const TIMEOUT_SECONDS = 10;
/** Exchanges with the provider at once, and those that wait. */
const EXCHANGES = { atOnce: 8, perHolder: 8, total: 64 };

const KeptSchema = z.strictObject({ state: z.string(), nonce: z.string(), verifier: z.string() });
const Text = z.string().min(1).max(200);
const ClaimsSchema = z.object({
  name: Text.optional().catch(undefined),
  email: z.string().max(320).optional().catch(undefined),
  preferred_username: Text.optional().catch(undefined),
  locale: z.string().optional().catch(undefined),
});

/** Returns the sign-in at a provider, which is asked for its addresses at the first use. */
export function createOidc(settings: OidcSettings): Oidc {
  const { issuer, clientId, clientSecret, redirectUri } = settings;
  const turns = createTurns(EXCHANGES);
  let known: Promise<oidc.Configuration> | null = null;

  function provider(): Promise<oidc.Configuration> {
    const client = loaded();
    const execute = new URL(issuer).protocol === 'http:' ? [client.allowInsecureRequests] : [];
    const options = { execute, timeout: TIMEOUT_SECONDS };
    known ??= client.discovery(new URL(issuer), clientId, clientSecret, undefined, options).catch((cause: Error) => {
      known = null;
      const detail = `the provider ${issuer} does not respond as one: ${cause.message}`;
      throw new LamppostError('busy', detail, { retryable: true, cause });
    });
    return known;
  }

  async function claimsOf(query: string, kept: string | null): Promise<oidc.UserInfoResponse> {
    const parsed = KeptSchema.safeParse(jsonIn(kept));
    if (!parsed.success) throw refusal('provider-failed', 'this browser did not begin the sign-in, or too long ago');
    const { state, nonce, verifier } = parsed.data;
    const client = loaded();
    const config = await provider();
    const checks = { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true };
    const tokens = await client.authorizationCodeGrant(config, new URL(`${redirectUri}${query}`), checks);
    const claims = tokens.claims()!;
    if (config.serverMetadata().userinfo_endpoint === undefined) return claims;
    return { ...claims, ...(await client.fetchUserInfo(config, tokens.access_token, claims.sub)) };
  }

  return {
    async start() {
      const client = loaded();
      const config = await provider();
      const kept = {
        state: client.randomState(),
        nonce: client.randomNonce(),
        verifier: client.randomPKCECodeVerifier(),
      };
      const url = client.buildAuthorizationUrl(config, {
        redirect_uri: redirectUri,
        scope: scopesOf(config),
        state: kept.state,
        nonce: kept.nonce,
        code_challenge: await client.calculatePKCECodeChallenge(kept.verifier),
        code_challenge_method: 'S256',
      });
      return { url: url.href, kept: Buffer.from(JSON.stringify(kept)).toString('base64url') };
    },
    finish: (query, kept, who) =>
      turns.run(who, async () => {
        const claims = await claimsOf(query, kept).catch((cause: Error) => {
          if (cause instanceof LamppostError) throw cause;
          throw refusal('provider-failed', cause.message, cause);
        });
        return vouchedBy(settings, claims);
      }),
  };
}

const WANTED = ['openid', 'profile', 'email', 'groups', 'roles'];

/** The scopes that are useful, of those that the provider says it has. */
function scopesOf(config: oidc.Configuration): string {
  const { scopes_supported: has } = config.serverMetadata();
  return WANTED.filter((scope) => (has === undefined ? WANTED.indexOf(scope) < 3 : has.includes(scope))).join(' ');
}

function vouchedBy({ issuer, claim, roles: table }: OidcSettings, claims: oidc.UserInfoResponse): Vouched {
  const { name, email, preferred_username: user, locale } = ClaimsSchema.parse(claims);
  const values = [claims[claim]].flat().filter((value) => typeof value === 'string');
  const roles = [...new Set(values)].flatMap((value) => table.get(value) ?? []);
  const shown = email ?? user ?? claims.sub;
  if (roles.length === 0) throw refusal('no-role', `${shown} has none of the values of "${claim}" in OIDC_ROLES`);
  return {
    issuer,
    subject: claims.sub,
    name: name ?? shown,
    email: shown,
    language: locale?.toLowerCase().startsWith('zh') ? 'zh' : 'en',
    roles,
  };
}

function refusal(reason: PersonRefusal, detail: string, cause?: Error): LamppostError {
  return new LamppostError('forbidden', `${PERSON_REFUSALS[reason]}: ${detail}`, { reason, cause });
}

function jsonIn(kept: string | null): unknown {
  try {
    return JSON.parse(Buffer.from(kept ?? '', 'base64url').toString());
  } catch {
    return null;
  }
}
