import {
  type Block,
  DEVICE_ID,
  type DeviceSaid,
  enrols,
  hardwareOf,
  type KnownDevice,
  type Rejection,
  type ReplayControl,
  type ReplayItem,
} from '../domain/index.ts';
import { walkRecords } from '../journal/index.ts';
import { type Account, Accounts, type Route } from './accounts.ts';
import type { Calibrations } from './calibrations.ts';
import type { ProfileChecks } from './checks.ts';
import { type CityVersion, type Context, type DeviceVersion, versionAt } from './context.ts';
import { type Decoded, decodePayload, native, type RawReading } from './decode/index.ts';
import type { Dedupe, Deduped } from './dedupe.ts';
import { keepOnly, membersOf, namedIn, pathsAgain, type ReplayEntry, refusedAgain } from './members.ts';
import { MessagePast } from './message-past.ts';
import {
  createColumns,
  emptyTally,
  type Outcome,
  pushReading,
  type Refusal,
  type Replayed,
  type Tally,
  type TypedColumns,
} from './outcome.ts';
import { newestOf, timeOf } from './reading-times.ts';
import {
  foreignTo,
  refusalOf,
  refuse,
  refusedFor,
  replacedHardware,
  suspended,
  unknownDevice,
  unknownProfile,
} from './refusals.ts';
import { type Members, summaryOf } from './summary.ts';
import { Checked, checkReading, type OfDevice } from './validate.ts';

/** How a block is read. */
interface Pass {
  /** Whether it is read for the first time: only then are its keys recorded. */
  readonly fresh: boolean;
  /** Number of the oldest message whose keys still count. */
  readonly horizon: number;
}

/** Of one block; a gateway asks again with the next message. */
const MOST_ENROLLED = 100;

/** The outcome of one block while it is built. */
interface Draft extends Pass, Deduped {
  readonly seq: number;
  /** Steady time of the block, ms. */
  readonly steadyMs: number;
  readonly city: CityVersion | null;
  readonly tallies: Tally[];
  refusals: Refusal[];
  readonly said: DeviceSaid[];
  readonly faults: TypedColumns;
  /** Accounts of devices that only the payload names. */
  readonly named: Map<string, Account>;
  /** Devices that gateways ask for. */
  readonly enrolled: Set<string>;
  /** Of a replay: what it counts for devices that rows of a replayed message name, beside that of its entry. */
  readonly others: Tally[];
  /** Filled by validation. */
  readonly texts: Map<number, string>;
}

/** The current message; one object is reused for a whole block. */
interface Current {
  topic: string;
  /** The name of a format that the city declares. */
  declared: string | null;
  payload: Buffer;
  receivedAt: number;
  /** Number of the message; for a replay, the number it had when it first came. */
  position: number;
  /** The same; for a replay, the number of the replay. */
  at: number;
}

/** A device that may take readings. */
interface Known {
  /** As the message names it: by its hardware, or by its id. */
  readonly name: string;
  readonly checks: ProfileChecks;
  readonly known: KnownDevice;
  readonly calibrations: Calibrations;
}

/** A decoded message; `device` is null where its rows name several. */
interface Opened {
  readonly decoded: Decoded;
  readonly device: Known | null;
}

/** A message that is replayed. */
interface Replaying {
  readonly route: Route;
  readonly current: Current;
  readonly opened: Opened | Rejection;
  /** Number of the replay. */
  readonly position: number;
  /** Its raw readings by path. */
  byPath: ReadonlyMap<string, readonly RawReading[]>;
}

/** Reads the messages of a block. Each one is decoded, validated and deduplicated, in this order. */
export class BlockReader {
  readonly #context: Context;
  readonly #accounts: Accounts;
  readonly #dedupe: Dedupe;
  readonly #checked = new Checked();
  readonly #past: MessagePast;
  /** The copy of the newest refused message, for all of its refusals. */
  #copied: { readonly of: Buffer; readonly raw: Buffer } | null = null;

