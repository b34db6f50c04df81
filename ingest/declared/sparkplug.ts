import type { ProtoField, ProtoTypes, Rejection } from '../../domain/index.ts';
import type { Past } from '../decode/format.ts';
import { memberOf } from '../decode/lenient-json.ts';
import { readProtobuf } from './protobuf.ts';

const optional = (name: string, type: string): ProtoField => ({ name, type, repeated: false, map: false });

/** What is read of Eclipse Sparkplug's payload (specification 3.0, §6.4): metrics that are one value each. */
const TYPES: ProtoTypes = {
  enums: {},
  messages: {
    Payload: {
      1: optional('timestamp', 'uint64'),
      2: { name: 'metrics', type: 'Metric', repeated: true, map: false },
      3: optional('seq', 'uint64'),
    },
    Metric: {
      1: optional('name', 'string'),
      2: optional('alias', 'uint64'),
      3: optional('timestamp', 'uint64'),
      4: optional('datatype', 'uint32'),
      7: optional('is_null', 'bool'),
      10: optional('int', 'uint32'),
      // Not uint64: the two's complement of a negative number is beyond what a number holds exactly.
      11: optional('long', 'int64'),
      12: optional('float', 'float'),
      13: optional('double', 'double'),
      14: optional('boolean', 'bool'),
      15: optional('text', 'string'),
    },
  },
};

interface Metric {
  readonly name?: string;
  readonly alias?: number;
  readonly timestamp?: number;
  readonly datatype?: number;
  readonly is_null?: boolean;
  readonly int?: number;
  readonly long?: number;
  readonly float?: number;
  readonly double?: number;
  readonly boolean?: boolean;
  readonly text?: string;
}

interface Payload {
  readonly timestamp?: number;
  readonly metrics?: readonly Metric[];
  readonly seq?: number;
}

/** A metric as a birth names it: the alias and the type (0: none). */
type Born = readonly [name: string, alias: number | null, type: number];

interface Birth {
  readonly metrics: readonly Born[];
  /** Of a node: pairs it with its death (`bdSeq`). */
  readonly number: number | null;
}

/** Values of one time; a path looks for them as `rows`. */
interface Row {
  readonly timestamp: number | undefined;
  readonly values: Record<string, number | boolean>;
}

/** The list that has births and deaths, too. Its other rows are at the same places as in `rows`. */
export const ONLINE_TOO = 'rows_with_online';

/** A payload in which paths find their parts, and what of it cannot be read. */
export interface Sparkplug {
  readonly value: { readonly rows: readonly Row[]; readonly [ONLINE_TOO]: readonly Row[] };
  readonly faults: readonly Rejection[];
}

const BIRTH = 'birth';
const DEATH = 'death';
const GAP = 'gap';
/** Of the protocol itself, or for commands: no readings. */
const CONTROL = /^(bdSeq$|Node Control\/|Device Control\/)/;
const LARGEST_OF_31_BITS = 0x7fff_ffff;
const INTEGERS: Readonly<Record<number, (value: number) => number>> = {
  1: (value) => (value << 24) >> 24,
  2: (value) => (value << 16) >> 16,
  3: (value) => value | 0,
  // Above 2^63 it was read as negative.
  8: (value) => (value < 0 ? value + 2 ** 64 : value),
};

/**
 * Reads a payload of Sparkplug B by what the node and the device were born with (§5, §6.4): aliases, and types, without
 * which a negative integer cannot be distinguished from a large one. Faults are at their paths in the list that the
 * format reads, by which they are replayed. Throws where it is malformed.
 */
export function readSparkplug(payload: Buffer, past: Past | null, list: 'rows' | typeof ONLINE_TOO): Sparkplug {
  const { metrics = [], ...head } = readProtobuf(payload, TYPES, 'Payload') as Payload;
  const { node, kind } = placeOf(past);
  const faults: Rejection[] = [];
  // A node restarts its numbers with its birth; a death has none: its broker publishes it.
  if (past !== null && node !== null && head.seq !== undefined && kind !== 'NDEATH') {
    const missing = past.missing(node, head.seq, kind === 'NBIRTH');
    if (missing > 0) faults.push(gapOf(node, missing, head.seq));
  }
  if (kind === 'NDEATH' || kind === 'DDEATH') {
    const isNews = kind === 'DDEATH' || isOfBirth(metrics, past!);
    if (isNews) past!.learn(DEATH, true);
    return { value: { rows: [], rows_with_online: isNews ? [online(false, head)] : [] }, faults };
  }
  const isBirth = kind === 'NBIRTH' || kind === 'DBIRTH';
  const birth = isBirth ? birthOf(metrics) : birthNow(past, node);
  if (isBirth && !past!.learn(BIRTH, birth)) {
    faults.push(TOO_MUCH);
    // Its aliases may be others than before.
    past!.learn(BIRTH, null);
  }
  const rows = rowsOf(metrics, { head, birth, list }, faults);
  const isOnline = isBirth && past !== null ? [online(true, head)] : [];
  return { value: { rows, rows_with_online: [...rows, ...isOnline] }, faults };
}

const TOO_MUCH: Rejection = {
  reason: 'wrong-shape',
  path: '$.metrics',
  detail: 'its birth has more names and aliases than are kept for a device (256 KiB); values by alias are refused',
};

/** `spBv1.0/{group}/{kind}/{node}` and, of a device, `/{device}`. Other topics have no births. */
function placeOf(past: Past | null): { node: string | null; kind: string } {
  const [root, , kind, node] = past?.topic.split('/', 5) ?? [];
  return root === 'spBv1.0' && kind !== undefined && node ? { node, kind } : { node: null, kind: '' };
}

