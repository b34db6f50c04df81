import { LamppostError } from '../../domain/index.ts';
import { type CompiledRule, MAX_SLICES } from './compiled.ts';
import {
  COUNT,
  Instance,
  MISSED,
  NEWEST,
  type Phase,
  RECENT,
  RECENT_MAX,
  SINCE,
  SLICE,
  SLICES,
  TOTAL,
} from './instance.ts';
import { remember } from './recent.ts';

/**
 * An instance as bytes, little-endian: format u8, phase u8, matching u8, recent u8, six numbers f64 (see
 * `instance.ts`), the recent readings oldest first (ts f64, value f64), and the slices that hold readings: place u8,
 * count f64, figure f64. Exact: what is read back goes on as if it had never been away. How a window is cut belongs
 * to the format: whoever changes `compiled.ts` there raises it.
 */
const FORMAT = 1;
const PHASES: readonly Phase[] = ['inactive', 'pending', 'firing'];
const HEAD = [NEWEST, SINCE, MISSED, TOTAL, COUNT, SLICE];
const HEAD_BYTES = 4 + 8 * HEAD.length;
const SLICE_BYTES = 17;

// One buffer for all writing: a checkpoint encodes a hundred thousand states in one go.
const scratch = new Uint8Array(HEAD_BYTES + 16 * RECENT_MAX + SLICE_BYTES * MAX_SLICES);
const scratchView = new DataView(scratch.buffer);

/** Writes the state of an instance: 52 bytes, 16 a recent reading and 17 a slice that holds readings. */
export function encodeState(instance: Instance): Uint8Array {
  const { data, phase, matching, recentLength } = instance;
  scratch[0] = FORMAT;
  scratch[1] = PHASES.indexOf(phase);
  scratch[2] = Number(matching);
  scratch[3] = recentLength;
  let at = 4;
  for (const field of HEAD) at = put(at, data[field]!);
  return scratch.slice(0, writeSlices(instance, writeRecent(instance, at)));
}

function writeRecent({ data, recentNext, recentLength }: Instance, from: number): number {
  let at = from;
  for (let i = RECENT_MAX - recentLength; i < RECENT_MAX; i++) {
    const pair = RECENT + 2 * ((recentNext + i) % RECENT_MAX);
    at = put(at, data[pair]!);
    at = put(at, data[pair + 1]!);
  }
  return at;
}

function writeSlices({ data, rule: { slices } }: Instance, from: number): number {
  let at = from;
  for (let place = 0; place < slices; place++) {
    const count = data[SLICES + slices + place]!;
    if (count === 0) continue;
    scratch[at] = place;
    at = put(at + 1, count);
    at = put(at, data[SLICES + place]!);
  }
  return at;
}

function put(at: number, number: number): number {
  scratchView.setFloat64(at, number, true);
  return at + 8;
}

/** Reads back what `encodeState` wrote for the same rule version; throws `disk` when the bytes are not that. */
export function decodeState(rule: CompiledRule, group: string, bytes: Uint8Array): Instance {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const phase = PHASES[bytes[1] ?? -1];
  const slicesAt = HEAD_BYTES + 16 * (bytes[3] ?? 0);
  const rest = bytes.length - slicesAt;
  if (bytes[0] !== FORMAT || phase === undefined || rest < 0 || rest % SLICE_BYTES !== 0) {
    throw new LamppostError(
      'disk',
      `the stored state of rule ${rule.rule.id} for ${group} cannot be read (format ${bytes[0]})`,
    );
  }
  const instance = new Instance(rule, group);
  instance.phase = phase;
  instance.matching = bytes[2] === 1;
  HEAD.forEach((field, i) => {
    instance.data[field] = view.getFloat64(4 + 8 * i, true);
  });
  for (let at = HEAD_BYTES; at < slicesAt; at += 16) {
    remember(instance, view.getFloat64(at, true), view.getFloat64(at + 8, true));
  }
  readSlices(instance, view, slicesAt);
  return instance;
}

function readSlices({ data, rule }: Instance, view: DataView, from: number): void {
  data.fill(rule.empty, SLICES, SLICES + rule.slices);
  for (let at = from; at < view.byteLength; at += SLICE_BYTES) {
    const place = SLICES + view.getUint8(at);
    data[place + rule.slices] = view.getFloat64(at + 1, true);
    data[place] = view.getFloat64(at + 9, true);
  }
}