  constructor(context: Context, dedupe: Dedupe) {
    this.#context = context;
    this.#accounts = new Accounts(context);
    this.#dedupe = dedupe;
    this.#past = new MessagePast(context.past, (message, device) => {
      const line = context.line(device);
      return line !== undefined && this.#accounts.mayPublish(message, device, line, message.seq);
    });
  }

  /** Reads a `messages` block. */
  messages(block: Block, pass: Pass): Outcome {
    const body = Buffer.from(block.body.buffer, block.body.byteOffset, block.body.byteLength);
    const out = this.#draftOf(block, pass);
    let position = block.first;
    const resolve = (identity: string, topic: string): Route => {
      const route = this.#accounts.routeOf(identity, topic, out);
      out.tallies.push(route.tally);
      return route;
    };
    const current: Current = { topic: '', declared: null, payload: body, receivedAt: 0, position: 0, at: 0 };
    walkRecords(body, resolve, (route, from, to, receivedAt) => {
      current.topic = route.topic;
      current.declared = route.declared;
      current.payload = body.subarray(from, to);
      current.receivedAt = receivedAt;
      current.at = position;
      current.position = position++;
      this.#readMessage(out, route, current);
    });
    return outcomeOf(block, out, []);
  }

  /** Reads a `replay` block: quarantined messages again, of each only what is still in quarantine. */
  replay(block: Block, pass: Pass): Outcome {
    const out = this.#draftOf(block, pass);
    const { items } = JSON.parse(Buffer.from(block.body).toString('utf8')) as ReplayControl;
    const replays = items.flatMap((item, i) => this.#replayItem(out, item, block.first + i));
    out.refusals = [];
    return outcomeOf(block, { ...out, tallies: out.others }, replays);
  }

  #readMessage(out: Draft, route: Route, current: Current): void {
    const account = this.#accounts.of(out, route, current.payload);
    const { tally } = account;
    const opened = this.#open(out, account, route, current);
    if ('reason' in opened) {
      tally.quarantined++;
      refuse(out, [opened], 'message', account, current, this.#copyOf(current.payload));
      return;
    }
    tally.decoded++;
    const { decoded, device } = opened;
    if (route.format === native) noteClock(tally, decoded, current.receivedAt);
    if (device === null) this.#checked.rejections.push(...decoded.rejections);
    else {
      if (decoded.said !== undefined) out.said.push(decoded.said(device.known.id));
      const several = decoded.readings.length > 1;
      this.#dedupe.begin(device.known, { position: current.position, horizon: out.horizon, fresh: out.fresh, several });
      this.#checkUplink(decoded, device, current);
      this.#takeReadings(out, device, decoded, current, tally);
    }
    this.#refuseReadings(out, account, current, tally);
    this.#takeOthers(out, route, device, decoded.readings, current);
  }

  /** Finds the device and decodes the payload. Returns a rejection where the whole message is refused. */
  #open(out: Draft, account: Account, route: Route, current: Current): Opened | Rejection {
    const { format } = route;
    if (format === null) {
      return { reason: 'unknown-topic', path: '$', detail: `no format is known for ${current.topic}` };
    }
    const device = this.#knownOf(out, account);
    if ('reason' in device) {
      if (account.foreign) this.#asksFor(out, route.identity, account.device);
      if (device.reason !== 'unknown-device' || format.deviceOf === undefined) return device;
      // Where the payload should name the device and does not, the decoder's own fault is more precise.
      const decoded = decodePayload(format, current.payload, current.receivedAt);
      if ('reason' in decoded) return decoded;
      const names = new Set(decoded.readings.map((one) => one.device));
      if (names.size > 1) return { decoded, device: null };
      return decoded.readings.length === 0 ? (decoded.rejections[0] ?? device) : device;
    }
    const codec = device.checks.codecOf?.(hardwareOf(device.known), out.steadyMs) ?? null;
    const past = this.#past.of({
      ...{ topic: current.topic, identity: route.identity, device: device.known.id, devEui: device.known.devEui },
      ...{ seq: out.seq, at: current.at, position: current.position, fresh: out.fresh },
    });
    const decoded = decodePayload(format, current.payload, current.receivedAt, codec, past);
    return 'reason' in decoded ? decoded : { decoded, device };
  }

  /** Notes a device that nobody ever registered, and that the profile of the gateway enrols. The engine decides. */
  #asksFor(out: Draft, identity: string, device: string): void {
    const gateway = this.#context.line(identity);
    const profile = gateway === undefined ? undefined : versionAt(gateway, out.seq)?.known?.profile;
    const rule = out.city?.city.profiles.get(profile ?? '')?.enrol;
    if (rule === undefined || !enrols(rule, device) || !DEVICE_ID.test(device)) return;
    const line = this.#context.line(device);
    if (line !== undefined && versionAt(line, out.seq) !== undefined) return;
    if (out.enrolled.size >= MOST_ENROLLED || out.enrolled.has(device)) return;
    out.enrolled.add(device);
    out.said.push({ device: identity, enrol: device });
  }

  /** Finds a device and what it measures. Returns a rejection where it may not take readings of the sender. */
  #knownOf(out: Draft, account: Account): Known | Rejection {
    if (account.foreign) return foreignTo(account.holder, account.device);
    const version = account.line === undefined ? undefined : versionAt(account.line, out.seq);
    const known = version?.known ?? null;
    if (known === null) return unknownDevice(account.device);
    if (known.suspended) return suspended(known.id);
    const { hardware } = account;
    if (hardware !== null && hardware !== hardwareOf(known)) return replacedHardware(known, hardware);
    const checks = checksOf(version!, known, out.city);
    if (checks === null) return unknownProfile(known.profile);
    return { name: hardware ?? known.id, checks, known, calibrations: version!.calibrations };
  }

  #checkUplink({ uplink, readings }: Decoded, { checks, known: { devEui } }: Known, { receivedAt }: Current): void {
    if (uplink === undefined) return;
    const ts = readings.length === 0 ? null : timeOf(readings[0]!, checks, receivedAt);
    // Other hardware counts its frames anew.
    this.#dedupe.uplink(devEui === undefined ? uplink : `${devEui} ${uplink}`, ts ?? receivedAt);
  }

  /** Validates the readings and passes the good values to the dedupe. */
  #takeReadings(out: Draft, device: Known, decoded: Decoded, current: Current, tally: Tally): void {
    const { name, checks, known } = device;
    const checked = this.#checked;
    const ofDevice = appliedTo(device, decoded.readings, current);
    for (const rejection of decoded.rejections) checked.rejections.push(rejection);
    for (const raw of decoded.readings) {
      if (raw.device !== undefined && raw.device !== name) continue;
      checkReading(raw, checks, current.receivedAt, checked, ofDevice);
      if (checked.length > 0) this.#dedupe.take(known, checked, tally, out);
      if (this.#dedupe.isRepeated) continue;
      for (const faults of checked.faulty) pushReading(out.faults, known, faults, checked.ts, 1);
    }
  }

  /**
   * Takes the readings that name other devices than that of the message, each for its own device. `again`: the number
   * of the replay, where they come again.
   */
  #takeOthers(
    out: Draft,
    route: Route,
    own: Known | null,
    all: readonly RawReading[],
    current: Current,
    again: number | null = null,
  ): void {
    const others = all.filter(({ device }) => device !== undefined && device !== own?.name);
    if (others.length === 0) return;
    // A device publishes for itself and those under it: whom else it names is one refusal.
    const isDevice = this.#accounts.isDevice(route.identity, out.seq);
    const ofOne = (device: string) => (isDevice && !this.#accounts.speaksFor(route, device, out.seq) ? '' : device);
    for (const readings of Map.groupBy(others, ({ device }) => ofOne(device!)).values()) {
      const account = this.#accounts.named(out, route, readings[0]!.device!);
      const tally = again === null ? account.tally : emptyTally(account.tally.device);
      if (again !== null) out.others.push(tally);
      const found = this.#knownOf(out, account);
      if ('reason' in found) this.#checked.rejections = readings.flatMap((one) => refusedFor(one, found));
      else {
        this.#begin(out, found, again ?? current.position);
        this.#takeReadings(out, found, { readings, rejections: [] }, current, tally);
      }
      this.#refuseReadings(out, account, current, tally);
    }
    // Other entries of the message may follow.
    if (again !== null && own !== null) this.#begin(out, own, again);
  }

  /** The next readings are of this device, and of a message with several. */
  #begin({ horizon, fresh }: Draft, { known }: Known, position: number, accepted = false): void {
    this.#dedupe.begin(known, { position, horizon, fresh, several: true, accepted });
  }

  #refuseReadings(out: Draft, account: Account, current: Current, tally: Tally): void {
    const { rejections } = this.#checked;
    if (rejections.length === 0) return;
    tally.refused += rejections.length;
    refuse(out, rejections, 'reading', account, current, this.#copyOf(current.payload));
    this.#checked.rejections = [];
  }

  #copyOf(payload: Buffer): Buffer {
    if (this.#copied?.of !== payload) this.#copied = { of: payload, raw: Buffer.from(payload) };
    return this.#copied.raw;
  }

  #replayItem(out: Draft, item: ReplayItem, position: number): Replayed[] {
    const { topic, receivedAt } = item;
    const resolved = this.#accounts.routeOf(item.device, topic, out);
    const current: Current = {
      topic,
      declared: resolved.declared,
      payload: Buffer.from(item.payload, 'base64'),
      receivedAt,
      position: item.position,
      at: position,
    };
    const route: Route = { ...resolved, ...this.#accounts.of(out, resolved, current.payload, item.device) };
    const opened = this.#open(out, route, route, current);
    const replayed: Replaying = { route, current, opened, position, byPath: new Map() };
    if (!('reason' in opened)) {
      if (opened.device !== null) this.#begin(out, opened.device, position, item.position < 0);
      replayed.byPath = Map.groupBy(opened.decoded.readings, ({ path }) => path);
    }
    return item.entries.map((entry) => this.#replayEntry(out, replayed, item, entry));
  }

  /** Replays one entry of the quarantine: the whole message, or the readings of it that the entry stands for. */
  #replayEntry(out: Draft, replayed: Replaying, item: ReplayItem, entry: ReplayEntry): Replayed {
    const { route, current, opened, position } = replayed;
    const { scope, count = 1 } = entry;
    const tally = emptyTally(route.device);
    out.refusals = [];
    if ('reason' in opened) {
      if (scope === 'message') tally.quarantined++;
      else tally.refused += count;
      const again = scope === 'message' ? summaryOf([opened])[0]! : refusedAgain(opened, entry);
      out.refusals.push(refusalOf(again, scope, route, current, current.payload));
    } else if (scope === 'message') {
      tally.decoded++;
      const { decoded, device } = opened;
      if (device === null) this.#checked.rejections.push(...decoded.rejections);
      else {
        if (decoded.said !== undefined)
          out.said.push({ ...decoded.said(device.known.id), replayedMs: current.receivedAt });
        this.#checkUplink(decoded, device, current);
        this.#takeReadings(out, device, decoded, current, tally);
      }
      this.#refuseReadings(out, route, current, tally);
      this.#takeOthers(out, route, device, decoded.readings, current, position);
    } else {
      this.#takeMembers(out, opened, replayed, membersOf(entry), tally);
      this.#refuseReadings(out, route, current, tally);
    }
    return {
      id: `${item.position}-${entry.ordinal}`,
      device: item.device,
      holder: route.line === undefined || route.foreign ? null : route.device,
      scope,
      count,
      tally,
      refusals: out.refusals,
    };
  }

  /** Takes the readings that an entry stands for, and no others: those were counted when the message first came. */
  #takeMembers(
    out: Draft,
    opened: Opened,
    { byPath, current, route, position }: Replaying,
    members: Members,
    tally: Tally,
  ): void {
    const checked = this.#checked;
    const { rejections, readings } = pathsAgain(opened.decoded, members.paths);
    const found = [...rejections];
    if (opened.device === null) {
      this.#takeOthers(out, route, null, readings, current, position);
      const unknown = unknownDevice(route.device);
      for (const { fields, among } of namedIn(members.readings, byPath)) {
        for (const raw of among) found.push(...refusedFor(raw, unknown, fields));
      }
      checked.rejections = found;
      return;
    }
    const { name, checks, known } = opened.device;
    const ofDevice = appliedTo(opened.device, opened.decoded.readings, current);
    for (const { fields, among } of [{ fields: null, among: readings }, ...namedIn(members.readings, byPath)]) {
      for (const raw of among) {
        if (raw.device !== undefined && raw.device !== name) {
          if (fields !== null) found.push(...refusedFor(raw, foreignTo(known.id, raw.device), fields));
          continue;
        }
        checkReading(raw, checks, current.receivedAt, checked, ofDevice);
        if (fields !== null) keepOnly(checked, raw.path, fields);
        for (const rejection of checked.rejections) found.push(rejection);
        checked.rejections = [];
        if (checked.length > 0) this.#dedupe.take(known, checked, tally, out);
      }
    }
    checked.rejections = found;
  }

  #draftOf(block: Block, pass: Pass): Draft {
    const texts = new Map<number, string>();
    this.#checked.texts = texts;
    return {
      texts,
      ...pass,
      seq: block.seq,
      steadyMs: block.steadyAt,
      city: this.#context.cityAt(block.seq),
      readings: createColumns(block.count * 3),
      replaced: createColumns(0),
      faults: createColumns(0),
      tallies: [],
      refusals: [],
      said: [],
      named: new Map(),
      others: [],
      enrolled: new Set(),
    };
  }
}

