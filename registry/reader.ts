import type { DatabaseSync } from 'node:sqlite';
import type { Device, DevicesControl, Key, Page } from '../domain/index.ts';
import {
  containing,
  createRanking,
  inTurns,
  nextOf,
  type Order,
  type PlaceFilter,
  placeConditions,
  type Ranked,
} from '../store/index.ts';
import { type Credential, type CredentialChange, hashSecret } from './credentials.ts';
import {
  type DeviceRow,
  deviceCredential,
  deviceOf,
  type KeyRow,
  keyCredential,
  keyOf,
  type RegisteredDevice,
  type RegisteredKey,
  registeredKeyOf,
} from './rows.ts';

/** Which devices are asked for. */
export interface DeviceQuery {
  readonly limit: number;
  readonly after: string | null;
  readonly profile?: string;
  readonly district?: string;
}

/** Which devices are searched for. */
export interface DeviceSearch extends DeviceQuery, PlaceFilter {
  /** A text in its id, its name, its asset or one of its tags. */
  readonly q?: string;
  /** Absent: by id. */
  readonly sort?: DeviceOrder;
}

/** What devices can be ordered by: with `-` the largest first. */
export const DEVICE_ORDERS = [
  'id',
  '-id',
  'name',
  '-name',
  'profile',
  '-profile',
  'district',
  '-district',
  'registered',
  '-registered',
  'state',
  '-state',
] as const;
type DeviceOrder = (typeof DEVICE_ORDERS)[number];

/** A key for each order, without its sign. A device without a name is called by its id. */
const KEYS: Readonly<Record<string, string>> = {
  id: 'id',
  name: `lower(coalesce(body ->> 'name', id))`,
  profile: `body ->> 'profile'`,
  district: `body ->> 'district'`,
  registered: 'registered_ms',
  state: 'suspended',
};

/** Devices and keys as the log has decided them, over any connection to the file. */
export interface RegistryReader {
  get(id: string): RegisteredDevice | null;
  list(query: DeviceQuery): Page<RegisteredDevice>;
  /** Resolves to a page of those that match, some thousand rows at a time: other work of the thread runs in between. */
  find(query: DeviceSearch): Promise<Page<RegisteredDevice>>;
  count(): number;
  keys(): RegisteredKey[];
  key(id: string): RegisteredKey | null;
  /** Returns the key of a secret; null where there is none. */
  keyOf(secret: string): Key | null;
  /** Returns the hash of a device's claim code; null where there is none. */
  claimHash(device: string): Uint8Array | null;
  /** Returns the number of the block that changed a device or key last. */
  version(): number;
  /** Whether the devices and keys of a file from before are all here. */
  tookOver(): boolean;
  /** Returns what `ingest` must learn of devices that changed after a version. */
  devicesSince(version: number): DevicesControl;
  /** Returns the credentials of all devices and keys. */
  credentials(): Credential[];
  credentialOf(id: string): Credential | null;
  /** Returns how the credentials changed after a version. */
  credentialsSince(version: number): CredentialChange;
}

