type Call = (...values: readonly unknown[]) => unknown;

/**
 * The functions of JMESPath that paths may call. None of them makes more than it was given. They return null for values
 * of another type, where JMESPath raises an error.
 */
export const FUNCTIONS: Readonly<Record<string, Call>> = {
  abs: ofNumber(Math.abs),
  avg: ofNumbers((all) => (all.length === 0 ? null : sumOf(all) / all.length)),
  ceil: ofNumber(Math.ceil),
  contains: (all, one) => (isText(all) ? isText(one) && all.includes(one) : isList(all) && all.includes(one)),
  ends_with: (text, end) => isText(text) && isText(end) && text.endsWith(end),
  floor: ofNumber(Math.floor),
  keys: (value) => (isMap(value) ? Object.keys(value) : null),
  length: (value) => (isText(value) ? [...value].length : sizeOf(value)),
  lower: (text) => (isText(text) ? text.toLowerCase() : null),
  max: ofNumbers((all) => all.reduce<number | null>((most, one) => (most === null || one > most ? one : most), null)),
  min: ofNumbers((all) =>
    all.reduce<number | null>((least, one) => (least === null || one < least ? one : least), null),
  ),
  not_null: (...values) => values.find((value) => value !== null && value !== undefined),
  split: (text, at) => (isText(text) && isText(at) ? text.split(at) : null),
  starts_with: (text, start) => isText(text) && isText(start) && text.startsWith(start),
  sum: ofNumbers(sumOf),
  to_number: (value) => (isText(value) ? numberOf(value) : isNumber(value) ? value : null),
  type: (value) => (value === null || value === undefined ? 'null' : isList(value) ? 'array' : typeof value),
  upper: (text) => (isText(text) ? text.toUpperCase() : null),
  values: (value) => (isMap(value) ? Object.values(value) : null),
};

/** A number as JSON writes it. */
const NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/;

function numberOf(text: string): number | null {
  return NUMBER.test(text) ? Number(text) : null;
}

function ofNumber(apply: (value: number) => number): Call {
  return (value) => (isNumber(value) ? apply(value) : null);
}

function ofNumbers(apply: (all: readonly number[]) => number | null): Call {
  return (all) => (isList(all) && all.every(isNumber) ? apply(all) : null);
}

function sumOf(all: readonly number[]): number {
  return all.reduce((sum, one) => sum + one, 0);
}

function sizeOf(value: unknown): number | null {
  if (isList(value)) return value.length;
  return isMap(value) ? Object.keys(value).length : null;
}

const isText = (value: unknown): value is string => typeof value === 'string';
const isNumber = (value: unknown): value is number => typeof value === 'number';
const isList = (value: unknown): value is readonly unknown[] => Array.isArray(value);
const isMap = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
