import type { DatabaseSync } from 'node:sqlite';
import {
  type Calibration,
  type Device,
  DeviceSchema,
  type Enrolment,
  hardwareOf,
  isoOf,
  LamppostError,
  MOST_CALIBRATIONS,
  type NewCalibration,
  REGISTRY_REFUSALS,
} from '../domain/index.ts';
import { type DeviceRow, deviceOf, type RegisteredDevice } from './rows.ts';
import { type HashText, hashBytes, type RecordPlace, type RegistryState } from './state.ts';

/** A device, and the SHA-256 of its secret, base64url. */
export type HashedDevice = Device & { readonly hash: HashText };

/** A change of a device, as a merge patch (RFC 7396): null removes what may be absent. */
export interface DeviceChange {
  readonly profile?: string | undefined;
  readonly district?: string | undefined;
  readonly name?: string | null | undefined;
  readonly location?: Device['location'] | null | undefined;
  readonly gateway?: string | null | undefined;
  readonly asset?: string | null | undefined;
  readonly tags?: Readonly<Record<string, string | null>> | null | undefined;
}

/** A change of a device by which other hardware takes its place. */
export interface DeviceReplacement extends DeviceChange {
  /** The DevEUI of the new hardware; null: the id of the device; absent: as it is. */
  readonly devEui?: string | null | undefined;
}

/** A new secret, and how long the one before stays valid. */
export interface Rotation {
  readonly hash: HashText;
  /** Epoch ms; null: the old one ends at once. */
  readonly oldUntilMs: number | null;
}

/** A device that the registry's own file had before its rows were records of the log. */
export interface TakenDevice {
  readonly device: Device;
  readonly hash: HashText;
  readonly registeredMs: number;
  readonly revoked: boolean;
  /** Whether a `devices` block of the log has it as it is. */
  readonly logged: boolean;
}

/** No text is known of which this is the SHA-256. */
const NO_SECRET: HashText = Buffer.alloc(32).toString('base64url');

const INSERT = `insert or replace into registry_devices
  values (:id, :body, :hash, null, null, 0, :registeredMs, null, :version, :changed, :revoked)`;

/**
 * Changes devices at their place in the log. The caller holds the transaction and undoes it where one of these throws:
 * `conflict`, `not-found`, `precondition`, `invalid`.
 */
export class DeviceRecords {
  readonly #state: RegistryState;
  readonly #sql: ReturnType<typeof statementsOf>;

  constructor(db: DatabaseSync, state: RegistryState) {
    this.#state = state;
    this.#sql = statementsOf(db);
  }

