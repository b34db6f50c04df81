import { z } from 'zod';
import {
  type City,
  DAY_MS,
  type Device,
  isoOf,
  type Key,
  LamppostError,
  type NewCalibration,
  requireName,
  type ShapeOf,
  WEEK_MS,
} from '../domain/index.ts';
import type { RegistryCommand, RegistryResults } from './commands.ts';
import { hashSecret, sameHash } from './credentials.ts';
import type { DeviceChange, DeviceReplacement } from './device-records.ts';
import type { Draw } from './draws.ts';
import type { KeyChange, NewKey } from './key-records.ts';
import type { RegistryReader } from './reader.ts';
import type { RegisteredDevice, RegisteredKey } from './rows.ts';
import type { HashText } from './state.ts';

/** A device to register; with the SHA-256 of the secret that it has already, or without. */
export type DeviceToRegister = Device & { readonly secretHash?: HashText };
/** Where the secret was drawn here, it is shown now and never again. */
export type DeviceWithSecret = Device & { readonly secret?: string };
type Shown<T> = T & { readonly secret: string };

/** How long an old secret stays valid beside a new one, where nothing else is asked for. */
export const OVERLAP_MS = DAY_MS;
/** The longest overlap. */
const MOST_OVERLAP_MS = 30 * DAY_MS;
const CLAIM_MS = WEEK_MS;

/** How a secret is replaced: at once (null), or with the old one valid for so long, ms. */
export type Overlap = number | null;

/** A code that an installer trades for the device's secret. */
export const ClaimCodeSchema = z
  .object({ device: z.string(), code: z.string().describe('Shown once, here'), expiresAt: z.iso.datetime() })
  .meta({ id: 'ClaimCode', description: 'A code of one use: an installer trades it for the secret of a device' });
type ClaimCode = ShapeOf<typeof ClaimCodeSchema>;

/**
 * Devices, as people change them. What changes is a record of the log, is on disk when its promise resolves, and is
 * known to the broker then. Throws what the engine decides: `not-found`, `conflict`, `precondition`; `disk` and `busy`.
 */
export interface DeviceService<C> extends Pick<RegistryReader, 'list' | 'find' | 'get'> {
  /** Registers all or none. Throws `invalid` with a suggestion for an unknown profile or district. */
  register(devices: readonly DeviceToRegister[], caller: C): Promise<DeviceWithSecret[]>;
  change(id: string, version: number | undefined, change: DeviceChange, caller: C): Promise<RegisteredDevice>;
  rotate(id: string, overlap: Overlap, caller: C): Promise<Shown<RegisteredDevice>>;
  /** Ends the old secret before its time. */
  confirm(id: string, caller: C): Promise<RegisteredDevice>;
  suspend(id: string, caller: C): Promise<RegisteredDevice>;
  resume(id: string, caller: C): Promise<RegisteredDevice>;
  replace(
    id: string,
    version: number | undefined,
    change: DeviceReplacement,
    caller: C,
  ): Promise<Shown<RegisteredDevice>>;
  revoke(id: string, caller: C): Promise<void>;
  /** Adds a calibration. Throws `invalid` with a suggestion for a metric that the device does not measure. */
  calibrate(id: string, calibration: NewCalibration, caller: C): Promise<RegisteredDevice>;
  uncalibrate(id: string, calibration: string, caller: C): Promise<RegisteredDevice>;
  claimCode(id: string, validMs: number | undefined, caller: C): Promise<ClaimCode>;
  /** Trades a claim code for a new secret; null where the code is not the device's. Throws `forbidden`. */
  claim(id: string, code: string, caller: C): Promise<Shown<RegisteredDevice> | null>;
  /** Returns what has this id and secret: a device, or a key; null: nothing. The broker refuses who is suspended. */
  senderOf(id: string, secret: string): 'device' | 'key' | null;
}

interface Parts<C> {
  readonly registry: RegistryReader;
  /** Returns what the request of a caller draws. */
  readonly draw: (caller: C) => Draw;
  /** Appends a command to the log; resolves to what the engine decided. */
  readonly submit: <D extends RegistryCommand['do']>(
    command: Extract<RegistryCommand, { readonly do: D }>,
    caller: C,
  ) => Promise<RegistryResults[D]>;
  /** Passes on what was decided, to `ingest` and to the broker. */
  readonly follow: () => Promise<void>;
}

