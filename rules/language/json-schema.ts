import { z } from 'zod';
import { RuleSchema } from './schema.ts';

/** The JSON Schema (2020-12) of a rule file, for editors: completion and the coarse mistakes; `lamppost rules check` finds all. */
export function rulesJsonSchema(): object {
  const schema = z.toJSONSchema(RuleSchema, { io: 'input' });
  return { title: 'A rule of Lamppost', ...schema };
}
