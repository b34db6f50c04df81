import type { Key, Ticket } from '../domain/index.ts';

/** Why somebody does not get to see who reported a ticket; null: they do. */
export type ReporterRefusal = 'not-your-role' | 'not-your-department';

/**
 * Who may know who reported a ticket: those who act for the department that answers for it, and the city's own admins. An
 * operator of the whole city may not: to see all tickets is not a reason to know all who wrote them.
 */
export function refuseReporter(
  { role, department: own }: Pick<Key, 'role' | 'department'>,
  { department }: Pick<Ticket, 'department'>,
): ReporterRefusal | null {
  if (role !== 'operator' && role !== 'admin') return 'not-your-role';
  if (own === null) return role === 'admin' ? null : 'not-your-department';
  return own === department ? null : 'not-your-department';
}
