import { existsSync, readdirSync, statfsSync, statSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { DAY_MS, HOUR_MS, isoOf, type Key, type Person, ROLES } from '../domain/index.ts';
import { allMayChange, MANIFEST, othersMay } from '../store/index.ts';
import type { Config } from './config.ts';

/** Something about a deployment that may be wrong, and what to do about it. */
export interface Advice {
  readonly about: 'listeners' | 'keys' | 'files' | 'clock' | 'disk' | 'backups';
  readonly problem: string;
  readonly todo: string;
}

/** A key as the API lists it. A server of another version may leave something out. */
export interface ListedKey extends Key {
  readonly createdAt?: string | null;
  readonly expiresAt?: string | null;
  readonly lastUsedAt?: string | null;
}

/** What counts of a person that the API lists. */
export type ListedPerson = Pick<Person, 'email' | 'roles' | 'hasPassword' | 'issuer' | 'suspendedAt'>;

/** What a running server says; null: it was not asked, or did not respond. */
export interface Seen {
  /** Its time, epoch ms, and that of this machine at the same moment. */
  readonly clock: { readonly serverMs: number; readonly hereMs: number } | null;
  /** Whether this machine's clock follows a time server (NTP); null: the machine does not say. */
  readonly ntp: boolean | null;
  /** Null where the key may not read them. */
  readonly keys: readonly ListedKey[] | null;
  /** Null where the key may not read them. */
  readonly people: readonly ListedPerson[] | null;
}

/** Looks at everything around a server that settings alone do not show. `nowMs`: epoch ms. */
export function adviceOn(config: Config, seen: Seen, nowMs: number): Advice[] {
  return [
    ...ofListeners(config),
    ...ofAdminKey(config, seen),
    ...ofKeys(seen.keys ?? [], nowMs),
    ...ofFiles(config),
    ...ofClock(seen),
    ...ofDisk(config),
    ...ofBackups(config, nowMs),
  ];
}

function* ofListeners({ mqtt, http }: Config): Generator<Advice> {
  const about = 'listeners';
  if (mqtt.port !== null && !isLocal(mqtt.host))
    yield {
      about,
      problem: `MQTT listens without TLS on ${mqtt.host}:${mqtt.port}: secrets of devices can be read on the way`,
      todo: 'set MQTTS_PORT, TLS_CERT and TLS_KEY, and close the plain port to the outside (MQTT_HOST, a firewall)',
    };
  if (!isLocal(http.host) && http.edge.redirect === null)
    yield {
      about,
      problem: `HTTP listens without TLS on ${http.host}:${http.port}: keys and sessions can be read on the way`,
      todo: 'set HTTPS_PORT and HTTP_REDIRECT, or HTTP_HOST=127.0.0.1 with a proxy that has TLS in front',
    };
}

/** Whether only programs of this machine reach an address. */
function isLocal(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

/** A key that was not used for so long is no longer needed, or its program is broken. */
const UNUSED_MS = 90 * DAY_MS;

/** Once somebody else administers, the key of the settings is not needed, and it does not say who acts with it. */
function* ofAdminKey({ adminKey }: Config, { keys, people }: Seen): Generator<Advice> {
  if (adminKey === null || (keys === null && people === null)) return;
  const about = 'keys';
  const others = [
    ...(keys ?? [])
      .filter(({ role, department, scopes }) => role === 'admin' && department === null && !scopes)
      .map(shown),
    ...(people ?? []).filter(isAdmin).map(({ email }) => email),
  ];
  if (others.length > 0)
    yield {
      about,
      problem: `the admin key of the settings is in use, beside ${listed(others)}`,
      todo: 'set LAMPPOST_ADMIN_KEY=off where people have accounts and programs have keys of their own',
    };
  else
    yield {
      about,
      problem: 'only the admin key of the settings administers the server: its audit trail names nobody',
      todo: 'add a person (lamppost user add <e-mail> --name "<name>" --role admin), then set LAMPPOST_ADMIN_KEY=off',
    };
}

/** Whether somebody can sign in, and then administers everything. */
function isAdmin({ roles, hasPassword, issuer, suspendedAt }: ListedPerson): boolean {
  const isLetIn = suspendedAt === null && (hasPassword || issuer !== null);
  return isLetIn && roles.some(({ role, department }) => role === 'admin' && department === null);
}

function* ofKeys(keys: readonly ListedKey[], nowMs: number): Generator<Advice> {
  const about = 'keys';
  const endless = keys.filter(({ expiresAt }) => expiresAt === null);
  if (endless.length > 0)
    yield {
      about,
      problem: `these keys never expire: ${named(endless)}`,
      todo: 'give them an expiry, and rotate them',
    };
  const unused = keys.filter(({ createdAt, lastUsedAt }) => {
    const since = lastUsedAt ?? createdAt;
    return since !== null && since !== undefined && Date.parse(since) < nowMs - UNUSED_MS;
  });
  if (unused.length > 0)
    yield {
      about,
      problem: `these keys were not used for 90 days: ${named(unused)}`,
      todo: 'revoke what nobody needs',
    };
  const bound = keys.filter(({ role, department }) => ROLES[role]?.of === 'city' && department !== null);
  if (bound.length > 0)
    yield {
      about,
      problem: `roles of the whole city in a department, which they are bound to: ${named(bound)}`,
      todo: 'make a dispatcher or operator of the department instead, and revoke these (docs/roles.md)',
    };
}

const SHOWN = 5;

const shown = ({ id, name }: Pick<Key, 'id' | 'name'>) => `${id} (${name})`;
const named = (keys: readonly Pick<Key, 'id' | 'name'>[]) => listed(keys.map(shown));

function listed(names: readonly string[]): string {
  const more = names.length > SHOWN ? [`and ${names.length - SHOWN} more`] : [];
  return [...names.slice(0, SHOWN), ...more].join(', ');
}

/** Data, backups and secrets are for the server's account; the city folder is not for everybody to change. */
function* ofFiles({ data, backup, certificates, cluster, bridges, city }: Config): Generator<Advice> {
  const about = 'files';
  const secret = [certificates?.TLS_KEY, cluster?.credentials, cluster?.tls.key, bridges.folder];
  const own = [data, ...backupsIn(backup.dir), ...secret].filter((path) => typeof path === 'string');
  for (const path of new Set(own.filter(othersMay)))
    yield { about, problem: `others may use ${path}`, todo: `chmod go= ${path}` };
  if (allMayChange(city))
    yield { about, problem: `everybody on this machine may change ${city}`, todo: `chmod -R o-w ${city}` };
}

/** The folders of backups, by what each has. */
function backupsIn(dir: string | null): string[] {
  if (dir === null) return [];
  return readdirSync(dir)
    .map((name) => join(dir, name))
    .filter((path) => existsSync(join(path, MANIFEST)));
}

/** A difference that the way to the server does not explain. */
const MOST_SKEW_MS = 5_000;

function* ofClock({ clock, ntp }: Seen): Generator<Advice> {
  const about = 'clock';
  if (ntp === false)
    yield {
      about,
      problem: 'the clock of this machine follows no time server',
      todo: 'start one of chrony or systemd-timesyncd (timedatectl set-ntp true)',
    };
  if (ntp === null)
    yield {
      about,
      problem: 'this machine does not say whether its clock follows a time server',
      todo: 'look (chronyc tracking, or timedatectl on the machine around a container): deadlines and windows need it',
    };
  if (clock === null) return;
  const skewMs = clock.serverMs - clock.hereMs;
  if (Math.abs(skewMs) <= MOST_SKEW_MS) return;
  yield {
    about,
    problem: `the server's time is ${Math.round(skewMs / 1_000)} s from that of this machine`,
    todo: 'let both follow a time server (chrony, systemd-timesyncd); deadlines and windows follow the server',
  };
}

/** The part of a disk that should be free, and enough in bytes where a disk is large. */
const FREE_PART = 0.1;
const FREE_ENOUGH = 20 * 1024 ** 3;

function* ofDisk({ data, backup }: Config): Generator<Advice> {
  for (const dir of [data, backup.dir].flatMap((one) => (one !== null && existsSync(one) ? one : []))) {
    const { bavail, blocks, bsize } = statfsSync(dir);
    if (bavail >= blocks * FREE_PART || bavail * bsize >= FREE_ENOUGH) continue;
    yield {
      about: 'disk',
      problem: `the disk of ${dir} has ${Math.floor((bavail * bsize) / 1024 ** 2)} MiB left`,
      todo: 'free space, keep less (LAMPPOST_HISTORY_DAYS, LAMPPOST_BACKUP_KEEP), or take a larger disk',
    };
  }
}

/** A backup is made every night. */
const OLDEST_MS = 36 * HOUR_MS;

function* ofBackups({ backup: { dir }, data }: Config, nowMs: number): Generator<Advice> {
  const about = 'backups';
  if (dir === null) {
    const todo = 'set LAMPPOST_BACKUP_DIR to a folder on another disk: a backup is made every night';
    yield { about, problem: 'there are no backups', todo };
    return;
  }
  const newestMs = Math.max(...backupsIn(dir).map((path) => statSync(join(path, MANIFEST)).mtimeMs), 0);
  if (nowMs - newestMs > OLDEST_MS && existsSync(data)) {
    const age = newestMs === 0 ? 'none yet' : `of ${isoOf(newestMs)}`;
    const todo = 'run lamppost backup, and look in the log for why the nightly one failed';
    yield { about, problem: `the newest backup in ${dir}: ${age}`, todo };
  }
  if (existsSync(data) && statSync(dir).dev === statSync(data).dev)
    yield { about, problem: `${dir} is on the disk of ${data}`, todo: 'copy the backups to another machine or disk' };
}
