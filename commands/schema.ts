import type { RoomSchema } from '../store/index.ts';

/**
 * Commands to devices, and what each is wanted to be and says that it is. `body` is the whole command or state in JSON;
 * the other columns find it. A device that is revoked has no row of `device_states`.
 */
export const COMMAND_SCHEMA: RoomSchema = {
  room: 'commands',
  steps: [
    `
  create table device_commands (
    n integer primary key, id text not null unique, device text not null, command text not null, state text not null,
    until_ms integer not null, body text not null
  ) strict;
  create index device_commands_of on device_commands (device, n);
  create index device_commands_due on device_commands (until_ms) where state in ('queued', 'sent');
  create table device_states (
    device text primary key, desired text, reported text, reported_ms integer
  ) strict, without rowid;
`,
    // How commands reach LoRaWAN devices, and by which network server; whether one was sent once more.
    `
  alter table device_commands add column downlink text;
  alter table device_commands add column resent integer not null default 0;
  create index device_commands_downlink on device_commands (downlink) where downlink is not null and state = 'queued';
  alter table device_states add column network text;
`,
  ],
};
