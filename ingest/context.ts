import { existsSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import {
  type City,
  type CityControl,
  type Device,
  type DevicesControl,
  hardwareOf,
  type KnownDevice,
  type MetricTable,
} from '../domain/index.ts';
import type { RoomSchema } from '../store/index.ts';
import { type Calibrations, compileCalibrations } from './calibrations.ts';
import { compileChecks, type ProfileChecks } from './checks.ts';
import { compileFormats } from './declared/index.ts';
import type { DeclaredFormats } from './decode/index.ts';
import { type Belonging, HARDWARE_SCHEMA, Hardware } from './hardware.ts';
import { PAST_SCHEMA, PastFacts } from './past.ts';
import { createPublishers, PUBLISHERS_SCHEMA, type Publishers } from './publishers.ts';

/** SQL of every version of the API's rules, by the block that brought it; nothing is ever deleted (ADR 11). */
const RULE_RECORDS_SCHEMA = `
  create table if not exists context_rules (seq integer primary key, id text not null, body text not null) strict;
  create index if not exists context_rules_by_id on context_rules (id, seq);
`;

/** SQL of cities, devices, API rules and metric names, by the block that brought them. */
export const CONTEXT_SCHEMA: RoomSchema = {
  room: 'context',
  steps: [
    `
  create table if not exists context_cities (seq integer primary key, body text not null) strict;
  create table if not exists context_devices (
    idx integer not null, seq integer not null, id text not null, body text, primary key (idx, seq)
  ) strict, without rowid;
  create table if not exists context_metrics (idx integer primary key, id text not null) strict;
${RULE_RECORDS_SCHEMA}`,
    PUBLISHERS_SCHEMA,
    // Several actions of one block may change rules.
    `
  alter table context_rules rename to one_a_block;
  drop index context_rules_by_id;
  create table context_rules (
    seq integer not null, item integer not null, id text not null, body text not null, primary key (seq, item)
  ) strict;
  insert into context_rules select seq, 0, id, body from one_a_block;
  drop table one_a_block;
  create index context_rules_by_id on context_rules (id, seq, item);
`,
    // The newest version of the registry that a record brought: each node of a cluster brings it.
    'create table context_registry (one integer primary key check (one = 1), version integer not null) strict;',
    PAST_SCHEMA,
    HARDWARE_SCHEMA,
  ],
};

/** The city that is in force from one block on. */
export interface CityVersion {
  readonly seq: number;
  readonly control: CityControl;
  readonly city: City;
  readonly checks: ReadonlyMap<string, ProfileChecks>;
  readonly formats: DeclaredFormats;
}

/** A device as it is from one block on; `known` is null once it is revoked. */
export interface DeviceVersion {
  readonly seq: number;
  readonly known: KnownDevice | null;
  /** The city for which `checks` is cached. */
  city: CityVersion | null;
  checks: ProfileChecks | null;
  readonly calibrations: Calibrations;
}

type LearnedDevice = Device & Pick<KnownDevice, 'suspended'>;

/** All versions of one device, in the order of their blocks. */
export interface DeviceLine {
  readonly index: number;
  readonly id: string;
  readonly versions: DeviceVersion[];
  /** The devices that had the hardware of this name; null where it was always that of the device with this id. */
  readonly belongings: readonly Belonging[] | null;
}

/** Without versions: the name of hardware only, which no device has as its id. It has no index then. */
interface Line extends DeviceLine {
  index: number;
  belongings: readonly Belonging[] | null;
}

/** City and devices as of any block, so that a replay applies every change at the same place. */
export interface Context {
  readonly metrics: MetricTable;
  /** Which devices network servers may publish for. */
  readonly publishers: Pick<Publishers, 'mayPublish'>;
  /** What decoding needs of earlier messages. */
  readonly past: Pick<PastFacts, 'recall' | 'learn' | 'count'>;
  /** Returns the city of a record; null where it has mistakes, or is in force already. */
  learnCity(seq: number, control: CityControl): CityVersion | null;
  /**
   * Returns what a record changes: nothing where another one brought this version of the registry or a newer one, and
   * of the others only what is not known yet.
   */
  learnDevices(seq: number, control: DevicesControl): { changed: KnownDevice[]; revoked: KnownDevice[] };
  /** Returns the city in force at a block; null before the first. */
  cityAt(seq: number): CityVersion | null;
  /** Returns a device's versions; undefined where it was never registered. */
  line(id: string): DeviceLine | undefined;
  /**
   * Returns the versions of the device that has hardware of this name at a block, or had it last: that of its id, where
   * no device has other hardware.
   */
  lineOfHardware(name: string, seq: number): DeviceLine | undefined;
  /** Returns all devices that are registered at a block. */
  devicesAt(seq: number): KnownDevice[];
  /** Returns what a `devices` block changed, for a consumer that reads it again. */
  devicesIn(seq: number): { changed: KnownDevice[]; revoked: KnownDevice[] };
  /** Writes what was learned, inside a transaction. Call the result after the commit, or it is written again. */
  persist(): () => void;
  /**
   * Forgets the versions that no block after `settled` needs, once every consumer has taken the blocks up to it. Of a
   * revoked device it keeps what it was last.
   */
  prune(settled: number): void;
}

/** Returns the version that is in force at a block. Searches from the newest, which is needed most often. */
export function versionAt(line: DeviceLine, seq: number): DeviceVersion | undefined {
  for (let i = line.versions.length - 1; i >= 0; i--) {
    const version = line.versions[i]!;
    if (version.seq <= seq) return version;
  }
  return undefined;
}

/** Returns the newest city that a state file has; null where it has none, or cannot be read (the engine says why). */
export function newestCity(path: string): CityControl | null {
  if (!existsSync(path)) return null;
  let db: DatabaseSync | null = null;
  try {
    db = new DatabaseSync(path, { readOnly: true });
    const row = db.prepare('select body from context_cities order by seq desc limit 1').get();
    return row === undefined ? null : (JSON.parse(row.body as string) as CityControl);
  } catch {
    return null;
  } finally {
    db?.close();
  }
}

/**
 * Reads the context back from the state file. `parse` returns the city of a folder's files, null where it has mistakes.
 */
export function createContext(db: DatabaseSync, parse: (control: CityControl) => City | null): Context {
  const metrics = createMetricTable(db);
  const publishers = createPublishers(db);
  const past = new PastFacts(db);
  const hardware = new Hardware(db);
  const cities: CityVersion[] = [];
  const lines = new Map<string, Line>();
  let numbered = 0;
  /** Devices with several versions. */
  const changed = new Set<DeviceLine>();
  const unsaved: (() => void)[] = [];
  const saveCity = db.prepare('insert or replace into context_cities values (?, ?)');
  const saveDevice = db.prepare('insert or replace into context_devices values (?, ?, ?, ?)');
  const dropCities = db.prepare('delete from context_cities where seq < ?');
  const dropDevice = db.prepare('delete from context_devices where idx = ? and seq < ?');
  const saveRegistry = db.prepare('insert or replace into context_registry values (1, ?)');
  let registry = Number(db.prepare('select version from context_registry').get()?.version ?? 0);

  function addCity(seq: number, control: CityControl): CityVersion | null {
    const city = parse(control);
    if (city === null) return null;
    const version = { seq, control, city, checks: compileChecks(city, metrics), formats: compileFormats(city) };
    cities.push(version);
    return version;
  }

  function lineOfName(id: string): Line {
    const known = lines.get(id);
    if (known !== undefined) return known;
    const line: Line = { index: -1, id, versions: [], belongings: null };
    lines.set(id, line);
    return line;
  }

  function registered(id: string): Line | undefined {
    const line = lines.get(id);
    return line === undefined || line.versions.length === 0 ? undefined : line;
  }

  function lineOfHardware(name: string, seq: number): DeviceLine | undefined {
    const line = lines.get(name);
    if (line === undefined || line.belongings === null) return line;
    const device = line.belongings.findLast((one) => one.seq <= seq)?.device ?? name;
    const of = registered(device);
    // Hardware of a device that was revoked is nobody's.
    return of !== undefined && versionAt(of, seq)?.known ? of : registered(name);
  }

  function addDevice(seq: number, id: string, device: LearnedDevice | null): DeviceLine {
    const line = lineOfName(id);
    if (line.versions.length === 0) line.index = numbered++;
    const known = device === null ? null : { ...device, index: line.index };
    const calibrations = compileCalibrations(device?.calibrations, metrics);
    if (line.versions.push({ seq, known, city: null, checks: null, calibrations }) > 1) changed.add(line);
    return line;
  }

  function pruneCities(settled: number): void {
    const unneeded = cities.findLastIndex((version) => version.seq <= settled);
    if (unneeded <= 0) return;
    cities.splice(0, unneeded);
    dropCities.run(cities[0]!.seq);
    // A device that no longer sends would keep the city alive that it last sent under.
    for (const { versions } of lines.values()) for (const version of versions) version.city = version.checks = null;
  }

  /** After a device was revoked, its alerts still end with what it was before. */
  function pruneDevices(settled: number): void {
    for (const { index, versions } of changed) {
      const unneeded = versions.findLastIndex(({ seq, known }) => seq <= settled && known !== null);
      if (unneeded <= 0) continue;
      versions.splice(0, unneeded);
      dropDevice.run(index, versions[0]!.seq);
    }
    for (const line of changed) if (line.versions.length === 1) changed.delete(line);
  }

  for (const row of db.prepare('select * from context_cities order by seq').all()) {
    addCity(Number(row.seq), JSON.parse(row.body as string) as CityControl);
  }
  for (const row of db.prepare('select * from context_devices order by idx, seq').all()) {
    addDevice(
      Number(row.seq),
      row.id as string,
      row.body === null ? null : (JSON.parse(row.body as string) as LearnedDevice),
    );
  }

  for (const [name, belongings] of hardware.entries()) lineOfName(name).belongings = belongings;

  function learnHardware(seq: number, name: string, device: string): void {
    const learned = hardware.learn(seq, name, device);
    if (learned === null) return;
    lineOfName(name).belongings = learned.belongings;
    unsaved.push(learned.save);
  }

  /** Learning the same again would be another version of it. */
  function learnDevice(seq: number, id: string, device: LearnedDevice | null): void {
    const line = registered(id);
    if (device !== null) learnHardware(seq, hardwareOf(device), id);
    if (line !== undefined && isSame(line.versions.at(-1)!.known, device, line.index)) return;
    const { index } = addDevice(seq, id, device);
    unsaved.push(() => saveDevice.run(index, seq, id, device === null ? null : JSON.stringify(device)));
  }

  function devicesIn(seq: number): { changed: KnownDevice[]; revoked: KnownDevice[] } {
    const changed: KnownDevice[] = [];
    const revoked: KnownDevice[] = [];
    for (const { versions } of lines.values()) {
      const at = versions.findIndex((version) => version.seq === seq);
      if (at < 0) continue;
      const { known } = versions[at]!;
      const before = versions[at - 1]?.known;
      if (known !== null) changed.push(known);
      else if (before) revoked.push(before);
    }
    return { changed, revoked };
  }

  /**
   * Whether another record brought this version; one without `since` is of a log from before versions were compared.
   */
  function isOld({ version, since }: DevicesControl): boolean {
    if (since === undefined) return false;
    if (version <= registry) return true;
    registry = version;
    unsaved.push(() => saveRegistry.run(version));
    return false;
  }

  return {
    metrics,
    publishers,
    past,
    learnCity(seq, control) {
      if (cities.at(-1)?.control.version === control.version) return null;
      const version = addCity(seq, control);
      if (version !== null) unsaved.push(() => saveCity.run(seq, JSON.stringify(control)));
      return version;
    },
    learnDevices(seq, control) {
      if (isOld(control)) return { changed: [], revoked: [] };
      const suspended = new Set(control.suspended);
      for (const device of control.registered)
        learnDevice(seq, device.id, suspended.has(device.id) ? { ...device, suspended: true } : device);
      for (const { id, uplinks } of control.publishers ?? []) {
        const save = publishers.learn(seq, id, uplinks);
        if (save !== null) unsaved.push(save);
      }
      for (const id of control.revoked) {
        if (registered(id) !== undefined) learnDevice(seq, id, null);
        past.forget(id, seq);
      }
      return devicesIn(seq);
    },
    cityAt: (seq) => cities.findLast((version) => version.seq <= seq) ?? null,
    line: registered,
    lineOfHardware,
    devicesAt: (seq) => [...lines.values()].flatMap((line) => versionAt(line, seq)?.known ?? []),
    devicesIn,
    persist() {
      const metricsSaved = metrics.persist();
      const pastSaved = past.persist();
      const { length } = unsaved;
      for (const save of unsaved) save();
      return () => {
        metricsSaved();
        pastSaved();
        unsaved.splice(0, length);
      };
    },
    prune(settled) {
      pruneCities(settled);
      pruneDevices(settled);
      publishers.prune(settled);
      past.prune(settled);
      hardware.prune(settled);
    },
  };
}

function isSame(known: KnownDevice | null, device: LearnedDevice | null, index: number): boolean {
  if (known === null || device === null) return known === device;
  return JSON.stringify(known) === JSON.stringify({ ...device, index });
}

function createMetricTable(db: DatabaseSync): MetricTable & { persist(): () => void } {
  const ids = db
    .prepare('select id from context_metrics order by idx')
    .all()
    .map((row) => row.id as string);
  const indexes = new Map(ids.map((id, index) => [id, index]));
  let saved = ids.length;
  const save = db.prepare('insert or replace into context_metrics values (?, ?)');
  return {
    indexOf(id) {
      const known = indexes.get(id);
      if (known !== undefined) return known;
      indexes.set(id, ids.length);
      return ids.push(id) - 1;
    },
    idOf: (index) => ids[index]!,
    persist() {
      const { length } = ids;
      for (let index = saved; index < length; index++) save.run(index, ids[index]!);
      return () => {
        saved = length;
      };
    },
  };
}
