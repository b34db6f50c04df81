import { suggest } from './names.ts';
import { DAY_MS, MINUTE_MS } from './time.ts';

/** Local time of one IANA zone. Node's own zone data (ICU); offsets are cached by the quarter of an hour. */
export interface Zone {
  /** ms to add to UTC for local time. */
  offsetAt(ms: number): number;
  /** The first moment at which local clocks show this time; a time that they skip is the end of the skip. */
  toUtc(localMs: number): number;
}

const zones = new Map<string, Zone>();

// Changes of offset happen at whole quarters of an hour everywhere since 1972.
const STEP_MS = 15 * MINUTE_MS;
const MOST_KEPT = 4_096;

/**
 * Returns why a text is not the name of an IANA zone, with a suggestion; null where it is one. The formatter alone also
 * accepts `+08:00`, and `supportedValuesOf` omits aliases such as Asia/Kolkata.
 */
export function zoneFault(text: string): string | null {
  if (/^[A-Z]/.test(text) && isAccepted(text)) return null;
  return `"${text}" is not an IANA zone such as Europe/Berlin${suggest(text, Intl.supportedValuesOf('timeZone'))}`;
}

function isAccepted(zone: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: zone });
    return true;
  } catch {
    return false;
  }
}

/** The zone by its IANA name; throws `RangeError` on a name that is none. */
export function createZone(iana: string): Zone {
  const known = zones.get(iana);
  if (known !== undefined) return known;
  const made = iana === 'UTC' ? { offsetAt: () => 0, toUtc: (localMs: number) => localMs } : zoneOf(iana);
  zones.set(iana, made);
  return made;
}

function zoneOf(iana: string): Zone {
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone: iana,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
    era: 'short',
  });
  const offsets = new Map<number, number>();
  let lastStep = Number.NaN;
  let lastOffset = 0;

  function read(ms: number): number {
    const parts = new Map(format.formatToParts(ms).map(({ type, value }) => [type, value]));
    const part = (type: Intl.DateTimeFormatPartTypes) => Number(parts.get(type));
    const year = parts.get('era') === 'BC' ? 1 - part('year') : part('year');
    const local = Date.UTC(2000, part('month') - 1, part('day'), part('hour'), part('minute'), part('second'));
    return new Date(local).setUTCFullYear(year, part('month') - 1, part('day')) - ms;
  }

  function offsetAt(ms: number): number {
    const step = Math.floor(ms / STEP_MS);
    if (step === lastStep) return lastOffset;
    let offset = offsets.get(step);
    if (offset === undefined) {
      offset = read(step * STEP_MS);
      if (offsets.size >= MOST_KEPT) offsets.clear();
      offsets.set(step, offset);
    }
    lastStep = step;
    lastOffset = offset;
    return offset;
  }

  function toUtc(localMs: number): number {
    // Offsets of a day before and after bracket any change near by.
    const [before, after] = [offsetAt(localMs - DAY_MS), offsetAt(localMs + DAY_MS)];
    for (const offset of [Math.max(before, after), Math.min(before, after)]) {
      const ms = localMs - offset;
      if (offsetAt(ms) === offset) return ms;
    }
    // Skipped: the change lies between the two; before it the smaller offset holds.
    let ms = Math.floor((localMs - Math.max(before, after)) / STEP_MS) * STEP_MS;
    while (offsetAt(ms) !== Math.max(before, after)) ms += STEP_MS;
    return ms;
  }

  return { offsetAt, toUtc };
}
