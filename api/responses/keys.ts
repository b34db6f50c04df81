import { z } from 'zod';
import { KEY_ROLES, type Key } from '../../domain/index.ts';
import { exactly } from '../../events/index.ts';

/** A key, without its secret. */
export const KeyResponse = exactly<Key>()(
  z
    .object({
      id: z.string(),
      name: z.string(),
      role: z.enum(KEY_ROLES),
      department: z.string().nullable().describe('The one whose tickets it sees; null: all'),
    })
    .meta({ id: 'Key', description: 'A key of a person or a program' }),
);

/** A key that was added, with its secret. */
export const NewKey = KeyResponse.extend({ secret: z.string().describe('Shown once, here') }).meta({ id: 'NewKey' });
