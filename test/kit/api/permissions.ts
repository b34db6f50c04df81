import { expect } from 'vitest';
import { type Grant, KEY_ROLES, type Permission } from '../../../domain/index.ts';
import { Visit } from '../browser-like.ts';
import { openApi } from './kit.ts';

export const title = { en: 'A', zh: '甲' };
const service = (department: string) => ({ title, department, deadline: '1h' });
const profile = (...departments: string[]) => ({ title, metrics: ['a', 'b'], interval: '1m', departments });
/** Whose devices take commands. */
const commanded = (department: string) => ({ ...profile(department), commands: { dim: { title } } });
const rule = (id: string, of: string) => ({
  id,
  title: id,
  when: { metric: 'a', last: true, above: 90 },
  severity: 'low',
  ticket: { service: of },
});
/** A city of two departments, each with devices, a service and a rule. */
export const FILES = {
  'departments.yaml': { care: { title }, roads: { title } },
  'services.yaml': { repair: service('care'), paving: service('roads') },
  // d1 and d2 of the kit are of care.
  'profiles.yaml': { bin: commanded('care'), pole: commanded('roads') },
  'rules/of-care.yaml': rule('of-care', 'repair'),
  'rules/of-roads.yaml': rule('of-roads', 'paving'),
};

/** A role of the whole city, in the department, and in another. */
export const GRANTS = KEY_ROLES.flatMap((role): Grant[] => [
  { role, department: null },
  { role, department: 'care' },
  { role, department: 'roads' },
]);
export const nameOf = ({ role, department }: Grant) => `${role} of ${department ?? 'the city'}`;

export type Owner = 'care' | 'roads';
export const OWNERS = ['care', 'roads'] as const;
export const admin = { role: 'admin', department: null } as const;
export const serviceOf = { care: 'repair', roads: 'paving' } as const;
/** A ticket that is opened by hand. */
export const opening = (owner: Owner) => ({ service: serviceOf[owner], title: 'T', district: 'east' });
export const url = 'https://hooks.example/x';
export const webhook = (owner: Owner) => ({ url, party: owner, filter: { departments: [owner] } });
/** A silence of the next hour. */
export const shortly = (owner: Owner) => ({
  matchers: { department: [owner] },
  endsAt: new Date(Date.now() + 3_600_000).toISOString(),
  comment: 'c',
});

/** A route that needs a key, with the permission that the document names. */
export interface Route {
  readonly method: string;
  readonly path: string;
  readonly permission: Permission;
}

/** An API of that city, and who asks it. */
export async function openPermissions() {
  // No mail is sent: nothing listens there.
  const api = await openApi({}, { files: FILES, smtp: { url: 'smtp://127.0.0.1:9', from: 'a@b.example' } });
  const { paths } = (await (await api.fetch('/openapi.json', { key: null })).json()) as {
    paths: Record<string, Record<string, { description?: string; security?: unknown }>>;
  };
  const routes = Object.entries(paths).flatMap(([path, methods]): Route[] =>
    Object.entries(methods).flatMap(([method, { description, security }]) => {
      // One's own account.
      if (security !== undefined || path.startsWith('/auth/')) return [];
      const [, permission] = /^Needs the right `([a-z.]+)`/.exec(description ?? '') ?? [];
      return [{ method: method.toUpperCase(), path, permission: permission as Permission }];
    }),
  );
  const keys = new Map<string, string>();

  /** The secret of a key. It is made beside the API, which refuses some of these: keys of before may be so. */
  function keyOf(grant: Grant): string {
    const known = keys.get(nameOf(grant)) ?? api.key(grant.role, grant.department);
    keys.set(nameOf(grant), known);
    return known;
  }

  async function ask(key: string, method: string, path: string, body?: unknown) {
    const json =
      body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } };
    const response = await api.fetch(path, { method, key, ...json });
    const text = await response.text();
    const value = text.startsWith('{') ? (JSON.parse(text) as Record<string, unknown>) : {};
    return { status: response.status, detail: String(value.detail), reason: value.reason, value };
  }

  async function made(path: string, body: unknown): Promise<string> {
    const { status, detail, value } = await ask(keyOf(admin), 'POST', path, body);
    expect(status, `${path}: ${detail}`).toBe(201);
    return String(value.id);
  }

  /** Signs somebody with these roles in. */
  async function signedIn(name: string, roles: readonly Grant[]): Promise<Visit> {
    const id = await made('/api/v1/users', { name, email: `${name}@city.example`, roles });
    const { value } = await ask(keyOf(admin), 'POST', `/api/v1/users/${id}/link`);
    const visit = new Visit({ httpPort: api.port });
    const token = String(value.path).split('#')[1]!;
    expect((await visit.send('POST', '/auth/link', { token })).status).toBe(200);
    return visit;
  }

  return { api, routes, keyOf, ask, made, signedIn };
}
export type Permissions = Awaited<ReturnType<typeof openPermissions>>;
