import type { Block, KnownDevice, Rejection, ReplayControl, ReplayItem } from '../domain/index.ts';
import { walkRecords } from '../journal/index.ts';
import { type CityVersion, type Context, type DeviceLine, type DeviceVersion, versionAt } from './context.ts';
import { type Decoded, decodePayload, type Format, formatOf, type RawReading } from './decode/index.ts';
import type { Dedupe, Deduped } from './dedupe.ts';
import { createColumns, emptyTally, type Outcome, type Refusal, type Replayed, type Tally } from './outcome.ts';
import { type Members, type Summary, splitName, summaryOf, unpackMembers } from './summary.ts';
import { Checked, checkReading, type ProfileChecks } from './validate.ts';

/** How a block is read. */
interface Pass {
  /** Whether it is read for the first time: only then are its keys recorded. */
  readonly fresh: boolean;
  /** Number of the oldest message whose keys still count. */
  readonly horizon: number;
}

/** The device of a message, and the tally that counts it. */
interface Account {
  readonly device: string;
  /** Who pays for what is refused. */
  readonly holder: string;
  readonly line: DeviceLine | undefined;
  readonly tally: Tally;
}

interface Route extends Account {
  readonly topic: string;
  readonly format: Format | null;
}

/** The outcome of one block while it is built. */
interface Draft extends Pass, Deduped {
  readonly seq: number;
  readonly city: CityVersion | null;
  readonly tallies: Tally[];
  refusals: Refusal[];
  /** Accounts of devices that only the payload names. */
  readonly named: Map<string, Account>;
}

/** The current message; one object is reused for a whole block. */
interface Current {
  topic: string;
  payload: Buffer;
  receivedAt: number;
  /** Number of the message; for a replay, the number it had when it first came. */
  position: number;
}

interface Opened {
  readonly decoded: Decoded;
  readonly checks: ProfileChecks;
  readonly known: KnownDevice;
}

type ReplayEntry = ReplayItem['entries'][number];

/** A message that is replayed. */
interface Replaying {
  readonly route: Route;
  readonly current: Current;
  readonly opened: Opened | Rejection;
  /** Its raw readings by path. */
  byPath: ReadonlyMap<string, readonly RawReading[]>;
}

/** Reads the messages of a block. Each one is decoded, validated and deduplicated, in this order. */
export class BlockReader {
  readonly #context: Context;
  readonly #dedupe: Dedupe;
  readonly #checked = new Checked();

  constructor(context: Context, dedupe: Dedupe) {
    this.#context = context;
    this.#dedupe = dedupe;
  }

  /** Reads a `messages` block. */
  messages(block: Block, pass: Pass): Outcome {
    const body = Buffer.from(block.body.buffer, block.body.byteOffset, block.body.byteLength);
    const out = this.#draftOf(block, pass);
    let position = block.first;
    const resolve = (identity: string, topic: string): Route => {
      const route = this.#routeOf(identity, topic);
      out.tallies.push(route.tally);
      return route;
    };
    const current: Current = { topic: '', payload: body, receivedAt: 0, position: 0 };
    walkRecords(body, resolve, (route, from, to, receivedAt) => {
      current.topic = route.topic;
      current.payload = body.subarray(from, to);
      current.receivedAt = receivedAt;
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
    return outcomeOf(block, { ...out, tallies: [] }, replays);
  }

  #readMessage(out: Draft, route: Route, current: Current): void {
    const account = this.#accountOf(out, route, current.payload);
    const { tally } = account;
    const opened = this.#open(out, account, route.format, current);
    if ('reason' in opened) {
      tally.quarantined++;
      refuse(out, [opened], 'message', account, current, Buffer.from(current.payload));
      return;
    }
    tally.decoded++;
    const { decoded, known } = opened;
    const several = decoded.readings.length > 1;
    this.#dedupe.begin(known, { position: current.position, horizon: out.horizon, fresh: out.fresh, several });
    if (decoded.uplink !== undefined) this.#dedupe.uplink(decoded.uplink);
    this.#takeReadings(out, opened, current, tally);
    this.#refuseReadings(out, account, current, tally);
  }

  /** Finds the device and decodes the payload. Returns a rejection where the whole message is refused. */
  #open(out: Draft, account: Account, format: Format | null, current: Current): Opened | Rejection {
    if (format === null) {
      return { reason: 'unknown-topic', path: '$', detail: `no format is known for ${current.topic}` };
    }
    const version = account.line === undefined ? undefined : versionAt(account.line, out.seq);
    const known = version?.known ?? null;
    if (known === null) return unknownDevice(account.device, format, current);
    const checks = checksOf(version!, known, out.city);
    if (checks === null) {
      const detail = `profile "${known.profile}" of this device is not in profiles.yaml`;
      return { reason: 'unknown-profile', path: '$', detail };
    }
    const decoded = decodePayload(format, current.payload, current.receivedAt);
    return 'reason' in decoded ? decoded : { decoded, checks, known };
  }

