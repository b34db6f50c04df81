/**
 * What a key may do, from the least to the most: `network-server` publishes the uplinks of LoRaWAN devices over MQTT
 * and
 * reads nothing, `citizen-app` asks for services in the name of citizens (Open311) and reads nothing that needs a key,
 * `viewer` reads, `operator` also acts on tickets, `admin` also registers devices and keys.
 */
export const KEY_ROLES = ['network-server', 'citizen-app', 'viewer', 'operator', 'admin'] as const;
export type KeyRole = (typeof KEY_ROLES)[number];

/** A key of a person or a program, without its secret. */
export interface Key {
  readonly id: string;
  readonly name: string;
  readonly role: KeyRole;
  /** The one department whose tickets it sees; null sees all. */
  readonly department: string | null;
}

/**
 * The one department whose tickets a key may see, on every channel; null: all. An admin is bound to none (promise 7).
 */
export function boundTo({ role, department }: Key): string | null {
  return role === 'admin' ? null : department;
}
