/**
 * What a key may do, from the least to the most: `network-server` publishes the uplinks of LoRaWAN devices over MQTT and
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
  /** The department whose tickets it sees over MQTT; null sees all. */
  readonly department: string | null;
}
