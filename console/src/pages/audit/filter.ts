export const FIELDS = ['actor', 'action', 'target', 'result', 'from', 'to'] as const;
/** What of the trail is shown, as the address has it. */
export type AuditFilter = Readonly<Partial<Record<(typeof FIELDS)[number], string | undefined>>>;

export function auditFilterIn(search: Readonly<Record<string, unknown>>): AuditFilter {
  const text = (value: unknown) => (typeof value === 'string' && value !== '' ? value : undefined);
  const isTime = (value: string | undefined) => value === undefined || !Number.isNaN(Date.parse(value));
  const given = FIELDS.map((field) => [field, text(search[field])] as const);
  return Object.fromEntries(given.filter(([field, value]) => (field !== 'from' && field !== 'to') || isTime(value)));
}
