import { type KnownDevice, SUSPECT } from '../domain/index.ts';
import { pushReading, type Tally, type TypedColumns } from './outcome.ts';
import type { SeenKeys } from './seen.ts';
import { HASHED_LANE, hashValue, type SeenPlace } from './seen-entries.ts';
import type { Checked } from './validate.ts';

/** Times of frames are kept as seconds since 2020, 32 bits. */
const FRAMES_SINCE = Date.UTC(2020, 0);
/** A frame that other gateways receive, or that is repeated until it is confirmed, comes within minutes. */
const SAME_FRAME_S = 600;

/** The columns that take the values of a message: new readings, and new values for readings that came before. */
export interface Deduped {
  readonly readings: TypedColumns;
  readonly replaced: TypedColumns;
}

/** The message that the next values belong to. */
interface Begin {
  readonly position: number;
  /** Number of the oldest message that still counts. */
  readonly horizon: number;
  /** Whether it is read for the first time: only then are its keys recorded. */
  readonly fresh: boolean;
  /** Whether it has several readings, which may repeat each other. */
  readonly several: boolean;
  /**
   * Whether its readings passed the dedupe before and only the database refused them: they are no duplicates of
   * themselves.
   */
  readonly accepted?: boolean;
}

/**
 * Separates new readings from those that came before, by content: a known key with the same value is a duplicate, with
 * another value a replacement.
 */
export class Dedupe {
  readonly #seen: SeenKeys;
  readonly #place: SeenPlace = { device: 0, lane: 0, ts: 0, horizon: 0, position: 0 };
  readonly #hashes = new Int32Array(32);
  /**
   * Values of the current message by ts and metric (their quality by `~metric`): a message with several readings may
   * repeat itself.
   */
  readonly #own = new Map<number, Map<number, number>>();
  #fresh = false;
  #several = false;
  #repeatedUplink = false;
  #accepted = false;

  constructor(seen: SeenKeys) {
    this.#seen = seen;
  }

  /** Starts a message: `uplink` and `take` refer to it until the next call. */
  begin(device: KnownDevice, message: Begin): void {
    this.#place.device = device.index;
    this.#place.position = message.position;
    this.#place.horizon = message.horizon;
    this.#fresh = message.fresh;
    this.#several = message.several;
    this.#repeatedUplink = false;
    this.#accepted = message.accepted ?? false;
    if (this.#own.size > 0) this.#own.clear();
  }

  /** Whether the frame of the message came before. */
  get isRepeated(): boolean {
    return this.#repeatedUplink;
  }

  /**
   * Checks the LoRaWAN frame of the message, from `ts` (epoch ms): one with the same session, counter and content whose
   * time is at most ten minutes away is the same frame, and makes all its readings duplicates.
   */
  uplink(key: string, ts: number): void {
    this.#at(HASHED_LANE, hashText(key));
    this.#hashes[0] = Math.floor((ts - FRAMES_SINCE) / 1_000);
    this.#repeatedUplink = this.#seen.find(this.#place, 1, this.#hashes, SAME_FRAME_S) !== 0;
    if (!this.#repeatedUplink && this.#fresh) this.#seen.add(this.#place, 1, this.#hashes);
  }

  /** Sorts the values of one reading of the message into `into`, and counts each of them in `tally`. */
  take(device: KnownDevice, checked: Checked, tally: Tally, into: Deduped): void {
    if (this.#repeatedUplink) {
      tally.duplicate += checked.length;
      return;
    }
    if (this.#accepted) {
      tally.stored += checked.length;
      // Its quality was stored beside what was refused, and is not in the message of the refusal.
      for (let i = 0; i < checked.length; i++) pushChecked(into.replaced, device, checked, i);
      return;
    }
    if (this.#several || !this.#inOneLane(checked)) {
      for (let i = 0; i < checked.length; i++) this.#takeOne(device, checked, i, tally, into);
      return;
    }
    const { length, ownTs, metric } = checked;
    const sent = checked.isCalibrated ? checked.measured : checked.value;
    let mask = 0;
    for (let i = 0; i < length; i++) {
      const bit = metric[i]! & 31;
      mask |= 1 << bit;
      this.#hashes[bit] = hashOf(checked, sent[i]!, i);
    }
    this.#at(metric[0]! >>> 5, ownTs);
    const old = this.#lookUp(mask);
    const { changed } = this.#seen;
    for (let i = 0; i < length; i++) {
      const bit = 1 << (metric[i]! & 31);
      if ((old & bit) === 0) {
        tally.stored++;
        pushChecked(into.readings, device, checked, i);
      } else if ((changed & bit) === 0) tally.duplicate++;
      else this.#replace(device, checked, i, tally, into);
    }
  }

  #inOneLane({ length, metric }: Checked): boolean {
    const lane = metric[0]! >>> 5;
    for (let i = 1; i < length; i++) if (metric[i]! >>> 5 !== lane) return false;
    return true;
  }

  /** What is compared is what was sent: a message that is repeated after a calibration is a repetition. */
  #takeOne(device: KnownDevice, checked: Checked, i: number, tally: Tally, into: Deduped): void {
    const { ownTs: ts, metric } = checked;
    const value = (checked.isCalibrated ? checked.measured : checked.value)[i]!;
    const number = metric[i]!;
    const mask = 1 << (number & 31);
    const own = this.#ownAt(ts);
    const before = own?.get(number);
    const isSame = before === value && (!checked.hasQuality || own!.get(~number) === checked.quality[i]);
    own?.set(number, value);
    if (checked.hasQuality) own?.set(~number, checked.quality[i]!);
    if (isSame) {
      tally.duplicate++;
      return;
    }
    this.#hashes[number & 31] = hashOf(checked, value, i);
    this.#at(number >>> 5, ts);
    const old = this.#lookUp(mask, before !== undefined) !== 0;
    const changed = this.#seen.changed !== 0;
    if (before !== undefined || changed) this.#replace(device, checked, i, tally, into);
    else if (old) tally.duplicate++;
    else {
      tally.stored++;
      pushChecked(into.readings, device, checked, i);
    }
  }

