import type { DatabaseSync, SQLOutputValue } from 'node:sqlite';
import {
  type DesiredState,
  type DeviceCommand,
  type DeviceState,
  type DeviceTwin,
  driftOf,
  isOpenCommand,
  isoOf,
  type Page,
} from '../domain/index.ts';
import { positionOf } from '../store/index.ts';

/** Reads commands and states of devices, over any connection to a file that has `COMMAND_SCHEMA`. */
export interface CommandReader {
  /** Returns the commands of a device, newest first. Throws `invalid` on a bad `after`. */
  list(device: string, page: { readonly limit: number; readonly after: string | null }): Page<DeviceCommand>;
  /** Null where the device has no such command, or it is long over. */
  get(device: string, id: string): DeviceCommand | null;
  /** The commands that a device has not responded to yet, the oldest first. */
  open(device: string): DeviceCommand[];
  /** Returns queued commands for a network server, the oldest first, at most so many; `key` null: for any. */
  downlinks(key: string | null, limit: number): DeviceCommand[];
  /** Returns the queued commands that are messages on a topic of a network server. */
  downlinksOn(topic: string): DeviceCommand[];
  /** Reports whether a command has ended, or is not known any more. */
  isOver(id: string): boolean;
  /** `departments`: who the device belongs to now. */
  twin(device: string, departments: readonly string[]): DeviceTwin;
  /** Everything that is desired, by device. */
  allDesired(): DesiredState[];
}

/** Returns the reader. */
export function createCommandReader(db: DatabaseSync): CommandReader {
  const one = db.prepare('select body from device_commands where id = ? and device = ?');
  const page = db.prepare('select n, body from device_commands where device = ? and n < ? order by n desc limit ?');
  const open = db.prepare(
    "select body from device_commands where device = ? and state in ('queued', 'sent') order by n",
  );
  const downlinks = db.prepare(`
    select body from device_commands where downlink is not null and state = 'queued'
      and (?1 is null or body ->> '$.downlink.key' = ?1) order by n limit ?2`);
  const downlinksOn = db.prepare("select body from device_commands where downlink = ? and state = 'queued' order by n");
  const state = db.prepare('select state from device_commands where id = ?');
  const twin = db.prepare('select * from device_states where device = ?');
  const desired = db.prepare('select desired from device_states where desired is not null order by device');
  return {
    list(device, { limit, after }) {
      const rows = page.all(device, positionOf(after, Number.MAX_SAFE_INTEGER), limit + 1);
      const items = rows.slice(0, limit).map(commandOf);
      return { items, next: rows.length > limit ? String(rows[limit - 1]!.n) : null };
    },
    get(device, id) {
      const row = one.get(id, device);
      return row === undefined ? null : commandOf(row);
    },
    open: (device) => open.all(device).map(commandOf),
    downlinks: (key, limit) => downlinks.all(key, limit).map(commandOf),
    downlinksOn: (topic) => downlinksOn.all(topic).map(commandOf),
    isOver(id) {
      const row = state.get(id);
      return row === undefined || !isOpenCommand(row.state as DeviceCommand['state']);
    },
    twin(device, departments) {
      const row = twin.get(device);
      const parsed = <T>(text: SQLOutputValue | undefined) =>
        typeof text === 'string' ? (JSON.parse(text) as T) : null;
      const before = parsed<DesiredState>(row?.desired);
      // What was written with it are those of that time.
      const wanted = before === null ? nothingDesired(device, departments) : { ...before, departments };
      const reported = parsed<DeviceState>(row?.reported);
      const reportedAt = row?.reported_ms == null ? null : isoOf(Number(row.reported_ms));
      return { ...wanted, reported, reportedAt, drift: driftOf(wanted.desired ?? {}, reported) };
    },
    allDesired: () => desired.all().map(({ desired: body }) => JSON.parse(String(body)) as DesiredState),
  };
}

/** Returns the state of a device of which nothing was desired yet. */
export function nothingDesired(device: string, departments: readonly string[]): DesiredState {
  return { device, version: 0, desired: null, departments, by: null, updatedAt: null };
}

const commandOf = ({ body }: Readonly<Record<string, SQLOutputValue>>) => JSON.parse(String(body)) as DeviceCommand;
