export const BY = ['department', 'service', 'district', 'week'] as const;
export type By = (typeof BY)[number];
export const DAY_MS = 86_400_000;
export const DAYS = ['7', '28', '91', '364'];

/** What is summed up, as the address has it: a number of days that end with a day, and by what. */
export interface OversightFilter {
  readonly days: string;
  readonly until: string;
  readonly by: readonly By[];
}

const dayOf = (ms: number) => new Date(ms).toISOString().slice(0, 10);

export function oversightFilterIn(search: Readonly<Record<string, unknown>>): OversightFilter {
  const { days, until, by } = search;
  const chosen = BY.filter((one) => Array.isArray(by) && by.includes(one));
  return {
    days: DAYS.find((one) => one === String(days)) ?? '28',
    until: typeof until === 'string' && !Number.isNaN(Date.parse(until)) ? until : dayOf(Date.now()),
    by: chosen.length === 0 ? ['department', 'service'] : chosen,
  };
}
