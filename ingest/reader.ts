import type { Block, KnownDevice, Rejection, ReplayControl, ReplayItem } from '../domain/index.ts';
import { walkRecords } from '../journal/index.ts';
import { type CityVersion, type Context, type DeviceLine, type DeviceVersion, versionAt } from './context.ts';
import { type Decoded, type Format, formatOf } from './decode/index.ts';
import type { Dedupe, Deduped } from './dedupe.ts';
import { createColumns, emptyTally, type Outcome, type Refusal, type Replayed, type Tally } from './outcome.ts';
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
    const { tally, device } = account;
    const opened = this.#open(out, account, route.format, current);
    if ('reason' in opened) {
      tally.quarantined++;
      out.refusals.push(refusalOf(opened, 'message', device, current, Buffer.from(current.payload)));
      return;
    }
    tally.decoded++;
    const { decoded, known } = opened;
    const several = decoded.readings.length > 1;
    this.#dedupe.begin(known, { position: current.position, horizon: out.horizon, fresh: out.fresh, several });
    if (decoded.uplink !== undefined) this.#dedupe.uplink(decoded.uplink);
    this.#takeReadings(out, opened, current, tally);
    this.#refuseReadings(out, device, current, tally);
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
    const decoded = format.decode(current.payload, current.receivedAt);
    return 'reason' in decoded ? decoded : { decoded, checks, known };
  }

  /** Validates the readings and passes the good values to the dedupe; only the reading `only` where it is given. */
  #takeReadings(out: Draft, opened: Opened, current: Current, tally: Tally, only: string | null = null): void {
    const { decoded, checks, known } = opened;
    const checked = this.#checked;
    for (const rejection of decoded.rejections) checked.rejections.push(rejection);
    for (const raw of decoded.readings) {
      checkReading(raw, checks, current.receivedAt, checked);
      if (only !== null) keepOnly(checked, only, only.slice(raw.path.length + 1));
      if (checked.length > 0) this.#dedupe.take(known, checked, tally, out);
    }
  }

  #refuseReadings(out: Draft, device: string, current: Current, tally: Tally): void {
    const checked = this.#checked;
    if (checked.rejections.length === 0) return;
    // One copy for all refusals: a message may have thousands of faults.
    const raw = Buffer.from(current.payload);
    for (const rejection of checked.rejections) {
      tally.refused++;
      out.refusals.push(refusalOf(rejection, 'reading', device, current, raw));
    }
    checked.rejections = [];
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
    if (!('reason' in opened)) {
      const { horizon, fresh } = out;
      this.#dedupe.begin(opened.known, { position, horizon, fresh, several: true, accepted: item.position < 0 });
    }
    return item.entries.map((entry) => this.#replayEntry(out, route, opened, item, current, entry));
  }

  /** Replays one entry of the quarantine: the whole message, or the one reading of it that was refused. */
  #replayEntry(
    out: Draft,
    route: Route,
    opened: Opened | Rejection,
    item: ReplayItem,
    current: Current,
    entry: ReplayItem['entries'][number],
  ): Replayed {
    const tally = emptyTally(route.device);
    out.refusals = [];
    if ('reason' in opened) {
      if (entry.scope === 'message') tally.quarantined++;
      else tally.refused++;
      out.refusals.push(refusalOf(opened, entry.scope, route.device, current, current.payload));
    } else if (entry.scope === 'message') {
      tally.decoded++;
      if (opened.decoded.uplink !== undefined) this.#dedupe.uplink(opened.decoded.uplink);
      this.#takeReadings(out, opened, current, tally);
      this.#refuseReadings(out, route.device, current, tally);
    } else {
      this.#takeReadings(out, onlyUnder(opened, entry.path, entry.reading), current, tally, entry.reading);
      this.#refuseReadings(out, route.device, current, tally);
    }
    const { device, position } = item;
    return { id: `${position}-${entry.ordinal}`, device, scope: entry.scope, tally, refusals: out.refusals };
  }

  #routeOf(identity: string, topic: string): Route {
    const { device, format } = formatOf(identity, topic);
    return { device, topic, line: this.#context.line(device), format, tally: emptyTally(device) };
  }

  #accountOf(out: Draft, route: Route, payload: Buffer): Account {
    const device = route.format?.deviceOf?.(payload) ?? null;
    if (device === null) return route;
    let account = out.named.get(device);
    if (account === undefined) {
      account = { device, line: this.#context.line(device), tally: emptyTally(device) };
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

function outcomeOf({ body: _, ...block }: Block, out: Draft, replays: readonly Replayed[]): Outcome {
  const { fresh, readings, replaced, tallies, refusals } = out;
  return { block, fresh, readings, replaced, tallies, refusals, replays, city: null, devices: null, rule: null };
}

/**
 * The message reduced to what was refused. A fault that belongs to no single reading covers all readings under its
 * path.
 */
function onlyUnder(opened: Opened, path: string, reading: string | null): Opened {
  const { decoded } = opened;
  if (reading !== null) {
    const readings = decoded.readings.filter(({ path: at }) => reading.startsWith(`${at} `));
    return { ...opened, decoded: { readings, rejections: [] } };
  }
  const under = (one: { path: string }) => path === one.path || path.startsWith(`${one.path}.`);
  const readings = decoded.readings.filter(under);
  const rejections = decoded.rejections.filter((one) => one.path === path);
  return { ...opened, decoded: { readings, rejections } };
}

function keepOnly(checked: Checked, reading: string, field: string): void {
  const at = checked.field.indexOf(field);
  const found = at !== -1 && at < checked.length;
  if (found) {
    checked.metric[0] = checked.metric[at]!;
    checked.value[0] = checked.value[at]!;
    checked.field[0] = field;
  }
  checked.length = found ? 1 : 0;
  checked.rejections = checked.rejections.filter((rejection) => rejection.reading === reading);
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

function refusalOf(
  rejection: Rejection,
  scope: Refusal['scope'],
  device: string,
  { topic, receivedAt, position }: Current,
  raw: Buffer,
): Refusal {
  return { ...rejection, scope, device, topic, receivedAt, position, raw };
}

function checksOf(version: DeviceVersion, known: KnownDevice, city: CityVersion | null): ProfileChecks | null {
  if (version.city !== city) {
    version.city = city;
    version.checks = city?.checks.get(known.profile) ?? null;
  }
  return version.checks;
}
