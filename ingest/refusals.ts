import { type Device, hardwareOf, type Rejection } from '../domain/index.ts';
import type { Account } from './accounts.ts';
import type { RawReading } from './decode/index.ts';
import type { Refusal } from './outcome.ts';
import { type Summary, summaryOf } from './summary.ts';

/** The message that is refused, or whose readings are. */
interface Refused {
  readonly topic: string;
  /** The name of a format that the city declares. */
  readonly declared: string | null;
  readonly receivedAt: number;
  readonly position: number;
}

/** Returns why nothing of a device is taken that nobody registered. */
export function unknownDevice(device: string): Rejection {
  const detail = `no device "${device.slice(0, 80)}" is registered; register it, then replay`;
  return { reason: 'unknown-device', path: '$', detail };
}

/** Returns why a sender may not bring readings of a device. */
export function foreignTo(sender: string, device: string): Rejection {
  const detail = `${sender} may not publish for "${device}"; a key may once its uplinks say so, then replay`;
  return { reason: 'not-your-device', path: '$', detail };
}

/** Returns why a device that is suspended takes no readings. */
export const suspended = (device: string): Rejection => ({
  reason: 'device-suspended',
  path: '$',
  detail: `device "${device}" is suspended; resume it, then replay`,
});

/** Returns why nothing is taken of hardware that another one has replaced. */
export function replacedHardware(device: Pick<Device, 'id' | 'devEui'>, hardware: string): Rejection {
  const now = `device "${device.id}" has other hardware now, ${hardwareOf(device)}`;
  const detail = `${now}; switch ${hardware} off, or register it where it is`;
  return { reason: 'hardware-replaced', path: '$', detail };
}

/** Returns why a device of a profile that the city does not have takes no readings. */
export const unknownProfile = (profile: string): Rejection => ({
  reason: 'unknown-profile',
  path: '$',
  detail: `profile "${profile}" of this device is not in profiles.yaml`,
});

/** A reading of a device that may not take it: each of its values counts as received and refused. */
export function refusedFor(
  { path, metrics }: RawReading,
  { reason, detail }: Rejection,
  fields: ReadonlySet<string> | null = null,
): Rejection[] {
  const names = Object.keys(metrics).filter((name) => fields === null || fields.has(name));
  return names.map((name) => ({ reason, path, detail, reading: `${path} ${name}` }));
}

/** Adds what the quarantine stores of faults: those of one kind together, each with a copy of the message (`raw`). */
export function refuse(
  out: { readonly refusals: Refusal[] },
  faults: readonly Rejection[],
  scope: Refusal['scope'],
  account: Account,
  message: Refused,
  raw: Buffer,
): void {
  for (const summary of summaryOf(faults)) out.refusals.push(refusalOf(summary, scope, account, message, raw));
}

/** Returns what the quarantine stores of a fault. */
export function refusalOf(
  summary: Summary,
  scope: Refusal['scope'],
  { device, holder }: Account,
  { topic, declared, receivedAt, position }: Refused,
  raw: Buffer,
): Refusal {
  const format = declared === null ? {} : { format: declared };
  return { ...summary, scope, device, holder, topic, ...format, receivedAt, position, raw };
}
