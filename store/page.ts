import { LamppostError } from '../domain/index.ts';

/** A filter: one value, several of which one must match, or absent: all match. */
export type Filter<T extends string> = T | readonly T[] | undefined;

/** The `and …` conditions and their parameters for the filters that are given, by column; only they can use their index. */
export function conditionsOf(filters: Readonly<Record<string, Filter<string>>>): { sql: string; params: string[] } {
  const given = Object.entries(filters).filter(
    (entry): entry is [string, string | readonly string[]] => entry[1] !== undefined,
  );
  return {
    sql: given.map(([column]) => ` and "${column}" in (select value from json_each(?))`).join(''),
    params: given.map(([, wanted]) => JSON.stringify(typeof wanted === 'string' ? [wanted] : wanted)),
  };
}

/** The row number behind the `next` of a page; `first` where there is none; throws `invalid` when it is not one. */
export function positionOf(after: string | null | undefined, first: number): number {
  if (after === null || after === undefined) return first;
  if (!/^\d{1,15}$/.test(after)) throw new LamppostError('invalid', `after: "${after}" is not the next of a page`);
  return Number(after);
}
