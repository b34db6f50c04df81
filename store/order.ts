import { LamppostError } from '../domain/index.ts';

/** An order of a list: an SQL expression of each row that is never null, and whether its largest value is first. */
export interface Order {
  readonly key: string;
  readonly descending: boolean;
}

/** A row in an order; `tie` is its number or id, which decides between equal keys. */
export interface Ranked {
  readonly key: string | number;
  readonly tie: string | number;
}

/** Collects the first rows of an order that no index has, from windows of a table. */
export interface Ranking {
  /** Columns `key` and `tie` of a window's select. */
  readonly columns: string;
  /** `and …`: only what comes after the page before. */
  readonly beyond: string;
  readonly params: readonly (string | number)[];
  readonly orderBy: string;
  /** Takes the first rows of a window. */
  add(rows: readonly Ranked[]): void;
  /** The first rows of all windows so far. */
  rows(): readonly Ranked[];
}

/**
 * Returns the ranking of a page of `most` rows; `tie` is the column of the row's number or id. Throws `invalid` where
 * `after` is not the `next` of a page.
 */
export function createRanking(
  { key, descending }: Order,
  { tie, after, most }: { readonly tie: string; readonly after: string | null | undefined; readonly most: number },
): Ranking {
  const from = after === null || after === undefined ? null : rankedOf(after);
  const direction = descending ? 'desc' : 'asc';
  let best: Ranked[] = [];
  return {
    columns: `${key} as key, ${tie} as tie`,
    beyond: from === null ? '' : ` and (${key}, ${tie}) ${descending ? '<' : '>'} (?, ?)`,
    params: from === null ? [] : [from.key, from.tie],
    orderBy: ` order by ${key} ${direction}, ${tie} ${direction} limit ${most}`,
    add(rows) {
      const all = [...best, ...rows].sort((a, b) => compare(a.key, b.key) || compare(a.tie, b.tie));
      best = (descending ? all.reverse() : all).slice(0, most);
    },
    rows: () => best,
  };
}

/** Returns the `next` of a page that ends with this row. */
export function nextOf({ key, tie }: Ranked): string {
  return Buffer.from(JSON.stringify([key, tie])).toString('base64url');
}

function rankedOf(after: string): Ranked {
  const isValue = (value: unknown) => typeof value === 'string' || typeof value === 'number';
  try {
    const found = JSON.parse(Buffer.from(after, 'base64url').toString()) as unknown;
    if (Array.isArray(found) && found.length === 2 && found.every(isValue)) {
      const [key, tie] = found as [Ranked['key'], Ranked['tie']];
      return { key, tie };
    }
  } catch {
    // Said below.
  }
  throw new LamppostError('invalid', `after: "${after}" is not the next of a page in this order`);
}

/** As SQLite compares: numbers by value, texts by their bytes. */
function compare(a: string | number, b: string | number): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  return Buffer.compare(Buffer.from(String(a)), Buffer.from(String(b)));
}
