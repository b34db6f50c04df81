import { z } from 'zod';
import { type City, codeOfState, type StateValues } from '../domain/index.ts';
import { unless } from './wording.ts';

const MOST_VALUES = 64;
/** Codes are stored as numbers, and shown in JSON. */
const MOST_CODE = 1_000_000;
/** A text is stored as a number of at most fifteen digits. */
const MOST_TEXT_CODE = 1e15;
const ValueName = z
  .string({ error: unless('a value is a name; put true and false in quotes') })
  .regex(/^[\p{L}][\p{L}\p{N} _-]{0,63}$/u, 'a value is a name that begins with a letter, of at most 64 letters');
const VALUES_FAULT = 'values of a state are a list of names, or a map of codes to names';

/** The values of a state as they are written: names, whose codes are 0, 1, …; or a map of codes to names. */
export const Values = z
  .union([z.array(ValueName), z.record(z.string(), ValueName)], { error: unless(VALUES_FAULT) })
  .transform((written, context): StateValues => {
    const all = Object.entries(written).map(([code, name]) => ({ code: Number(code), name }));
    for (const fault of valuesFaults(all)) context.addIssue(fault);
    return all;
  });

function* valuesFaults(values: StateValues): Generator<string> {
  if (values.length < 2) yield 'a state has at least two values';
  if (values.length > MOST_VALUES) yield `a state has at most ${MOST_VALUES} values`;
  for (const [i, { code, name }] of values.entries()) {
    if (!Number.isInteger(code) || Math.abs(code) > MOST_CODE) yield `the code of ${name} is no whole number`;
    if (values.findIndex((one) => one.name === name) < i) yield `${name} is named twice`;
  }
}

/** What is no quantity: its values, and what it must not have. */
const NO_QUANTITY: Readonly<Record<string, { readonly are: string; readonly without: readonly string[] }>> = {
  state: { are: 'names', without: ['unit', 'min', 'max'] },
  text: { are: 'texts', without: ['unit', 'min', 'max', 'invalid'] },
};

/** Gives a state or a text a unit and the bounds of its codes, which it must not have itself. */
export function withoutUnit(written: unknown, context: z.core.$RefinementCtx): unknown {
  if (typeof written !== 'object' || written === null || !('kind' in written)) return written;
  const kind = String(written.kind);
  const none = Object.hasOwn(NO_QUANTITY, kind) ? NO_QUANTITY[kind]! : null;
  if (none === null) return written;
  for (const key of none.without) {
    const message = `a ${kind} has no ${key}: its values are ${none.are}`;
    if (key in written) context.addIssue({ code: 'custom', path: [key], message });
  }
  if (kind === 'text') return { ...written, unit: '1', min: 0, max: MOST_TEXT_CODE };
  const codes = 'values' in written ? Object.keys(written.values ?? {}).map(Number) : [];
  return { ...written, unit: '1', min: Math.min(0, ...codes), max: Math.max(1, ...codes) };
}

/**
 * Returns what a changed city makes of stored readings of its states: names that had another code before. Values are
 * added behind the others, or with codes of their own; one that was renamed keeps its code.
 */
export function movedStates(before: Pick<City, 'metrics'>, after: Pick<City, 'metrics'>): string[] {
  return [...before.metrics.values()].flatMap(({ id, values = [] }) => {
    const now = after.metrics.get(id)?.values ?? [];
    return values.flatMap(({ code, name }) => {
      const moved = codeOfState(now, name);
      if (moved === null || moved === code) return [];
      return [
        `metrics.yaml: ${id}: the code of ${name} was ${code} and would be ${moved}: stored readings would mean another ` +
          'value; add values at the end, or write a map of codes to names',
      ];
    });
  });
}
