import { z } from 'zod';
import {
  type Grant,
  grantsOf,
  KEY_ROLES,
  mayAny,
  PERMISSION_NAMES,
  PersonSchema,
  type Principal,
  reaches,
  reachOf,
} from '../../domain/index.ts';
import { shownPerson, WebSessionSchema } from '../../registry/index.ts';
import type { People } from '../deps.ts';

export { PersonSchema as PersonResponse, WebSessionSchema as SessionResponse };

/** Who asks. */
export const MeResponse = z
  .object({
    kind: z.enum(['key', 'person']),
    id: z.string().describe('Of the key, or `person:<id>`: as histories and the audit trail name it'),
    name: z.string(),
    role: z.enum(KEY_ROLES).describe('The highest one'),
    department: z.string().nullable().describe('The only department in which the role counts; null: all'),
    rights: z
      .array(z.enum(PERMISSION_NAMES))
      .describe('What it may do at all; a role in a department has some rights there only'),
    reach: z
      .array(z.object({ department: z.string().nullable(), rights: z.array(z.enum(PERMISSION_NAMES)) }))
      .describe('What it may do in each of its departments, and (null) in every department and in what is of none'),
    person: PersonSchema.nullable().describe('Null for a key'),
    session: z.string().nullable().describe('The session that asks; null for a key'),
  })
  .meta({ id: 'Me', description: 'Who asks' });

/** Returns who asks, as responses have it. */
export function meOf(principal: Principal, people: Pick<People, 'get'>) {
  const { kind, id, name, role, department } = principal;
  const stored = principal.kind === 'person' ? people.get(principal.person) : null;
  const session = principal.kind === 'person' ? principal.session : null;
  const rights = PERMISSION_NAMES.filter((permission) => mayAny(grantsOf(principal), permission));
  const reach = placesOf(grantsOf(principal));
  const person = stored === null ? null : shownPerson(stored);
  return { kind, id, name, role, department, rights, reach, person, session };
}

/** Returns the rights of grants by department; null: of the whole city. */
function placesOf(grants: readonly Grant[]) {
  const reach = PERMISSION_NAMES.map((permission) => [permission, reachOf(grants, permission)] as const);
  return [...new Set([null, ...grants.map(({ department }) => department)])].map((department) => ({
    department,
    rights: reach.filter(([, of]) => reaches(of, department)).map(([permission]) => permission),
  }));
}