interface DeviceParts<C> extends Parts<C> {
  readonly city: () => Pick<City, 'profiles' | 'districts' | 'metrics' | 'assets'>;
}

const hashText = (secret: string): HashText => hashSecret(secret).toString('base64url');

/** Returns when an old secret ends, epoch ms. */
function oldUntil(overlap: Overlap, nowMs: number): number | null {
  if (overlap === null) return null;
  if (overlap > 0 && overlap <= MOST_OVERLAP_MS) return nowMs + overlap;
  throw new LamppostError('invalid', 'overlap: an old secret stays valid for up to 30 days, such as "24h"');
}

/** Submits commands, and returns once what they led to is known everywhere. */
function submitter<C>({ submit, follow }: Pick<Parts<C>, 'submit' | 'follow'>): Parts<C>['submit'] {
  return async (command, caller) => {
    const result = await submit(command, caller);
    await follow();
    return result;
  };
}

/** Returns the service of devices. */
export function createDeviceService<C>(parts: DeviceParts<C>): DeviceService<C> {
  const { registry, city, draw } = parts;
  const submit = submitter(parts);

  function check(
    id: string,
    { profile, district, gateway, asset }: Pick<DeviceChange, 'profile' | 'district' | 'gateway' | 'asset'>,
    beside: readonly Device[] = [],
  ): void {
    const { profiles, districts, assets } = city();
    if (typeof asset === 'string') requireName('asset', asset, assets, `device ${id}: `);
    if (profile !== undefined) requireName('profile', profile, profiles, `device ${id}: `);
    if (district !== undefined) requireName('district', district, districts, `device ${id}: `);
    if (gateway === undefined || gateway === null) return;
    const of = (beside.find((one) => one.id === gateway) ?? registry.get(gateway))?.profile;
    if (of !== undefined && profiles.get(of)?.kind === 'gateway' && gateway !== id) return;
    const right = `the id of a registered device whose profile has kind: gateway`;
    throw new LamppostError('invalid', `device ${id}: gateway "${gateway}" is not ${right}`);
  }

  function senderOf(id: string, secret: string): 'device' | 'key' | null {
    const found = registry.credentialOf(id);
    if (found === null || found === undefined) return null;
    const [hash, { oldHash }] = [hashSecret(secret), found];
    const isOwn = sameHash(Buffer.from(found.hash), hash) || (!!oldHash && sameHash(Buffer.from(oldHash), hash));
    return isOwn ? found.identity.kind : null;
  }

  return {
    list: (query) => registry.list(query),
    find: (query) => registry.find(query),
    get: (id) => registry.get(id),
    senderOf,
    async register(devices, caller) {
      for (const { id, ...device } of devices) check(id, device, devices);
      const drawn = draw(caller);
      const made = devices.map(({ secretHash, ...device }, i) => {
        if (secretHash !== undefined) return { device, hash: secretHash, shown: {} };
        const secret = drawn.secret(i);
        return { device, hash: hashText(secret), shown: { secret } };
      });
      const hashed = made.map(({ device, hash }) => ({ ...device, hash }));
      await submit({ do: 'device.register', devices: hashed }, caller);
      return made.map(({ device, shown }) => ({ ...device, ...shown }));
    },
    async change(device, version, change, caller) {
      check(device, change);
      return submit({ do: 'device.change', device, version, change }, caller);
    },
    async rotate(device, overlap, caller) {
      const drawn = draw(caller);
      const secret = drawn.secret();
      const command = { hash: hashText(secret), oldUntilMs: oldUntil(overlap, drawn.nowMs) };
      return { ...(await submit({ do: 'device.rotate', device, ...command }, caller)), secret };
    },
    confirm: (device, caller) => submit({ do: 'device.confirm', device }, caller),
    suspend: (device, caller) => submit({ do: 'device.suspend', device }, caller),
    resume: (device, caller) => submit({ do: 'device.resume', device }, caller),
    async replace(device, version, change, caller) {
      check(device, change);
      const secret = draw(caller).secret();
      const command = { device, version, hash: hashText(secret), change };
      return { ...(await submit({ do: 'device.replace', ...command }, caller)), secret };
    },
    async revoke(device, caller) {
      await submit({ do: 'device.revoke', device }, caller);
    },
    async calibrate(device, calibration, caller) {
      const profile = city().profiles.get(registry.get(device)?.profile ?? '');
      if (profile !== undefined) {
        requireName('metric', calibration.metric, new Set(profile.metrics), `device ${device}: `);
      }
      const kind = city().metrics.get(calibration.metric)?.kind;
      if (kind === 'state' || kind === 'text')
        throw new LamppostError('invalid', `${calibration.metric} is a ${kind}: its values are not corrected`);
      return submit({ do: 'device.calibrate', device, calibration }, caller);
    },
    uncalibrate: (device, calibration, caller) => submit({ do: 'device.uncalibrate', device, calibration }, caller),
    async claimCode(device, validMs = CLAIM_MS, caller) {
      const drawn = draw(caller);
      const code = drawn.secret();
      const untilMs = drawn.nowMs + validMs;
      await submit({ do: 'device.claim-code', device, hash: hashText(code), untilMs }, caller);
      return { device, code, expiresAt: isoOf(untilMs) };
    },
    async claim(device, code, caller) {
      // Who does not know the code causes no record of the log.
      const [known, hash] = [registry.claimHash(device), hashSecret(code)];
      if (known === null || !sameHash(Buffer.from(known), hash)) return null;
      const secret = draw(caller).secret();
      const command = { code: hash.toString('base64url'), hash: hashText(secret) };
      return { ...(await submit({ do: 'device.claim', device, ...command }, caller)), secret };
    },
  };
}

