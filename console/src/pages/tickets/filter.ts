import type { paths } from '../../api/schema.ts';

export const STATUSES = ['open', 'acknowledged', 'assigned', 'in_progress', 'resolved', 'closed'] as const;
export const SEVERITIES = ['critical', 'high', 'medium', 'low', 'info'] as const;
export const ORIGINS = ['sensor', 'citizen', 'operator'] as const;
export const WORKING = STATUSES.slice(0, 4);

/** What of the tickets is shown, as the address has it: lists are separated by commas. */
export interface Filter {
  readonly status?: string | undefined;
  readonly severity?: string | undefined;
  readonly origin?: string | undefined;
  readonly department?: string | undefined;
  readonly service?: string | undefined;
  readonly district?: string | undefined;
  readonly group?: string | undefined;
  readonly rule?: string | undefined;
  /** Words of the title, the notes, the id or the reporter's reference. */
  readonly q?: string | undefined;
  /** A circle or a box: see `PlaceLimits`. */
  readonly near?: string | undefined;
  readonly bbox?: string | undefined;
  /** The order, as the server has it; absent: the newest first. */
  readonly sort?: string | undefined;
  /** How they are shown; absent: as a table. */
  readonly view?: string | undefined;
}

const KEYS = [
  'status',
  'severity',
  'origin',
  'department',
  'service',
  'district',
  'group',
  'rule',
  'q',
  'near',
  'bbox',
  'sort',
  'view',
] as const;

/** What the order of the list can be. */
export const ORDERS = ['-opened', 'opened', 'due', '-due', '-severity', 'severity', 'status', '-status', '-updated'];

/** Reads a filter from an address; what it does not know is left out. */
export function filtersIn(search: Readonly<Record<string, unknown>>): Filter {
  const given = KEYS.flatMap((key) => {
    const value = search[key];
    return typeof value === 'string' && value !== '' ? [[key, value] as const] : [];
  });
  return Object.fromEntries(given);
}

/** The filters of an address without how they are shown. */
export function filterText({ view: _, ...filter }: Filter): string {
  const given = Object.entries(filter).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return new URLSearchParams(given.toSorted(([a], [b]) => (a < b ? -1 : 1))).toString();
}

export const listOf = (value: string | undefined): string[] => (value === undefined ? [] : value.split(','));

export type Query = NonNullable<paths['/api/v1/tickets']['get']['parameters']['query']>;

/** Returns the query of a filter: without a status, the tickets that need work. */
export function queryOf({ status = WORKING.join(','), view: _, ...rest }: Filter): Query {
  const all = { ...rest, ...(status === 'all' ? {} : { status }) };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)) as Query;
}