  /** Validates the readings and passes the good values to the dedupe. */
  #takeReadings(out: Draft, opened: Opened, current: Current, tally: Tally): void {
    const { decoded, checks, known } = opened;
    const checked = this.#checked;
    for (const rejection of decoded.rejections) checked.rejections.push(rejection);
    for (const raw of decoded.readings) {
      checkReading(raw, checks, current.receivedAt, checked);
      if (checked.length > 0) this.#dedupe.take(known, checked, tally, out);
    }
  }

  #refuseReadings(out: Draft, account: Account, current: Current, tally: Tally): void {
    const { rejections } = this.#checked;
    if (rejections.length === 0) return;
    tally.refused += rejections.length;
    // One copy for all refusals of the message.
    refuse(out, rejections, 'reading', account, current, Buffer.from(current.payload));
    this.#checked.rejections = [];
  }

  #replayItem(out: Draft, item: ReplayItem, position: number): Replayed[] {
    const { topic, receivedAt } = item;
    const current: Current = {
      topic,
      payload: Buffer.from(item.payload, 'base64'),
      receivedAt,
      position: item.position,
    };
    const resolved = this.#routeOf(item.device, topic);
    const route: Route = { ...resolved, ...this.#accountOf(out, resolved, current.payload) };
    const opened = this.#open(out, route, route.format, current);
    const replayed: Replaying = { route, current, opened, byPath: new Map() };
    if (!('reason' in opened)) {
      const { horizon, fresh } = out;
      this.#dedupe.begin(opened.known, { position, horizon, fresh, several: true, accepted: item.position < 0 });
      replayed.byPath = Map.groupBy(opened.decoded.readings, ({ path }) => path);
    }
    return item.entries.map((entry) => this.#replayEntry(out, replayed, item, entry));
  }

  /** Replays one entry of the quarantine: the whole message, or the readings of it that the entry stands for. */
  #replayEntry(out: Draft, replayed: Replaying, item: ReplayItem, entry: ReplayEntry): Replayed {
    const { route, current, opened } = replayed;
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
      if (opened.decoded.uplink !== undefined) this.#dedupe.uplink(opened.decoded.uplink);
      this.#takeReadings(out, opened, current, tally);
      this.#refuseReadings(out, route, current, tally);
    } else {
      this.#takeMembers(out, opened, replayed, membersOf(entry), tally);
      this.#refuseReadings(out, route, current, tally);
    }
    return {
      id: `${item.position}-${entry.ordinal}`,
      device: item.device,
      scope,
      count,
      tally,
      refusals: out.refusals,
    };
  }

  /** Takes the readings that an entry stands for, and no others: those were counted when the message first came. */
  #takeMembers(out: Draft, opened: Opened, { byPath, current }: Replaying, members: Members, tally: Tally): void {
    const { checks, known } = opened;
    const checked = this.#checked;
    const { rejections, readings } = pathsAgain(opened.decoded, members.paths);
    const found = [...rejections];
    for (const { fields, among } of [{ fields: null, among: readings }, ...named(members.readings, byPath)]) {
      for (const raw of among) {
        checkReading(raw, checks, current.receivedAt, checked);
        if (fields !== null) keepOnly(checked, raw.path, fields);
        for (const rejection of checked.rejections) found.push(rejection);
        checked.rejections = [];
        if (checked.length > 0) this.#dedupe.take(known, checked, tally, out);
      }
    }
    checked.rejections = found;
  }

  #routeOf(identity: string, topic: string): Route {
    const { device, format } = formatOf(identity, topic);
    const line = this.#context.line(device);
    return { device, holder: line === undefined ? identity : device, topic, line, format, tally: emptyTally(device) };
  }

  #accountOf(out: Draft, route: Route, payload: Buffer): Account {
    const device = route.format?.deviceOf?.(payload) ?? null;
    if (device === null) return route;
    let account = out.named.get(device);
    if (account === undefined) {
      const line = this.#context.line(device);
      account = { device, holder: line === undefined ? route.holder : device, line, tally: emptyTally(device) };
      out.tallies.push(account.tally);
      out.named.set(device, account);
    }
    return account;
  }

  #draftOf(block: Block, pass: Pass): Draft {
    return {
      ...pass,
      seq: block.seq,
      city: this.#context.cityAt(block.seq),
      readings: createColumns(block.count * 3),
      replaced: createColumns(0),
      tallies: [],
      refusals: [],
      named: new Map(),
    };
  }
}