  /** Registers all or none. */
  register(devices: readonly HashedDevice[], at: RecordPlace): void {
    const taken = devices.map(({ id }) => id).filter((id) => this.#state.isTaken(id));
    if (taken.length > 0) throw takenIds(taken);
    for (const { hash, ...asked } of devices) {
      const device = withoutOwnEui(asked);
      // Twice in one record: the first one is there by now.
      if (this.#state.isTaken(device.id)) throw takenIds([device.id]);
      this.#requireFree(device);
      const version = Number(this.#sql.one.get(device.id)?.version ?? 0) + 1;
      const given = { id: device.id, body: JSON.stringify(device), hash: hashBytes(hash), version };
      this.#sql.insert.run({ ...given, registeredMs: at.atMs, changed: at.seq, revoked: 0 });
    }
    this.#state.changedAt(at.seq);
  }

  /**
   * Registers a device under a gateway that published for it, in the gateway's district and place. It has no secret
   * that anybody knows. Returns false where the id is not free, or was that of a device, and where the gateway has
   * enough.
   */
  enrol(gateway: string, id: string, { profile, most }: Enrolment, at: RecordPlace): boolean {
    const row = this.#sql.one.get(gateway) as DeviceRow | undefined;
    if (row === undefined || row.revoked === 1 || this.#sql.one.get(id) !== undefined || this.#state.isTaken(id))
      return false;
    if (this.#sql.byEui.get(id) !== undefined) return false;
    if (Number(this.#sql.under.get(gateway)!.n) >= most) return false;
    const { district, location } = JSON.parse(row.body) as Device;
    const where = location === undefined ? {} : { location };
    this.register([{ id, profile, district, gateway, ...where, hash: NO_SECRET }], at);
    return true;
  }

  /** `expected`: the version that the caller saw; undefined: any. */
  change(id: string, expected: number | undefined, change: DeviceChange, at: RecordPlace): RegisteredDevice {
    const row = this.#row(id, expected);
    this.#sql.setBody.run(JSON.stringify(changedDevice(row, change)), id);
    return this.#changed(id, at);
  }

  rotate(id: string, { hash, oldUntilMs }: Rotation, at: RecordPlace): RegisteredDevice {
    const row = this.#row(id);
    const keepsOld = oldUntilMs !== null && oldUntilMs > at.atMs;
    this.#sql.setHash.run(hashBytes(hash), keepsOld ? row.hash : null, keepsOld ? oldUntilMs : null, id);
    this.#sql.dropClaim.run(id);
    return this.#changed(id, at);
  }

  /** Ends the old secret before its time: the device has the new one. Nothing happens where there is no old one. */
  confirm(id: string, at: RecordPlace): RegisteredDevice {
    if (this.#row(id).old_hash === null) return this.#get(id);
    this.#sql.dropOld.run(id);
    return this.#changed(id, at);
  }

  suspend(id: string, suspended: boolean, at: RecordPlace): RegisteredDevice {
    if ((this.#row(id).suspended === 1) === suspended) return this.#get(id);
    this.#sql.setSuspended.run(suspended ? 1 : 0, id);
    return this.#changed(id, at);
  }

  /** Adds a calibration, from `calibration.from` or from now on. Of several for one time the newest counts. */
  calibrate(id: string, calibration: NewCalibration, by: string, at: RecordPlace): RegisteredDevice {
    const device = JSON.parse(this.#row(id).body) as Device;
    const before = device.calibrations ?? [];
    if (before.length >= MOST_CALIBRATIONS) {
      throw new LamppostError('limit', `device "${id}" has ${MOST_CALIBRATIONS} calibrations; remove one first`);
    }
    const calibrations = [...before, madeAt(calibration, by, at)];
    this.#sql.setBody.run(JSON.stringify({ ...device, calibrations }), id);
    return this.#changed(id, at);
  }

  /** Removes a calibration: readings that come from now on are corrected without it. */
  uncalibrate(id: string, calibration: string, at: RecordPlace): RegisteredDevice {
    const { calibrations = [], ...device } = JSON.parse(this.#row(id).body) as Device;
    const left = calibrations.filter((one) => one.id !== calibration);
    if (left.length === calibrations.length) {
      throw new LamppostError('not-found', `device "${id}" has no calibration "${calibration}"`);
    }
    const changed = left.length === 0 ? device : { ...device, calibrations: left };
    this.#sql.setBody.run(JSON.stringify(changed), id);
    return this.#changed(id, at);
  }

  /**
   * Other hardware takes the place of a device: it has the id, and with it history and tickets, and a new secret. It
   * has no calibration. With `devEui` it is LoRaWAN hardware, whose messages are those of the device from then on.
   */
  replace(
    id: string,
    expected: number | undefined,
    { hash, change }: { readonly hash: HashText; readonly change: DeviceReplacement },
    at: RecordPlace,
  ): RegisteredDevice {
    const row = this.#row(id, expected);
    const { calibrations: _, ...device } = changedDevice(row, change);
    this.#requireFree(device);
    this.#sql.setBody.run(JSON.stringify(device), id);
    this.#sql.setHash.run(hashBytes(hash), null, null, id);
    this.#sql.setReplaced.run(at.atMs, id);
    this.#sql.dropClaim.run(id);
    return this.#changed(id, at);
  }

  revoke(id: string, at: RecordPlace): void {
    this.#row(id);
    this.#sql.revoke.run(id);
    this.#sql.dropClaim.run(id);
    this.#changed(id, at);
  }

  /** Makes a code of one use, which `claim` takes in place of a key. It replaces the one before. */
  addClaim(id: string, hash: HashText, untilMs: number): void {
    this.#row(id);
    this.#sql.addClaim.run(id, hashBytes(hash), untilMs);
  }

  /** Uses up a claim code: the device gets a new secret, and no other is valid. Throws `forbidden`. */
  claim(id: string, codeHash: HashText, hash: HashText, at: RecordPlace): RegisteredDevice {
    const claim = this.#sql.claim.get(id);
    const isRight =
      claim !== undefined &&
      Number(claim.until_ms) > at.atMs &&
      hashBytes(codeHash).equals(claim.hash as Uint8Array) &&
      this.#sql.one.get(id)?.revoked === 0;
    if (!isRight) {
      const reason = 'wrong-claim-code';
      throw new LamppostError('forbidden', `device "${id}": ${REGISTRY_REFUSALS[reason]}`, { reason });
    }
    return this.rotate(id, { hash, oldUntilMs: null }, at);
  }

  /** Takes over devices of a file from before. What is registered here stays as it is. */
  takeOver(devices: readonly TakenDevice[], at: RecordPlace): void {
    for (const { device, hash, registeredMs, revoked, logged } of devices) {
      if (this.#sql.one.get(device.id) !== undefined) continue;
      const given = { id: device.id, body: JSON.stringify(device), hash: hashBytes(hash), version: 1, registeredMs };
      this.#sql.insert.run({ ...given, changed: logged ? 0 : at.seq, revoked: revoked ? 1 : 0 });
    }
  }

  isDue(nowMs: number): boolean {
    return this.#sql.due.get(nowMs) !== undefined || this.#sql.dueClaim.get(nowMs) !== undefined;
  }

  /** Ends old secrets and claim codes whose time has come. */
  doDue(at: RecordPlace): void {
    for (const { id } of this.#sql.allDue.all(at.atMs)) {
      this.#sql.dropOld.run(id!);
      this.#changed(String(id), at);
    }
    this.#sql.dropClaims.run(at.atMs);
  }

  /** Moves what was promised in durations, where the wall clock was set. */
  stepped(byMs: number): void {
    this.#sql.stepOld.run(byMs);
    this.#sql.stepClaims.run(byMs);
  }

  /** Hardware has one place at a time. Throws `conflict` where it has that of another device. */
  #requireFree(device: Device): void {
    const hardware = hardwareOf(device);
    const named = this.#sql.one.get(hardware) as DeviceRow | undefined;
    const isOwn = named?.revoked === 0 && hardwareOf(JSON.parse(named.body) as Device) === hardware;
    const holder = isOwn ? hardware : (this.#sql.byEui.get(hardware)?.id as string | undefined);
    if (holder === undefined || holder === device.id) return;
    const reason = 'dev-eui-taken';
    const right = 'put other hardware there first (replace), or revoke it';
    const detail = `${hardware} is the hardware of device "${holder}": ${right}`;
    throw new LamppostError('conflict', `${REGISTRY_REFUSALS[reason]}: ${detail}`, { reason });
  }

  #row(id: string, expected?: number): DeviceRow {
    const row = this.#sql.one.get(id) as DeviceRow | undefined;
    if (row === undefined || row.revoked === 1) throw new LamppostError('not-found', `there is no device "${id}"`);
    if (expected !== undefined && expected !== row.version) {
      const reason = 'device-changed';
      const detail = `it is at version ${row.version}, not ${expected}`;
      throw new LamppostError('precondition', `${REGISTRY_REFUSALS[reason]}: ${detail}`, { reason });
    }
    return row;
  }

  #get(id: string): RegisteredDevice {
    return deviceOf(this.#sql.one.get(id) as unknown as DeviceRow);
  }

  #changed(id: string, { seq }: RecordPlace): RegisteredDevice {
    this.#sql.touch.run(seq, id);
    this.#state.changedAt(seq);
    return this.#get(id);
  }
}

function statementsOf(db: DatabaseSync) {
  const set = (what: string) => db.prepare(`update registry_devices set ${what} where id = ?`);
  return {
    one: db.prepare('select * from registry_devices where id = ?'),
    under: db.prepare(
      "select count(*) as n from registry_devices where revoked = 0 and body ->> 'gateway' is not null and body ->> 'gateway' = ?",
    ),
    byEui: db.prepare(
      "select id from registry_devices where revoked = 0 and body ->> 'devEui' is not null and body ->> 'devEui' = ?",
    ),
    insert: db.prepare(INSERT),
    setBody: set('body = ?'),
    setHash: set('hash = ?, old_hash = ?, old_until_ms = ?'),
    dropOld: set('old_hash = null, old_until_ms = null'),
    setSuspended: set('suspended = ?'),
    setReplaced: set('replaced_ms = ?'),
    revoke: set('revoked = 1, suspended = 0, old_hash = null, old_until_ms = null'),
    touch: set('version = version + 1, changed = ?'),
    due: db.prepare('select 1 from registry_devices where old_until_ms <= ? limit 1'),
    allDue: db.prepare('select id from registry_devices where old_until_ms <= ? order by id'),
    stepOld: db.prepare('update registry_devices set old_until_ms = old_until_ms + ? where old_until_ms is not null'),
    addClaim: db.prepare('insert or replace into registry_claims values (?, ?, ?)'),
    claim: db.prepare('select * from registry_claims where device = ?'),
    dropClaim: db.prepare('delete from registry_claims where device = ?'),
    dueClaim: db.prepare('select 1 from registry_claims where until_ms <= ? limit 1'),
    dropClaims: db.prepare('delete from registry_claims where until_ms <= ?'),
    stepClaims: db.prepare('update registry_claims set until_ms = until_ms + ?'),
  };
}

/** Throws `invalid` where it would end before it begins. */
function madeAt(asked: NewCalibration, by: string, { seq, n, atMs }: RecordPlace): Calibration {
  const utc = (time: string) => isoOf(Date.parse(time));
  const from = asked.from === undefined ? isoOf(atMs) : utc(asked.from);
  const until = asked.until === undefined ? null : utc(asked.until);
  if (until !== null && until <= from) {
    throw new LamppostError('invalid', `until (${until}) must be after from (${from})`);
  }
  const { metric, gain = 1, offset = 0, points = null, certificate = null, note = null } = asked;
  const how = { id: `${seq}-${n}`, metric, gain, offset, points, from, until, certificate, note };
  return { ...how, by, at: isoOf(atMs) };
}

function takenIds(taken: readonly string[]): LamppostError {
  const reason = 'id-taken';
  return new LamppostError('conflict', `already registered: ${taken.slice(0, 10).join(', ')}`, { reason });
}

/** The id of a device is the DevEUI of its hardware, unless something else is said. */
function withoutOwnEui<T extends Device>(device: T): T {
  if (device.devEui !== device.id) return device;
  const { devEui: _, ...rest } = device;
  return rest as T;
}

/** Returns the device after a change. Throws `invalid` where it would be none. */
function changedDevice({ body }: DeviceRow, { tags, ...change }: DeviceReplacement): Device {
  const { calibrations, ...before } = JSON.parse(body) as Device;
  const wanted: Record<string, unknown> = { ...before };
  for (const [name, value] of Object.entries(change)) {
    if (value === null) delete wanted[name];
    else if (value !== undefined) wanted[name] = value;
  }
  if (tags === null) delete wanted.tags;
  else if (tags !== undefined) {
    const merged = Object.entries({ ...before.tags, ...tags }).filter(([, value]) => value !== null);
    wanted.tags = Object.fromEntries(merged);
  }
  const parsed = DeviceSchema.safeParse(wanted);
  if (parsed.success) {
    const device = withoutOwnEui(parsed.data as Device);
    return { ...device, ...(calibrations === undefined ? {} : { calibrations }) };
  }
  const [fault] = parsed.error.issues;
  throw new LamppostError('invalid', `device "${before.id}", ${fault!.path.join('.')}: ${fault!.message}`);
}
