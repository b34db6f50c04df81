import type { Key } from './key.ts';

/**
 * The one table of who may do what: role × permission × how far it reaches. HTTP routes, decisions of the engine, MQTT
 * topics and events all ask it (promise 7). docs/roles.md is generated from it.
 */

/** Everything that may be done, a resource and an action. Scopes of keys have these names. They are only added. */
export const PERMISSIONS = {
  'metrics.read': 'read the metrics of the server',
  'ledger.read': 'read the counts of messages and readings',
  'readings.read': 'read readings, and subscribe to live ones',
  'readings.import': 'import readings of the past',
  'alerts.read': 'read alerts and their explanation',
  'events.read': 'read events and subscribe to them',
  'tickets.read': 'read tickets and subscribe to them',
  'tickets.open': 'open a ticket by hand',
  'tickets.write': 'act on tickets; the lifecycle says which action is whose',
  'reporters.read': 'read who reported a ticket',
  'reporters.delete': 'delete who reported a ticket',
  'requests.submit': "submit a citizen's request (Open311)",
  'silences.read': 'read silences',
  'silences.write': 'silence alerts and end silences',
  'oversight.read': 'read the summaries of tickets',
  'rules.read': 'read rules and their history',
  'rules.try': 'try rules on readings, and backtest them',
  'rules.write': 'create, change and delete rules',
  'devices.read': 'read devices and their state',
  'devices.write': 'register, change, rotate and revoke devices',
  'devices.listen': "subscribe to the devices' own topics",
  'commands.write': 'send commands to devices, and say what they are wanted to be',
  'quarantine.read': 'read refused messages, with what was sent',
  'quarantine.write': 'replay and discard refused messages',
  'webhooks.read': 'read webhooks and their deliveries',
  'webhooks.write': 'add, change and delete webhooks, and deliver again',
  'subscriptions.read': 'read subscriptions and their mails',
  'subscriptions.write': 'add, change and delete subscriptions, and send again',
  'keys.read': 'read keys, without their secrets',
  'keys.write': 'add, change, rotate and revoke keys',
  'users.read': 'read the accounts of people',
  'users.write': 'add, change and remove the accounts of people',
  'audit.read': 'read the audit trail',
  'backups.read': 'read the state of backups',
  'backups.write': 'start a backup',
  'city.write': 'read the city folder again',
  'uplinks.publish': 'publish the uplinks of LoRaWAN devices over MQTT',
} as const;
export type Permission = keyof typeof PERMISSIONS;
export const PERMISSION_NAMES = Object.keys(PERMISSIONS) as [Permission, ...Permission[]];

/** How far a right of a role reaches. */
export const EXTENTS = {
  all: 'everything, also with a role in a department',
  shared: "in a department: its own, and everything where city.yaml shares it; else the whole city's",
  own: "in a department: its own; else the whole city's",
  department: 'in a department: its own; else nothing',
  city: "the whole city's; with a role in a department nothing",
} as const;
export type Extent = keyof typeof EXTENTS;

export type Rights = Readonly<Partial<Record<Permission, Extent>>>;

const READS = {
  'metrics.read': 'all',
  'ledger.read': 'all',
  'readings.read': 'shared',
  'alerts.read': 'shared',
  'events.read': 'own',
  'tickets.read': 'own',
  'silences.read': 'all',
  'oversight.read': 'own',
  'rules.read': 'all',
  'devices.read': 'all',
  'quarantine.read': 'own',
} as const satisfies Rights;

/** The work on tickets. Who reported one is for the department that needs to know, not for the whole city's staff. */
const WORKS = {
  'tickets.open': 'own',
  'tickets.write': 'own',
  'silences.write': 'own',
  'commands.write': 'own',
  'reporters.read': 'department',
  'reporters.delete': 'department',
} as const satisfies Rights;

const RECEIVERS = {
  'webhooks.read': 'own',
  'webhooks.write': 'own',
  'subscriptions.read': 'own',
  'subscriptions.write': 'own',
} as const satisfies Rights;