const NOT_CONTROL = {
  ...{ city: null, devices: null, rule: null, actions: null, clock: null },
  ...{ notices: null, progress: null, imported: null },
} as const;

function outcomeOf({ body: _, ...block }: Block, out: Draft, replays: readonly Replayed[]): Outcome {
  const { fresh, readings, replaced, faults, tallies, refusals, said } = out;
  const texts = out.texts.size === 0 ? {} : { texts: out.texts };
  return { block, fresh, readings, replaced, faults, ...texts, tallies, refusals, said, replays, ...NOT_CONTROL };
}

/** A larger difference is no clock: the time has another unit. */
const MOST_CLOCK_MS = 1e14;

/** Of a device that gives its own times. */
function noteClock(tally: Tally, { readings }: Decoded, receivedAt: number): void {
  if (readings[0]?.ts === undefined && readings.length < 2) return;
  const newest = newestOf(readings);
  if (newest !== null && Math.abs(newest - receivedAt) < MOST_CLOCK_MS) tally.clockMs = newest - receivedAt;
}

/** Only a message of a profile with `clock: receipt` is shifted: its newest time becomes that of the receipt. */
function appliedTo(
  { name, checks, calibrations }: Known,
  readings: readonly RawReading[],
  { receivedAt, position }: Current,
): OfDevice {
  // Only the database refused it: it was corrected before.
  if (position < 0) return { calibrations: null, shiftMs: 0 };
  const isOwn = ({ device }: RawReading) => device === undefined || device === name;
  const newest = checks.byReceipt ? newestOf(readings.filter(isOwn)) : null;
  return { calibrations, shiftMs: newest === null ? 0 : receivedAt - newest };
}

/** Returns the checks of a device under a city; null where that does not have its profile. */
export function checksOf(version: DeviceVersion, known: KnownDevice, city: CityVersion | null): ProfileChecks | null {
  if (version.city !== city) {
    version.city = city;
    version.checks = city?.checks.get(known.profile) ?? null;
  }
  return version.checks;
}