  #ownAt(ts: number): Map<number, number> | null {
    if (!this.#several) return null;
    let own = this.#own.get(ts);
    if (own === undefined) {
      own = new Map();
      this.#own.set(ts, own);
    }
    return own;
  }

  /** Returns which metrics came before. Records those that are new or have another value; with `all`, every one. */
  #lookUp(mask: number, all = false): number {
    const seen = this.#seen;
    // What the message itself had before replaces whatever came before it.
    const old = all ? 0 : seen.find(this.#place, mask, this.#hashes);
    const news = all ? mask : (mask & ~old) | seen.changed;
    if (this.#fresh && news !== 0) seen.add(this.#place, news, this.#hashes);
    return old;
  }

  #replace(device: KnownDevice, checked: Checked, i: number, tally: Tally, into: Deduped): void {
    tally.stored++;
    tally.replaced++;
    pushChecked(into.replaced, device, checked, i, true);
  }

  #at(lane: number, ts: number): void {
    this.#place.lane = lane;
    this.#place.ts = ts;
  }
}

/** Another quality makes another value of it. */
function hashOf({ hasQuality, quality }: Checked, value: number, i: number): number {
  return hasQuality && quality[i] !== 0 ? hashValue(value) ^ Math.imul(quality[i]!, 0x27d4eb2f) : hashValue(value);
}

/**
 * Appends a value; beside it, where it was corrected, what was measured, and its quality where that is not good, or may
 * not have been before (`replaces`). The ledger counts the value only.
 */
export function pushChecked(
  into: TypedColumns,
  device: KnownDevice,
  checked: Checked,
  i: number,
  replaces = false,
): void {
  const { ts, metric, value, isCalibrated, raw, keepsRaw, measured, hasQuality, quality, keepsQuality } = checked;
  pushReading(into, device, metric[i]!, ts, value[i]!);
  if (hasQuality && quality[i] === SUSPECT) {
    into.suspect ??= new Set();
    into.suspect.add(into.length - 1);
  }
  // What was measured of a value that is replaced counts no more, also where the new one is not corrected.
  const kept = replaces ? keepsRaw : raw;
  if (isCalibrated && kept[i] !== -1) pushReading(into, device, kept[i]!, ts, measured[i]!);
  if (hasQuality && (replaces || quality[i] !== 0)) pushReading(into, device, keepsQuality[i]!, ts, quality[i]!);
}

/** Returns a hash of a text, 53 bits. */
function hashText(text: string): number {
  let high = 0x811c9dc5;
  let low = 0x9e3779b1;
  for (let i = 0; i < text.length; i++) {
    high = Math.imul(high ^ text.charCodeAt(i), 0x01000193);
    low = Math.imul(low ^ text.charCodeAt(i), 0x85ebca6b);
    low ^= low >>> 13;
  }
  return (high >>> 11) * 4_294_967_296 + (low >>> 0);
}
