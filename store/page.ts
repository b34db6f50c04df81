import { LamppostError } from '../domain/index.ts';

/** A filter: one value, or several of which one must match. Undefined matches all. */
export type Filter<T extends string> = T | readonly T[] | undefined;

/** Returns the given filters as `and …` conditions by column, with their parameters. Only these can use an index. */
export function conditionsOf(filters: Readonly<Record<string, Filter<string>>>): { sql: string; params: string[] } {
  const given = Object.entries(filters).filter(
    (entry): entry is [string, string | readonly string[]] => entry[1] !== undefined,
  );
  return {
    sql: given.map(([column]) => ` and "${column}" in (select value from json_each(?))`).join(''),
    params: given.map(([, wanted]) => JSON.stringify(typeof wanted === 'string' ? [wanted] : wanted)),
  };
}

/**
 * Returns the row number in the `next` of a page; `first` where there is none. Throws `invalid` where it is not one.
 */
export function positionOf(after: string | null | undefined, first: number): number {
  if (after === null || after === undefined) return first;
  if (!/^\d{1,15}$/.test(after)) throw new LamppostError('invalid', `after: "${after}" is not the next of a page`);
  return Number(after);
}

/** Most bytes of the texts in one page of a list: a page with more ends early, and its `next` leads on. */
export const PAGE_BYTES = 1024 * 1024;

/** Returns the characters of all texts in a row. */
export function textIn(row: Readonly<Record<string, unknown>>): number {
  let sum = 0;
  for (const value of Object.values(row)) if (typeof value === 'string') sum += value.length;
  return sum;
}

/** Runs steps at once. */
export function atOnce<T>(steps: Generator<void, T, undefined>): T {
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value;
  }
}

/** Runs steps; other work of the thread runs in between. Throws the signal's reason where that aborts. */
export async function inTurns<T>(steps: Generator<void, T, undefined>, signal?: AbortSignal): Promise<T> {
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value;
    await new Promise((resolve) => setImmediate(resolve));
    signal?.throwIfAborted();
  }
}