function gapOf(node: string, missing: number, found: number): Rejection {
  const detail = `${missing} of the messages of ${node} before number ${found} are missing: values by alias are refused until the next birth; send Node Control/Rebirth`;
  return { reason: 'missing-messages', path: '$.seq', detail };
}

function birthOf(metrics: readonly Metric[]): Birth {
  const named = metrics.filter(({ name }) => name !== undefined && name !== '');
  return {
    metrics: named.map(({ name, alias = null, datatype = 0 }) => [name!, alias, datatype]),
    number: numberOf(metrics),
  };
}

function numberOf(metrics: readonly Metric[]): number | null {
  const found = metrics.find(({ name }) => name === 'bdSeq');
  return found?.long ?? found?.int ?? null;
}

/** Whether a death is of the newest birth: the will of a connection that ended late is not (§5.2). */
function isOfBirth(metrics: readonly Metric[], past: Past): boolean {
  const birth = past.recall(past.device, BIRTH)?.body as Birth | undefined;
  return birth === undefined || birth.number === null || birth.number === numberOf(metrics);
}

/** What the device was born with; null where it was not, or that no longer counts, with why. */
function birthNow(past: Past | null, node: string | null): Birth | string {
  if (past === null) return 'what came before it is not looked at here';
  const { device } = past;
  const fact = past.recall(device, BIRTH);
  if (fact === null) return `no birth of ${device} came before it`;
  const own = [device, BIRTH] as const;
  if (past.isNewer([device, DEATH], own)) return `${device} was not born again after its death`;
  if (node !== null && device !== node) {
    if (past.isNewer([node, DEATH], own)) return `${device} was not born again after the death of ${node}`;
    if (past.isNewer([node, BIRTH], own)) return `${device} was not born again after ${node} was`;
  }
  if (node !== null && past.isNewer([node, GAP], own)) return `messages of ${node} are missing since its birth`;
  return fact.body as Birth;
}

/**
 * Metrics by their times: a message may have stored values of earlier. A row stays where it is when it is read again.
 */
function rowsOf(
  metrics: readonly Metric[],
  { head, birth, list }: { readonly head: Payload; readonly birth: Birth | string; readonly list: string },
  faults: Rejection[],
): Row[] {
  const rows = new Map<number | undefined, Row & { readonly path: string }>();
  const { byName, byAlias } = indexOf(birth);
  for (const metric of metrics) {
    const { name = '', alias = null, timestamp = head.timestamp } = metric;
    const known = name !== '' ? byName.get(name) : alias === null ? undefined : byAlias.get(alias);
    const called = name !== '' ? name : known?.[0];
    if (called !== undefined && CONTROL.test(called)) continue;
    const value = numberIn(metric, metric.datatype ?? known?.[2] ?? 0);
    if (value === null) continue;
    let row = rows.get(timestamp);
    if (row === undefined) {
      row = { timestamp, values: Object.create(null) as Row['values'], path: `$.${list}[${rows.size}]` };
      rows.set(timestamp, row);
    }
    if (called !== undefined && value !== 'unknown') row.values[called] = value;
    else if (called === undefined) faults.push(unknown(`alias ${alias}`, `${row.path}.alias_${alias}`, birth));
    else faults.push(unknown(`the type of ${called}`, row.path + memberOf(called), birth));
  }
  return [...rows.values()].map(({ timestamp, values }) => ({ timestamp, values }));
}

interface Index {
  readonly byName: ReadonlyMap<string, Born>;
  readonly byAlias: ReadonlyMap<number, Born>;
}

const NOTHING: Index = { byName: new Map(), byAlias: new Map() };
const indexes = new WeakMap<Birth, Index>();

/** A birth is looked at with every message after it. */
function indexOf(birth: Birth | string): Index {
  if (typeof birth === 'string') return NOTHING;
  const known = indexes.get(birth);
  if (known !== undefined) return known;
  const withAlias = birth.metrics.filter(([, alias]) => alias !== null);
  const index = {
    byName: new Map(birth.metrics.map((one) => [one[0], one])),
    byAlias: new Map(withAlias.map((one) => [one[1]!, one])),
  };
  indexes.set(birth, index);
  return index;
}

function unknown(what: string, path: string, birth: Birth | string): Rejection {
  const why = typeof birth === 'string' ? birth : 'its birth does not have it';
  const detail = `${what.slice(0, 80)} is not known: ${why}; send Node Control/Rebirth, then replay`;
  return { reason: 'not-announced', path, detail };
}

/** Null where it is no number; `unknown` where only its type says which one. */
function numberIn(metric: Metric, type: number): number | boolean | 'unknown' | null {
  const { double, float, boolean, long, int, text, is_null: isNull = false } = metric;
  if (isNull || text !== undefined) return null;
  const exact = double ?? float ?? boolean;
  if (exact !== undefined) return exact;
  const integer = long ?? int;
  if (integer === undefined) return null;
  if (type === 0 && (integer < 0 || (long === undefined && integer > LARGEST_OF_31_BITS))) return 'unknown';
  return INTEGERS[type]?.(integer) ?? integer;
}

function online(is: boolean, { timestamp }: Payload): Row {
  // The time of a death is that of the connection, which its broker did not know when it ended.
  return { timestamp: is ? timestamp : undefined, values: { online: is } };
}
