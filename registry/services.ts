import { type City, type Device, type Key, type KeyRole, requireName } from '../domain/index.ts';
import { type CredentialChange, hashSecret, sameHash } from './credentials.ts';
import type { Registry } from './registry.ts';

/** Registers, lists, revokes and rotates devices; passes changes to the journal and the broker. */
export interface DeviceService extends Pick<Registry, 'list' | 'get'> {
  /**
   * Registers all or none. Throws `conflict` for taken ids, `invalid` with a suggestion for an unknown profile or
   * district.
   */
  register(devices: readonly Device[]): Promise<(Device & { secret: string })[]>;
  revoke(id: string): Promise<boolean>;
  /** Whether a device is registered and the secret is its own. */
  isDevice(id: string, secret: string): boolean;
  /** Returns a new secret; null where the device is not registered. */
  rotate(id: string): Promise<string | null>;
}

interface DeviceParts {
  readonly registry: Registry;
  readonly city: () => Pick<City, 'profiles' | 'districts'>;
  /** Appends what changed in the registry to the journal. */
  readonly journal: () => Promise<void>;
  /** Passes a change to the broker. */
  readonly broker: (change: CredentialChange) => Promise<void>;
}

/**
 * Returns the service of devices. It writes to the journal first, so that the engine knows a device before it can
 * connect.
 */
export function createDeviceService({ registry, city, journal, broker }: DeviceParts): DeviceService {
  async function changed(set: readonly string[], remove: readonly string[]): Promise<void> {
    await journal();
    await broker({ set: set.flatMap((id) => registry.credentialOf(id) ?? []), remove });
  }

  return {
    list: (query) => registry.list(query),
    get: (id) => registry.get(id),
    isDevice(id, secret) {
      const credential = registry.credentialOf(id);
      return credential?.identity.kind === 'device' && sameHash(Buffer.from(credential.hash), hashSecret(secret));
    },
    async register(devices) {
      const { profiles, districts } = city();
      for (const { id, profile, district } of devices) {
        requireName('profile', profile, profiles, `device ${id}: `);
        requireName('district', district, districts, `device ${id}: `);
      }
      const registered = registry.register(devices);
      await changed(
        devices.map(({ id }) => id),
        [],
      );
      return registered;
    },
    async revoke(id) {
      const revoked = registry.revoke(id);
      if (revoked) await changed([], [id]);
      return revoked;
    },
    async rotate(id) {
      const secret = registry.rotate(id);
      if (secret !== null) await changed([id], []);
      return secret;
    },
  };
}

/** Authenticates bearer tokens; adds, lists and revokes keys; passes changes to the broker. */
export interface KeyService {
  /** Returns the key of a secret, from the settings or the registry; null where there is none. */
  authenticate(secret: string): Key | null;
  add(key: { name: string; role: KeyRole; department: string | null }): Promise<Key & { secret: string }>;
  list(): readonly Key[];
  revoke(id: string): Promise<boolean>;
}

interface KeyParts extends Pick<DeviceParts, 'registry' | 'broker'> {
  /** The admin key of the settings, and the SHA-256 of its secret. */
  readonly admin: { readonly key: Key; readonly hash: Buffer };
}

/** Returns the service of keys. */
export function createKeyService({ registry, broker, admin }: KeyParts): KeyService {
  return {
    authenticate: (secret) => (sameHash(hashSecret(secret), admin.hash) ? admin.key : registry.keyOf(secret)),
    list: () => registry.keys(),
    async add(key) {
      const added = registry.addKey(key);
      await broker({ set: [registry.credentialOf(added.id)!], remove: [] });
      return added;
    },
    async revoke(id) {
      const revoked = registry.revokeKey(id);
      if (revoked) await broker({ set: [], remove: [id] });
      return revoked;
    },
  };
}
