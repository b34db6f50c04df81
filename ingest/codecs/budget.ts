import { createAccounts, TokenBucket } from '../../limits/index.ts';

/**
 * What frames may cost beyond an ordinary one. Ordinary is what sound codecs need, whose number is not bounded here:
 * most of it is reading the codec's text.
 */
const ORDINARY_MS = 10;
const ORDINARY_MS_PER_KIB = 0.25;
/** A frame costs its time; a long one costs more than that, as everything else waits for all of it at once. */
const LONG_MS = 100;
/** Of one frame, so that one device alone, whatever its frames do to a codec, does not use up what is for all. */
const MOST_COST = 10_000;
const OF_DEVICE = { perSecond: 25, burst: 1_000 };
const OF_CODEC = { perSecond: 25, burst: 15_000 };
const MOST_DEVICES = 1_000;

/**
 * The time that a codec may take over many frames, of one device and of all. Who has used it up waits until it has
 * recovered: after frames of 2 s about 7 minutes, then one more frame is tried. Times are ms of a clock that goes
 * steadily on.
 */
export class CodecBudget {
  readonly #ordinaryMs: number;
  readonly #all = new TokenBucket(OF_CODEC);
  readonly #devices = createAccounts(OF_DEVICE, { most: MOST_DEVICES });

  constructor(text: string) {
    this.#ordinaryMs = ORDINARY_MS + (ORDINARY_MS_PER_KIB * text.length) / 1_024;
  }

  /** Returns who has used up the time for a frame of a device; null where it may be decoded. */
  usedUpBy(device: string, nowMs: number): 'all' | 'device' | null {
    if (this.#all.waitMs(nowMs) > 0) return 'all';
    return this.#devices.waitMs(device, nowMs) > 0 ? 'device' : null;
  }

  /** Charges what a frame of a device took. */
  charge(device: string, tookMs: number, nowMs: number): void {
    const beyondMs = tookMs - this.#ordinaryMs;
    if (beyondMs <= 0) return;
    const cost = Math.min(MOST_COST, beyondMs * Math.max(1, beyondMs / LONG_MS));
    this.#all.charge(cost, nowMs);
    this.#devices.charge(device, cost, nowMs);
  }
}