/** Returns the reader over a file that has `REGISTRY_SCHEMA`. */
export function createRegistryReader(db: DatabaseSync): RegistryReader {
  const state = createRegistryStateReader(db);
  const device = db.prepare('select * from registry_devices where id = ? and revoked = 0');
  const keyById = db.prepare(`
    select k.*, u.used_ms from registry_keys k left join registry_key_use u using (id) where id = ? and revoked = 0`);
  const allKeys = db.prepare(`
    select k.*, u.used_ms from registry_keys k left join registry_key_use u using (id) where revoked = 0 order by id`);
  const keyByHash = db.prepare('select * from registry_keys where (hash = ?1 or old_hash = ?1) and revoked = 0');
  const page = db.prepare(`
    select * from registry_devices where revoked = 0 and id > ?1
      and (?2 is null or body ->> 'profile' = ?2) and (?3 is null or body ->> 'district' = ?3)
    order by id limit ?4`);
  const count = db.prepare('select count(*) as n from registry_devices where revoked = 0');
  const claim = db.prepare('select hash from registry_claims where device = ?');
  const devicesSince = db.prepare('select * from registry_devices where changed > ? order by changed, id');
  const keysSince = db.prepare('select * from registry_keys where changed > ? order by changed, id');
  const allDevices = db.prepare('select * from registry_devices where revoked = 0');
  const devices = (since: number) => devicesSince.all(since) as unknown as DeviceRow[];
  const keys = (since: number) => keysSince.all(since) as unknown as KeyRow[];
  const isThere = ({ revoked }: { readonly revoked: number }) => revoked === 0;

  return {
    ...state,
    get(id) {
      const row = device.get(id) as DeviceRow | undefined;
      return row === undefined ? null : deviceOf(row);
    },
    list({ limit, after, profile, district }) {
      const rows = page.all(after ?? '', profile ?? null, district ?? null, limit + 1) as unknown as DeviceRow[];
      const items = rows.slice(0, limit).map(deviceOf);
      return { items, next: rows.length > limit ? items.at(-1)!.id : null };
    },
    find: (query) => inTurns(query.sort === undefined || query.sort === 'id' ? found(db, query) : ranked(db, query)),
    count: () => Number(count.get()!.n),
    keys: () => (allKeys.all() as unknown as KeyRow[]).map(registeredKeyOf),
    key(id) {
      const row = keyById.get(id) as KeyRow | undefined;
      return row === undefined ? null : registeredKeyOf(row);
    },
    keyOf(secret) {
      // The lookup is by the hash of a random secret: its timing does not help to guess one.
      const row = keyByHash.get(hashSecret(secret)) as KeyRow | undefined;
      return row === undefined ? null : keyOf(row);
    },
    claimHash: (id) => (claim.get(id)?.hash as Uint8Array | undefined) ?? null,
    devicesSince(since) {
      // Before the rows: what changes meanwhile is in the next record again, instead of in none.
      const version = state.version();
      const rows = devices(since);
      const registered = rows.filter(isThere).map(({ body }) => JSON.parse(body) as Device);
      const revoked = rows.filter((row) => !isThere(row)).map(({ id }) => id);
      const suspended = rows.filter((row) => isThere(row) && row.suspended === 1).map(({ id }) => id);
      const publishers = keys(since).flatMap(publisherOf);
      return {
        ...{ version, since, registered, revoked },
        ...(suspended.length === 0 ? {} : { suspended }),
        ...(publishers.length === 0 ? {} : { publishers }),
      };
    },
    credentials: () => [
      ...(allDevices.all() as unknown as DeviceRow[]).map(deviceCredential),
      ...keys(-1).filter(isThere).map(keyCredential),
    ],
    credentialOf(id) {
      const row = device.get(id) as DeviceRow | undefined;
      if (row !== undefined) return deviceCredential(row);
      const key = keyById.get(id) as KeyRow | undefined;
      return key === undefined ? null : keyCredential(key);
    },
    credentialsSince(since) {
      const [ofDevices, ofKeys] = [devices(since), keys(since)];
      const set = [...ofDevices.filter(isThere).map(deviceCredential), ...ofKeys.filter(isThere).map(keyCredential)];
      const gone = [...ofDevices, ...ofKeys].filter((row) => !isThere(row)).map(({ id }) => id);
      // A device may have been registered under the id of a key that had ended.
      const there = new Set(set.map(({ identity }) => identity.id));
      return { set, remove: gone.filter((id) => !there.has(id)) };
    },
  };
}

/** Devices that are looked at in one step. */
const LOOKED_AT = 2_000;
const PLACE = { lat: `(body ->> '$.location.lat')`, lon: `(body ->> '$.location.lon')` };

