import type { RoomSchema } from '../store/index.ts';

/**
 * Devices and keys as the log has decided them. Of a secret there is its SHA-256 only. `changed` is the number of the
 * block that changed a row last; 0 where the log had it before the registry was a part of the state.
 * `registry_key_use` alone does not follow from the log.
 */
export const REGISTRY_SCHEMA: RoomSchema = {
  room: 'registry-records',
  steps: [
    `
  create table registry_devices (
    id text primary key, body text not null, hash blob not null, old_hash blob, old_until_ms integer,
    suspended integer not null, registered_ms integer not null, replaced_ms integer, version integer not null,
    changed integer not null, revoked integer not null
  ) strict, without rowid;
  create index registry_devices_changed on registry_devices (changed);
  create index registry_devices_due on registry_devices (old_until_ms) where old_until_ms is not null;
  create table registry_claims (
    device text primary key, hash blob not null, until_ms integer not null
  ) strict, without rowid;
  create index registry_claims_due on registry_claims (until_ms);
  create table registry_keys (
    id text primary key, body text not null, hash blob not null, old_hash blob, old_until_ms integer,
    expires_ms integer, version integer not null, changed integer not null, revoked integer not null
  ) strict, without rowid;
  create index registry_keys_hash on registry_keys (hash);
  create index registry_keys_old_hash on registry_keys (old_hash) where old_hash is not null;
  create index registry_keys_changed on registry_keys (changed);
  create table registry_key_use (id text primary key, used_ms integer not null) strict, without rowid;
  create table registry_state (
    one integer primary key check (one = 1), changed integer not null, taken_over integer not null
  ) strict;
  insert into registry_state values (1, 0, 0);
`,
    // How many devices a gateway has.
    `create index registry_devices_gateway on registry_devices (body ->> 'gateway') where body ->> 'gateway' is not null;`,
    // Which device a DevEUI is the hardware of, where it is not its id.
    `create index registry_devices_dev_eui on registry_devices (body ->> 'devEui') where body ->> 'devEui' is not null;`,
  ],
};