/**
 * What a role in a contractor or a community group never gives: they work for the city, and do not learn who reported
 * what, whatever is handed over to them.
 */
export const WITHHELD: readonly Permission[] = ['reporters.read', 'reporters.delete'];

interface Role {
  /** Whether the role is given in a department, for the whole city, or either. */
  readonly of: 'department' | 'city' | 'either';
  readonly about: string;
  readonly rights: Rights;
}

export const KEY_ROLES = [
  'network-server',
  'citizen-app',
  'viewer',
  'operator',
  'dispatcher',
  'rule-author',
  'device-manager',
  'auditor',
  'admin',
] as const;
export type KeyRole = (typeof KEY_ROLES)[number];

/** The table. What a role does not list, it may not do. */
export const ROLES: Readonly<Record<KeyRole, Role>> = {
  'network-server': {
    of: 'either',
    about: 'publishes the uplinks of LoRaWAN devices, and reads nothing',
    rights: { 'uplinks.publish': 'all' },
  },
  'citizen-app': {
    of: 'either',
    about: 'submits requests of citizens, and reads nothing that needs a key',
    rights: { 'requests.submit': 'all' },
  },
  viewer: { of: 'either', about: 'reads', rights: READS },
  operator: {
    of: 'either',
    about: 'also works on tickets, silences alerts, replays what was refused',
    rights: {
      ...READS,
      ...WORKS,
      'requests.submit': 'all',
      'rules.try': 'shared',
      'quarantine.write': 'own',
    },
  },
  dispatcher: {
    of: 'department',
    about: "works on a department's tickets, and decides who is notified of them",
    rights: { ...READS, ...WORKS, ...RECEIVERS },
  },
  'rule-author': {
    of: 'city',
    about: 'reads; tries, writes and deletes rules',
    rights: { ...READS, 'rules.try': 'city', 'rules.write': 'city' },
  },
  'device-manager': {
    of: 'city',
    about: 'reads; registers and revokes devices, replays what was refused, imports readings',
    rights: {
      ...READS,
      'readings.import': 'city',
      'devices.write': 'city',
      'devices.listen': 'city',
      'commands.write': 'city',
      'quarantine.write': 'city',
    },
  },
  auditor: {
    of: 'city',
    about: 'reads everything but who reported tickets, and changes nothing',
    rights: {
      ...READS,
      'webhooks.read': 'city',
      'subscriptions.read': 'city',
      'keys.read': 'city',
      'users.read': 'city',
      'audit.read': 'city',
      'backups.read': 'city',
    },
  },
  admin: {
    of: 'city',
    about: 'does everything that a key may do',
    rights: {
      ...READS,
      ...WORKS,
      ...RECEIVERS,
      'reporters.read': 'own',
      'reporters.delete': 'own',
      'readings.import': 'city',
      'requests.submit': 'all',
      'rules.try': 'shared',
      'rules.write': 'city',
      'devices.write': 'city',
      'devices.listen': 'city',
      'quarantine.write': 'own',
      'keys.read': 'city',
      'keys.write': 'city',
      'users.read': 'city',
      'users.write': 'city',
      'audit.read': 'city',
      'backups.read': 'city',
      'backups.write': 'city',
      'city.write': 'city',
    },
  },
};

/**
 * A role in a department, or (null) of the whole city. A key is one, which may have scopes; a person has several, each
 * without scopes (`GrantSchema`).
 */
export type Grant = Pick<Key, 'role' | 'department' | 'scopes'>;

/** Somebody with one role; a person with several has them all in `grants`. */
export interface Holder extends Grant {
  readonly grants?: readonly Grant[];
}

/** Returns all roles of somebody. */
export function grantsOf(holder: Holder): readonly Grant[] {
  return holder.grants ?? [holder];
}

/** What the city lets every department see, whosever it is. */
export interface Sharing {
  readonly readings: boolean;
  readonly alerts: boolean;
}

export const SHARED: Sharing = { readings: true, alerts: true };

/** What of `Sharing` a permission depends on. */
const SHARES: Readonly<Partial<Record<Permission, keyof Sharing>>> = {
  'readings.read': 'readings',
  'rules.try': 'readings',
  'alerts.read': 'alerts',
};

