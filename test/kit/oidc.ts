import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import Provider from 'oidc-provider';
import { freePort } from './ports.ts';

/** What a provider says of somebody. */
export interface Account {
  readonly name: string;
  readonly email: string;
  readonly locale?: string;
  readonly groups: readonly string[];
}

export const CLIENT = { id: 'lamppost', secret: randomBytes(24).toString('base64url') };

/**
 * Runs a real OpenID provider on this machine. Any name in `accounts` signs in with any password, on the pages that it
 * has for development. `accounts` may change meanwhile.
 */
export async function startProvider(redirectUri: string, accounts: ReadonlyMap<string, Account>) {
  const port = await freePort();
  const issuer = `http://127.0.0.1:${port}`;
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: CLIENT.id,
        client_secret: CLIENT.secret,
        redirect_uris: [redirectUri],
        token_endpoint_auth_method: 'client_secret_post',
      },
    ],
    scopes: ['openid', 'profile', 'email', 'groups'],
    claims: { openid: ['sub'], profile: ['name', 'locale'], email: ['email'], groups: ['groups'] },
    cookies: { keys: [randomBytes(16).toString('hex')] },
    pkce: { required: () => true },
    findAccount: async (_context, id) =>
      accounts.has(id) ? { accountId: id, claims: async () => ({ sub: id, ...accounts.get(id) }) } : undefined,
  });
  const server = createServer(provider.callback()).listen(port, '127.0.0.1');
  await once(server, 'listening');
  return {
    issuer,
    async stop() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
