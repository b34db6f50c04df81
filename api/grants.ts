import { beyondScopes, type City, type Grant, grantFault, LamppostError, requireName } from '../domain/index.ts';

/**
 * Throws `invalid`, with a suggestion where there is one, for a grant that cannot be given, and `forbidden` for one
 * that has more rights than the scopes of who gives it. `at` stands before what is wrong.
 */
export function requireGivable(
  grant: Grant,
  by: readonly Grant[],
  { departments }: Pick<City, 'departments'>,
  at = '',
): void {
  if (grant.department !== null) requireName('department', grant.department, departments, at || 'department: ');
  const fault = grantFault(grant);
  if (fault !== null) throw new LamppostError('invalid', at + fault);
  refuseBeyond(grant, by);
}

/** Throws `forbidden` for a grant, given or shown by its secret, that has more rights than the scopes of who asks. */
export function refuseBeyond(grant: Grant, by: readonly Grant[]): void {
  const beyond = beyondScopes(by, grant);
  if (beyond.length === 0) return;
  throw new LamppostError('forbidden', `the scopes of your key do not let it give ${beyond.join(', ')}`);
}
