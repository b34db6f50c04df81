import type { DatabaseSync } from 'node:sqlite';
import type {
  City,
  CityControl,
  Device,
  DevicesControl,
  KnownDevice,
  MetricTable,
  RuleControl,
} from '../domain/index.ts';
import type { RoomSchema } from '../store/index.ts';
import { createRuleRecords, RULE_RECORDS_SCHEMA } from './rule-records.ts';
import { compileChecks, type ProfileChecks } from './validate.ts';

/** SQL of what the engine knows besides readings: cities, devices, the API's rules and metric names, by the block that brought them. */
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
  ],
};

/** The city as it stood from one block on. */
export interface CityVersion {
  readonly seq: number;
  readonly control: CityControl;
  readonly city: City;
  readonly checks: ReadonlyMap<string, ProfileChecks>;
}

/** A device as it stood from one block on; `known` is null once it was revoked. */
export interface DeviceVersion {
  readonly seq: number;
  readonly known: KnownDevice | null;
  /** Its profile's checks, kept beside it for the city they came from. */
  city: CityVersion | null;
  checks: ProfileChecks | null;
}

/** One device over time; `versions` are in the order of their blocks. */
export interface DeviceLine {
  readonly index: number;
  readonly id: string;
  readonly versions: DeviceVersion[];
}

/** What the engine knows of city, devices and the API's rules at any block: a replay meets every change at the same place. */
export interface Context {
  readonly metrics: MetricTable;
  learnCity(seq: number, control: CityControl): CityVersion | null;
  learnDevices(seq: number, control: DevicesControl): { changed: KnownDevice[]; revoked: KnownDevice[] };
  learnRule(seq: number, control: RuleControl): RuleControl;
  /** The city in force at a block; null before the first. */
  cityAt(seq: number): CityVersion | null;
  /** The device's versions, or undefined where no such device was ever registered. */
  line(id: string): DeviceLine | undefined;
  /** All devices registered at a block. */
  devicesAt(seq: number): KnownDevice[];
  /** What a `devices` block changed, for those who meet it again. */
  devicesIn(seq: number): { changed: KnownDevice[]; revoked: KnownDevice[] };
  /** The API's rules that were there at a block, in order of id. */
  rulesAt(seq: number): RuleControl[];
  /** What a `rule` block changed, for those who meet it again. */
  ruleIn(seq: number): RuleControl | null;
  /** Writes what was learned, inside a transaction; call the answer once that is committed, or it is written again. */
  persist(): () => void;
}

/** The version in force at a block, the newest first since that is what is asked for. */
export function versionAt(line: DeviceLine, seq: number): DeviceVersion | undefined {
  for (let i = line.versions.length - 1; i >= 0; i--) {
    const version = line.versions[i]!;
    if (version.seq <= seq) return version;
  }
  return undefined;
}

/** Reads the context back from the state file and goes on from there. `parse` makes a city of its folder's files, or null. */
export function createContext(db: DatabaseSync, parse: (control: CityControl) => City | null): Context {
  const metrics = createMetricTable(db);
  const rules = createRuleRecords(db);
  const cities: CityVersion[] = [];
  const lines = new Map<string, DeviceLine>();
  const unsaved: (() => void)[] = [];
  const saveCity = db.prepare('insert or replace into context_cities values (?, ?)');
  const saveDevice = db.prepare('insert or replace into context_devices values (?, ?, ?, ?)');

  function addCity(seq: number, control: CityControl): CityVersion | null {
    const city = parse(control);
    if (city === null) return null;
    const version = { seq, control, city, checks: compileChecks(city, metrics) };
    cities.push(version);
    return version;
  }

  function addDevice(seq: number, id: string, device: Device | null): DeviceLine {
    let line = lines.get(id);
    if (line === undefined) {
      line = { index: lines.size, id, versions: [] };
      lines.set(id, line);
    }
    const known = device === null ? null : { ...device, index: line.index };
    line.versions.push({ seq, known, city: null, checks: null });
    return line;
  }

  for (const row of db.prepare('select * from context_cities order by seq').all()) {
    addCity(Number(row.seq), JSON.parse(row.body as string) as CityControl);
  }
  for (const row of db.prepare('select * from context_devices order by idx, seq').all()) {
    addDevice(Number(row.seq), row.id as string, row.body === null ? null : (JSON.parse(row.body as string) as Device));
  }

  function learnDevice(seq: number, id: string, device: Device | null): void {
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

  return {
    metrics,
    learnCity(seq, control) {
      const version = addCity(seq, control);
      if (version !== null) unsaved.push(() => saveCity.run(seq, JSON.stringify(control)));
      return version;
    },
    learnDevices(seq, control) {
      for (const device of control.registered) learnDevice(seq, device.id, device);
      for (const id of control.revoked) if (lines.has(id)) learnDevice(seq, id, null);
      return devicesIn(seq);
    },
    learnRule(seq, control) {
      unsaved.push(rules.learn(seq, control));
      return control;
    },
    rulesAt: (seq) => rules.at(seq),
    ruleIn: (seq) => rules.in(seq),
    cityAt: (seq) => cities.findLast((version) => version.seq <= seq) ?? null,
    line: (id) => lines.get(id),
    devicesAt: (seq) => [...lines.values()].flatMap((line) => versionAt(line, seq)?.known ?? []),
    devicesIn,
    persist() {
      const metricsSaved = metrics.persist();
      const { length } = unsaved;
      for (const save of unsaved) save();
      return () => {
        metricsSaved();
        unsaved.splice(0, length);
      };
    },
  };
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