/** Returns the filters as `and …` conditions. */
function wantedOf(db: DatabaseSync, { profile, district, q, bbox, near }: DeviceSearch) {
  const place = { ...(bbox === undefined ? {} : { bbox }), ...(near === undefined ? {} : { near }) };
  const placed = placeConditions(db, place, PLACE);
  const like = `like ? escape '\\'`;
  const tags = `exists (select 1 from json_each(body, '$.tags') where value ${like})`;
  const said =
    q === undefined ? '' : ` and (id ${like} or body ->> 'name' ${like} or body ->> 'asset' ${like} or ${tags})`;
  const named = Object.entries({ profile, district }).filter((one): one is [string, string] => one[1] !== undefined);
  return {
    sql: named.map(([name]) => ` and body ->> '${name}' = ?`).join('') + placed.sql + said,
    params: [
      ...named.map(([, value]) => value),
      ...placed.params,
      ...(q === undefined ? [] : [q, q, q, q].map(containing)),
    ],
  };
}

/** Returns the function that says where a window of the table ends which begins after an id; null: there is none. */
function windowsOf(db: DatabaseSync): (after: string) => string | null {
  const last = db.prepare(
    'select max(id) as id from (select id from registry_devices where id > ? order by id limit ?)',
  );
  return (after) => last.get(after, LOOKED_AT)!.id as string | null;
}

/** Returns a page of devices by id, in steps. */
function* found(db: DatabaseSync, query: DeviceSearch): Generator<void, Page<RegisteredDevice>, undefined> {
  const { limit } = query;
  const wanted = wantedOf(db, query);
  const endOf = windowsOf(db);
  const some = db.prepare(
    `select * from registry_devices where revoked = 0 and id > ? and id <= ?${wanted.sql} order by id limit ?`,
  );
  const items: RegisteredDevice[] = [];
  for (let after = query.after ?? ''; ; ) {
    const to = endOf(after);
    if (to === null) return { items, next: null };
    const rows = some.all(after, to, ...wanted.params, limit + 1 - items.length);
    items.push(...(rows as unknown as DeviceRow[]).map(deviceOf));
    if (items.length > limit) return { items: items.slice(0, limit), next: items[limit - 1]!.id };
    after = to;
    yield;
  }
}

/** Returns a page of devices in another order, in steps: it looks at all of them. */
function* ranked(
  db: DatabaseSync,
  { limit, after, sort = 'id', ...query }: DeviceSearch,
): Generator<void, Page<RegisteredDevice>, undefined> {
  const order: Order = { key: KEYS[sort.replace('-', '')]!, descending: sort.startsWith('-') };
  const ranking = createRanking(order, { tie: 'id', after, most: limit + 1 });
  const wanted = wantedOf(db, { ...query, limit, after });
  const endOf = windowsOf(db);
  const select = db.prepare(
    `select ${ranking.columns} from registry_devices
      where revoked = 0 and id > ? and id <= ?${wanted.sql}${ranking.beyond}${ranking.orderBy}`,
  );
  for (let from = '', to = endOf(from); to !== null; from = to, to = endOf(from)) {
    ranking.add(select.all(from, to, ...wanted.params, ...ranking.params) as unknown as Ranked[]);
    yield;
  }
  const rows = ranking.rows();
  const one = db.prepare('select * from registry_devices where id = ?');
  const items = rows.slice(0, limit).map(({ tie }) => deviceOf(one.get(tie) as unknown as DeviceRow));
  return { items, next: rows.length > limit ? nextOf(rows[limit - 1]!) : null };
}

/** A network server, and what it is bound to; nothing for other keys. */
function publisherOf(row: KeyRow): NonNullable<DevicesControl['publishers']>[number][] {
  const { role, uplinks = 'all' } = keyOf(row);
  return role === 'network-server' ? [{ id: row.id, uplinks: uplinks === 'all' ? null : uplinks }] : [];
}

function createRegistryStateReader(db: DatabaseSync) {
  const state = db.prepare('select changed, taken_over from registry_state');
  return {
    version: () => Number(state.get()!.changed),
    tookOver: () => state.get()!.taken_over === 1,
  };
}
