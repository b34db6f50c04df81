import { isIP } from 'node:net';
import type { OidcSettings } from '../api/index.ts';
import { type City, type Grant, GrantSchema, grantFault, unknownName } from '../domain/index.ts';

interface Given {
  readonly issuer: string | undefined;
  readonly clientId: string | undefined;
  readonly clientSecret: string | undefined;
  readonly claim: string;
  readonly roles: string;
  readonly publicUrl: string;
}

/** Reads the settings of the OIDC provider; null where none is set. Adds what is missing or wrong to the problems. */
export function readOidc(given: Given, problems: string[]): OidcSettings | null {
  const { issuer, clientId, clientSecret, claim, publicUrl } = given;
  if (issuer === undefined) return null;
  const missing = { OIDC_CLIENT_ID: clientId, OIDC_CLIENT_SECRET: clientSecret, OIDC_ROLES: given.roles || undefined };
  for (const [name, value] of Object.entries(missing))
    if (value === undefined) problems.push(`${name}: must be set where OIDC_ISSUER is set`);
  if (!isSafe(issuer)) problems.push('OIDC_ISSUER: must be an https URL (http only on this machine)');
  const roles = rolesIn(given.roles, problems);
  const redirectUri = `${publicUrl}/auth/oidc/callback`;
  return { issuer, clientId: clientId ?? '', clientSecret: clientSecret ?? '', claim, roles, redirectUri };
}

/** Whether nobody on the way can read what is sent. */
function isSafe(text: string): boolean {
  const { protocol, hostname } = new URL(text);
  const local =
    hostname === 'localhost' || hostname === '[::1]' || (isIP(hostname) === 4 && hostname.startsWith('127.'));
  return protocol === 'https:' || local;
}

/** Reads `city-admins=admin, waste-team=operator@waste`: values of the claim, and the role of whoever has them. */
function rolesIn(text: string, problems: string[]): ReadonlyMap<string, Grant> {
  const roles = new Map<string, Grant>();
  for (const entry of text.split(',').map((one) => one.trim())) {
    if (entry === '') continue;
    const at = entry.lastIndexOf('=');
    const [role, department] = entry.slice(at + 1).split('@') as [string, string?];
    const parsed = GrantSchema.safeParse({ role: role.trim(), department: department?.trim() ?? null });
    const fault = parsed.success ? grantFault(parsed.data) : null;
    if (fault !== null) problems.push(`OIDC_ROLES: "${entry}": ${fault}`);
    else if (at > 0 && parsed.success) roles.set(entry.slice(0, at).trim(), parsed.data);
    else problems.push(`OIDC_ROLES: "${entry}" is not <value>=<role> or <value>=<role>@<department>`);
  }
  return roles;
}

/**
 * Returns what is wrong with departments in the table of roles, each with a suggestion: whoever has them may do
 * nothing.
 */
export function unknownDepartments(oidc: OidcSettings | null, { departments }: Pick<City, 'departments'>): string[] {
  const named = [...(oidc?.roles.values() ?? [])].flatMap(({ department }) => department ?? []);
  const faults = [...new Set(named)].flatMap((one) => unknownName('department', one, departments) ?? []);
  return faults.map((fault) => `OIDC_ROLES: ${fault}`);
}
