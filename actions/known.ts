import { LamppostError } from '../domain/index.ts';
import type { Command } from './command.ts';

/** Every command that this Lamppost decides; the compiler holds the list complete. */
const KNOWN: Readonly<Record<Command['do'], true>> = {
  'person.add': true,
  'person.change': true,
  'person.remove': true,
  'person.suspend': true,
  'person.resume': true,
  'person.password': true,
  'person.totp': true,
  'person.sign-out': true,
  'person.end-session': true,
  'person.vouch': true,
  'sign-in': true,
  'ticket.act': true,
  'ticket.open': true,
  'ticket.split': true,
  'silence.add': true,
  'silence.end': true,
  'citizen.request': true,
  'citizen.rate': true,
  'citizen.comment': true,
  'citizen.not-fixed': true,
  'device.register': true,
  'device.change': true,
  'device.rotate': true,
  'device.confirm': true,
  'device.suspend': true,
  'device.resume': true,
  'device.revoke': true,
  'device.calibrate': true,
  'device.uncalibrate': true,
  'device.replace': true,
  'device.claim-code': true,
  'device.claim': true,
  'key.add': true,
  'key.change': true,
  'key.rotate': true,
  'key.confirm': true,
  'key.revoke': true,
  'registry.take-over': true,
  'command.send': true,
  'command.run': true,
  'command.cancel': true,
  'desired.set': true,
  'rule.create': true,
  'rule.change': true,
  'rule.remove': true,
  'city.reload': true,
  'quarantine.discard': true,
  'quarantine.replay': true,
  'webhook.add': true,
  'webhook.change': true,
  'webhook.rotate': true,
  'webhook.remove': true,
  'webhook.disable': true,
  'webhook.enable': true,
  'webhook.ping': true,
  'webhook.redeliver': true,
  'subscription.add': true,
  'subscription.change': true,
  'subscription.remove': true,
  'subscription.disable': true,
  'subscription.enable': true,
  'subscription.test': true,
  'subscription.redeliver': true,
  'receiver.adopt': true,
  'readings.import': true,
  'readings.recompute': true,
  note: true,
};

/**
 * Throws `too-new` for a command that a newer Lamppost wrote: a node that refused it would go on with another state
 * than those that know it.
 */
export function refuseUnknown(name: string, place: string): void {
  if (Object.hasOwn(KNOWN, name)) return;
  const why = `the action ${name} at ${place} of the log is one that a newer Lamppost wrote: update this node`;
  throw new LamppostError('too-new', why);
}
