/** What a key may do: `viewer` reads, `operator` also acts on tickets, `admin` also registers devices and keys. */
export const KEY_ROLES = ['viewer', 'operator', 'admin'] as const;
export type KeyRole = (typeof KEY_ROLES)[number];

/** A key of a person or a program, without its secret. */
export interface Key {
  readonly id: string;
  readonly name: string;
  readonly role: KeyRole;
  /** The department whose tickets it sees over MQTT; null sees all. */
  readonly department: string | null;
}
