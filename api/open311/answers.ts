import { z } from 'zod';
import type { Report } from '../../citizens/index.ts';
import type { ServiceAttribute } from '../../domain/index.ts';
import { Instant } from '../schema.ts';
import type { Fault } from './answer.ts';

const MOST: Readonly<Record<'string' | 'text', number>> = { string: 500, text: 4_000 };

/** The answers to a service's questions, by code; what the service does not ask is left out. Or what is wrong with them. */
export function answersOf(
  attributes: readonly ServiceAttribute[],
  given: ReadonlyMap<string, readonly string[]>,
): { readonly answers: Report['attributes']; readonly faults: readonly Fault[] } {
  const answers: Record<string, string | readonly string[]> = {};
  const faults: Fault[] = [];
  for (const attribute of attributes) {
    const values = given.get(attribute.code) ?? [];
    const wrong = faultOf(attribute, values);
    if (wrong !== null) faults.push({ code: 400, description: `attribute[${attribute.code}]: ${wrong}` });
    else if (values.length > 0) answers[attribute.code] = attribute.datatype === 'multivaluelist' ? values : values[0]!;
  }
  return { answers, faults };
}

function faultOf({ datatype, required, title, values: known }: ServiceAttribute, values: readonly string[]) {
  const [first] = values;
  if (first === undefined) return required ? `is required: ${title.en}` : null;
  if (datatype !== 'multivaluelist' && values.length > 1) return `takes one value, not ${values.length}`;
  switch (datatype) {
    case 'number':
      return z.coerce.number().safeParse(first).success ? null : `"${first}" is not a number`;
    case 'datetime':
      return Instant.safeParse(first).success ? null : `"${first}" is not ISO 8601 with a zone (2026-01-31T12:00:00Z)`;
    case 'string':
    case 'text':
      return first.length <= MOST[datatype] ? null : `has more than ${MOST[datatype]} characters`;
    default: {
      const keys = known.map(({ key }) => key);
      const unknown = values.find((one) => !keys.includes(one));
      return unknown === undefined ? null : `"${unknown}" is none of ${keys.join(', ')}`;
    }
  }
}
