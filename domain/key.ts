import { z } from 'zod';
import { KEY_ROLES, PERMISSION_NAMES } from './permission.ts';
import type { ShapeOf } from './schema.ts';

const MOST_BOUND = 1_000;
const Names = z.array(z.string().min(1).max(200)).min(1).max(MOST_BOUND);

/**
 * Which devices a network server's key may publish for: those whose id (DevEUI) is listed, or that have one of the
 * tags, or whose uplinks come from one of the applications. `all` has to be said.
 */
export const UplinksSchema = z.union([
  z.literal('all'),
  z
    .strictObject({
      devices: Names.exactOptional(),
      tags: z.record(z.string().max(64), z.string().max(200)).exactOptional().meta({ maxProperties: 50 }),
      applications: Names.exactOptional(),
    })
    .refine((bound) => Object.keys(bound).length > 0, 'name devices, tags or applications'),
]);
export type Uplinks = ShapeOf<typeof UplinksSchema>;

/** A key of a person or a program, without its secret. */
export const KeySchema = z.object({
  id: z.string(),
  name: z.string(),
  role: z.enum(KEY_ROLES),
  department: z.string().nullable().describe('The only department that its role reaches; null: the whole city'),
  scopes: z
    .array(z.enum(PERMISSION_NAMES))
    .max(PERMISSION_NAMES.length)
    .readonly()
    .exactOptional()
    .describe('The only rights of its role that it has; absent: all of them'),
  uplinks: UplinksSchema.exactOptional().describe('Of a network server: which devices it may publish for'),
});
export type Key = ShapeOf<typeof KeySchema>;
