import { createZone } from '../../domain/index.ts';

/** A recorded reading. */
export interface Recorded {
  /** Epoch ms. */
  readonly tsMs: number;
  readonly value: number;
}

/** A recorded reading and when to send it. */
export interface Replayed extends Recorded {
  /** Time after the start at which it is sent, ms; 0 = as soon as possible. */
  readonly afterMs: number;
}

const ROW = /^\s*"?([^",]+)"?\s*,\s*"?([^",]+)"?\s*$/;
const TIME = /^(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d(?::\d\d(?:\.\d+)?)?)(Z|[+-]\d\d:?\d\d)?$/;

/**
 * Reads `timestamp,value` lines (a header line is allowed), oldest first. A timestamp without a zone is local time of
 * `zone`. Throws a RangeError that names the line, or says that there is none.
 */
export function parseRecording(text: string, zone: string): Recorded[] {
  const recorded: Recorded[] = [];
  text.split(/\r?\n/).forEach((line, index) => {
    if (line.trim() === '' || (index === 0 && !/\d/.test(line))) return;
    const [, time, number] = ROW.exec(line) ?? [];
    const tsMs = time === undefined ? Number.NaN : timeOf(time.trim(), zone);
    const value = Number(number);
    if (!Number.isFinite(tsMs) || !Number.isFinite(value)) {
      throw new RangeError(
        `line ${index + 1}: expected "timestamp,value" such as 2015-09-01 11:25:00,58 — found "${line}"`,
      );
    }
    recorded.push({ tsMs, value });
  });
  if (recorded.length === 0) throw new RangeError('it holds no readings');
  return recorded.sort((a, b) => a.tsMs - b.tsMs);
}

function timeOf(text: string, zone: string): number {
  const match = TIME.exec(text);
  if (!match) return Number.NaN;
  const [, date, time, offset] = match;
  if (offset !== undefined) return Date.parse(`${date}T${time}${offset}`);
  return createZone(zone).toUtc(Date.parse(`${date}T${time}Z`));
}

/**
 * When each reading is sent, and with which timestamp. With `speed` they are sent that many times faster than they were
 * recorded, the first now, each with the time at which it is sent. Without it all are sent at once, moved in time so
 * that the last lies at now. `keepTime` leaves the timestamps as recorded.
 */
export function scheduleReplay(
  recorded: readonly Recorded[],
  options: { readonly nowMs: number; readonly speed?: number; readonly keepTime?: boolean },
): Replayed[] {
  const { nowMs, speed, keepTime = false } = options;
  const firstMs = recorded[0]?.tsMs ?? 0;
  const lastMs = recorded.at(-1)?.tsMs ?? 0;
  return recorded.map(({ tsMs, value }) => {
    const afterMs = speed === undefined ? 0 : Math.round((tsMs - firstMs) / speed);
    const movedMs = speed === undefined ? tsMs + nowMs - lastMs : nowMs + afterMs;
    return { tsMs: keepTime ? tsMs : movedMs, value, afterMs };
  });
}

const KM_PER_MILE = 1.609344;

/** Units of recordings that can be turned into the city's, and how. */
export const CONVERSIONS: Readonly<Record<string, { readonly to: string; convert(value: number): number }>> = {
  mph: { to: 'km/h', convert: (value) => Math.round(value * KM_PER_MILE * 100) / 100 },
  degF: { to: 'Cel', convert: (value) => Math.round(((value - 32) / 1.8) * 100) / 100 },
};
