import { z } from 'zod';
import type { KeyActor, PersonActor } from './journal.ts';
import type { Key } from './key.ts';
import { type Grant, KEY_ROLES, type KeyRole } from './permission.ts';
import type { ShapeOf } from './schema.ts';

const OF_PROGRAMS: ReadonlySet<KeyRole> = new Set(['network-server', 'citizen-app']);
/** Roles of people: those of keys but for programs' own. */
export const PERSON_ROLES = KEY_ROLES.filter((role) => !OF_PROGRAMS.has(role)) as [KeyRole, ...KeyRole[]];

/** The languages of the console. */
export const LANGUAGES = ['en', 'zh'] as const;

/** A role of a person, in one department or in all of them. Scopes are for keys. */
export const GrantSchema = z
  .strictObject({
    role: z.enum(PERSON_ROLES),
    department: z.string().max(200).nullable().describe('The department in which the role counts; null: all'),
  })
  .meta({ id: 'Grant', description: 'A role of a person' });

/** A person who may sign in. Times are ISO 8601 UTC. */
export const PersonSchema = z
  .object({
    id: z.string().describe('`p-{block}-{ordinal}` of the record that added it'),
    version: z.int().min(1),
    name: z.string(),
    email: z.string().describe('In lower case; the person signs in with it'),
    language: z.enum(LANGUAGES),
    roles: z.array(GrantSchema).readonly(),
    hasPassword: z.boolean(),
    hasTotp: z.boolean().describe('Whether signing in with the password needs a code (RFC 6238)'),
    issuer: z.string().nullable().describe('The OIDC provider that vouches for the person; null: none'),
    addedAt: z.iso.datetime(),
    suspendedAt: z.iso.datetime().nullable().describe('Since when the person may not sign in; null: they may'),
    removedAt: z.iso.datetime().nullable(),
  })
  .meta({ id: 'Person', description: 'A person who may sign in' });
export type Person = ShapeOf<typeof PersonSchema>;

/** Who asks for something over HTTP: by a key, or as a person who signed in. */
export type Principal = (Key & { readonly kind: 'key' }) | PersonPrincipal;

/** A person who signed in. `id` is unique among keys and people: `person:<id>`. */
export interface PersonPrincipal extends Key {
  readonly kind: 'person';
  readonly person: string;
  readonly grants: readonly Grant[];
  /** Names the session; it is no secret. */
  readonly session: string;
}

/** Returns the principal of a key. */
export function keyPrincipal(key: Key): Principal {
  return { kind: 'key', ...key };
}

/** Returns the principal of a person's session. */
export function personPrincipal({ id, name, roles }: Pick<Person, 'id' | 'name' | 'roles'>, session: string) {
  const { role, department } = highestOf(roles);
  return { kind: 'person', id: `person:${id}`, person: id, name, role, department, grants: roles, session } as const;
}

const given = (scopes: Key['scopes']) => (scopes === undefined ? {} : { scopes });

/** Returns who acts, for the log. */
export function actorOf(principal: Principal): KeyActor | PersonActor {
  const { role, department } = principal;
  if (principal.kind === 'person')
    return { kind: 'person', id: principal.person, role, department, grants: principal.grants };
  return { kind: 'key', id: principal.id, role, department, ...given(principal.scopes) };
}

/**
 * Returns the role that counts where only one can: the highest one; of several departments the first, unless one of
 * these roles is for all of them.
 */
function highestOf(roles: readonly Grant[]): Grant {
  const highest = Math.max(...roles.map(({ role }) => KEY_ROLES.indexOf(role)));
  const best = roles.filter(({ role }) => KEY_ROLES.indexOf(role) === highest);
  return best.find(({ department }) => department === null) ?? best[0]!;
}
