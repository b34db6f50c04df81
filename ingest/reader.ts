import type { Block, KnownDevice, Rejection, ReplayControl, ReplayItem } from '../domain/index.ts';
import { walkRecords } from '../journal/index.ts';
import type { Acceptance, Accepted } from './acceptance.ts';
import { createColumns, type TypedColumns } from './columns.ts';
import { type CityVersion, type Context, type DeviceLine, type DeviceVersion, versionAt } from './context.ts';
import { type Decoded, type Format, formatOf } from './decode/index.ts';
import { emptyTally, type Outcome, type Refusal, type Replayed, type Tally } from './outcome.ts';
import { Checked, checkReading, type ProfileChecks } from './validate.ts';

/** How a block is met. */
export interface Meeting {
  /** For the first time: then its keys are noted. */
  readonly fresh: boolean;
  /** Number of the oldest message whose keys still count. */
  readonly horizon: number;
}

/** Reads blocks that hold messages. */
export interface BlockReader {
  messages(block: Block, meeting: Meeting): Outcome;
  replay(block: Block, meeting: Meeting): Outcome;
}

/** Whose a message is, and where it is counted. */
interface Account {
  readonly device: string;
  readonly line: DeviceLine | undefined;
  readonly tally: Tally;
}

interface Route extends Account {
  readonly topic: string;
  readonly format: Format | null;
}

/** One block that is being read. */
interface Draft extends Meeting, Accepted {
  readonly seq: number;
  readonly city: CityVersion | null;
  readonly readings: TypedColumns;
  readonly replaced: TypedColumns;
  readonly tallies: Tally[];
  refusals: Refusal[];
  /** Devices that only payloads name. */
  readonly named: Map<string, Account>;
}

/** The present message; one object for all of a block. */
interface Sent {
  topic: string;
  payload: Buffer;
  receivedAt: number;
  /** Number of the message: of its first coming, for a replay. */
  position: number;
}

interface Opened {
  readonly decoded: Decoded;
  readonly checks: ProfileChecks;
  readonly known: KnownDevice;
}

