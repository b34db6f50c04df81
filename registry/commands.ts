import type { NewCalibration } from '../domain/index.ts';
import type { DeviceChange, DeviceReplacement, HashedDevice } from './device-records.ts';
import type { KeyChange, NewKey } from './key-records.ts';
import type { RegistryRecords, TakeOver } from './records.ts';
import type { RegisteredDevice, RegisteredKey } from './rows.ts';
import type { HashText, RecordPlace } from './state.ts';

interface OfDevice<D extends string> {
  readonly do: D;
  readonly device: string;
}

interface OfKey<D extends string> {
  readonly do: D;
  readonly key: string;
}

interface NewSecret {
  readonly hash: HashText;
  /** Until when the old secret is valid too, epoch ms; null: it ends at once. */
  readonly oldUntilMs: number | null;
}

/**
 * What may be asked of devices and keys. Secrets are drawn before, and only their SHA-256 is in the log. The names are
 * in the log: they are only added, never changed.
 */
export type RegistryCommand =
  | { readonly do: 'device.register'; readonly devices: readonly HashedDevice[] }
  | (OfDevice<'device.change'> & { readonly version?: number | undefined; readonly change: DeviceChange })
  | (OfDevice<'device.rotate'> & NewSecret)
  | OfDevice<'device.confirm'>
  | OfDevice<'device.suspend'>
  | OfDevice<'device.resume'>
  | OfDevice<'device.revoke'>
  | (OfDevice<'device.calibrate'> & { readonly calibration: NewCalibration })
  | (OfDevice<'device.uncalibrate'> & { readonly calibration: string })
  | (OfDevice<'device.replace'> & {
      readonly version?: number | undefined;
      readonly hash: HashText;
      readonly change: DeviceReplacement;
    })
  | (OfDevice<'device.claim-code'> & { readonly hash: HashText; readonly untilMs: number })
  | (OfDevice<'device.claim'> & { readonly code: HashText; readonly hash: HashText })
  | ({ readonly do: 'key.add' } & NewKey)
  | (OfKey<'key.change'> & { readonly version?: number | undefined; readonly change: KeyChange })
  | (OfKey<'key.rotate'> & NewSecret)
  | OfKey<'key.confirm'>
  | OfKey<'key.revoke'>
  /** What an earlier Lamppost kept in a file of its own. */
  | ({ readonly do: 'registry.take-over' } & TakeOver);

/** What each command results in; null: nothing but the change. */
export interface RegistryResults {
  readonly 'device.register': null;
  readonly 'device.change': RegisteredDevice;
  readonly 'device.rotate': RegisteredDevice;
  readonly 'device.confirm': RegisteredDevice;
  readonly 'device.suspend': RegisteredDevice;
  readonly 'device.resume': RegisteredDevice;
  readonly 'device.revoke': null;
  readonly 'device.calibrate': RegisteredDevice;
  readonly 'device.uncalibrate': RegisteredDevice;
  readonly 'device.replace': RegisteredDevice;
  readonly 'device.claim-code': null;
  readonly 'device.claim': RegisteredDevice;
  readonly 'key.add': RegisteredKey;
  readonly 'key.change': RegisteredKey;
  readonly 'key.rotate': RegisteredKey;
  readonly 'key.confirm': RegisteredKey;
  readonly 'key.revoke': null;
  readonly 'registry.take-over': null;
}

/** Whether a command is about devices and keys. */
export function isRegistryCommand(command: { readonly do: string }): command is RegistryCommand {
  return /^(device|key|registry)\./.test(command.do);
}

/**
 * Does what is asked of devices and keys, at its place in the log. The caller holds the transaction, and undoes it
 * where this throws. `by`: id of the key that asks.
 */
export function carryOutRegistry(
  command: RegistryCommand,
  records: RegistryRecords,
  by: string,
  at: RecordPlace,
): RegistryResults[RegistryCommand['do']] {
  const { devices, keys } = records;
  switch (command.do) {
    case 'device.register':
      devices.register(command.devices, at);
      return null;
    case 'device.change':
      return devices.change(command.device, command.version, command.change, at);
    case 'device.rotate':
      return devices.rotate(command.device, command, at);
    case 'device.confirm':
      return devices.confirm(command.device, at);
    case 'device.suspend':
    case 'device.resume':
      return devices.suspend(command.device, command.do === 'device.suspend', at);
    case 'device.revoke':
      devices.revoke(command.device, at);
      return null;
    case 'device.calibrate':
      return devices.calibrate(command.device, command.calibration, by, at);
    case 'device.uncalibrate':
      return devices.uncalibrate(command.device, command.calibration, at);
    case 'device.replace':
      return devices.replace(command.device, command.version, command, at);
    case 'device.claim-code':
      devices.addClaim(command.device, command.hash, command.untilMs);
      return null;
    case 'device.claim':
      return devices.claim(command.device, command.code, command.hash, at);
    case 'key.add': {
      const { do: _, ...key } = command;
      return keys.add(key, by, at);
    }
    case 'key.change':
      return keys.change(command.key, command.version, command.change, at);
    case 'key.rotate':
      return keys.rotate(command.key, command, at);
    case 'key.confirm':
      return keys.confirm(command.key, at);
    case 'key.revoke':
      keys.revoke(command.key, at);
      return null;
    case 'registry.take-over':
      records.takeOver(command, at);
      return null;
  }
}

/** Returns the right that a command needs of the whole city; null: none, its proof is in it. */
export function registryRightOf({ do: name }: RegistryCommand): 'devices.write' | 'keys.write' | null {
  if (name === 'device.claim') return null;
  return name.startsWith('key.') ? 'keys.write' : 'devices.write';
}

/** Returns what a command is about, for the audit trail; with its result, where it was done. */
export function registryTargetOf(
  command: RegistryCommand,
  done: RegistryResults[RegistryCommand['do']] = null,
): string {
  if (command.do === 'key.add' && done !== null) return `key ${done.id}`;
  if (command.do === 'device.register') return listOf(command.devices.map(({ id }) => id));
  if (command.do === 'key.add') return `key "${command.name}"`;
  if (command.do === 'registry.take-over') return 'registry';
  return 'device' in command ? `device ${command.device}` : `key ${command.key}`;
}

const MOST_NAMED = 5;

function listOf(ids: readonly string[]): string {
  if (ids.length === 1) return `device ${ids[0]}`;
  const more = ids.length > MOST_NAMED ? ` and ${ids.length - MOST_NAMED} more` : '';
  return `devices ${ids.slice(0, MOST_NAMED).join(', ')}${more}`;
}