const NOT_CONTROL = { city: null, devices: null, rule: null, actions: null } as const;

function outcomeOf({ body: _, ...block }: Block, out: Draft, replays: readonly Replayed[]): Outcome {
  const { fresh, readings, replaced, tallies, refusals } = out;
  return { block, fresh, readings, replaced, tallies, refusals, replays, ...NOT_CONTROL };
}

/** The readings that an entry stands for. */
function membersOf({ reading, path, members }: ReplayEntry): Members {
  if (members !== undefined) return unpackMembers(Buffer.from(members, 'base64'));
  return reading === null ? { readings: [], paths: [path] } : { readings: [reading], paths: [] };
}

/** An entry that is refused once more because its whole message cannot be read now: it stands for the same readings. */
function refusedAgain(fault: Rejection, entry: ReplayEntry): Summary {
  const { path, detail, reason } = summaryOf([fault])[0]!;
  return { reason, path, detail, count: entry.count ?? 1, paths: [path], members: membersOf(entry) };
}

/**
 * Faults of the decoder that an entry stands for: those that it finds again, and, for the others, the readings that it
 * makes now of what is above their paths.
 */
function pathsAgain(decoded: Decoded, paths: readonly string[]): Decoded {
  if (paths.length === 0) return { readings: [], rejections: [] };
  const wanted = new Set(paths);
  const rejections = decoded.rejections.filter(({ path }) => wanted.has(path));
  for (const { path } of rejections) wanted.delete(path);
  const above = new Set([...wanted].flatMap(pathsAbove));
  return { readings: decoded.readings.filter(({ path }) => above.has(path)), rejections };
}

/** A path, and all that end before one of its dots. */
function pathsAbove(path: string): string[] {
  const paths = [path];
  for (let at = path.indexOf('.'); at !== -1; at = path.indexOf('.', at + 1)) paths.push(path.slice(0, at));
  return paths;
}

/** The raw readings in which there are the named readings, and which of their fields these are. */
function named(
  readings: readonly string[],
  byPath: ReadonlyMap<string, readonly RawReading[]>,
): { readonly fields: ReadonlySet<string>; readonly among: readonly RawReading[] }[] {
  const names = Map.groupBy(readings.map(splitName), ([path]) => path);
  return [...names].map(([path, some]) => ({
    fields: new Set(some.map(([, field]) => field)),
    among: byPath.get(path) ?? [],
  }));
}

function keepOnly(checked: Checked, path: string, fields: ReadonlySet<string>): void {
  let kept = 0;
  for (let i = 0; i < checked.length; i++) {
    if (!fields.has(checked.field[i]!)) continue;
    checked.metric[kept] = checked.metric[i]!;
    checked.value[kept] = checked.value[i]!;
    checked.field[kept++] = checked.field[i]!;
  }
  checked.length = kept;
  const isOf = (reading: string) => reading.startsWith(`${path} `) && fields.has(reading.slice(path.length + 1));
  checked.rejections = checked.rejections.filter(({ reading }) => reading !== undefined && isOf(reading));
}

function unknownDevice(device: string, format: Format, current: Current): Rejection {
  // Where the payload should name the device and does not, the decoder's own fault is more precise.
  const decoded = format.deviceOf === undefined ? null : format.decode(current.payload, current.receivedAt);
  if (decoded !== null && 'reason' in decoded) return decoded;
  return {
    reason: 'unknown-device',
    path: '$',
    detail: `no device "${device}" is registered; register it, then replay`,
  };
}

function refuse(
  out: Draft,
  faults: readonly Rejection[],
  scope: Refusal['scope'],
  account: Account,
  current: Current,
  raw: Buffer,
): void {
  for (const summary of summaryOf(faults)) out.refusals.push(refusalOf(summary, scope, account, current, raw));
}

function refusalOf(
  summary: Summary,
  scope: Refusal['scope'],
  { device, holder }: Account,
  { topic, receivedAt, position }: Current,
  raw: Buffer,
): Refusal {
  return { ...summary, scope, device, holder, topic, receivedAt, position, raw };
}

function checksOf(version: DeviceVersion, known: KnownDevice, city: CityVersion | null): ProfileChecks | null {
  if (version.city !== city) {
    version.city = city;
    version.checks = city?.checks.get(known.profile) ?? null;
  }
  return version.checks;
}
