import { z } from 'zod';
import {
  type Department,
  type Grant,
  mayAny,
  reaches,
  reachOf,
  type ShapeOf,
  type Ticket,
  WITHHELD,
} from '../domain/index.ts';

const text = z.string().nullable();

/** Who reported something, as far as they said. */
const ReporterSchema = z.object({
  name: text,
  email: text,
  phone: text,
  deviceId: text.describe('Open311 `device_id`'),
  accountId: text.describe('Open311 `account_id`'),
});
export type Reporter = ShapeOf<typeof ReporterSchema>;

/** A reporter as stored. */
export const StoredReporterSchema = ReporterSchema.extend({ reportedAt: z.iso.datetime() });
export type StoredReporter = ShapeOf<typeof StoredReporterSchema>;

/** The reasons why a key may not see who reported a ticket. */
export type ReporterRefusal = 'not-your-role' | 'not-your-department' | 'not-a-department';

/**
 * Returns why somebody with these roles may not see who reported a ticket; null where they may. Operators of the
 * responsible department and the city's admins may; an operator of the whole city sees all tickets, but not the people
 * behind them. Of a ticket that was handed over to a contractor or a group, `kind`, only the admins do.
 */
export function refuseReporter(
  grants: readonly Grant[],
  { department }: Pick<Ticket, 'department'>,
  kind: Department['kind'] = 'department',
): ReporterRefusal | null {
  const inIt = grants.map((grant) => ({ ...grant, department }));
  if (!mayAny(inIt, 'reporters.read')) return 'not-your-role';
  const reach = reachOf(grants, 'reporters.read');
  if (!reaches(reach, department)) return 'not-your-department';
  return reach !== 'city' && kind !== 'department' && WITHHELD.includes('reporters.read') ? 'not-a-department' : null;
}