/** Decodes, validates and finds duplicates, message by message. */
export function createReader(context: Context, acceptance: Acceptance): BlockReader {
  const checked = new Checked();

  function accountOf(out: Draft, route: Route, payload: Buffer): Account {
    const device = route.format?.deviceOf?.(payload) ?? null;
    if (device === null) return route;
    let account = out.named.get(device);
    if (account === undefined) {
      account = { device, line: context.line(device), tally: emptyTally(device) };
      out.tallies.push(account.tally);
      out.named.set(device, account);
    }
    return account;
  }

  /** Whose message it is and what it says, or the one reason why it is refused as a whole. */
  function open(out: Draft, account: Account, format: Format | null, sent: Sent): Opened | Rejection {
    if (format === null) {
      return { reason: 'unknown-topic', path: '$', detail: `no format is known for ${sent.topic}` };
    }
    const version = account.line === undefined ? undefined : versionAt(account.line, out.seq);
    const known = version?.known ?? null;
    if (known === null) return unknownDevice(account.device, format, sent);
    const checks = checksOf(version!, known, out.city);
    if (checks === null) {
      const detail = `profile "${known.profile}" of this device is not in profiles.yaml`;
      return { reason: 'unknown-profile', path: '$', detail };
    }
    const decoded = format.decode(sent.payload, sent.receivedAt);
    return 'reason' in decoded ? decoded : { decoded, checks, known };
  }

  function readMessage(out: Draft, route: Route, sent: Sent): void {
    const account = accountOf(out, route, sent.payload);
    const { tally, device } = account;
    const opened = open(out, account, route.format, sent);
    if ('reason' in opened) {
      tally.quarantined++;
      out.refusals.push(refusalOf(opened, 'message', device, sent, Buffer.from(sent.payload)));
      return;
    }
    tally.decoded++;
    const { decoded, known } = opened;
    const several = decoded.readings.length > 1;
    acceptance.begin(known, { position: sent.position, horizon: out.horizon, fresh: out.fresh, several });
    if (decoded.uplink !== undefined) acceptance.uplink(decoded.uplink);
    takeReadings(out, opened, sent, tally);
    refuseReadings(out, device, sent, tally);
  }

  /** Takes what is good of a message; of one reading alone where `only` names it. */
  function takeReadings(out: Draft, opened: Opened, sent: Sent, tally: Tally, only: string | null = null): void {
    const { decoded, checks, known } = opened;
    for (const rejection of decoded.rejections) checked.rejections.push(rejection);
    for (const raw of decoded.readings) {
      checkReading(raw, checks, sent.receivedAt, checked);
      if (only !== null) keepOnly(checked, only, only.slice(raw.path.length + 1));
      if (checked.length > 0) acceptance.take(known, checked, tally, out);
    }
  }

  function refuseReadings(out: Draft, device: string, sent: Sent, tally: Tally): void {
    if (checked.rejections.length === 0) return;
    // One copy for all: a message may have thousands of faults.
    const raw = Buffer.from(sent.payload);
    for (const rejection of checked.rejections) {
      tally.refused++;
      out.refusals.push(refusalOf(rejection, 'reading', device, sent, raw));
    }
    checked.rejections = [];
  }

  function draftOf(block: Block, meeting: Meeting): Draft {
    return {
      ...meeting,
      seq: block.seq,
      city: context.cityAt(block.seq),
      readings: createColumns(block.count * 3),
      replaced: createColumns(0),
      tallies: [],
      refusals: [],
      named: new Map(),
    };
  }

  function outcomeOf({ body: _, ...block }: Block, out: Draft, replays: readonly Replayed[]): Outcome {
    const { fresh, readings, replaced, tallies, refusals } = out;
    return { block, fresh, readings, replaced, tallies, refusals, replays, city: null, devices: null, rule: null };
  }

  function routeOf(identity: string, topic: string): Route {
    const { device, format } = formatOf(identity, topic);
    return { device, topic, line: context.line(device), format, tally: emptyTally(device) };
  }

  /** One entry of the quarantine: the whole message, or the one reading of it that was refused. */
  function replayEntry(
    out: Draft,
    route: Route,
    opened: Opened | Rejection,
    item: ReplayItem,
    sent: Sent,
    entry: ReplayItem['entries'][number],
  ): Replayed {
    const tally = emptyTally(route.device);
    out.refusals = [];
    const { device } = item;
    if ('reason' in opened) {
      if (entry.scope === 'message') tally.quarantined++;
      else tally.refused++;
      out.refusals.push(refusalOf(opened, entry.scope, route.device, sent, sent.payload));
    } else if (entry.scope === 'message') {
      tally.decoded++;
      if (opened.decoded.uplink !== undefined) acceptance.uplink(opened.decoded.uplink);
      takeReadings(out, opened, sent, tally);
      refuseReadings(out, route.device, sent, tally);
    } else {
      takeReadings(out, onlyUnder(opened, entry.path, entry.reading), sent, tally, entry.reading);
      refuseReadings(out, route.device, sent, tally);
    }
    return { id: `${item.position}-${entry.ordinal}`, device, scope: entry.scope, tally, refusals: out.refusals };
  }

  return {
    messages(block, meeting) {
      const body = Buffer.from(block.body.buffer, block.body.byteOffset, block.body.byteLength);
      const out = draftOf(block, meeting);
      let position = block.first;
      const resolve = (identity: string, topic: string): Route => {
        const route = routeOf(identity, topic);
        out.tallies.push(route.tally);
        return route;
      };
      const sent: Sent = { topic: '', payload: body, receivedAt: 0, position: 0 };
      walkRecords(body, resolve, (route, from, to, receivedAt) => {
        sent.topic = route.topic;
        sent.payload = body.subarray(from, to);
        sent.receivedAt = receivedAt;
        sent.position = position++;
        readMessage(out, route, sent);
      });
      return outcomeOf(block, out, []);
    },
    replay(block, meeting) {
      const out = draftOf(block, meeting);
      const { items } = JSON.parse(Buffer.from(block.body).toString('utf8')) as ReplayControl;
      const replays: Replayed[] = [];
      for (const [i, item] of items.entries()) {
        const { topic, receivedAt, position } = item;
        const sent: Sent = { topic, payload: Buffer.from(item.payload, 'base64'), receivedAt, position };
        const resolved = routeOf(item.device, topic);
        const route: Route = { ...resolved, ...accountOf(out, resolved, sent.payload) };
        const opened = open(out, route, route.format, sent);
        if (!('reason' in opened)) {
          const { horizon, fresh } = out;
          const met = { position: block.first + i, horizon, fresh, several: true, accepted: position < 0 };
          acceptance.begin(opened.known, met);
        }
        for (const entry of item.entries) replays.push(replayEntry(out, route, opened, item, sent, entry));
      }
      out.refusals = [];
      return outcomeOf(block, { ...out, tallies: [] }, replays);
    },
  };
}

/** The same message with nothing in it but what was refused; a fault that is not one reading's stands for all under its path. */
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

function unknownDevice(device: string, format: Format, sent: Sent): Rejection {
  // Where the payload should have named the device and did not, its own fault says more.
  const decoded = format.deviceOf === undefined ? null : format.decode(sent.payload, sent.receivedAt);
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
  { topic, receivedAt, position }: Sent,
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
