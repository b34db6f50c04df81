import { z } from 'zod';
import type { ShapeOf } from './schema.ts';

/**
 * Roles of keys, from the fewest rights to the most: `network-server` publishes the uplinks of LoRaWAN devices over
 * MQTT and reads nothing, `citizen-app` submits service requests of citizens (Open311) and reads nothing that needs a
 * key, `viewer` reads, `operator` also acts on tickets, `admin` also registers devices and keys.
 */
export const KEY_ROLES = ['network-server', 'citizen-app', 'viewer', 'operator', 'admin'] as const;
export type KeyRole = (typeof KEY_ROLES)[number];

/** A key of a person or a program, without its secret. */
export const KeySchema = z.object({
  id: z.string(),
  name: z.string(),
  role: z.enum(KEY_ROLES),
  department: z.string().nullable().describe('The only department whose tickets it sees; null: all'),
});
export type Key = ShapeOf<typeof KeySchema>;

/**
 * Returns the only department whose tickets a key may see, on every channel; null means all. An admin sees all
 * (promise 7).
 */
export function boundTo({ role, department }: Key): string | null {
  return role === 'admin' ? null : department;
}