/** A key that somebody asks for. */
export type KeyToAdd = Omit<NewKey, 'hash'>;

/** Authenticates bearer tokens; changes keys, as `DeviceService` does devices. */
export interface KeyService<C> {
  /** Returns the key of a secret, from the settings or the registry; null where there is none. */
  authenticate(secret: string): Key | null;
  list(): readonly RegisteredKey[];
  get(id: string): RegisteredKey | null;
  add(key: KeyToAdd, caller: C): Promise<Shown<RegisteredKey>>;
  change(id: string, version: number | undefined, change: KeyChange, caller: C): Promise<RegisteredKey>;
  rotate(id: string, overlap: Overlap, caller: C): Promise<Shown<RegisteredKey>>;
  confirm(id: string, caller: C): Promise<RegisteredKey>;
  revoke(id: string, caller: C): Promise<void>;
  /**
   * Calls the listener with the id of each key of which a secret has ended: it was replaced or revoked, or has expired.
   */
  onEnded(listener: (id: string) => void): void;
}

interface KeyParts<C> extends Parts<C> {
  /** The admin key of the settings, and the SHA-256 of its secret; null where it is switched off. */
  readonly admin: { readonly key: Key; readonly hash: Buffer } | null;
  /** Called with each key that authenticates a request. */
  readonly used: (id: string) => void;
  readonly onEnded: (listener: (id: string) => void) => void;
}

/** Returns the service of keys. */
export function createKeyService<C>(parts: KeyParts<C>): KeyService<C> {
  const { registry, admin, draw, used, onEnded } = parts;
  const submit = submitter(parts);
  return {
    authenticate(secret) {
      if (admin !== null && sameHash(hashSecret(secret), admin.hash)) return admin.key;
      const key = registry.keyOf(secret);
      if (key !== null) used(key.id);
      return key;
    },
    list: () => registry.keys(),
    get: (id) => registry.key(id),
    async add(key, caller) {
      const secret = draw(caller).secret();
      return { ...(await submit({ do: 'key.add', ...key, hash: hashText(secret) }, caller)), secret };
    },
    change: (key, version, change, caller) => submit({ do: 'key.change', key, version, change }, caller),
    async rotate(key, overlap, caller) {
      const drawn = draw(caller);
      const secret = drawn.secret();
      const command = { hash: hashText(secret), oldUntilMs: oldUntil(overlap, drawn.nowMs) };
      return { ...(await submit({ do: 'key.rotate', key, ...command }, caller)), secret };
    },
    confirm: (key, caller) => submit({ do: 'key.confirm', key }, caller),
    async revoke(key, caller) {
      await submit({ do: 'key.revoke', key }, caller);
    },
    onEnded,
  };
}