/** Whose things somebody reaches: the whole city's, or those of some departments; none: nothing. */
export type Reach = 'city' | readonly string[];

/** Returns how far somebody's grants reach with one permission. */
export function reachOf(grants: readonly Grant[], permission: Permission, sharing: Sharing = SHARED): Reach {
  const departments = new Set<string>();
  for (const { role, department, scopes } of grants) {
    if (scopes?.includes(permission) === false) continue;
    const extent = rightsOf(role)[permission];
    if (extent === undefined) continue;
    const share = SHARES[permission];
    if (isWide(extent, department, share !== undefined && sharing[share])) return 'city';
    if (department !== null && extent !== 'city') departments.add(department);
  }
  return [...departments];
}

/** A record of the log may have a role of another version: it has no rights. */
function rightsOf(role: KeyRole): Rights {
  return Object.hasOwn(ROLES, role) ? ROLES[role].rights : {};
}

function isWide(extent: Extent, department: string | null, isShared: boolean): boolean {
  if (department === null) return extent !== 'department';
  return extent === 'all' || (extent === 'shared' && isShared);
}

/** Reports whether somebody may do something at all, whosever it is. */
export function mayAny(grants: readonly Grant[], permission: Permission): boolean {
  return reachOf(grants, permission).length > 0;
}

/** Reports whether a reach includes what belongs to a department; null: what belongs to the city as a whole. */
export function reaches(reach: Reach, department: string | null): boolean {
  return reach === 'city' || (department !== null && reach.includes(department));
}

/** Returns the departments that a reach is bound to; null: it is bound to none. */
export function boundTo(reach: Reach): readonly string[] | null {
  return reach === 'city' ? null : reach;
}

/** Returns why grants do not give a permission, and what would, in a sentence. */
export function lackOf(grants: readonly Grant[], permission: Permission): string {
  const roles = KEY_ROLES.filter((role) => ROLES[role].rights[permission] !== undefined);
  const needed = `this needs the right ${permission}, which these roles have: ${roles.join(', ')}`;
  const yours = grants.map(({ role, department }) => (department === null ? role : `${role} of ${department}`));
  const has = grants.some(({ role }) => roles.includes(role));
  if (!has) return `${needed}; yours is ${yours.join(', ') || 'none'}`;
  const isScoped = grants.some(({ role, scopes }) => roles.includes(role) && scopes?.includes(permission) === false);
  if (isScoped) return `${needed}; yours is ${yours.join(', ')}, but its scopes leave this right out`;
  const extents = new Set(grants.flatMap(({ role }) => rightsOf(role)[permission] ?? []));
  const where = extents.has('department') ? 'in a department only' : 'of the whole city only';
  return `${needed}; yours is ${yours.join(', ')}, which gives it ${where}`;
}

/** Returns the rights of a grant that somebody whose own are limited by scopes may not pass on. */
export function beyondScopes(grants: readonly Grant[], { role, scopes }: Grant): Permission[] {
  if (grants.some((own) => own.scopes === undefined)) return [];
  const own = new Set(grants.flatMap((grant) => grant.scopes ?? []));
  const given = scopes ?? (Object.keys(ROLES[role].rights) as Permission[]);
  return given.filter((permission) => !own.has(permission));
}

/** Returns why a grant cannot be given, and what would be right; null where it can. */
export function grantFault({ role, department, scopes }: Grant): string | null {
  const { of, rights } = ROLES[role];
  if (of === 'city' && department !== null)
    return `role: ${role} is a role of the whole city; leave out the department, or choose another role`;
  if (of === 'department' && department === null) return `department: ${role} is a role of one department; name it`;
  if (scopes === undefined) return null;
  if (scopes.length === 0) return 'scopes: name at least one right, or leave them out';
  const beyond = scopes.filter((scope) => rights[scope] === undefined);
  if (beyond.length === 0) return null;
  return `scopes: the role ${role} does not have ${beyond.join(', ')}; it has ${Object.keys(rights).join(', ')}`;
}
